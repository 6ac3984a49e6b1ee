//! Rules 2, 3 and 5 with many tasks at once.

use std::{
    collections::BTreeSet,
    future::Future,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::Poll,
};

use tokio::task::JoinHandle;

use super::{
    super::report::cases,
    Cases, Trial,
    world::{World, added, message, removed, role, standing},
};
use crate::{
    model::{Body, ConversationId, Role},
    store::{Only, Page, Refusal, Write},
};

pub(super) fn cases() -> Cases {
    cases!["concurrency":
        many_writers_leave_no_gap_in_one_conversation,
        many_writers_leave_no_gap_in_many_conversations,
        whatever_is_answered_stands_where_it_was_said,
        an_answer_comes_before_what_is_asked_later,
        one_key_from_many_tasks_is_one_event,
        one_key_with_many_bodies_is_one_event,
        batches_over_the_same_conversations_do_not_block_each_other,
        a_reader_sees_all_below_what_it_sees,
        a_page_has_no_hole_while_others_write,
        of_two_last_owners_one_stays,
        whoever_may_write_is_a_member_in_the_log,
        a_summary_fits_together_while_others_write,
        a_dropped_write_happened_wholly_or_not_at_all,
        a_dropped_read_disturbs_nobody,
    ]
}

fn spawn<R, T>(w: &World, count: u64, task: T) -> Vec<JoinHandle<R::Output>>
where
    T: Fn(World, u64) -> R,
    R: Future + Send + 'static,
    R::Output: Send,
{
    (0..count).map(|n| tokio::spawn(task(w.share(), n))).collect()
}

async fn all<T>(tasks: Vec<JoinHandle<T>>) -> Vec<T> {
    let mut results = Vec::new();
    for task in tasks {
        results.push(task.await.expect("no task panics"));
    }
    results
}

async fn many_writers_leave_no_gap_in_one_conversation(trial: Trial) {
    let w = trial.world().await;
    let id = w.group(&["ann"]).await;
    let tasks = spawn(&w, 16, move |w, task| async move {
        for n in 0..20 {
            w.say(id, "ann", &format!("{task}-{n}")).await;
        }
    });
    all(tasks).await;
    assert_eq!(w.log(id).await.len(), 321);
    assert_eq!(w.head(id).await, 321);
}

async fn many_writers_leave_no_gap_in_many_conversations(trial: Trial) {
    let w = trial.world().await;
    let mut ids = Vec::new();
    for _ in 0..8 {
        ids.push(w.group(&["ann"]).await);
    }
    let groups = ids.clone();
    let tasks = spawn(&w, 16, move |w, task| {
        let ids = groups.clone();
        async move {
            for n in 0..20_u64 {
                let id = ids[usize::try_from((task * 3 + n) % 8).expect("is small")];
                w.say(id, "ann", "hi").await;
            }
        }
    });
    all(tasks).await;
    let mut total = 0;
    for id in ids {
        total += w.log(id).await.len() - 1;
    }
    assert_eq!(total, 320);
}

async fn whatever_is_answered_stands_where_it_was_said(trial: Trial) {
    let w = trial.world().await;
    let id = w.group(&["ann", "bob"]).await;
    let tasks = spawn(&w, 8, move |w, task| async move {
        let by = if task % 2 == 0 { "ann" } else { "bob" };
        let mut answers = Vec::new();
        for n in 0..10 {
            let key = format!("{task}-{n}");
            let batch = [w.keyed(id, by, &key, "keyed"), w.append(id, by, message(&key))]
                .map(Write::Append);
            for written in w.batch(batch.into()).await {
                answers.push(standing(written).expect("a member may").0);
            }
        }
        answers
    });
    let answers: Vec<_> = all(tasks).await.into_iter().flatten().collect();
    let log = w.log(id).await;
    assert_eq!(log.len(), answers.len() + 1);
    for event in &answers {
        let index = usize::try_from(event.seq.get() - 1).expect("is small");
        assert_eq!(log.get(index), Some(event));
    }
    let places: BTreeSet<_> = answers.iter().map(|event| event.seq).collect();
    assert_eq!(places.len(), answers.len(), "no place is given twice");
}

async fn an_answer_comes_before_what_is_asked_later(trial: Trial) {
    let w = trial.world().await;
    let id = w.group(&["ann"]).await;
    let tasks = spawn(&w, 8, move |w, _| async move {
        let mut last = 1;
        for _ in 0..20 {
            let seq = w.say(id, "ann", "hi").await.seq.get();
            assert!(seq > last, "{seq} was asked for after {last} was answered");
            assert!(w.head(id).await >= seq, "the head is not behind an answer");
            last = seq;
        }
    });
    all(tasks).await;
}

async fn one_key_from_many_tasks_is_one_event(trial: Trial) {
    let w = trial.world().await;
    let id = w.group(&["ann"]).await;
    for round in 0..10 {
        let tasks = spawn(&w, 16, move |w, _| async move {
            w.write(w.keyed(id, "ann", &format!("k{round}"), "hi")).await.expect("it stands")
        });
        let answers = all(tasks).await;
        assert_eq!(answers.iter().filter(|(_, fresh)| *fresh).count(), 1, "one is fresh");
        let places: BTreeSet<_> = answers.iter().map(|(event, _)| event.seq).collect();
        assert_eq!(places.len(), 1, "all are told the same place");
    }
    assert_eq!(w.log(id).await.len(), 11);
}

async fn one_key_with_many_bodies_is_one_event(trial: Trial) {
    let w = trial.world().await;
    let id = w.group(&["ann"]).await;
    let tasks = spawn(&w, 16, move |w, task| async move {
        w.write(w.keyed(id, "ann", "k", &format!("text {task}"))).await
    });
    let answers = all(tasks).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
    let conflicts = answers.iter().filter(|answer| **answer == Err(Refusal::KeyConflict));
    assert_eq!(conflicts.count(), 15);
    assert_eq!(w.log(id).await.len(), 2);
}

async fn batches_over_the_same_conversations_do_not_block_each_other(trial: Trial) {
    let w = trial.world().await;
    let mut ids: Vec<ConversationId> = Vec::new();
    for _ in 0..4 {
        ids.push(w.group(&["ann"]).await);
    }
    let groups = ids.clone();
    // Each task takes the conversations in another order: who locks one after the other must sort.
    let tasks = spawn(&w, 8, move |w, task| {
        let mut ids = groups.clone();
        ids.rotate_left(usize::try_from(task % 4).expect("is small"));
        if task >= 4 {
            ids.reverse();
        }
        async move {
            for _ in 0..15 {
                let batch = ids.iter().map(|id| Write::Append(w.append(*id, "ann", message("hi"))));
                for written in w.batch(batch.collect()).await {
                    standing(written).expect("a member may");
                }
            }
        }
    });
    all(tasks).await;
    for id in ids {
        assert_eq!(w.log(id).await.len(), 121);
    }
}

/// How often a case looks, and how many batches others write meanwhile, at the least.
const LOOKS_MIN: u64 = 100;
const BATCHES_MIN: u64 = 200;
/// How many batches one writer writes at most, if the looks take so long.
const BATCHES_MAX: u64 = 2_000;

/// Tasks that write one batch after the other while somebody looks.
pub(super) struct Busy {
    tasks: Vec<JoinHandle<()>>,
    written: Arc<AtomicU64>,
    enough: Arc<AtomicBool>,
    looks: u64,
}

impl Busy {
    pub(super) fn begin(
        w: &World,
        tasks: u64,
        batch: impl Fn(&World) -> Vec<Write> + Copy + Send + 'static,
    ) -> Self {
        let written = Arc::new(AtomicU64::new(0));
        let enough = Arc::new(AtomicBool::new(false));
        let (count, told) = (Arc::clone(&written), Arc::clone(&enough));
        let tasks = spawn(w, tasks, move |w, _| {
            let (count, told) = (Arc::clone(&count), Arc::clone(&told));
            async move {
                for _ in 0..BATCHES_MAX {
                    if told.load(Ordering::Relaxed) {
                        break;
                    }
                    w.batch(batch(&w)).await;
                    count.fetch_add(1, Ordering::Relaxed);
                    // A store that never waits lets nobody else have the thread.
                    tokio::task::yield_now().await;
                }
            }
        });
        Self { tasks, written, enough, looks: 0 }
    }

    /// Whether to look once more.
    pub(super) async fn goes_on(&mut self) -> bool {
        tokio::task::yield_now().await;
        self.looks += 1;
        self.looks <= LOOKS_MIN
            || (self.written.load(Ordering::Relaxed) < BATCHES_MIN
                && self.tasks.iter().any(|task| !task.is_finished()))
    }

    /// Ends the writers.
    pub(super) async fn end(self) {
        self.enough.store(true, Ordering::Relaxed);
        all(self.tasks).await;
    }
}

/// Looks again and again while others write to a conversation.
async fn while_others_write<R: Future<Output = ()>>(
    w: &World,
    id: ConversationId,
    look: impl Fn() -> R,
) {
    let say = move |w: &World| vec![Write::Append(w.append(id, "ann", message("hi")))];
    let mut busy = Busy::begin(w, 4, say);
    while busy.goes_on().await {
        look().await;
    }
    busy.end().await;
    look().await;
}

async fn a_reader_sees_all_below_what_it_sees(trial: Trial) {
    let w = trial.world().await;
    let id = w.group(&["ann", "bob"]).await;
    while_others_write(&w, id, async || {
        let head = w.head(id).await;
        let after = head.saturating_sub(150);
        let read = w.tail("bob", id, after, head).await.expect("a member reads");
        let numbers: Vec<u64> = read.iter().map(|event| event.seq.get()).collect();
        assert_eq!(
            numbers,
            (after + 1..=head).collect::<Vec<_>>(),
            "up to the head nothing is missing"
        );
    })
    .await;
}

async fn a_page_has_no_hole_while_others_write(trial: Trial) {
    let w = trial.world().await;
    let id = w.group(&["ann", "bob"]).await;
    while_others_write(&w, id, async || {
        let page = w.page_for("bob", id, Page::Newest, Only::Everything, 20).await;
        let page = page.expect("a member reads");
        let first = page.events[0].seq.get();
        let numbers: Vec<u64> = page.events.iter().map(|event| event.seq.get()).collect();
        assert_eq!(numbers, (first..first + numbers.len() as u64).collect::<Vec<_>>());
        assert_eq!(page.more_before, first > 1);
        assert!(!page.more_after, "the newest page is the newest at its moment");
    })
    .await;
}

async fn of_two_last_owners_one_stays(trial: Trial) {
    let w = trial.world().await;
    for _ in 0..10 {
        let id = w.group(&["ann", "bob", "eve"]).await;
        w.put(id, "ann", role("bob", Role::Owner)).await.expect("an owner names another");
        let tasks = spawn(&w, 2, move |w, task| async move {
            w.put(id, ["ann", "bob"][usize::from(task == 1)], Body::Left).await.map(|_| ())
        });
        let mut answers = all(tasks).await;
        answers.sort_by_key(Result::is_err);
        assert_eq!(answers, [Ok(()), Err(Refusal::LastOwner)]);
        let owners = w.roles(id).await.into_iter().filter(|(_, role)| *role == Role::Owner);
        assert_eq!(owners.count(), 1);
    }
}

async fn whoever_may_write_is_a_member_in_the_log(trial: Trial) {
    let w = trial.world().await;
    let id = w.group(&["ann", "bob"]).await;
    let talking = spawn(&w, 4, move |w, _| async move {
        for _ in 0..25 {
            // Refused while he is out.
            let _ = w.put(id, "bob", message("hi")).await;
        }
    });
    for _ in 0..15 {
        w.put(id, "ann", removed("bob")).await.expect("an owner removes");
        w.put(id, "ann", added(&["bob"])).await.expect("an owner adds");
    }
    all(talking).await;
    let mut inside = true;
    for event in w.log(id).await {
        match &event.body {
            Body::Removed { .. } => inside = false,
            Body::Added { .. } => inside = true,
            Body::Message(_) => assert!(inside, "{} was written from outside", event.seq),
            _ => {}
        }
    }
}

async fn a_summary_fits_together_while_others_write(trial: Trial) {
    let w = trial.world().await;
    let id = w.group(&["ann", "bob"]).await;
    while_others_write(&w, id, async || {
        let seen = w.summary("bob", id).await;
        let head = seen.head.get();
        assert_eq!(seen.unread, head - 1, "all but the first are unread messages");
        let last = seen.last.map_or(1, |last| last.seq.get());
        assert_eq!(last, head, "the last message is at the head");
    })
    .await;
}

async fn a_dropped_write_happened_wholly_or_not_at_all(trial: Trial) {
    let w = trial.world().await;
    let (one, two) = (w.group(&["ann"]).await, w.group(&["ann"]).await);
    for round in 0..20 {
        let key = format!("k{round}");
        let batch = || [one, two].map(|id| Write::Append(w.keyed(id, "ann", &key, "hi"))).to_vec();
        // Begun, polled a few times, and dropped.
        let mut polls = round % 4;
        {
            let mut write = pin!(w.store.write(batch()));
            std::future::poll_fn(|context| {
                if polls == 0 || write.as_mut().poll(context).is_ready() {
                    return Poll::Ready(());
                }
                polls -= 1;
                context.waker().wake_by_ref();
                Poll::Pending
            })
            .await;
        }
        let answers: Vec<_> =
            w.batch(batch()).await.into_iter().map(|one| standing(one).expect("stands")).collect();
        assert_eq!(answers[0].1, answers[1].1, "a batch is one commit");
        assert_eq!(answers[0].0.seq.get(), round + 2);
    }
    assert_eq!((w.log(one).await.len(), w.log(two).await.len()), (21, 21));
}

async fn a_dropped_read_disturbs_nobody(trial: Trial) {
    let w = trial.world().await;
    let id = w.group(&["ann"]).await;
    w.chatter(id, "ann", 50).await;
    for _ in 0..300 {
        let mut read = pin!(w.tail("ann", id, 0, u64::MAX));
        std::future::poll_fn(|context| {
            let _ = read.as_mut().poll(context);
            Poll::Ready(())
        })
        .await;
    }
    assert_eq!(w.log(id).await.len(), 51);
    w.say(id, "ann", "hi").await;
}
