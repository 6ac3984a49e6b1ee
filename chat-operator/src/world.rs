//! A Kubernetes that fits into a test: it takes plans, and its controllers do the least that ours
//! looks at.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::{
    apps::v1::{Deployment, ReplicaSet},
    batch::v1::Job,
    core::v1::Pod,
};
use kube::{ResourceExt, api::DynamicObject};
use serde_json::{Value, json};

use crate::{
    crd::{ChatCluster, SecretKeyRef},
    decide::{Plan, Surroundings, decide},
    fixture,
    kind::Kind,
    labels,
    observe::{Found, Observed, references},
    settings::TemplateUpgrade,
    status,
};

/// It.
pub(crate) struct World {
    pub(crate) cluster: ChatCluster,
    pub(crate) secrets: BTreeMap<SecretKeyRef, Found>,
    pub(crate) children: BTreeMap<(Kind, String), Value>,
    pub(crate) pods: BTreeMap<String, Value>,
    /// How many connections a pod has.
    pub(crate) connections: BTreeMap<String, u64>,
    pub(crate) around: Surroundings,
    /// What comes of a migration by its image.
    pub(crate) broken_images: Vec<String>,
    pub(crate) writes: Vec<String>,
    made: usize,
}

impl World {
    pub(crate) fn new() -> Self {
        let cluster = fixture::cluster();
        let found = |value: &str| Found::Digest(value.to_owned());
        let secrets = references(&cluster).into_iter().map(|key| (key, found("1"))).collect();
        Self {
            cluster,
            secrets,
            children: BTreeMap::new(),
            pods: BTreeMap::new(),
            connections: BTreeMap::new(),
            around: Surroundings {
                operator_namespace: None,
                template_upgrade: TemplateUpgrade::Deferred,
                monitors: false,
            },
            broken_images: Vec::new(),
            writes: Vec::new(),
            made: 0,
        }
    }

    pub(crate) fn change(&mut self, change: impl FnOnce(&mut crate::crd::ChatClusterSpec)) {
        change(&mut self.cluster.spec);
        *self.cluster.metadata.generation.get_or_insert(0) += 1;
    }

    pub(crate) fn look(&self) -> Observed {
        let children: BTreeMap<_, DynamicObject> = self
            .children
            .iter()
            .map(|(key, child)| (key.clone(), serde_json::from_value(child.clone()).unwrap()))
            .collect();
        let of = |kind: Kind| {
            let all = self.children.iter().filter(move |((of, _), _)| *of == kind);
            all.map(|(_, child)| child.clone())
        };
        let typed = |value: Value| serde_json::from_value::<Deployment>(value).unwrap();
        Observed {
            cluster: self.cluster.clone(),
            secrets: self.secrets.clone(),
            deployment: of(Kind::Deployment).next().map(typed),
            jobs: of(Kind::Job).map(|job| serde_json::from_value::<Job>(job).unwrap()).collect(),
            migration_said: None,
            migrating: Vec::new(),
            migration_refused: None,
            pods: self
                .pods
                .values()
                .map(|pod| serde_json::from_value::<Pod>(pod.clone()).unwrap())
                .collect(),
            replica_sets: Vec::<ReplicaSet>::new(),
            connections: self.connections.clone(),
            children,
        }
    }

    /// One pass of the operator; how many writes it made.
    pub(crate) fn pass(&mut self) -> (Plan, usize) {
        let (seen, now) = (self.look(), Timestamp::now());
        let plan = decide(&seen, &self.around, now);
        let before = self.writes.len();
        for (pod, cost) in &plan.costs {
            let Some(pod) = self.pods.get_mut(pod) else { continue };
            self.writes.push(format!("cost {cost:?}"));
            match cost {
                Some(cost) => {
                    pod["metadata"]["annotations"][labels::DELETION_COST] = cost.to_string().into();
                    pod["metadata"]["managedFields"] = json!([{ "manager": labels::COST_MANAGER }]);
                }
                None => {
                    pod["metadata"]["annotations"] = json!({});
                    pod["metadata"]["managedFields"] = json!([]);
                }
            }
        }
        for child in &plan.apply {
            let key = (child.kind, child.name.clone());
            if seen.children.get(&key).is_some_and(|there| crate::apply::holds(child, there)) {
                continue;
            }
            self.writes.push(format!("apply {} {}", child.kind, child.name));
            let status = self.children.get(&key).map(|it| it["status"].clone());
            let mut object = child.object.clone();
            object["status"] = status.unwrap_or_default();
            let generation =
                self.children.get(&key).map(|it| it["metadata"]["generation"].as_i64());
            object["metadata"]["generation"] = (generation.flatten().unwrap_or(0) + 1).into();
            self.children.insert(key, object);
        }
        for (kind, name) in &plan.delete {
            self.writes.push(format!("delete {kind} {name}"));
            self.children.remove(&(*kind, name.clone()));
        }
        let told = status::tell(&self.look(), &plan.verdict, now);
        if self.cluster.status.as_ref() != Some(&told) {
            self.writes.push("status".to_owned());
            self.cluster.status = Some(told);
        }
        (plan, self.writes.len() - before)
    }

    /// One step of everybody else: Jobs end, pods come, become ready and go.
    pub(crate) fn others(&mut self) {
        self.pods.retain(|_, pod| pod["metadata"]["deletionTimestamp"].is_null());
        let broken = self.broken_images.clone();
        for ((kind, _), job) in &mut self.children {
            if *kind == Kind::Job && job["status"]["conditions"].is_null() {
                let image = &job["spec"]["template"]["spec"]["containers"][0]["image"];
                let fails = broken.iter().any(|it| image == it.as_str());
                let end = if fails { "Failed" } else { "Complete" };
                job["status"]["conditions"] = json!([{ "type": end, "status": "True" }]);
            }
        }
        let name = self.cluster.name_any();
        let Some(deployment) = self.children.get_mut(&(Kind::Deployment, name)) else { return };
        let asked = deployment["spec"]["replicas"].as_u64().unwrap() as usize;
        let template = deployment["spec"]["template"].clone();
        let hash = labels::digest(&[template.to_string().as_bytes()]);
        let cost = |pod: &Value| {
            let text = pod["metadata"]["annotations"][labels::DELETION_COST].as_str();
            text.and_then(|text| text.parse::<i64>().ok()).unwrap_or(0)
        };
        // All of another version go at once, and of this one the cheapest that are too many.
        let mut staying: Vec<_> = self
            .pods
            .iter()
            .map(|(name, pod)| {
                (
                    pod["metadata"]["labels"]["pod-template-hash"] == hash.as_str(),
                    cost(pod),
                    name.clone(),
                )
            })
            .collect();
        staying.sort();
        let current = staying.iter().filter(|(current, ..)| *current).count();
        let surplus = current.saturating_sub(asked);
        let old = staying.len() - current;
        for (_, _, name) in staying.into_iter().take(old + surplus) {
            let later = Timestamp::now() + jiff::SignedDuration::from_secs(60);
            self.pods.get_mut(&name).unwrap()["metadata"]["deletionTimestamp"] =
                later.to_string().into();
            self.connections.remove(&name);
        }
        for _ in current..asked {
            self.made += 1;
            let name = format!("pod-{}", self.made);
            let labels = json!({ "pod-template-hash": hash });
            let ready = json!([{ "type": "Ready", "status": "True" }]);
            let pod = json!({
                "metadata": { "name": name, "labels": labels },
                "spec": template["spec"],
                "status": { "conditions": ready, "podIP": "10.0.0.1" },
            });
            self.connections.insert(name.clone(), 0);
            self.pods.insert(name, pod);
        }
        let there = asked;
        let generation = deployment["metadata"]["generation"].clone();
        deployment["status"] = json!({
            "observedGeneration": generation, "replicas": there, "updatedReplicas": there,
            "readyReplicas": there, "availableReplicas": there,
            "conditions": [{ "type": "Available", "status": "True" }],
        });
    }

    /// Until the operator has nothing more to do; fails if that takes too long.
    pub(crate) fn settle(&mut self) {
        for _ in 0..60 {
            let (_, writes) = self.pass();
            let before = self.fingerprint();
            self.others();
            if writes == 0 && before == self.fingerprint() {
                return;
            }
        }
        panic!("it does not come to rest: {:#?}", &self.writes[self.writes.len() - 20..]);
    }

    fn fingerprint(&self) -> String {
        json!([self.pods, self.children.values().collect::<Vec<_>>()]).to_string()
    }

    pub(crate) fn deployment(&self) -> Option<&Value> {
        self.children.get(&(Kind::Deployment, self.cluster.name_any()))
    }

    /// Reason and message of a condition, if it is true.
    pub(crate) fn holds(&self, kind: &str) -> Option<(String, String)> {
        let conditions = &self.cluster.status.as_ref()?.conditions;
        let found = conditions.iter().find(|it| it.type_ == kind && it.status == "True")?;
        Some((found.reason.clone(), found.message.clone()))
    }
}
