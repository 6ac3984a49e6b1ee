//! The migration Job: the gate before every rollout.
//!
//! It runs the new version with the new configuration and the new secrets against the database, so
//! what is wrong with any of them shows before a server is touched.

use k8s_openapi::api::batch::v1::{Job, JobSpec};
use kube::ResourceExt;

use super::{Child, pod};
use crate::{crd::ChatCluster, kind::Kind};

/// What the name of the Job of this release is.
pub(crate) fn name(cluster: &str, revision: &str) -> String {
    format!("{cluster}-migrate-{}", &revision[..10])
}

pub(super) fn job(
    cluster: &ChatCluster,
    revision: &str,
    config_map: &str,
    secrets_digest: &str,
) -> Result<Child, String> {
    let template = pod::template(cluster, pod::Purpose::Migrate, config_map, secrets_digest)?;
    let job = Job {
        spec: Some(JobSpec {
            // A migration that failed is for people.
            backoff_limit: Some(0),
            active_deadline_seconds: Some(cluster.spec.database.migration.deadline_seconds),
            template,
            ..JobSpec::default()
        }),
        ..Job::default()
    };
    Ok(Child::new(cluster, Kind::Job, name(&cluster.name_any(), revision), job))
}
