//! What the API server is told of a pod: computed anew from what is known of its containers.

use k8s_openapi::{
    api::core::v1::{
        Container, ContainerStatus, HostIP, Pod, PodCondition, PodIP, PodSpec, PodStatus,
    },
    apimachinery::pkg::apis::meta::v1::Time,
    jiff::Timestamp,
};

use super::container::Record;

/// What is known of a pod.
#[derive(Debug)]
pub(super) struct Records {
    pub init: Vec<Record>,
    pub main: Vec<Record>,
    /// All init containers have done their part.
    pub initialized: bool,
    /// It has failed for a reason of its own.
    pub failed: Option<Failure>,
    pub conditions: Vec<PodCondition>,
}

/// Why a pod has failed, other than by how its containers have ended.
#[derive(Debug, Clone, Copy)]
pub(super) enum Failure {
    /// An init container did, and is not started again.
    Init,
    /// It had its time.
    Deadline,
}

/// Fixed for the life of a pod.
#[derive(Debug)]
pub(super) struct Place {
    pub address: String,
    pub host: String,
    pub since: Time,
}

/// A container that goes on beside the others.
pub(super) fn is_sidecar(container: &Container) -> bool {
    container.restart_policy.as_deref() == Some("Always")
}

/// The status, and the conditions that it has with their times.
pub(super) fn compute(pod: &Pod, place: &Place, records: &mut Records) -> PodStatus {
    let spec = pod.spec.clone().unwrap_or_default();
    let mut phase = phase(&spec, records);
    // It is over when nothing of it runs any more, sidecars neither.
    let all = || records.init.iter().chain(&records.main);
    if matches!(phase, "Succeeded" | "Failed") && all().any(|it| it.state.running.is_some()) {
        phase = "Running";
    }
    let over = matches!(phase, "Succeeded" | "Failed");
    let beside = spec.init_containers.iter().flatten().zip(&records.init);
    let beside_ready = beside.filter(|(it, _)| is_sidecar(it)).all(|(_, record)| record.ready);
    let containers_ready =
        !over && records.initialized && beside_ready && records.main.iter().all(|it| it.ready);
    let gates = spec.readiness_gates.iter().flatten().all(|gate| {
        let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
        conditions.into_iter().any(|it| it.type_ == gate.condition_type && it.status == "True")
    });
    let names = || {
        let waiting = spec.containers.iter().zip(&records.main);
        let waiting = waiting.filter(|(_, record)| !record.ready).map(|(it, _)| it.name.as_str());
        format!("containers with unready status: [{}]", waiting.collect::<Vec<_>>().join(" "))
    };
    let not_ready = || match phase {
        "Succeeded" => (Some("PodCompleted".to_owned()), None),
        "Failed" => (Some("PodFailed".to_owned()), None),
        _ => (Some("ContainersNotReady".to_owned()), Some(names())),
    };
    let wanted = [
        ("PodScheduled", true, (None, None)),
        ("PodReadyToStartContainers", !over, (None, None)),
        (
            "Initialized",
            records.initialized,
            if records.initialized {
                (None, None)
            } else {
                (Some("ContainersNotInitialized".to_owned()), None)
            },
        ),
        (
            "ContainersReady",
            containers_ready,
            if containers_ready { (None, None) } else { not_ready() },
        ),
        (
            "Ready",
            containers_ready && gates,
            if !containers_ready {
                not_ready()
            } else if gates {
                (None, None)
            } else {
                (Some("ReadinessGatesNotReady".to_owned()), None)
            },
        ),
    ];
    let now = Time(Timestamp::now());
    let conditions = wanted.map(|(type_, holds, (reason, message))| {
        let status = if holds { "True" } else { "False" };
        let old = records.conditions.iter().find(|it| it.type_ == type_ && it.status == status);
        PodCondition {
            type_: type_.to_owned(),
            status: status.to_owned(),
            reason,
            message,
            // Since when it is what it is.
            last_transition_time: old
                .and_then(|it| it.last_transition_time.clone())
                .or_else(|| Some(now.clone())),
            observed_generation: pod.metadata.generation,
            ..Default::default()
        }
    });
    records.conditions = conditions.to_vec();
    let (reason, message) = match records.failed {
        None | Some(Failure::Init) => (None, None),
        Some(Failure::Deadline) => {
            let message = "Pod was active on the node longer than the specified deadline";
            (Some("DeadlineExceeded".to_owned()), Some(message.to_owned()))
        }
    };
    PodStatus {
        phase: Some(phase.to_owned()),
        reason,
        message,
        conditions: Some(records.conditions.clone()),
        observed_generation: pod.metadata.generation,
        host_ip: Some(place.host.clone()),
        host_ips: Some(vec![HostIP { ip: place.host.clone() }]),
        pod_ip: Some(place.address.clone()),
        pod_ips: Some(vec![PodIP { ip: place.address.clone() }]),
        start_time: Some(place.since.clone()),
        init_container_statuses: spec.init_containers.map(|it| statuses(&it, &records.init)),
        container_statuses: Some(statuses(&spec.containers, &records.main)),
        ..Default::default()
    }
}

fn phase(spec: &PodSpec, records: &Records) -> &'static str {
    if records.failed.is_some() {
        return "Failed";
    }
    if !records.initialized {
        return "Pending";
    }
    let policy = spec.restart_policy.as_deref().unwrap_or("Always");
    let (mut waiting, mut running, mut well, mut badly) = (0, 0, 0, 0);
    for record in &records.main {
        // One that waits to be started again counts as what it was.
        let before = record.last.as_ref().and_then(|it| it.terminated.as_ref());
        let ended = record.state.terminated.as_ref().or(before);
        if record.state.running.is_some() {
            running += 1;
        } else if let Some(ended) = ended {
            if ended.exit_code == 0 { well += 1 } else { badly += 1 }
        } else {
            waiting += 1;
        }
    }
    if waiting > 0 {
        "Pending"
    } else if running > 0 || policy == "Always" {
        "Running"
    } else if badly == 0 {
        debug_assert!(well > 0, "a pod has a container");
        "Succeeded"
    } else if policy == "Never" {
        "Failed"
    } else {
        "Running"
    }
}

fn statuses(containers: &[Container], records: &[Record]) -> Vec<ContainerStatus> {
    let of_one = |(container, record): (&Container, &Record)| {
        let image = container.image.clone().unwrap_or_default();
        ContainerStatus {
            name: container.name.clone(),
            image_id: format!("kubelab/{image}"),
            image,
            container_id: record.id.clone(),
            state: Some(record.state.clone()),
            last_state: Some(record.last.clone().unwrap_or_default()),
            restart_count: record.restarts,
            started: Some(record.started),
            ready: record.ready,
            ..Default::default()
        }
    };
    containers.iter().zip(records).map(of_one).collect()
}
