//! A Kubernetes control plane of real binaries, and a kubelet that runs containers as processes.
