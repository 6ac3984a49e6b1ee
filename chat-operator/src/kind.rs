//! The kinds of children: one table for applying, looking and cleaning up.

use std::fmt;

use k8s_openapi::api::{
    apps::v1::Deployment,
    autoscaling::v2::HorizontalPodAutoscaler,
    batch::v1::Job,
    core::v1::{ConfigMap, Service, ServiceAccount},
    networking::v1::NetworkPolicy,
    policy::v1::PodDisruptionBudget,
};
use kube::{api::GroupVersionKind, core::ApiResource};

/// A kind of child. The order is that in which they are applied: what a pod needs comes before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Whom the pods run as.
    ServiceAccount,
    /// The server's configuration.
    ConfigMap,
    /// Where the chat is reached.
    Service,
    /// Who may connect.
    NetworkPolicy,
    /// How many may be taken away.
    PodDisruptionBudget,
    /// Who scrapes.
    ServiceMonitor,
    /// The migration.
    Job,
    /// The servers.
    Deployment,
    /// Who scales, if not the operator.
    HorizontalPodAutoscaler,
}

impl Kind {
    /// All.
    pub const ALL: [Self; 9] = [
        Self::ServiceAccount,
        Self::ConfigMap,
        Self::Service,
        Self::NetworkPolicy,
        Self::PodDisruptionBudget,
        Self::ServiceMonitor,
        Self::Job,
        Self::Deployment,
        Self::HorizontalPodAutoscaler,
    ];

    /// How the API knows it.
    #[must_use]
    pub fn resource(self) -> ApiResource {
        match self {
            Self::ServiceAccount => ApiResource::erase::<ServiceAccount>(&()),
            Self::ConfigMap => ApiResource::erase::<ConfigMap>(&()),
            Self::Service => ApiResource::erase::<Service>(&()),
            Self::NetworkPolicy => ApiResource::erase::<NetworkPolicy>(&()),
            Self::PodDisruptionBudget => ApiResource::erase::<PodDisruptionBudget>(&()),
            Self::ServiceMonitor => ApiResource::from_gvk(&GroupVersionKind::gvk(
                "monitoring.coreos.com",
                "v1",
                "ServiceMonitor",
            )),
            Self::Job => ApiResource::erase::<Job>(&()),
            Self::Deployment => ApiResource::erase::<Deployment>(&()),
            Self::HorizontalPodAutoscaler => ApiResource::erase::<HorizontalPodAutoscaler>(&()),
        }
    }

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ServiceAccount => "ServiceAccount",
            Self::ConfigMap => "ConfigMap",
            Self::Service => "Service",
            Self::NetworkPolicy => "NetworkPolicy",
            Self::PodDisruptionBudget => "PodDisruptionBudget",
            Self::ServiceMonitor => "ServiceMonitor",
            Self::Job => "Job",
            Self::Deployment => "Deployment",
            Self::HorizontalPodAutoscaler => "HorizontalPodAutoscaler",
        }
    }

    /// Whether a cluster may have several, whose names end with a digest.
    #[must_use]
    pub const fn is_hashed(self) -> bool {
        match self {
            Self::ConfigMap | Self::Job => true,
            Self::ServiceAccount
            | Self::Service
            | Self::NetworkPolicy
            | Self::PodDisruptionBudget
            | Self::ServiceMonitor
            | Self::Deployment
            | Self::HorizontalPodAutoscaler => false,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
