//! A container's variables, and the `$(NAME)` in its command.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{ConfigMap, Container, EnvVarSource, Pod, Secret};
use kube::{Api, ResourceExt};

use super::{Image, container::Waiting, pod::Context};
use crate::namespace::NODE_ADDRESS;

const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// All variables, those that come later replacing those before.
pub(super) async fn resolve(
    context: &Context,
    image: &Image,
    container: &Container,
) -> Result<BTreeMap<String, String>, Waiting> {
    let mut variables = BTreeMap::from([
        ("PATH".to_owned(), PATH.to_owned()),
        ("HOSTNAME".to_owned(), context.name.clone()),
        ("KUBERNETES_SERVICE_HOST".to_owned(), "10.96.0.1".to_owned()),
        ("KUBERNETES_SERVICE_PORT".to_owned(), "443".to_owned()),
        ("KUBERNETES_SERVICE_PORT_HTTPS".to_owned(), "443".to_owned()),
    ]);
    variables.extend(image.env.iter().cloned());
    for source in container.env_from.iter().flatten() {
        let prefix = source.prefix.as_deref().unwrap_or_default();
        let mut all = BTreeMap::new();
        if let Some(from) = &source.config_map_ref {
            all.extend(config_map(context, &from.name, from.optional).await?);
        }
        if let Some(from) = &source.secret_ref {
            all.extend(secret(context, &from.name, from.optional).await?);
        }
        variables.extend(all.into_iter().map(|(name, value)| (format!("{prefix}{name}"), value)));
    }
    for variable in container.env.iter().flatten() {
        let value = match (&variable.value, &variable.value_from) {
            (_, Some(source)) => from_source(context, source).await?,
            (Some(value), None) => Some(expand(value, &variables)),
            (None, None) => Some(String::new()),
        };
        if let Some(value) = value {
            variables.insert(variable.name.clone(), value);
        }
    }
    Ok(variables)
}

/// `None` where what it names may be missing and is.
async fn from_source(context: &Context, source: &EnvVarSource) -> Result<Option<String>, Waiting> {
    let namespace = &context.namespace;
    if let Some(from) = &source.secret_key_ref {
        let value = secret(context, &from.name, from.optional).await?.remove(&from.key);
        return match value {
            None if from.optional != Some(true) => Err(Waiting::config(format!(
                "couldn't find key {} in Secret {namespace}/{}",
                from.key, from.name
            ))),
            value => Ok(value),
        };
    }
    if let Some(from) = &source.config_map_key_ref {
        let value = config_map(context, &from.name, from.optional).await?.remove(&from.key);
        return match value {
            None if from.optional != Some(true) => Err(Waiting::config(format!(
                "couldn't find key {} in ConfigMap {namespace}/{}",
                from.key, from.name
            ))),
            value => Ok(value),
        };
    }
    if let Some(from) = &source.field_ref {
        let address = context.address().to_string();
        return field(&context.pod(), &from.field_path, &address).map(Some);
    }
    Err(Waiting::config("kubelab does not know resourceFieldRef".to_owned()))
}

/// A field of the pod, as the downward API has them.
pub(super) fn field(pod: &Pod, path: &str, address: &str) -> Result<String, Waiting> {
    let keyed = |table: &str, values: &BTreeMap<String, String>| {
        let key = path.strip_prefix(table)?.strip_prefix("['")?.strip_suffix("']")?;
        Some(values.get(key).cloned().unwrap_or_default())
    };
    let all = |values: &BTreeMap<String, String>| {
        values.iter().map(|(key, value)| format!("{key}={value:?}\n")).collect::<String>()
    };
    let spec = pod.spec.clone().unwrap_or_default();
    let value = match path {
        "metadata.name" => pod.name_any(),
        "metadata.namespace" => pod.namespace().unwrap_or_default(),
        "metadata.uid" => pod.uid().unwrap_or_default(),
        "metadata.labels" => all(pod.labels()),
        "metadata.annotations" => all(pod.annotations()),
        "spec.nodeName" => spec.node_name.unwrap_or_default(),
        "spec.serviceAccountName" => spec.service_account_name.unwrap_or_default(),
        "status.podIP" | "status.podIPs" => address.to_owned(),
        "status.hostIP" | "status.hostIPs" => NODE_ADDRESS.to_string(),
        _ => keyed("metadata.labels", pod.labels())
            .or_else(|| keyed("metadata.annotations", pod.annotations()))
            .ok_or_else(|| Waiting::config(format!("unsupported pod field: {path}")))?,
    };
    Ok(value)
}

async fn secret(
    context: &Context,
    name: &str,
    optional: Option<bool>,
) -> Result<BTreeMap<String, String>, Waiting> {
    let api: Api<Secret> = Api::namespaced(context.shared.client.clone(), &context.namespace);
    match api.get_opt(name).await {
        Ok(Some(secret)) => Ok(secret
            .data
            .unwrap_or_default()
            .into_iter()
            .map(|(key, value)| (key, String::from_utf8_lossy(&value.0).into_owned()))
            .collect()),
        Ok(None) if optional == Some(true) => Ok(BTreeMap::new()),
        Ok(None) => Err(Waiting::config(format!("secret {name:?} not found"))),
        Err(error) => Err(Waiting::config(error.to_string())),
    }
}

async fn config_map(
    context: &Context,
    name: &str,
    optional: Option<bool>,
) -> Result<BTreeMap<String, String>, Waiting> {
    let api: Api<ConfigMap> = Api::namespaced(context.shared.client.clone(), &context.namespace);
    match api.get_opt(name).await {
        Ok(Some(map)) => Ok(map.data.unwrap_or_default()),
        Ok(None) if optional == Some(true) => Ok(BTreeMap::new()),
        Ok(None) => Err(Waiting::config(format!("configmap {name:?} not found"))),
        Err(error) => Err(Waiting::config(error.to_string())),
    }
}

/// Puts the values for `$(NAME)`. What is not known stays as it stands, and `$$` is a `$`.
pub(super) fn expand(text: &str, variables: &BTreeMap<String, String>) -> String {
    let mut result = String::new();
    let mut rest = text;
    while let Some(start) = rest.find('$') {
        result.push_str(&rest[..start]);
        rest = &rest[start + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            result.push('$');
            rest = after;
            continue;
        }
        let name = rest.strip_prefix('(').and_then(|it| it.split_once(')'));
        match name.and_then(|(name, after)| Some((variables.get(name)?, after))) {
            Some((value, after)) => {
                result.push_str(value);
                rest = after;
            }
            None => result.push('$'),
        }
    }
    result + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_parentheses_are_replaced_if_they_are_known() {
        let variables = BTreeMap::from([("A".to_owned(), "1".to_owned())]);
        for (text, expected) in [
            ("$(A)-$(A)", "1-1"),
            ("$(B) $A ${A} $", "$(B) $A ${A} $"),
            ("$$(A) $$$(A)", "$(A) $1"),
            ("$(A", "$(A"),
        ] {
            assert_eq!(expand(text, &variables), expected, "{text}");
        }
    }
}
