//! Leadership by a Lease: of several operators one works, the others stand by.
//!
//! This file reads and writes the Lease and ends the process when it is lost; who leads is decided
//! in `election`. What leads for certain is only what [`Leadership::holds`] says, right now.

mod election;
#[cfg(test)]
mod simulation;

use std::{
    process,
    time::{Duration, Instant},
};

use anyhow::Context;
use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
    jiff::Timestamp,
};
use kube::{Api, Client, api::PostParams};
use tokio::{sync::watch, time};
use tokio_util::sync::CancellationToken;

use self::election::{Election, Seen, Step, Write};
pub use self::election::{Loss, Terms, TermsError};
use crate::{client::why, telemetry, web::Health};

/// Exit code of a process that lost its lease.
const LOST: i32 = 1;

/// Of a name in the lease: enough never to meet the same twice.
const IDENTITY_BYTES: usize = 8;

/// Whether this process leads, now and at any later moment.
#[derive(Debug, Clone)]
pub struct Leadership(watch::Receiver<Term>);

/// The term that a process leads for.
#[derive(Debug, Clone, Copy)]
enum Term {
    Standby,
    Until(Instant),
    /// There is no election.
    Always,
}

impl Term {
    fn holds(self, now: Instant) -> bool {
        match self {
            Self::Standby => false,
            Self::Until(until) => now < until,
            Self::Always => true,
        }
    }
}

impl Leadership {
    /// For a process that is alone for certain: it always leads.
    #[must_use]
    pub fn alone() -> Self {
        Self(watch::channel(Term::Always).1)
    }

    /// Whether this process leads at this moment. Every write asks it right before; where it says no,
    /// nothing may be written, and the process is about to end.
    ///
    /// It compares with the monotonic clock, which goes on while a process is stopped: one that
    /// stood still past its term hears no, without having to notice anything first.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.0.borrow().holds(Instant::now())
    }

    /// Waits until this process leads. Can be dropped and called again.
    pub async fn acquired(&mut self) {
        let led = self.0.wait_for(|term| term.holds(Instant::now())).await.is_ok();
        if !led {
            // The election has ended, so it will never lead.
            std::future::pending::<()>().await;
        }
    }
}

/// The Lease that is contended for, and by whom.
#[derive(Debug, Clone)]
pub struct Candidacy {
    /// The namespace of the Lease.
    pub namespace: String,
    /// The name of the Lease.
    pub name: String,
    /// What stands in it while we lead, see [`identity`].
    pub identity: String,
    /// Its times.
    pub terms: Terms,
}

/// A name for this process that no other has and no later one will have: the pod's, for people, and
/// something random, because a container that starts anew in the same pod is another candidate.
#[must_use]
pub fn identity(pod: &str) -> String {
    let unique: String = random::<IDENTITY_BYTES>().iter().map(|it| format!("{it:02x}")).collect();
    format!("{pod}_{unique}")
}

fn random<const N: usize>() -> [u8; N] {
    let random = ring::rand::generate(&ring::rand::SystemRandom::new());
    random.expect("a system without random numbers cannot speak TLS either").expose()
}

/// The election's driver, which has to be run, and its answer.
#[must_use]
pub fn elect(client: Client, candidacy: Candidacy, health: Health) -> (Campaign, Leadership) {
    let (term, seen) = watch::channel(Term::Standby);
    let api = Api::namespaced(client, &candidacy.namespace);
    (Campaign { api, candidacy, health, term, last: None, trouble: None }, Leadership(seen))
}

/// Runs for leadership, and keeps it.
pub struct Campaign {
    api: Api<Lease>,
    candidacy: Candidacy,
    health: Health,
    term: watch::Sender<Term>,
    /// The lease as it was read or written last: what others wrote into it stays.
    last: Option<Lease>,
    /// What was complained about last, so that it is said once.
    trouble: Option<String>,
}

impl Campaign {
    /// Until `stop`, after which the lease is released for the next one.
    ///
    /// If the lease is lost the process ends here, at once and whatever else is under way: nothing
    /// that thinks it leads may go on. A thread of its own watches the deadline, so that neither a
    /// busy nor a stuck runtime can put that off.
    ///
    /// Dropping the future neither ends the process nor releases the lease; the watching thread does
    /// the former when the term has passed.
    ///
    /// # Errors
    ///
    /// If the watching thread cannot be started.
    pub async fn run(self, stop: CancellationToken) -> anyhow::Result<()> {
        let deadline = self.term.subscribe();
        std::thread::Builder::new()
            .name("lease-deadline".to_owned())
            .spawn(move || watch_deadline(&deadline))
            .context("no thread for the lease's deadline")?;
        match self.drive(stop).await {
            Ok(()) => Ok(()),
            Err(loss) => end(&loss),
        }
    }

    async fn drive(mut self, stop: CancellationToken) -> Result<(), Loss> {
        let seed = u64::from_be_bytes(random());
        let Candidacy { identity, terms, .. } = &self.candidacy;
        let terms = *terms;
        let mut election = Election::new(Instant::now(), identity.clone(), terms, seed);
        loop {
            match election.next(Instant::now()) {
                Step::Wait(until) => {
                    tokio::select! {
                        () = stop.cancelled() => break,
                        () = time::sleep_until(until.into()) => {}
                    }
                }
                Step::Read => self.read(&mut election).await,
                Step::Write(write) => self.write(&mut election, &write).await,
                Step::Lost(loss) => {
                    self.publish(None);
                    return Err(loss);
                }
            }
            self.publish(election.leads_until());
            if stop.is_cancelled() {
                break;
            }
        }
        let farewell = election.release();
        // First for us, then for all.
        self.publish(None);
        if let Some(write) = farewell {
            self.write(&mut election, &write).await;
            tracing::info!("released the lease");
        }
        Ok(())
    }

    fn publish(&self, until: Option<Instant>) {
        let term = until.map_or(Term::Standby, Term::Until);
        self.term.send_replace(term);
        telemetry::leading(term.holds(Instant::now()));
    }

    async fn read(&mut self, election: &mut Election) {
        let api = self.api.clone();
        let result = self.ask(api.get_opt(&self.candidacy.name)).await;
        let now = Instant::now();
        match result {
            Ok(lease) => {
                election.saw(now, lease.as_ref().map(seen));
                self.last = lease;
                self.well();
            }
            Err(trouble) => {
                election.failed(now);
                self.complain(trouble);
            }
        }
    }

    async fn write(&mut self, election: &mut Election, write: &Write) {
        let Candidacy { name, terms, .. } = &self.candidacy;
        let lease = written(self.last.as_ref(), write, name, terms.lease, Timestamp::now());
        let api = self.api.clone();
        let params = PostParams::default();
        let sent = Instant::now();
        let result = if write.version.is_some() {
            self.ask(api.replace(name, &params, &lease)).await
        } else {
            self.ask(api.create(&params, &lease)).await
        };
        let now = Instant::now();
        match result {
            Ok(lease) => {
                election.wrote(sent, now, seen(&lease));
                self.last = Some(lease);
                self.well();
                if write.taken && election.leads_until().is_some() {
                    tracing::info!(lease = self.candidacy.name, "leading");
                }
            }
            Err(Trouble::Conflict) => {
                election.conflicted(now);
                self.well();
            }
            // Deleted since it was read.
            Err(Trouble::Missing(_)) if write.version.is_some() => {
                election.conflicted(now);
                self.well();
            }
            Err(trouble) => {
                election.failed(now);
                self.complain(trouble);
            }
        }
    }

    /// One request within bounds.
    async fn ask<T>(
        &self,
        request: impl Future<Output = Result<T, kube::Error>>,
    ) -> Result<T, Trouble> {
        let result = self.bounded(request).await;
        self.health.tried(!matches!(result, Err(Trouble::Other(_))));
        result
    }

    async fn bounded<T>(
        &self,
        request: impl Future<Output = Result<T, kube::Error>>,
    ) -> Result<T, Trouble> {
        match time::timeout(self.candidacy.terms.patience(), request).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(kube::Error::Api(status))) => Err(match status.code {
                // There already, or not as it was.
                409 => Trouble::Conflict,
                404 => Trouble::Missing(status.message),
                403 => Trouble::Forbidden(status.message),
                _ => Trouble::Other(why(kube::Error::Api(status))),
            }),
            Ok(Err(error)) => Err(Trouble::Other(why(error))),
            Err(_) => Err(Trouble::Other("no answer in time".to_owned())),
        }
    }

    fn well(&mut self) {
        if self.trouble.take().is_some() {
            tracing::info!("the lease can be reached again");
        }
    }

    fn complain(&mut self, trouble: Trouble) {
        let Candidacy { namespace, name, .. } = &self.candidacy;
        let (why, advice) = match trouble {
            Trouble::Conflict => ("it changed meanwhile".to_owned(), ""),
            Trouble::Other(why) => (why, ""),
            Trouble::Missing(why) => (why, "; is there a namespace of this name?"),
            Trouble::Forbidden(why) => {
                (why, "; allow get, create and update of leases in this namespace")
            }
        };
        if self.trouble.as_ref() != Some(&why) {
            tracing::warn!(namespace, name, "cannot use the lease: {why}{advice}");
            self.trouble = Some(why);
        }
    }
}

/// Why a request came to nothing.
enum Trouble {
    /// The lease is not as we knew it.
    Conflict,
    /// It, or its namespace, is not there.
    Missing(String),
    Forbidden(String),
    Other(String),
}

/// Ends the process when the term has passed, and itself when there is no term any more.
fn watch_deadline(term: &watch::Receiver<Term>) {
    /// While standing by: a term is far longer.
    const IDLE: Duration = Duration::from_millis(100);
    loop {
        let (now, ended) = (Instant::now(), term.has_changed().is_err());
        let current = *term.borrow();
        match current {
            Term::Until(until) if until <= now => end(&Loss::Expired),
            Term::Until(until) => std::thread::sleep(until - now),
            Term::Standby | Term::Always if ended => return,
            Term::Standby | Term::Always => std::thread::sleep(IDLE),
        }
    }
}

fn end(loss: &Loss) -> ! {
    tracing::error!("{loss}: ending at once, so that two never lead");
    process::exit(LOST)
}

fn seen(lease: &Lease) -> Seen {
    let spec = lease.spec.clone().unwrap_or_default();
    // Whoever left it out gave no promise, so there is nothing to wait for but a change.
    let seconds = spec.lease_duration_seconds.and_then(|it| u64::try_from(it).ok()).unwrap_or(1);
    Seen {
        version: lease.metadata.resource_version.clone().unwrap_or_default(),
        holder: spec.holder_identity.unwrap_or_default(),
        duration: Duration::from_secs(seconds),
        transitions: spec.lease_transitions.unwrap_or_default(),
    }
}

/// The lease as it is to be. The times in it are for people: nobody compares them with a clock.
fn written(
    last: Option<&Lease>,
    write: &Write,
    name: &str,
    duration: Duration,
    now: Timestamp,
) -> Lease {
    let last = last.filter(|_| write.version.is_some());
    let mut lease = last.cloned().unwrap_or_else(|| Lease {
        metadata: ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() },
        spec: None,
    });
    // The version on which the decision stands, and no other.
    lease.metadata.resource_version.clone_from(&write.version);
    lease.metadata.managed_fields = None;
    let spec = lease.spec.get_or_insert_with(LeaseSpec::default);
    let released = write.holder.is_empty();
    spec.holder_identity = Some(write.holder.clone());
    // A released lease is nobody's, so that nothing is to be waited for.
    let seconds = if released { 1 } else { duration.as_millis().div_ceil(1000) };
    spec.lease_duration_seconds = Some(i32::try_from(seconds).unwrap_or(i32::MAX));
    spec.lease_transitions = Some(write.transitions);
    spec.renew_time = Some(MicroTime(now));
    if write.taken {
        spec.acquire_time = Some(MicroTime(now));
    }
    lease
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex, PoisonError};

    use http::{Method, Request, Response, StatusCode};
    use http_body_util::BodyExt;
    use kube::client::Body;
    use serde_json::{Value, json};
    use tower::service_fn;

    use super::*;

    /// An API server with one lease.
    #[derive(Default)]
    struct Server {
        lease: Option<Value>,
        version: u64,
        /// It does not answer any more.
        silent: bool,
        writes: Vec<Value>,
    }

    type Shared = Arc<Mutex<Server>>;

    fn locked<T>(server: &Shared, with: impl FnOnce(&mut Server) -> T) -> T {
        with(&mut server.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn client(server: &Shared) -> Client {
        let server = Arc::clone(server);
        let answer = move |request: Request<Body>| {
            let server = Arc::clone(&server);
            async move {
                let (head, body) = request.into_parts();
                let body = body.collect().await?.to_bytes();
                if locked(&server, |server| server.silent) {
                    std::future::pending::<()>().await;
                }
                let (status, answer) =
                    locked(&server, |server| handle(server, &head.method, &body));
                let answer = serde_json::to_vec(&answer)?;
                let response = Response::builder().status(status).body(Body::from(answer))?;
                Ok::<_, tower::BoxError>(response)
            }
        };
        Client::new(service_fn(answer), "chat")
    }

    fn refusal(code: StatusCode, reason: &str) -> (StatusCode, Value) {
        let code_number = code.as_u16();
        (
            code,
            json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason,
            "message": reason, "code": code_number}),
        )
    }

    fn handle(server: &mut Server, method: &Method, body: &[u8]) -> (StatusCode, Value) {
        let current = server.lease.clone();
        if method == Method::GET {
            return current.map_or_else(
                || refusal(StatusCode::NOT_FOUND, "NotFound"),
                |lease| (StatusCode::OK, lease),
            );
        }
        let mut sent: Value = serde_json::from_slice(body).unwrap();
        server.writes.push(sent.clone());
        let known = &sent["metadata"]["resourceVersion"];
        match (method == Method::POST, &current) {
            (true, Some(_)) => return refusal(StatusCode::CONFLICT, "AlreadyExists"),
            (false, None) => return refusal(StatusCode::NOT_FOUND, "NotFound"),
            (false, Some(lease)) if lease["metadata"]["resourceVersion"] != *known => {
                return refusal(StatusCode::CONFLICT, "Conflict");
            }
            (true, None) | (false, Some(_)) => {}
        }
        server.version += 1;
        sent["metadata"]["resourceVersion"] = json!(server.version.to_string());
        server.lease = Some(sent.clone());
        (StatusCode::OK, sent)
    }

    fn terms() -> Terms {
        Terms {
            lease: Duration::from_secs(3),
            renew: Duration::from_secs(2),
            retry: Duration::from_millis(50),
        }
    }

    fn candidate(server: &Shared, name: &str, terms: Terms) -> (Campaign, Leadership) {
        let candidacy = Candidacy {
            namespace: "chat".to_owned(),
            name: "chat-operator".to_owned(),
            identity: name.to_owned(),
            terms,
        };
        elect(client(server), candidacy, Health::default())
    }

    /// What the campaign came to, within the time that even a noisy machine takes.
    async fn end_of(task: tokio::task::JoinHandle<Result<(), Loss>>) -> Result<(), Loss> {
        time::timeout(Duration::from_secs(60), task).await.expect("it ends").unwrap()
    }

    fn holder(server: &Shared) -> Value {
        locked(server, |server| server.lease.as_ref().unwrap()["spec"]["holderIdentity"].clone())
    }

    #[tokio::test]
    async fn one_leads_and_the_next_takes_over_when_it_ends_in_good_order() {
        let server = Shared::default();
        let stop_first = CancellationToken::new();
        let (campaign, mut first) = candidate(&server, "first", terms());
        let first_task = tokio::spawn(campaign.drive(stop_first.clone()));
        first.acquired().await;
        assert!(first.holds());
        assert_eq!(holder(&server), "first");

        let stop_second = CancellationToken::new();
        // With so long a lease it would never come but for the release.
        let (campaign, mut second) = candidate(&server, "second", terms());
        locked(&server, |server| {
            server.lease.as_mut().unwrap()["metadata"]["labels"] = json!({"of": "somebody"});
        });
        let second_task = tokio::spawn(campaign.drive(stop_second.clone()));
        // Renewed many times, while the other looks on.
        while locked(&server, |server| server.writes.len()) < 20 {
            assert!(!second.holds());
            time::sleep(Duration::from_millis(10)).await;
        }
        assert!(first.holds());
        stop_first.cancel();
        end_of(first_task).await.unwrap();
        assert!(!first.holds());
        second.acquired().await;
        assert!(second.holds() && !first.holds());
        assert_eq!(holder(&server), "second");
        let lease = locked(&server, |server| server.lease.clone().unwrap());
        assert_eq!(lease["spec"]["leaseTransitions"], 1);
        assert_eq!(lease["spec"]["leaseDurationSeconds"], 3);
        stop_second.cancel();
        end_of(second_task).await.unwrap();
        assert_eq!(holder(&server), "");
    }

    #[tokio::test]
    async fn a_leader_that_cannot_renew_stops_holding_before_others_may_take_over() {
        let server = Shared::default();
        let (campaign, mut leadership) = candidate(&server, "me", terms());
        let task = tokio::spawn(campaign.drive(CancellationToken::new()));
        leadership.acquired().await;
        locked(&server, |server| server.silent = true);
        let silent = Instant::now();
        assert_eq!(end_of(task).await.unwrap_err(), Loss::Expired);
        assert!(!leadership.holds());
        // Noisy machines: the bound that counts is the deadline, and that is asked of `holds`.
        assert!(silent.elapsed() >= terms().renew / 2, "it did not try again");
    }

    #[tokio::test]
    async fn a_leader_whose_lease_is_taken_by_force_hears_of_it() {
        let server = Shared::default();
        let (campaign, mut leadership) = candidate(&server, "me", terms());
        let task = tokio::spawn(campaign.drive(CancellationToken::new()));
        leadership.acquired().await;
        locked(&server, |server| {
            let lease = server.lease.as_mut().unwrap();
            lease["spec"]["holderIdentity"] = json!("other");
            lease["metadata"]["resourceVersion"] = json!("forced");
        });
        assert_eq!(end_of(task).await.unwrap_err(), Loss::Taken { by: "other".to_owned() });
        assert!(!leadership.holds());
    }

    #[tokio::test]
    async fn what_others_wrote_into_the_lease_stays() {
        let server = Shared::default();
        let lease = json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
            "metadata": {"name": "chat-operator", "namespace": "chat", "resourceVersion": "7",
                "labels": {"of": "somebody"}},
            "spec": {"holderIdentity": "", "leaseTransitions": 4}});
        locked(&server, |server| (server.lease, server.version) = (Some(lease), 7));
        let (campaign, mut leadership) = candidate(&server, "me", terms());
        let stop = CancellationToken::new();
        let task = tokio::spawn(campaign.drive(stop.clone()));
        leadership.acquired().await;
        let lease = locked(&server, |server| server.lease.clone().unwrap());
        assert_eq!(lease["metadata"]["labels"]["of"], "somebody");
        assert_eq!(lease["spec"]["leaseTransitions"], 5);
        stop.cancel();
        end_of(task).await.unwrap();
    }

    #[test]
    fn a_process_that_is_alone_leads_and_two_never_have_one_name() {
        assert!(Leadership::alone().holds());
        assert_ne!(identity("pod"), identity("pod"));
        assert!(identity("pod").starts_with("pod_"));
    }
}
