//! The folders of a pod's volumes: filled, and for Secrets and ConfigMaps kept up to date by swapping
//! a link, so that a reader sees the old files or the new ones.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::{PermissionsExt, chown, symlink},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use futures_util::future::join;
use k8s_openapi::api::{
    authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec},
    core::v1::{
        ConfigMap, DownwardAPIVolumeFile, KeyToPath, PersistentVolume, PersistentVolumeClaim, Pod,
        Secret, ServiceAccount, Volume,
    },
};
use kube::{Api, ResourceExt, api::PostParams, core::PartialObjectMeta, runtime::watcher};
use serde_json::json;
use tokio::sync::{mpsc, watch};
use tracing::{debug, warn};

use super::{Shared, environment::field, lock, pod::Context};
use crate::{
    namespace::is_root,
    services::{Change, follow},
};

/// Which version each Secret and each ConfigMap has: enough to know when to read one again.
#[derive(Debug, Default)]
pub(super) struct Versions {
    known: Mutex<BTreeMap<Source, String>>,
    changed: watch::Sender<()>,
}

/// What a volume is filled from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Source {
    Secret(String, String),
    ConfigMap(String, String),
}

pub(super) async fn watch_versions(shared: Arc<Shared>) {
    let secrets: Api<PartialObjectMeta<Secret>> = Api::all(shared.client.clone());
    let maps: Api<PartialObjectMeta<ConfigMap>> = Api::all(shared.client.clone());
    join(
        follow(watcher(secrets, watcher::Config::default()), |change| {
            shared.versions.update(Source::Secret, change);
        }),
        follow(watcher(maps, watcher::Config::default()), |change| {
            shared.versions.update(Source::ConfigMap, change);
        }),
    )
    .await;
}

impl Versions {
    fn update<K: ResourceExt>(&self, source: impl Fn(String, String) -> Source, change: Change<K>) {
        let mut known = lock(&self.known);
        match change {
            Change::Put((namespace, name), object) => {
                let version = object.resource_version().unwrap_or_default();
                known.insert(source(namespace, name), version);
            }
            Change::Remove((namespace, name)) => {
                known.remove(&source(namespace, name));
            }
            // A deleted one that nobody told us of only keeps what it was.
            Change::Keep(_) => {}
        }
        drop(known);
        self.changed.send_replace(());
    }

    pub(super) fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }
}

/// A pod's volumes.
#[derive(Debug, Default)]
pub(super) struct Volumes {
    folders: BTreeMap<String, PathBuf>,
    /// What the files were made from.
    seen: Vec<Option<String>>,
    tokens: BTreeMap<String, (Vec<u8>, Instant)>,
}

/// A file's content and its mode.
type Files = BTreeMap<String, (Vec<u8>, u32)>;

impl Volumes {
    /// The folder of a volume.
    pub(super) fn folder(&self, name: &str) -> Option<&Path> {
        self.folders.get(name).map(PathBuf::as_path)
    }

    /// Makes all of them.
    pub(super) async fn mount(&mut self, context: &Context) -> Result<()> {
        let pod = context.pod();
        self.seen = versions(context, &pod);
        for volume in pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten()) {
            let name = &volume.name;
            let folder = self.make(context, &pod, volume).await;
            let folder =
                folder.with_context(|| format!("MountVolume.SetUp failed for volume {name:?}"))?;
            self.folders.insert(name.clone(), folder);
        }
        Ok(())
    }

    /// Writes again what has changed since. What has vanished or broken stays as it is.
    pub(super) async fn refresh(&mut self, context: &Context) {
        let pod = context.pod();
        let now = versions(context, &pod);
        let tokens_last = self.tokens.values().all(|(_, until)| Instant::now() < *until);
        if now == self.seen && tokens_last {
            return;
        }
        let mut all = true;
        for volume in pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten()) {
            if !self.folders.contains_key(&volume.name) || !is_written(volume) {
                continue;
            }
            if let Err(error) = self.make(context, &pod, volume).await {
                debug!(pod = context.name, volume = volume.name, "not updated: {error:#}");
                all = false;
            }
        }
        // What did not work is tried again.
        if all {
            self.seen = now;
        }
    }

    async fn make(&mut self, context: &Context, pod: &Pod, volume: &Volume) -> Result<PathBuf> {
        let own = context.folder.join("volumes").join(&volume.name);
        let group = pod
            .spec
            .as_ref()
            .and_then(|spec| spec.security_context.as_ref()?.fs_group)
            .and_then(|group| u32::try_from(group).ok());
        if volume.empty_dir.is_some() {
            fs::create_dir_all(&own)?;
            fs::set_permissions(&own, fs::Permissions::from_mode(0o777))?;
            give(&own, group)?;
            return Ok(own);
        }
        if let Some(claim) = &volume.persistent_volume_claim {
            let folder = claimed(context, &claim.claim_name).await?;
            fs::create_dir_all(&folder)?;
            let mode = if group.is_some() { 0o2775 } else { 0o755 };
            fs::set_permissions(&folder, fs::Permissions::from_mode(mode))?;
            give(&folder, group)?;
            return Ok(folder);
        }
        if !is_written(volume) {
            bail!("kubelab knows no such kind of volume");
        }
        let files = self.files(context, pod, volume).await?;
        write(&own, &files, group)?;
        Ok(own)
    }

    async fn files(&mut self, context: &Context, pod: &Pod, volume: &Volume) -> Result<Files> {
        let mut files = Files::new();
        if let Some(from) = &volume.config_map {
            let items = from.items.as_deref();
            let mode = from.default_mode;
            files.extend(config_map(context, &from.name, items, from.optional, mode).await?);
        }
        if let Some(from) = &volume.secret {
            let name = from.secret_name.as_deref().unwrap_or_default();
            let items = from.items.as_deref();
            let mode = from.default_mode;
            files.extend(secret(context, name, items, from.optional, mode).await?);
        }
        if let Some(from) = &volume.downward_api {
            let items = from.items.as_deref().unwrap_or_default();
            files.extend(downward(context, pod, items, from.default_mode)?);
        }
        let Some(projected) = &volume.projected else { return Ok(files) };
        let mode = projected.default_mode;
        for from in projected.sources.iter().flatten() {
            if let Some(from) = &from.config_map {
                let items = from.items.as_deref();
                files.extend(config_map(context, &from.name, items, from.optional, mode).await?);
            }
            if let Some(from) = &from.secret {
                let items = from.items.as_deref();
                files.extend(secret(context, &from.name, items, from.optional, mode).await?);
            }
            if let Some(from) = &from.downward_api {
                let items = from.items.as_deref().unwrap_or_default();
                files.extend(downward(context, pod, items, mode)?);
            }
            if let Some(from) = &from.service_account_token {
                let key = format!("{}/{}", volume.name, from.path);
                let seconds = from.expiration_seconds.unwrap_or(3600);
                let token = self
                    .token(context, pod, key, from.audience.clone(), seconds)
                    .await
                    .context("the service account's token")?;
                // Others than root may read it where they could not otherwise.
                files.insert(from.path.clone(), (token, 0o644));
            }
        }
        Ok(files)
    }

    /// The token that is there, or a new one when most of its time is over.
    async fn token(
        &mut self,
        context: &Context,
        pod: &Pod,
        key: String,
        audience: Option<String>,
        seconds: i64,
    ) -> Result<Vec<u8>> {
        if let Some((token, until)) = self.tokens.get(&key)
            && Instant::now() < *until
        {
            return Ok(token.clone());
        }
        let spec = pod.spec.as_ref().context("a pod without a spec")?;
        let account = spec.service_account_name.as_deref().unwrap_or("default");
        let request = TokenRequest {
            spec: TokenRequestSpec {
                audiences: audience.into_iter().collect(),
                expiration_seconds: Some(seconds),
                bound_object_ref: Some(BoundObjectReference {
                    api_version: Some("v1".to_owned()),
                    kind: Some("Pod".to_owned()),
                    name: Some(context.name.clone()),
                    uid: Some(context.uid.clone()),
                }),
            },
            ..Default::default()
        };
        let api: Api<ServiceAccount> =
            Api::namespaced(context.shared.client.clone(), &context.namespace);
        let answer = api.create_token_request(account, &PostParams::default(), &request).await?;
        let token = answer.status.context("no token")?.token.into_bytes();
        let lasts = Duration::from_secs(seconds.unsigned_abs() * 8 / 10);
        self.tokens.insert(key, (token.clone(), Instant::now() + lasts));
        Ok(token)
    }
}

/// Whether a volume's files are written by us.
fn is_written(volume: &Volume) -> bool {
    volume.config_map.is_some()
        || volume.secret.is_some()
        || volume.downward_api.is_some()
        || volume.projected.is_some()
}

/// The versions of everything that the files are made from, the pod's own among it.
fn versions(context: &Context, pod: &Pod) -> Vec<Option<String>> {
    let mut sources = Vec::new();
    let space = || context.namespace.clone();
    let mut own = false;
    for volume in pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten()) {
        if let Some(from) = &volume.config_map {
            sources.push(Source::ConfigMap(space(), from.name.clone()));
        }
        if let Some(name) = volume.secret.as_ref().and_then(|from| from.secret_name.clone()) {
            sources.push(Source::Secret(space(), name));
        }
        own |= volume.downward_api.is_some();
        for from in volume.projected.iter().flat_map(|it| it.sources.iter().flatten()) {
            if let Some(from) = &from.config_map {
                sources.push(Source::ConfigMap(space(), from.name.clone()));
            }
            if let Some(from) = &from.secret {
                sources.push(Source::Secret(space(), from.name.clone()));
            }
            own |= from.downward_api.is_some();
        }
    }
    let known = lock(&context.shared.versions.known);
    let mut versions: Vec<_> = sources.iter().map(|source| known.get(source).cloned()).collect();
    if own {
        let metadata = (pod.labels(), pod.annotations());
        versions.push(Some(format!("{metadata:?}")));
    }
    versions
}

async fn config_map(
    context: &Context,
    name: &str,
    items: Option<&[KeyToPath]>,
    optional: Option<bool>,
    mode: Option<i32>,
) -> Result<Files> {
    let api: Api<ConfigMap> = Api::namespaced(context.shared.client.clone(), &context.namespace);
    let optional = optional == Some(true);
    let all = match api.get_opt(name).await? {
        None if optional => return Ok(Files::new()),
        None => bail!("configmap {name:?} not found"),
        Some(map) => {
            let text = map.data.unwrap_or_default();
            let text = text.into_iter().map(|(key, value)| (key, value.into_bytes()));
            let bytes = map.binary_data.unwrap_or_default();
            text.chain(bytes.into_iter().map(|(key, value)| (key, value.0))).collect()
        }
    };
    pick(all, items, optional, mode)
}

async fn secret(
    context: &Context,
    name: &str,
    items: Option<&[KeyToPath]>,
    optional: Option<bool>,
    mode: Option<i32>,
) -> Result<Files> {
    let api: Api<Secret> = Api::namespaced(context.shared.client.clone(), &context.namespace);
    let optional = optional == Some(true);
    let all = match api.get_opt(name).await? {
        None if optional => return Ok(Files::new()),
        None => bail!("secret {name:?} not found"),
        Some(secret) => {
            let data = secret.data.unwrap_or_default();
            data.into_iter().map(|(key, value)| (key, value.0)).collect()
        }
    };
    pick(all, items, optional, mode)
}

/// All keys as files, or those that are asked for.
fn pick(
    mut all: BTreeMap<String, Vec<u8>>,
    items: Option<&[KeyToPath]>,
    optional: bool,
    mode: Option<i32>,
) -> Result<Files> {
    let Some(items) = items.filter(|items| !items.is_empty()) else {
        return Ok(all.into_iter().map(|(key, value)| (key, (value, mode_of(mode)))).collect());
    };
    let mut files = Files::new();
    for item in items {
        match all.remove(&item.key) {
            Some(value) => {
                files.insert(item.path.clone(), (value, mode_of(item.mode.or(mode))));
            }
            None if optional => {}
            None => bail!("references non-existent secret key: {}", item.key),
        }
    }
    Ok(files)
}

fn downward(
    context: &Context,
    pod: &Pod,
    items: &[DownwardAPIVolumeFile],
    mode: Option<i32>,
) -> Result<Files> {
    let mut files = Files::new();
    for item in items {
        let path = item.field_ref.as_ref().map(|from| from.field_path.as_str());
        let path = path.context("kubelab does not know resourceFieldRef")?;
        let value = field(pod, path, &context.address().to_string());
        let value = value.map_err(|waiting| anyhow::anyhow!(waiting.message))?;
        files.insert(item.path.clone(), (value.into_bytes(), mode_of(item.mode.or(mode))));
    }
    Ok(files)
}

fn mode_of(mode: Option<i32>) -> u32 {
    mode.and_then(|mode| u32::try_from(mode).ok()).unwrap_or(0o644)
}

/// Lets a group in, where we may.
fn give(path: &Path, group: Option<u32>) -> Result<()> {
    if let Some(group) = group
        && is_root()
    {
        chown(path, None, Some(group))?;
    }
    Ok(())
}

/// Puts the files in place of those that were there, all at once: they are links into a folder that
/// itself is a link.
fn write(folder: &Path, files: &Files, group: Option<u32>) -> Result<()> {
    fs::create_dir_all(folder)?;
    give(folder, group)?;
    let link = folder.join("..data");
    let old = fs::read_link(&link).ok();
    let new = (0..)
        .map(|number: u32| format!("..{number}"))
        .find(|name| !folder.join(name).exists())
        .context("a free name")?;
    for (path, (content, mode)) in files {
        let file = folder.join(&new).join(path);
        fs::create_dir_all(file.parent().context("it is in a folder")?)?;
        fs::write(&file, content)?;
        // Who belongs to the volume's group may read what is in it.
        let mode = if group.is_some() { mode | 0o440 } else { *mode };
        fs::set_permissions(&file, fs::Permissions::from_mode(mode))?;
        give(&file, group)?;
    }
    fs::create_dir_all(folder.join(&new))?;
    let swap = folder.join("..data_tmp");
    let _ = fs::remove_file(&swap);
    symlink(&new, &swap)?;
    fs::rename(&swap, &link)?;
    let first = |path: &String| path.split('/').next().unwrap_or_default().to_owned();
    let wanted: Vec<String> = files.keys().map(first).collect();
    for name in &wanted {
        if fs::symlink_metadata(folder.join(name)).is_err() {
            symlink(Path::new("..data").join(name), folder.join(name))?;
        }
    }
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.starts_with("..") && !wanted.contains(&name) {
            fs::remove_file(entry.path())?;
        }
    }
    if let Some(old) = old {
        fs::remove_dir_all(folder.join(old))?;
    }
    Ok(())
}

/// The folder of a claim that is bound.
async fn claimed(context: &Context, name: &str) -> Result<PathBuf> {
    let client = context.shared.client.clone();
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(client.clone(), &context.namespace);
    let claim = claims.get_opt(name).await?;
    let claim = claim.with_context(|| format!("persistentvolumeclaim {name:?} not found"))?;
    let bound = claim.status.as_ref().is_some_and(|it| it.phase.as_deref() == Some("Bound"));
    let volume = claim.spec.and_then(|spec| spec.volume_name).filter(|_| bound);
    let volume = volume.context("pod has unbound immediate PersistentVolumeClaims")?;
    let volume = Api::<PersistentVolume>::all(client).get(&volume).await?;
    let path = volume.spec.and_then(|spec| spec.host_path).map(|it| PathBuf::from(it.path));
    path.context("the volume is none of ours")
}

/// Gives each claim a volume: a folder that stays when the claim goes.
pub(super) async fn provision(shared: Arc<Shared>) {
    let claims: Api<PersistentVolumeClaim> = Api::all(shared.client.clone());
    let volumes: Api<PersistentVolume> = Api::all(shared.client.clone());
    let (sender, mut waiting) = mpsc::unbounded_channel();
    let watching = follow(watcher(claims, watcher::Config::default()), |change| {
        if let Change::Put(_, claim) = change {
            let _ = sender.send(claim);
        }
    });
    let providing = async {
        while let Some(claim) = waiting.recv().await {
            let spec = claim.spec.clone().unwrap_or_default();
            let phase = claim.status.as_ref().and_then(|status| status.phase.as_deref());
            if phase == Some("Bound") || spec.volume_name.is_some() {
                continue;
            }
            let name = format!("pvc-{}", claim.uid().unwrap_or_default());
            let volume = serde_json::from_value(json!({
                "metadata": { "name": name },
                "spec": {
                    "capacity": spec.resources.and_then(|it| it.requests).unwrap_or_default(),
                    "accessModes": spec.access_modes,
                    "storageClassName": spec.storage_class_name.unwrap_or_default(),
                    "persistentVolumeReclaimPolicy": "Retain",
                    "hostPath": { "path": shared.folder.join(&name) },
                    "claimRef": {
                        "apiVersion": "v1",
                        "kind": "PersistentVolumeClaim",
                        "namespace": claim.namespace(),
                        "name": claim.name_any(),
                        "uid": claim.uid(),
                    },
                },
            }));
            let volume = volume.expect("it is a volume");
            match volumes.create(&PostParams::default(), &volume).await {
                Ok(_) => {}
                Err(kube::Error::Api(status)) if status.code == 409 => {}
                Err(error) => warn!(%error, name, "a claim gets no volume"),
            }
        }
    };
    tokio::join!(watching, providing);
}
