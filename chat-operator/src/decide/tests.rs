//! The operator against a small Kubernetes.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::{crd::ChatClusterSpec, status::condition, world::World};

fn tag(tag: &str) -> Box<dyn FnOnce(&mut ChatClusterSpec)> {
    let tag = tag.to_owned();
    Box::new(move |spec| spec.image.tag = Some(tag))
}

fn image(tag: &str) -> String {
    format!("registry.example/chat-server:{tag}")
}

fn running(world: &World) -> String {
    let template = &world.deployment().unwrap()["spec"]["template"];
    template["spec"]["containers"][0]["image"].as_str().unwrap().to_owned()
}

#[test]
fn from_nothing_the_migration_comes_first_and_then_the_servers() {
    let mut world = World::new();
    world.pass();
    assert!(world.deployment().is_none());
    assert_eq!(world.holds(condition::RECONCILING).unwrap().0, "MigrationRunning");
    world.settle();
    assert_eq!(world.pods.len(), 2);
    assert_eq!(world.holds(condition::READY).unwrap().0, "AllReplicasReady");
    assert!(world.holds(condition::STALLED).is_none());
    assert!(world.holds(condition::RECONCILING).is_none());
    assert_eq!(world.cluster.status.as_ref().unwrap().version.as_deref(), Some("1"));
}

#[test]
fn a_migration_that_fails_leaves_the_servers_alone_and_the_mended_one_goes_on() {
    let mut world = World::new();
    world.settle();
    let before = world.deployment().unwrap().clone();
    world.broken_images.push(image("2"));
    world.change(tag("2"));
    world.settle();
    assert_eq!(world.deployment(), Some(&before));
    let (reason, message) = world.holds(condition::STALLED).unwrap();
    assert_eq!(reason, "MigrationFailed");
    assert!(message.contains("team-migrate-"), "{message}");
    assert!(world.holds(condition::AVAILABLE).is_some());
    // Scaling does not wait for it.
    world.change(|spec| spec.replicas = 3);
    world.settle();
    assert_eq!((world.pods.len(), running(&world)), (3, image("1")));

    world.change(tag("3"));
    world.settle();
    assert_eq!(running(&world), image("3"));
    assert!(world.holds(condition::STALLED).is_none());
    let jobs = world.children.keys().filter(|(kind, _)| *kind == Kind::Job).count();
    assert_eq!(jobs, 1, "the failed one is in nobody's way any more");
}

#[test]
fn a_failed_migration_is_tried_again_when_somebody_asks_for_it() {
    let mut world = World::new();
    world.broken_images.push(image("1"));
    world.settle();
    assert!(world.deployment().is_none());
    world.broken_images.clear();
    world.settle();
    assert!(world.deployment().is_none(), "it is for people to say so");
    world.change(|spec| spec.restarted_at = "again".to_owned());
    world.settle();
    assert!(world.deployment().is_some());
}

#[test]
fn fewer_servers_step_by_step_and_the_emptiest_first() {
    let mut world = World::new();
    world.change(|spec| spec.replicas = 5);
    world.settle();
    for (n, connections) in world.connections.values_mut().enumerate() {
        *connections = [500, 100, 300, 40, 200][n];
    }
    let full: Vec<_> = world.connections.clone().into_iter().filter(|(_, n)| *n >= 300).collect();
    let template = world.deployment().unwrap()["spec"]["template"].clone();
    world.change(|spec| spec.replicas = 2);
    let mut least = 5;
    for _ in 0..40 {
        let before = world.deployment().unwrap()["spec"]["replicas"].as_i64().unwrap();
        world.pass();
        let after = world.deployment().unwrap()["spec"]["replicas"].as_i64().unwrap();
        assert!(before - after <= 1, "{before} to {after}");
        least = least.min(after);
        if after < 5 && least == after {
            assert!(world.pods.len() as i64 >= after);
        }
        world.others();
    }
    assert_eq!(least, 2);
    world.settle();
    for (pod, _) in full {
        assert!(world.pods.contains_key(&pod), "the fullest stay");
    }
    assert!(world.pods.values().all(|pod| pod["metadata"]["annotations"] == json!({})));
    assert_eq!(world.deployment().unwrap()["spec"]["template"], template);
}

#[test]
fn a_server_that_does_not_answer_is_the_last_to_go() {
    let mut world = World::new();
    world.settle();
    let (silent, _) = world.connections.pop_first().unwrap();
    for connections in world.connections.values_mut() {
        *connections = 90_000;
    }
    world.change(|spec| spec.replicas = 1);
    world.settle();
    assert_eq!(world.pods.keys().collect::<Vec<_>>(), [&silent]);
}

#[test]
fn a_missing_secret_is_said_and_touches_nothing_else() {
    let mut world = World::new();
    world.settle();
    let before = world.deployment().unwrap().clone();
    let key = world.secrets.keys().next().unwrap().clone();
    world.secrets.insert(key.clone(), Found::NoSecret);
    world.change(tag("2"));
    world.settle();
    assert_eq!(world.deployment(), Some(&before));
    let (reason, message) = world.holds(condition::STALLED).unwrap();
    assert_eq!(reason, "SecretNotFound");
    assert!(message.contains(&key.name), "{message}");
    world.secrets.insert(key.clone(), Found::NoKey);
    world.settle();
    assert_eq!(world.holds(condition::STALLED).unwrap().0, "SecretKeyNotFound");
    world.secrets.insert(key, Found::Digest("2".to_owned()));
    world.settle();
    assert_eq!(running(&world), image("2"));
}

#[test]
fn nobody_is_told_that_all_is_well_before_it_is() {
    let mut world = World::new();
    world.change(|spec| spec.database.migration.mode = MigrationMode::None);
    world.settle();
    for change in [
        tag("2") as Box<dyn FnOnce(&mut ChatClusterSpec)>,
        Box::new(|spec| spec.replicas = 4),
        Box::new(|spec| spec.hibernated = true),
        Box::new(|spec| spec.hibernated = false),
    ] {
        world.change(change);
        world.pass();
        let status = world.cluster.status.as_ref().unwrap();
        assert_eq!(status.observed_generation, world.cluster.metadata.generation);
        assert!(world.holds(condition::READY).is_none(), "{status:?}");
        assert!(world.holds(condition::RECONCILING).is_some(), "{status:?}");
        world.settle();
        assert!(world.holds(condition::READY).is_some());
    }
}

#[test]
fn a_rotated_secret_rolls_and_a_migration_role_alone_does_not_roll_twice() {
    let mut world = World::new();
    world.settle();
    let before = world.deployment().unwrap()["spec"]["template"].clone();
    for found in world.secrets.values_mut() {
        *found = Found::Digest("rotated".to_owned());
    }
    world.settle();
    assert_ne!(world.deployment().unwrap()["spec"]["template"], before);
    assert!(world.holds(condition::READY).is_some());
}

#[test]
fn hibernation_takes_all_at_once_and_waking_brings_the_same_back() {
    let mut world = World::new();
    world.change(|spec| spec.replicas = 4);
    world.settle();
    world.change(|spec| spec.hibernated = true);
    world.settle();
    assert!(world.pods.is_empty());
    assert_eq!(world.holds(condition::READY).unwrap().0, "Hibernated");
    assert!(!world.children.contains_key(&(Kind::PodDisruptionBudget, "team".to_owned())));
    assert_eq!(world.cluster.spec.replicas, 4);
    // Nobody migrates while nobody is there.
    world.change(tag("2"));
    world.settle();
    assert_eq!(running(&world), image("1"));
    world.change(|spec| spec.hibernated = false);
    world.settle();
    assert_eq!((world.pods.len(), running(&world)), (4, image("2")));
}

#[test]
fn while_paused_nothing_is_written_but_the_status() {
    let mut world = World::new();
    world.settle();
    world.change(|spec| {
        spec.paused = true;
        spec.replicas = 7;
        spec.image.tag = Some("2".to_owned());
    });
    world.writes.clear();
    world.settle();
    assert_eq!(world.writes, ["status"]);
    assert_eq!(world.holds(condition::PAUSED).unwrap().0, "PausedBySpec");
    assert!(world.holds(condition::READY).is_none());
    world.change(|spec| spec.paused = false);
    world.settle();
    assert_eq!((world.pods.len(), running(&world)), (7, image("2")));
}

#[test]
fn a_feature_that_is_switched_off_takes_its_child_along_and_the_story_is_as_before() {
    let mut world = World::new();
    world.settle();
    let quiet = |world: &World| {
        let mut status = world.cluster.status.clone().unwrap();
        status.observed_generation = None;
        for condition in &mut status.conditions {
            condition.observed_generation = None;
        }
        status
    };
    let before = quiet(&world);
    world.change(|spec| spec.network_policy.enabled = false);
    world.settle();
    assert!(!world.children.contains_key(&(Kind::NetworkPolicy, "team".to_owned())));
    world.change(|spec| spec.network_policy.enabled = true);
    world.settle();
    assert!(world.children.contains_key(&(Kind::NetworkPolicy, "team".to_owned())));
    assert_eq!(quiet(&world), before);
}

#[test]
fn what_belongs_to_somebody_else_is_neither_overwritten_nor_deleted() {
    let mut world = World::new();
    let theirs = json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": { "name": "team", "namespace": "chat" },
        "spec": { "ports": [] },
    });
    world.children.insert((Kind::Service, "team".to_owned()), theirs.clone());
    world.settle();
    assert_eq!(world.children[&(Kind::Service, "team".to_owned())], theirs);
    let (reason, message) = world.holds(condition::STALLED).unwrap();
    assert_eq!(reason, "OwnershipConflict");
    assert!(message.contains("Service team"), "{message}");
    assert!(world.deployment().is_some(), "the rest goes on");
    world.children.remove(&(Kind::Service, "team".to_owned()));
    world.settle();
    assert!(world.holds(condition::STALLED).is_none());
}

#[test]
fn a_newer_operator_waits_with_its_template_for_the_next_rollout() {
    let mut world = World::new();
    world.settle();
    // As if an older one had made it: the mark of what was asked for stands, the template differs.
    let deployment = world.children.get_mut(&(Kind::Deployment, "team".to_owned())).unwrap();
    let mut older = deployment["spec"]["template"].clone();
    older["spec"]["terminationGracePeriodSeconds"] = 7.into();
    let annotation = labels::annotation(desired::TEMPLATE);
    deployment["metadata"]["annotations"][&annotation] = older.to_string().into();
    deployment["spec"]["template"] = older.clone();
    world.settle();
    assert_eq!(world.deployment().unwrap()["spec"]["template"], older);
    let (_, message) = world.holds(condition::READY).unwrap();
    assert!(message.contains("newer pod template"), "{message}");

    world.change(|spec| spec.restarted_at = "now".to_owned());
    world.settle();
    let template = &world.deployment().unwrap()["spec"]["template"];
    assert_eq!(template["spec"]["terminationGracePeriodSeconds"], 80);

    let deployment = world.children.get_mut(&(Kind::Deployment, "team".to_owned())).unwrap();
    deployment["metadata"]["annotations"][&annotation] = older.to_string().into();
    world.around.template_upgrade = TemplateUpgrade::Auto;
    world.settle();
    let template = &world.deployment().unwrap()["spec"]["template"];
    assert_eq!(template["spec"]["terminationGracePeriodSeconds"], 80);
}

#[test]
fn a_chat_that_is_made_again_takes_over_what_was_left_and_no_migration_stays_without_an_owner() {
    let mut world = World::new();
    world.settle();
    let servers: Vec<_> = world.pods.keys().cloned().collect();
    // As `kubectl delete --cascade=orphan` leaves it.
    for child in world.children.values_mut() {
        child["metadata"].as_object_mut().unwrap().remove("ownerReferences");
    }
    world.cluster.metadata.uid = Some("another".to_owned());
    world.cluster.status = None;
    world.settle();
    assert!(world.pods.keys().eq(&servers));
    for ((kind, name), child) in &world.children {
        let owner = &child["metadata"]["ownerReferences"][0]["uid"];
        assert_eq!(owner, "another", "{kind} {name} is nobody's");
    }
}

#[test]
fn what_holds_a_migration_up_is_said() {
    let mut world = World::new();
    world.pass();
    let mut seen = world.look();
    let ready = |seen: &Observed| {
        let plan = decide(seen, &world.around, Timestamp::now());
        let told = crate::status::tell(seen, &plan.verdict, Timestamp::now());
        let ready = told.conditions.into_iter().find(|it| it.type_ == condition::READY).unwrap();
        (ready.reason, ready.message)
    };
    assert_eq!(ready(&seen).0, "Progressing");
    seen.migration_refused = Some("exceeded quota: pods".to_owned());
    let (reason, message) = ready(&seen);
    assert_eq!(reason, "QuotaExceeded");
    assert!(message.contains("the pod of the migration: exceeded quota"), "{message}");
    seen.migration_refused = None;
    let waiting = json!({ "waiting": { "reason": "ImagePullBackOff" } });
    let status = json!({
        "name": "chat-server", "image": "i:1", "imageID": "", "ready": false, "restartCount": 0,
        "state": waiting,
    });
    let pod = json!({ "metadata": {}, "status": { "containerStatuses": [status] } });
    seen.migrating = vec![serde_json::from_value(pod).unwrap()];
    assert_eq!(ready(&seen).0, "ImagePullFailed");
}

#[test]
fn a_configuration_is_kept_as_long_as_a_server_reads_it() {
    let mut world = World::new();
    world.settle();
    let maps = |world: &World| {
        world
            .children
            .keys()
            .filter(|(kind, _)| *kind == Kind::ConfigMap)
            .cloned()
            .collect::<Vec<_>>()
    };
    let first = maps(&world);
    world.change(|spec| {
        spec.config.insert("public_url".to_owned(), "https://a.example".into());
    });
    world.pass();
    assert_eq!(maps(&world).len(), 2, "the old one and the new one");
    world.settle();
    assert_eq!(maps(&world).len(), 1);
    assert_ne!(maps(&world), first);
}

/// What people do.
#[derive(Debug, Clone)]
enum Act {
    Replicas(i32),
    Tag(u8),
    Break(u8),
    Hibernate(bool),
    Pause(bool),
    Rotate(u8),
    LoseSecret(bool),
    Policy(bool),
    ScaleByHand(i64),
    Passes(u8),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        (0..6).prop_map(Act::Replicas),
        (1..4_u8).prop_map(Act::Tag),
        (1..4_u8).prop_map(Act::Break),
        any::<bool>().prop_map(Act::Hibernate),
        any::<bool>().prop_map(Act::Pause),
        (0..3_u8).prop_map(Act::Rotate),
        any::<bool>().prop_map(Act::LoseSecret),
        any::<bool>().prop_map(Act::Policy),
        (0..8_i64).prop_map(Act::ScaleByHand),
        (0..6_u8).prop_map(Act::Passes),
    ];
    prop::collection::vec(act, 1..25)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn whatever_people_do_it_comes_to_rest_where_they_want_it(acts in acts()) {
        let mut world = World::new();
        let mut last = Vec::new();
        for act in acts {
            match act {
                Act::Replicas(replicas) => world.change(|spec| spec.replicas = replicas),
                Act::Tag(tag) => world.change(|spec| spec.image.tag = Some(tag.to_string())),
                Act::Break(tag) => world.broken_images.push(image(&tag.to_string())),
                Act::Hibernate(on) => world.change(|spec| spec.hibernated = on),
                Act::Pause(on) => world.change(|spec| spec.paused = on),
                Act::Rotate(to) => {
                    for found in world.secrets.values_mut() {
                        *found = Found::Digest(to.to_string());
                    }
                }
                Act::LoseSecret(lost) => {
                    let found = if lost { Found::NoSecret } else { Found::Digest("0".to_owned()) };
                    *world.secrets.values_mut().next().unwrap() = found;
                }
                Act::Policy(on) => world.change(|spec| spec.network_policy.enabled = on),
                Act::ScaleByHand(replicas) => {
                    let key = (Kind::Deployment, "team".to_owned());
                    if let Some(deployment) = world.children.get_mut(&key) {
                        deployment["spec"]["replicas"] = replicas.into();
                    }
                }
                Act::Passes(passes) => {
                    for _ in 0..passes {
                        let before = world.deployment().cloned();
                        world.pass();
                        gate_held(&world, before.as_ref());
                        world.others();
                    }
                }
            }
            let jobs = world.children.iter().filter(|((kind, _), job)| {
                *kind == Kind::Job && job["status"]["conditions"].is_null()
            });
            prop_assert!(jobs.count() <= 1, "two migrations at a time");
            last.clone_from(&world.writes);
        }
        // What is in the way is mended, and then it has to be as asked for.
        world.broken_images.clear();
        world.change(|spec| {
            spec.paused = false;
            spec.restarted_at = "mended".to_owned();
        });
        for found in world.secrets.values_mut() {
            *found = Found::Digest("9".to_owned());
        }
        world.settle();
        let spec = &world.cluster.spec;
        let wanted = if spec.hibernated { 0 } else { spec.replicas };
        prop_assert_eq!(world.pods.len(), wanted as usize);
        prop_assert!(world.holds(condition::READY).is_some(), "{:?}", world.cluster.status);
        prop_assert!(world.holds(condition::STALLED).is_none());
        if !spec.hibernated {
            prop_assert_eq!(running(&world), image(spec.image.tag.as_ref().unwrap()));
        }
        let policy = world.children.contains_key(&(Kind::NetworkPolicy, "team".to_owned()));
        prop_assert_eq!(policy, spec.network_policy.enabled);
    }
}

/// No template without a migration that ended well.
fn gate_held(world: &World, before: Option<&Value>) {
    let Some(now) = world.deployment() else { return };
    let template = |it: &Value| it["spec"]["template"].clone();
    if before.map(template) == Some(template(now)) {
        return;
    }
    let revision = &now["metadata"]["annotations"][labels::annotation(desired::REVISION)];
    let name = format!("team-migrate-{}", &revision.as_str().unwrap()[..10]);
    let job = &world.children[&(Kind::Job, name)];
    assert_eq!(job["status"]["conditions"][0]["type"], "Complete");
}
