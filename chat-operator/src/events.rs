//! Kubernetes Events about chats: what `kubectl describe` shows of the past.
//!
//! They are for people, so nothing waits for them and nothing depends on them: what cannot be written
//! is logged, and what comes too fast is dropped.

use std::time::Duration;

use k8s_openapi::api::core::v1::ObjectReference;
pub use kube::runtime::events::EventType as Kind;
use kube::{
    Client, Resource,
    runtime::events::{Event, Recorder, Reporter},
};
use tokio::{
    sync::mpsc,
    task::JoinHandle,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{
    client::why,
    crd::ChatCluster,
    telemetry::{self, EventFate},
};

/// Events that wait: what a hundred chats have to say when the operator starts.
const WAITING_MAX: usize = 256;

/// Between two, so that an operator gone wrong does not fill etcd.
const PAUSE: Duration = Duration::from_millis(50);

/// For one to be written.
const PATIENCE: Duration = Duration::from_secs(5);

/// For those that still wait when the process ends.
const FAREWELL: Duration = Duration::from_secs(3);

/// Bytes of a note; the API server takes 1024.
const NOTE_BYTES_MAX: usize = 1024;

/// Takes Events. Clones are one and the same.
#[derive(Debug, Clone)]
pub struct Events(mpsc::Sender<Told>);

#[derive(Debug)]
struct Told {
    about: ObjectReference,
    kind: Kind,
    reason: String,
    note: String,
}

impl Events {
    /// Starts writing what is [`record`](Self::record)ed, as `instance` (the operator's pod). The
    /// other half ends it.
    #[must_use]
    pub fn start(client: Client, instance: String) -> (Self, Publisher) {
        let (sender, told) = mpsc::channel(WAITING_MAX);
        let stop = CancellationToken::new();
        let reporter =
            Reporter { controller: "chat-operator".to_owned(), instance: Some(instance) };
        let recorder = Recorder::new(client, reporter);
        let task = tokio::spawn(publish(recorder, told, stop.clone()));
        (Self(sender), Publisher { stop, task })
    }

    /// Says that something happened to `cluster`: `reason` in PascalCase, `note` a sentence with at
    /// most 1024 bytes, after which it is cut. Call it when something changes, not each time it is
    /// seen.
    ///
    /// Neither waits nor fails: if too many wait already it is dropped, logged and counted. The same
    /// words within six minutes are counted on one Event.
    pub fn record(&self, cluster: &ChatCluster, kind: Kind, reason: &str, note: String) {
        let reason = reason.to_owned();
        let told = Told { about: cluster.object_ref(&()), kind, reason, note: cut(note) };
        if let Err(refused) = self.0.try_send(told) {
            let Told { about, reason, note, .. } = refused.into_inner();
            let (namespace, name) = (about.namespace, about.name);
            tracing::warn!(?namespace, ?name, reason, note, "an Event was dropped: too many wait");
            telemetry::event(EventFate::Dropped);
        }
    }
}

/// The end of [`Events`] that writes them. Dropped, it goes on until all of them are dropped.
#[derive(Debug)]
pub struct Publisher {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Publisher {
    /// Writes what waits, for three seconds at most, and ends.
    pub async fn finish(mut self) {
        self.stop.cancel();
        if timeout(FAREWELL, &mut self.task).await.is_err() {
            tracing::warn!("Events were left unwritten");
            self.task.abort();
        }
    }
}

async fn publish(recorder: Recorder, mut told: mpsc::Receiver<Told>, stop: CancellationToken) {
    loop {
        let next = tokio::select! {
            biased;
            next = told.recv() => next,
            // What was told before is still received.
            () = stop.cancelled(), if !told.is_closed() => {
                told.close();
                continue;
            }
        };
        let Some(next) = next else { return };
        let written = timeout(PATIENCE, recorder.publish(&event(&next), &next.about)).await;
        let why = match written {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(why(error)),
            Err(_) => Some("no answer in time".to_owned()),
        };
        if let Some(why) = why {
            let Told { about: ObjectReference { namespace, name, .. }, reason, note, .. } = next;
            tracing::warn!(?namespace, ?name, reason, note, "an Event was not written: {why}");
            telemetry::event(EventFate::Failed);
        } else {
            telemetry::event(EventFate::Published);
        }
        sleep(PAUSE).await;
    }
}

fn event(told: &Told) -> Event {
    Event {
        type_: told.kind,
        reason: told.reason.clone(),
        note: Some(told.note.clone()),
        // The recorder counts events of one action together and keeps the first one's note: with
        // other words it has to be another action, or "5 to 4" would stand for "4 to 3" as well.
        action: format!("{}-{:08x}", told.reason, checksum(told.note.as_bytes())),
        secondary: None,
    }
}

/// FNV-1a: only has to be short, and the same each time.
fn checksum(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |sum, byte| (sum ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

fn cut(mut note: String) -> String {
    note.truncate(note.floor_char_boundary(NOTE_BYTES_MAX));
    note
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex, PoisonError};

    use http::{Method, Request, Response};
    use http_body_util::BodyExt;
    use kube::client::Body;
    use serde_json::{Value, json};
    use tokio::sync::Semaphore;
    use tower::service_fn;

    use super::*;

    type Written = Arc<Mutex<Vec<(Method, Value)>>>;

    /// An API server that takes what it has permits for.
    fn client(written: &Written, permits: &Arc<Semaphore>) -> Client {
        let (written, permits) = (Arc::clone(written), Arc::clone(permits));
        let answer = move |request: Request<Body>| {
            let (written, permits) = (Arc::clone(&written), Arc::clone(&permits));
            async move {
                permits.acquire().await?.forget();
                let (head, body) = request.into_parts();
                let event: Value = serde_json::from_slice(&body.collect().await?.to_bytes())?;
                let body = Body::from(serde_json::to_vec(&event)?);
                let mut written = written.lock().unwrap_or_else(PoisonError::into_inner);
                written.push((head.method, event));
                Ok::<_, tower::BoxError>(Response::new(body))
            }
        };
        Client::new(service_fn(answer), "chat")
    }

    fn chat() -> ChatCluster {
        serde_json::from_value(json!({
            "apiVersion": "chat.example.com/v1alpha1",
            "kind": "ChatCluster",
            "metadata": {"name": "team", "namespace": "chat", "uid": "u"},
            "spec": {
                "image": {"repository": "chat-server", "tag": "1"},
                "database": {"urlSecretRef": {"name": "chat-db", "key": "url"}},
                "redis": {"urlSecretRef": {"name": "chat-redis", "key": "url"}},
            },
        }))
        .unwrap()
    }

    #[tokio::test]
    async fn the_same_words_are_counted_and_others_are_another_event() {
        let (written, permits) = (Written::default(), Arc::new(Semaphore::new(100)));
        let (events, publisher) = Events::start(client(&written, &permits), "pod".to_owned());
        for note in ["from 5 to 4", "from 4 to 3", "from 4 to 3"] {
            events.record(&chat(), Kind::Normal, "ScaledDown", note.to_owned());
        }
        events.record(&chat(), Kind::Warning, "Long", "ä".repeat(2000));
        publisher.finish().await;
        let written = written.lock().unwrap();
        let told: Vec<_> = written
            .iter()
            .map(|(method, event)| (method.as_str(), event["note"].as_str().unwrap()))
            .collect();
        let cut = "ä".repeat(NOTE_BYTES_MAX / 2);
        let expected = [
            ("POST", "from 5 to 4"),
            ("POST", "from 4 to 3"),
            ("PATCH", "from 4 to 3"),
            ("POST", cut.as_str()),
        ];
        assert_eq!(told, expected);
        assert_eq!(written[2].1["series"]["count"], 2);
        assert_eq!(written[3].1["type"], "Warning");
        assert_eq!(written[0].1["regarding"]["uid"], "u");
    }

    #[tokio::test]
    async fn what_is_too_much_is_dropped_and_nobody_waits() {
        let (written, permits) = (Written::default(), Arc::new(Semaphore::new(0)));
        let (events, publisher) = Events::start(client(&written, &permits), "pod".to_owned());
        for number in 0..WAITING_MAX + 50 {
            events.record(&chat(), Kind::Normal, "Many", number.to_string());
        }
        assert_eq!(events.0.capacity(), 0);
        // The end does not wait for a server that does not answer.
        timeout(Duration::from_secs(60), publisher.finish()).await.expect("it ends");
        assert!(written.lock().unwrap().is_empty());
    }
}
