//! What an operator is told when it starts.

use std::time::Duration;

use clap::ValueEnum;

/// The settings of the whole operator; those of a chat stand in its `ChatCluster`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The namespaces that are looked after; all of them if empty.
    pub namespaces: Vec<String>,
    /// When pods follow a newer operator.
    pub template_upgrade: TemplateUpgrade,
    /// How long fewer servers must have been enough before a chat that the operator scales gets
    /// fewer.
    pub scale_down_window: Duration,
    /// The namespace in which the operator itself runs; none outside Kubernetes.
    pub operator_namespace: Option<String>,
    /// The pod in which the operator itself runs, or what stands for it: it is named in Events.
    pub instance: String,
}

/// When pods follow an operator that would make them differently, though nobody changed the chat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum TemplateUpgrade {
    /// With the next change of the chat itself, so that a new operator restarts nothing.
    #[default]
    Deferred,
    /// At once, one chat after the other.
    Auto,
}
