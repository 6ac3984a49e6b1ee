//! Metrics of pods for the autoscaler.
pub struct MetricsApi;
