//! The operator of [`ChatCluster`](crd::ChatCluster)s.

pub mod crd;
