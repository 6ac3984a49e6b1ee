//! Whether the definition that is installed knows all that this operator knows. An API server cuts
//! fields off that its definition does not have, without a word.

use anyhow::bail;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, CustomResourceDefinitionVersion, JSONSchemaProps,
    JSONSchemaPropsOrArray,
};
use kube::{Api, Client, CustomResourceExt};

use crate::{
    client::why,
    crd::{self, ChatCluster},
    telemetry,
};

/// Fields that are named in the warning: enough to see what it is about.
const NAMED_MAX: usize = 5;

/// How the installed definition compares with ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Installed {
    /// It has everything.
    Current,
    /// It lacks these fields and values.
    Outdated(Vec<String>),
    /// There is none.
    Missing,
    /// The operator is not allowed to look.
    Unknown,
}

/// Looks, and says so in log and metrics if something is to be done.
///
/// # Errors
///
/// If the API server cannot be reached.
pub async fn check(client: &Client) -> anyhow::Result<Installed> {
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    let installed = match api.get_opt(ChatCluster::crd_name()).await {
        Ok(Some(served)) => compare(&served, &crd::definition()),
        Ok(None) => Installed::Missing,
        Err(kube::Error::Api(status)) if status.code == 403 => Installed::Unknown,
        Err(error) => bail!("the installed CRD could not be read: {}", why(error)),
    };
    tell(&installed);
    Ok(installed)
}

fn tell(installed: &Installed) {
    telemetry::crd_outdated(match installed {
        Installed::Outdated(_) | Installed::Missing => true,
        Installed::Current | Installed::Unknown => false,
    });
    match installed {
        Installed::Current => {}
        Installed::Outdated(missing) => {
            let more = missing.len().saturating_sub(NAMED_MAX);
            let named = missing.iter().take(NAMED_MAX).map(String::as_str);
            tracing::warn!(
                missing = named.collect::<Vec<_>>().join(", "),
                more,
                "CRD is older than this operator: what it does not know is ignored; update it with \
                 `chat-operator crd | kubectl apply --server-side -f -`, or with the operator's chart"
            );
        }
        Installed::Missing => tracing::warn!(
            "CRD is not installed: install it with \
             `chat-operator crd | kubectl apply --server-side -f -`, or with the operator's chart"
        ),
        Installed::Unknown => tracing::warn!(
            crd = ChatCluster::crd_name(),
            "the CRD could not be compared with this operator: \
             allow get of this customresourcedefinition"
        ),
    }
}

/// What `ours` has and `served` has not. What differs in other ways may as well be newer, and is not
/// told.
fn compare(served: &CustomResourceDefinition, ours: &CustomResourceDefinition) -> Installed {
    let mut missing = Vec::new();
    for version in &ours.spec.versions {
        match served.spec.versions.iter().find(|it| it.name == version.name && it.served) {
            None => missing.push(format!("version {}", version.name)),
            Some(served) => compare_version(served, version, &mut missing),
        }
    }
    if missing.is_empty() { Installed::Current } else { Installed::Outdated(missing) }
}

fn compare_version(
    served: &CustomResourceDefinitionVersion,
    ours: &CustomResourceDefinitionVersion,
    missing: &mut Vec<String>,
) {
    let parts = |of: &CustomResourceDefinitionVersion| {
        let subresources = of.subresources.clone().unwrap_or_default();
        (subresources.status.is_some(), subresources.scale.is_some())
    };
    let (theirs, wanted) = (parts(served), parts(ours));
    if wanted.0 && !theirs.0 {
        missing.push("subresource status".to_owned());
    }
    if wanted.1 && !theirs.1 {
        missing.push("subresource scale".to_owned());
    }
    let schema = |of: &CustomResourceDefinitionVersion| {
        of.schema.as_ref().and_then(|it| it.open_api_v3_schema.clone()).unwrap_or_default()
    };
    compare_schema(&schema(served), &schema(ours), "", missing);
}

fn compare_schema(
    served: &JSONSchemaProps,
    ours: &JSONSchemaProps,
    path: &str,
    missing: &mut Vec<String>,
) {
    for value in ours.enum_.iter().flatten() {
        // Without a list any value is allowed.
        if served.enum_.as_ref().is_some_and(|it| !it.contains(value)) {
            missing.push(format!("{path}: {}", value.0));
        }
    }
    let open = |of: &JSONSchemaProps| of.x_kubernetes_preserve_unknown_fields == Some(true);
    for (name, ours) in ours.properties.iter().flatten() {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        match served.properties.as_ref().and_then(|it| it.get(name)) {
            Some(served) => compare_schema(served, ours, &path, missing),
            None if open(served) => {}
            None => missing.push(path),
        }
    }
    if let (
        Some(JSONSchemaPropsOrArray::Schema(served)),
        Some(JSONSchemaPropsOrArray::Schema(ours)),
    ) = (&served.items, &ours.items)
    {
        compare_schema(served, ours, &format!("{path}[]"), missing);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema_of(crd: &mut CustomResourceDefinition) -> &mut JSONSchemaProps {
        let schema = crd.spec.versions[0].schema.as_mut().unwrap();
        let properties = schema.open_api_v3_schema.as_mut().unwrap().properties.as_mut().unwrap();
        properties.get_mut("spec").unwrap()
    }

    fn field<'a>(schema: &'a mut JSONSchemaProps, name: &str) -> &'a mut JSONSchemaProps {
        schema.properties.as_mut().unwrap().get_mut(name).unwrap()
    }

    #[test]
    fn the_same_and_a_newer_one_are_current() {
        let ours = crd::definition();
        assert_eq!(compare(&ours, &ours), Installed::Current);
        let mut newer = ours.clone();
        let extra = JSONSchemaProps::default();
        let spec = schema_of(&mut newer);
        spec.properties.as_mut().unwrap().insert("later".to_owned(), extra);
        spec.description = Some("other words".to_owned());
        newer.metadata.resource_version = Some("7".to_owned());
        assert_eq!(compare(&newer, &ours), Installed::Current);
    }

    #[test]
    fn what_an_older_one_lacks_is_named() {
        let ours = crd::definition();
        let mut older = ours.clone();
        let spec = schema_of(&mut older);
        spec.properties.as_mut().unwrap().remove("hibernated");
        field(spec, "drain").properties.as_mut().unwrap().remove("maxPodsAtOnce");
        let values = field(field(spec, "placement"), "spread").enum_.as_mut().unwrap();
        values.retain(|it| it.0 != "Hard");
        older.spec.versions[0].subresources.as_mut().unwrap().scale = None;
        let expected = [
            "subresource scale",
            "spec.drain.maxPodsAtOnce",
            "spec.hibernated",
            "spec.placement.spread: \"Hard\"",
        ];
        assert_eq!(compare(&older, &ours), Installed::Outdated(expected.map(String::from).into()));

        let mut other = ours.clone();
        other.spec.versions[0].name = "v1alpha0".to_owned();
        let expected = vec!["version v1alpha1".to_owned()];
        assert_eq!(compare(&other, &ours), Installed::Outdated(expected));
    }
}
