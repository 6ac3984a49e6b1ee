//! The story of chats in each state, word by word.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::*;

const NOW: &str = "2026-11-20T12:00:00Z";

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

/// A chat that came half an hour ago, with `spec` over the least and this status.
fn chat(spec: Value, status: Value) -> Facts {
    let mut cluster = json!({
        "apiVersion": "chat.example.com/v1alpha1",
        "kind": "ChatCluster",
        "metadata": {"name": "team", "namespace": "chat", "generation": 7, "uid": "u",
            "creationTimestamp": "2026-11-20T11:30:00Z"},
        "spec": {
            "image": {"repository": "ghcr.io/example/chat-server", "tag": "0.4.2"},
            "replicas": 3,
            "database": {"urlSecretRef": {"name": "chat-db", "key": "url"}},
            "redis": {"urlSecretRef": {"name": "chat-redis", "key": "url"}},
        },
        "status": status,
    });
    for (key, value) in spec.as_object().unwrap() {
        cluster["spec"][key] = value.clone();
    }
    Facts {
        cluster: serde_json::from_value(cluster).unwrap(),
        pods: Vec::new(),
        connections: BTreeMap::new(),
        children: Vec::new(),
        migration: None,
        events: Vec::new(),
        gaps: Vec::new(),
    }
}

fn says(type_: &str, status: &str, reason: &str, message: &str) -> Value {
    json!({"type": type_, "status": status, "reason": reason, "message": message,
        "lastTransitionTime": "2026-11-20T11:58:30Z", "observedGeneration": 7})
}

fn status(observed: i64, counts: [i32; 4], conditions: &[Value]) -> Value {
    let [replicas, ready, updated, leaving] = counts;
    json!({"observedGeneration": observed, "replicas": replicas, "readyReplicas": ready,
        "updatedReplicas": updated, "terminatingReplicas": leaving, "serviceName": "team",
        "image": "ghcr.io/example/chat-server:0.4.2", "version": "0.4.2",
        "conditions": conditions})
}

fn pod(name: &str, image: &str, state: Value, ready: bool) -> Pod {
    let statuses = json!([
        {"name": "sidecar", "ready": true, "restartCount": 9, "image": "", "imageID": ""},
        {"name": "chat-server", "ready": ready, "restartCount": 1, "image": "", "imageID": "",
            "state": state},
    ]);
    serde_json::from_value(json!({
        "metadata": {"name": name, "creationTimestamp": "2026-11-20T11:31:00Z"},
        "spec": {"nodeName": "node-a", "containers": [
            {"name": "sidecar", "image": "registry:5000/proxy:9"},
            {"name": "chat-server", "image": image},
        ]},
        "status": {"phase": "Running", "containerStatuses": statuses},
    }))
    .unwrap()
}

fn event(at: &str, type_: &str, reason: &str, note: &str, count: i32) -> Event {
    let mut event = json!({
        "metadata": {"name": "e"}, "eventTime": at, "type": type_, "reason": reason,
        "note": note,
    });
    if count > 1 {
        event["series"] = json!({"count": count, "lastObservedTime": at});
    }
    serde_json::from_value(event).unwrap()
}

fn job(status: Value) -> Job {
    serde_json::from_value(json!({
        "metadata": {"name": "team-migrate-5f6c", "creationTimestamp": "2026-11-20T11:50:00Z"},
        "spec": {"template": {"spec": {"containers": [
            {"name": "migrate", "image": "ghcr.io/example/chat-server:0.4.2"}]}}},
        "status": status,
    }))
    .unwrap()
}

#[track_caller]
fn check(facts: &Facts, verdict: Verdict, expected: &str) {
    assert_eq!(Verdict::of(&facts.cluster), verdict);
    let told = tell(facts, now(), Look::default());
    assert!(told == expected, "told:\n{told}\nexpected:\n{expected}");
}

#[test]
fn ready() {
    let conditions = [
        says("Ready", "True", "AllReplicasReady", "3 of 3 servers are ready"),
        says("Stalled", "False", "NotStalled", ""),
    ];
    let mut facts = chat(json!({}), status(7, [3, 3, 3, 0], &conditions));
    let image = "ghcr.io/example/chat-server:0.4.2";
    facts.pods = vec![
        pod("team-1", image, json!({"running": {}}), true),
        pod("team-2", image, json!({"running": {}}), true),
    ];
    facts.connections.insert("team-1".to_owned(), 1234);
    let child = |kind: &str, api_version: &str, generation| Child {
        kind: kind.to_owned(),
        api_version: api_version.to_owned(),
        name: "team".to_owned(),
        generation,
        created: Some("2026-11-18T11:00:00Z".parse().unwrap()),
    };
    facts.children = vec![child("Deployment", "apps/v1", Some(4)), child("Service", "v1", None)];
    facts.migration = Some(job(json!({
        "startTime": "2026-11-20T11:50:01Z", "completionTime": "2026-11-20T11:50:13Z",
        "succeeded": 1, "conditions": [{"type": "Complete", "status": "True"}],
    })));
    facts.events = vec![
        event("2026-11-20T11:59:00Z", "Normal", "RolloutFinished", "0.4.2 serves", 3),
        event("2026-11-20T11:57:00Z", "Normal", "RolloutStarted", "from 0.4.1 to 0.4.2", 1),
    ];
    check(
        &facts,
        Verdict::Ready,
        "\
ChatCluster chat/team: ready
  Age         30m
  Image       ghcr.io/example/chat-server:0.4.2
  Version     0.4.2
  Servers     3 desired, 3 there, 3 ready, 3 of the newest version, 0 leaving
  Reached at  Service team, port 80

Conditions
  TYPE     STATUS  REASON            SINCE  MESSAGE
  Ready    True    AllReplicasReady  90s    3 of 3 servers are ready
  Stalled  False   NotStalled        90s

Servers
  NAME    NODE    STATE    READY  RESTARTS  AGE  CONNECTIONS  IMAGE
  team-1  node-a  Running  yes    1         29m  1234         0.4.2
  team-2  node-a  Running  yes    1         29m  -            0.4.2

Objects
  KIND        VERSION  NAME  GENERATION  AGE
  Deployment  apps/v1  team  4           2d
  Service     v1       team  -           2d

Last migration
  JOB                STATE  AGE  IMAGE  MESSAGE
  team-migrate-5f6c  done   10m  0.4.2  took 12s

Events
  AGE  TYPE    REASON           NOTE
  3m   Normal  RolloutStarted   from 0.4.1 to 0.4.2
  60s  Normal  RolloutFinished  0.4.2 serves (3 times)
",
    );
}

#[test]
fn a_rollout_under_way() {
    let conditions = [
        says("Ready", "False", "Progressing", "1 of 3 servers are of the newest version"),
        says(
            "Reconciling",
            "True",
            "RolloutInProgress",
            "1 of 3 servers are of the newest version",
        ),
    ];
    let mut facts = chat(json!({}), status(7, [5, 4, 1, 1], &conditions));
    facts.cluster.status.as_mut().unwrap().version = Some("0.4.1".to_owned());
    facts.cluster.status.as_mut().unwrap().image = Some("ghcr.io/example/chat-server:0.4.1".into());
    let mut leaving =
        pod("team-old", "ghcr.io/example/chat-server:0.4.1", json!({"running": {}}), false);
    leaving.metadata.deletion_timestamp =
        serde_json::from_value(json!("2026-11-20T12:00:40Z")).unwrap();
    let digest = format!("ghcr.io/example/chat-server@sha256:{}", "ab".repeat(32));
    let waiting = json!({"waiting": {"reason": "ContainerCreating"}});
    facts.pods = vec![leaving, pod("team-new", &digest, waiting, false)];
    check(
        &facts,
        Verdict::UnderWay,
        "\
ChatCluster chat/team: under way
  Age         30m
  Image       ghcr.io/example/chat-server:0.4.2
  Version     0.4.1 was rolled out last
  Servers     3 desired, 5 there, 4 ready, 1 of the newest version, 1 leaving
  Reached at  Service team, port 80

What is under way
  RolloutInProgress: 1 of 3 servers are of the newest version
What to do
  nothing: it goes on by itself

Conditions
  TYPE         STATUS  REASON             SINCE  MESSAGE
  Ready        False   Progressing        90s    1 of 3 servers are of the newest version
  Reconciling  True    RolloutInProgress  90s    1 of 3 servers are of the newest version

Servers
  NAME      NODE    STATE              READY  RESTARTS  AGE  CONNECTIONS  IMAGE
  team-old  node-a  leaving, 40s left  no     1         29m  -            0.4.1
  team-new  node-a  ContainerCreating  no     1         29m  -            abababababab
",
    );
}

#[test]
fn a_failed_migration() {
    let conditions = [
        says("Ready", "False", "MigrationFailed", "the migration failed"),
        says("Stalled", "True", "MigrationFailed", "the migration failed"),
    ];
    let mut facts = chat(json!({}), status(7, [3, 3, 3, 0], &conditions));
    facts.migration = Some(job(json!({
        "failed": 1,
        "conditions": [{"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded",
            "message": "Job has reached\nthe specified backoff limit"}],
    })));
    facts.gaps = vec!["events: forbidden".to_owned()];
    check(
        &facts,
        Verdict::Stalled,
        "\
ChatCluster chat/team: stalled
  Age         30m
  Image       ghcr.io/example/chat-server:0.4.2
  Version     0.4.2
  Servers     3 desired, 3 there, 3 ready, 3 of the newest version, 0 leaving
  Reached at  Service team, port 80

What is wrong
  MigrationFailed: the migration failed
What to do
  see why: kubectl -n chat logs job/team-migrate-5f6c
  correct the image, the database or its URL; to try the same again: kubectl -n chat delete job/team-migrate-5f6c
  the servers that ran before still run

Conditions
  TYPE     STATUS  REASON           SINCE  MESSAGE
  Ready    False   MigrationFailed  90s    the migration failed
  Stalled  True    MigrationFailed  90s    the migration failed

Last migration
  JOB                STATE   AGE  IMAGE  MESSAGE
  team-migrate-5f6c  failed  10m  0.4.2  BackoffLimitExceeded: Job has reached the specified backoff limit

Not everything could be read
  events: forbidden
",
    );
}

#[test]
fn a_secret_is_missing() {
    let message = "there is no Secret chat-db in the namespace chat";
    let conditions = [
        says("Ready", "False", "SecretNotFound", message),
        says("Stalled", "True", "SecretNotFound", message),
    ];
    let mut new = status(7, [0, 0, 0, 0], &conditions);
    for key in ["image", "version", "serviceName"] {
        new.as_object_mut().unwrap().remove(key);
    }
    check(
        &chat(json!({}), new),
        Verdict::Stalled,
        "\
ChatCluster chat/team: stalled
  Age      30m
  Image    ghcr.io/example/chat-server:0.4.2
  Version  none was rolled out yet
  Servers  3 desired, 0 there, 0 ready, 0 of the newest version, 0 leaving

What is wrong
  SecretNotFound: there is no Secret chat-db in the namespace chat
What to do
  create what the message names, or name another Secret in the ChatCluster; it goes on by itself
  see what there is: kubectl -n chat get secrets

Conditions
  TYPE     STATUS  REASON          SINCE  MESSAGE
  Ready    False   SecretNotFound  90s    there is no Secret chat-db in the namespace chat
  Stalled  True    SecretNotFound  90s    there is no Secret chat-db in the namespace chat
",
    );
}

#[test]
fn hibernated() {
    let conditions = [says("Ready", "True", "Hibernated", "no servers run, as asked")];
    let spec = json!({"hibernated": true, "paused": true,
        "autoscaling": {"maxReplicas": 9, "connectionsPerPod": 100}});
    check(
        &chat(spec, status(7, [0, 0, 0, 0], &conditions)),
        Verdict::Ready,
        "\
ChatCluster chat/team: ready
  Age          30m
  Image        ghcr.io/example/chat-server:0.4.2
  Version      0.4.2
  Servers      0 desired, 0 there, 0 ready, 0 of the newest version, 0 leaving
  Autoscaling  between 2 and 9
  Reached at   Service team, port 80
  Hibernated   yes; 3 servers when it is taken out of hibernation
  Paused       yes; nothing is changed

Conditions
  TYPE   STATUS  REASON      SINCE  MESSAGE
  Ready  True    Hibernated  90s    no servers run, as asked
",
    );
}

#[test]
fn never_seen_by_an_operator() {
    // Both what the definition's default makes of it, and no status at all.
    for status in [json!({"observedGeneration": -1}), Value::Null] {
        check(
            &chat(json!({}), status),
            Verdict::Unseen,
            "\
ChatCluster chat/team: not seen by an operator
  Age      30m
  Image    ghcr.io/example/chat-server:0.4.2
  Version  none was rolled out yet
  Servers  3 desired, 0 there, 0 ready, 0 of the newest version, 0 leaving

What is wrong
  Unseen: no operator has looked at it
What to do
  see whether an operator runs: kubectl get pods -A -l app.kubernetes.io/name=chat-operator
  if one runs, see whether it looks after this namespace (its flag --namespaces), and read its log
",
        );
    }
}

#[test]
fn a_ready_of_an_older_generation_is_not_ready() {
    let conditions = [says("Ready", "True", "AllReplicasReady", "3 of 3 servers are ready")];
    let facts = chat(json!({}), status(6, [3, 3, 3, 0], &conditions));
    assert_eq!(Verdict::of(&facts.cluster), Verdict::Behind);
    let facts = chat(json!({}), status(7, [3, 3, 3, 0], &[]));
    assert_eq!(Verdict::of(&facts.cluster), Verdict::NotReady);
    assert!(tell(&facts, now(), Look::default()).contains("has not said how it is"));
}

#[test]
fn long_texts_are_wrapped_and_colours_are_only_there_if_asked_for() {
    let message = "there is no Secret chat-db in the namespace chat, and it is needed";
    let facts = chat(
        json!({}),
        status(7, [0, 0, 0, 0], &[says("Stalled", "True", "SecretNotFound", message)]),
    );
    let told = tell(&facts, now(), Look { colours: true, width: Some(64) });
    assert!(told.starts_with("ChatCluster chat/team: \x1b[31mstalled\x1b[0m\n"), "{told}");
    let longest = told.lines().skip(1).map(|line| line.chars().count()).max();
    assert!(longest <= Some(64), "{told}");
    let wrapped = "  Stalled  True    SecretNotFound  90s    there is no Secret";
    assert!(told.contains(&format!("{wrapped}\n{}chat-db in the\n", " ".repeat(42))), "{told}");
}

#[test]
fn what_others_wrote_cannot_drive_the_terminal() {
    let message = "red \x1b[31m and\nlong";
    let facts =
        chat(json!({}), status(7, [0, 0, 0, 0], &[says("Ready", "False", "Unavailable", message)]));
    let told = tell(&facts, now(), Look::default());
    assert!(!told.contains('\x1b'), "{told}");
    assert!(told.contains("red [31m and long"), "{told}");
}

#[test]
fn an_age_is_told_in_the_largest_unit_of_which_there_are_two() {
    for (seconds, expected) in [
        (-5, "0s"),
        (119, "119s"),
        (120, "2m"),
        (7199, "119m"),
        (7200, "2h"),
        (172_799, "47h"),
        (172_800, "2d"),
    ] {
        assert_eq!(span(seconds), expected);
    }
}
