//! Group commit: whatever waits when the last commit ends is committed together.
//!
//! A few tasks write, each for its share of the conversations, so the events of one are written and
//! published in the order in which they were asked for, and a connection that ends in the middle of
//! a send cannot end the send.

use std::{num::NonZeroUsize, pin::pin, sync::Arc, time::Duration};

use tokio::{
    sync::{Mutex, MutexGuard, mpsc, oneshot},
    time::{Instant, timeout},
};
use tracing::warn;

use super::{Node, membership_check};
use crate::{
    bus::Topic,
    conversation::error::CommitError,
    model::{Body, ConversationId, UserId},
    sabotage::{self, Defect},
    store::{Append, StoreError, Write, Written},
};

/// Writes that belong together, and who waits for them.
pub(super) struct Unit {
    writes: Vec<Write>,
    answer: oneshot::Sender<Result<Vec<Written>, StoreError>>,
}

/// The way to the writers.
#[derive(Debug)]
pub(super) struct LogWriter {
    lanes: Box<[mpsc::Sender<Unit>]>,
    /// Held by the commit of one lane, while others gather.
    turn: Mutex<()>,
}

/// A commit that is on its way. Dropping it does not take it back.
#[derive(Debug)]
pub(crate) struct Committing(oneshot::Receiver<Result<Vec<Written>, StoreError>>);

impl Committing {
    pub(crate) async fn wait(self) -> Result<Vec<Written>, CommitError> {
        match self.0.await {
            Ok(answer) => Ok(answer?),
            // The writer ended without an answer: shut down.
            Err(_) => Err(CommitError::ShuttingDown),
        }
    }
}

impl LogWriter {
    pub(super) fn new(lanes: NonZeroUsize, queue_max: usize) -> (Self, Vec<mpsc::Receiver<Unit>>) {
        let each = (queue_max / lanes).max(1);
        let (lanes, queues): (Vec<_>, _) = (0..lanes.get()).map(|_| mpsc::channel(each)).unzip();
        (Self { lanes: lanes.into(), turn: Mutex::default() }, queues)
    }

    /// Puts the writes of one conversation into its queue, in the order of the calls. Refuses rather
    /// than waits.
    pub(super) fn commit(&self, writes: Vec<Write>) -> Result<Committing, CommitError> {
        let (answer, receiver) = oneshot::channel();
        let Some(conversation) = writes.first().map(Write::conversation) else {
            let _ = answer.send(Ok(Vec::new()));
            return Ok(Committing(receiver));
        };
        debug_assert!(writes.iter().all(|write| write.conversation() == conversation));
        // Ids are hashes or end in randomness: these bytes are spread evenly.
        let spread = u16::from_le_bytes([conversation.as_bytes()[13], conversation.as_bytes()[14]]);
        let lane = &self.lanes[usize::from(spread) % self.lanes.len()];
        lane.try_send(Unit { writes, answer }).map_err(|why| match why {
            mpsc::error::TrySendError::Full(_) => CommitError::Overloaded,
            mpsc::error::TrySendError::Closed(_) => CommitError::ShuttingDown,
        })?;
        Ok(Committing(receiver))
    }
}

/// A commit below this is over before a timer would be.
const WORTH_WAITING_FOR: Duration = Duration::from_millis(1);
/// The longest that a lane waits for those who were in its last commit.
const LINGER_MAX: Duration = Duration::from_millis(2);
/// From this size on there is little left to save on each write of a commit.
const LARGE: usize = 64;

/// The last commit of a lane.
#[derive(Debug, Clone, Copy, Default)]
struct Last {
    writes: usize,
    took: Duration,
}

/// One of the writers. Ends when the node stops and the queue is empty.
pub(super) async fn run(node: Arc<Node>, mut queue: mpsc::Receiver<Unit>) {
    let mut units = Vec::new();
    let mut last = Last::default();
    loop {
        let first = tokio::select! {
            biased;
            unit = queue.recv() => unit,
            () = node.stop.cancelled(), if !queue.is_closed() => {
                // Takes no more, and finishes what is in the queue.
                queue.close();
                continue;
            }
        };
        let Some(first) = first else { return };
        units.push(first);
        let turn = gather(&node, &mut queue, &mut units, last).await;
        let began = Instant::now();
        last.writes = writes(&units);
        commit(&node, &mut units).await;
        last.took = began.elapsed();
        drop(turn);
    }
}

/// Takes what waits, until this lane has its turn or as much as one commit takes.
///
/// A store pays nearly as much for a commit of one write as for one of some dozens: 500 senders of one
/// message each at a time got 13,800 sends out of a CPU-second of server and PostgreSQL when four lanes
/// committed whatever they had, and 18,800 when one did. So the lanes take turns, and while one
/// commits, the others gather. But one lane at a time is not enough for a store with many cores: whoever
/// has gathered a full commit goes without its turn.
///
/// And a lane waits a moment for as many as were in its last commit, if those were few. Who waits for an
/// answer before they send again are all in one commit, and when it is done, the first who sends would
/// be in the next one alone, and all others in the one after it. With sixteen senders in one
/// conversation on PostgreSQL a CPU-second did 10,900 messages instead of 8,400; for commits of hundreds
/// it was nothing or a loss.
async fn gather<'a>(
    node: &'a Node,
    queue: &mut mpsc::Receiver<Unit>,
    units: &mut Vec<Unit>,
    last: Last,
) -> Option<MutexGuard<'a, ()>> {
    let most = node.limits.commit_writes_max;
    if (2..LARGE).contains(&last.writes) && last.took >= WORTH_WAITING_FOR {
        let linger = (last.took / 2).min(LINGER_MAX);
        // As many as came in this time are enough, too.
        let _ = timeout(linger, add(queue, units, last.writes.min(most))).await;
    }
    let mut turn = pin!(node.writer.turn.lock());
    tokio::select! {
        biased;
        () = add(queue, units, most) => {}
        held = &mut turn => return Some(held),
    }
    // Fewer: the node stops, and these are the last.
    if writes(units) < most { Some(turn.await) } else { None }
}

/// Adds what comes, until there are so many writes or the node stops. It can be dropped at any moment:
/// what was taken from the queue is among the units.
async fn add(queue: &mut mpsc::Receiver<Unit>, units: &mut Vec<Unit>, enough: usize) {
    let mut count = writes(units);
    while count < enough
        && let Some(unit) = queue.recv().await
    {
        count += unit.writes.len();
        units.push(unit);
    }
}

fn writes(units: &[Unit]) -> usize {
    units.iter().map(|unit| unit.writes.len()).sum()
}

async fn commit(node: &Arc<Node>, units: &mut Vec<Unit>) {
    let lengths: Vec<usize> = units.iter().map(|unit| unit.writes.len()).collect();
    let mut batch: Vec<Write> = Vec::with_capacity(lengths.iter().sum());
    for unit in &mut *units {
        batch.append(&mut unit.writes);
    }
    if sabotage::on(Defect::ForgetKeys) {
        forget_keys(node, &mut batch);
    }
    let marks: Vec<Option<(ConversationId, UserId)>> = batch
        .iter()
        .map(|write| match write {
            Write::Mark(mark) => Some((mark.conversation, mark.user.clone())),
            Write::Open(_) | Write::Append(_) | Write::Restore(_) => None,
        })
        .collect();
    let newcomers = membership_check::newcomers(&batch);
    let guess = sabotage::on(Defect::AckBeforeCommit).then(|| batch.clone());

    metrics::histogram!("chat_commit_writes").record(batch.len() as f64);
    let answer = node.in_time(node.ports.store.write(batch)).await;
    let answer = match (answer, guess) {
        (Err(_), Some(batch)) => Ok(pretend(node, batch)),
        (answer, _) => answer,
    };
    match answer {
        Ok(written) if written.len() == marks.len() => {
            for (written, mark) in written.iter().zip(&marks) {
                deliver(node, written, mark.as_ref());
            }
            let mut written = written.into_iter();
            for (unit, length) in units.drain(..).zip(lengths) {
                // Whoever waited may have gone.
                let _ = unit.answer.send(Ok(written.by_ref().take(length).collect()));
            }
        }
        Ok(_) => fail(units, StoreError::Defect("not one answer for each write".into())),
        Err(why) => {
            fail(units, why);
            // It may have happened all the same, and then nobody here has been told.
            node.check_now.notify_one();
            node.doubts.raise(newcomers);
        }
    }
}

/// Tells everybody of what was written.
pub(super) fn deliver(
    node: &Arc<Node>,
    written: &Written,
    mark: Option<&(ConversationId, UserId)>,
) {
    match (written, mark) {
        (Written::Event { event, fresh: true }, _) => {
            let frame = node.deliver(event);
            metrics::counter!("chat_events_total").increment(1);
            // Nodes on which nobody follows the conversation yet listen for their users.
            if let Body::Created { members: users, .. } | Body::Added { users, .. } = &event.body {
                for user in users {
                    node.send_to_bus(Topic::User(user.clone()), frame.clone());
                }
            }
            node.send_to_bus(Topic::Conversation(event.conversation), frame);
            // Fails when no host listens.
            let _ = node.events.send(event.clone());
        }
        (Written::Marker { marker, moved: true, crowd: false }, Some((conversation, user))) => {
            let frame = node.deliver_receipt(*conversation, user, *marker);
            node.send_to_bus(Topic::Conversation(*conversation), frame);
        }
        // In a crowd who read what is nobody's business but their own devices'.
        (Written::Marker { marker, moved: true, crowd: true }, Some((conversation, user))) => {
            let frame = node.deliver_own_receipt(*conversation, user, *marker);
            node.send_to_bus(Topic::User(user.clone()), frame);
        }
        (Written::Event { .. } | Written::Marker { .. } | Written::Refused(_), _) => {}
    }
}

/// Everybody gets the same error.
fn fail(units: &mut Vec<Unit>, why: StoreError) {
    warn!(error = &why as &dyn std::error::Error, writes = units.len(), "commit failed");
    let defect = matches!(why, StoreError::Defect(_));
    let why = Arc::new(why);
    for unit in units.drain(..) {
        let why = Box::new(why.clone());
        let why = if defect { StoreError::Defect(why) } else { StoreError::Unavailable(why) };
        let _ = unit.answer.send(Err(why));
    }
}

/// The defect: every key becomes a new one.
fn forget_keys(node: &Node, batch: &mut [Write]) {
    for write in batch {
        if let Write::Append(Append { key: Some(key), .. }) = write {
            let mut random = [0; 8];
            node.ports.random.fill(&mut random);
            let name = format!("{:016x}", u64::from_le_bytes(random));
            *key = crate::model::ClientKey::new(name).expect("hexadecimal digits");
        }
    }
}

/// The defect: what a store would have answered, had it committed.
fn pretend(node: &Node, batch: Vec<Write>) -> Vec<Written> {
    batch
        .into_iter()
        .map(|write| match write {
            Write::Append(append) => {
                let head = node.shards.of(append.conversation).head(append.conversation);
                Written::Event {
                    event: crate::model::Event {
                        conversation: append.conversation,
                        seq: head.unwrap_or_default().next(),
                        at: append.at,
                        from: append.by,
                        key: append.key,
                        body: append.body,
                    },
                    fresh: false,
                }
            }
            Write::Open(_) | Write::Mark(_) | Write::Restore(_) => {
                Written::Refused(crate::store::Refusal::NotMember)
            }
        })
        .collect()
}
