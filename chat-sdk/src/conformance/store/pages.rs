//! Parts of a log: what a connection reads by number, and the pages that people turn.

use super::{
    super::report::cases,
    Cases, Trial,
    world::{SYSTEM, World, added, message, renamed, unknown},
};
use crate::{
    model::{ConversationId, Seq},
    store::{Only, Page},
};

pub(super) fn cases() -> Cases {
    cases!["pages":
        a_read_is_after_and_up_to,
        a_read_beyond_the_head_ends_there,
        a_read_of_nothing_is_empty,
        a_read_holds_at_most_its_limit_from_the_front,
        reads_joined_are_the_log,
        the_newest_page_is_the_end,
        the_newest_page_of_a_short_log_is_all_of_it,
        a_page_before_does_not_hold_the_place,
        before_the_beginning_is_nothing,
        before_a_place_beyond_the_head_is_the_end,
        a_page_after_does_not_hold_the_place,
        after_zero_is_the_beginning,
        after_the_head_is_nothing,
        a_page_around_holds_the_place_and_half_on_each_side,
        around_a_border_one_side_is_short,
        around_with_an_even_limit_holds_the_place,
        around_a_place_beyond_the_head_is_what_lies_before,
        a_page_of_one_holds_one,
        the_largest_limit_and_place_are_no_overflow,
        turning_back_shows_everything_once,
        turning_forward_shows_everything_once,
        a_page_of_messages_holds_nothing_else,
        pages_of_messages_count_messages_only,
        turning_pages_of_messages_shows_each_once,
        around_what_is_no_message_are_messages,
        without_messages_a_page_of_them_is_empty,
        a_member_sees_what_the_system_sees,
    ]
}

/// A group with this many events.
async fn log_of(w: &World, events: usize) -> ConversationId {
    let id = w.group(&["ann"]).await;
    w.chatter(id, "ann", events - 1).await;
    id
}

/// Messages stand at 3, 4, 7, 8, 11 and 12, something else at the others.
async fn mixed(w: &World) -> ConversationId {
    let id = w.group(&["ann"]).await;
    for n in 2..=13 {
        let body = match n % 4 {
            1 => renamed("Boats"),
            2 => unknown(r#"{"type":"poll"}"#),
            _ => message("hi"),
        };
        w.put(id, "ann", body).await.expect("an owner may");
    }
    id
}

fn span(from: u64, to: u64) -> Vec<u64> {
    (from..=to).collect()
}

async fn numbers(w: &World, id: ConversationId, after: u64, upto: u64) -> Vec<u64> {
    let read = w.tail("ann", id, after, upto).await.expect("a member reads");
    read.iter().map(|event| event.seq.get()).collect()
}

async fn a_read_is_after_and_up_to(trial: Trial) {
    let w = trial.world().await;
    let id = log_of(&w, 10).await;
    assert_eq!(numbers(&w, id, 0, 10).await, span(1, 10));
    assert_eq!(numbers(&w, id, 3, 7).await, span(4, 7));
    assert_eq!(numbers(&w, id, 9, 10).await, [10]);
    assert_eq!(numbers(&w, id, 0, 1).await, [1]);
}

async fn a_read_beyond_the_head_ends_there(trial: Trial) {
    let w = trial.world().await;
    let id = log_of(&w, 10).await;
    assert_eq!(numbers(&w, id, 8, 99).await, [9, 10]);
    assert_eq!(numbers(&w, id, 8, u64::MAX).await, [9, 10]);
}

async fn a_read_of_nothing_is_empty(trial: Trial) {
    let w = trial.world().await;
    let id = log_of(&w, 10).await;
    for (after, upto) in [(10, 10), (10, 99), (99, u64::MAX), (5, 5), (7, 3), (u64::MAX, 0), (0, 0)]
    {
        assert_eq!(numbers(&w, id, after, upto).await, [0; 0], "after {after} up to {upto}");
    }
}

async fn a_read_holds_at_most_its_limit_from_the_front(trial: Trial) {
    let w = trial.world().await;
    let id = log_of(&w, 10).await;
    for most in 1..=12 {
        let read = w.read("ann", id, 2, 10, most).await.expect("a member reads");
        let read: Vec<u64> = read.iter().map(|event| event.seq.get()).collect();
        assert!(!read.is_empty() && read.len() <= usize::from(most), "{read:?}");
        assert_eq!(read, span(3, 2 + read.len() as u64));
    }
}

async fn reads_joined_are_the_log(trial: Trial) {
    let w = trial.world().await;
    let id = log_of(&w, 50).await;
    for most in [1, 7, 49, 50, 51] {
        let mut all: Vec<u64> = Vec::new();
        while all.len() < 50 {
            let after = all.last().copied().unwrap_or(0);
            let read = w.read("ann", id, after, 50, most).await.expect("a member reads");
            assert!(!read.is_empty(), "there is more after {after}");
            all.extend(read.iter().map(|event| event.seq.get()));
        }
        assert_eq!(all, span(1, 50));
    }
}

async fn the_newest_page_is_the_end(trial: Trial) {
    let w = trial.world().await;
    let id = log_of(&w, 10).await;
    assert_eq!(w.page(id, Page::Newest, 3).await, (span(8, 10), true, false));
    assert_eq!(w.page(id, Page::Newest, 9).await, (span(2, 10), true, false));
}

async fn the_newest_page_of_a_short_log_is_all_of_it(trial: Trial) {
    let w = trial.world().await;
    let id = log_of(&w, 10).await;
    for most in [10, 11, 100] {
        assert_eq!(w.page(id, Page::Newest, most).await, (span(1, 10), false, false));
    }
}

async fn a_page_before_does_not_hold_the_place(trial: Trial) {
    let w = trial.world().await;
    let id = log_of(&w, 10).await;
    let before = |place| Page::Before(Seq::new(place));
    assert_eq!(w.page(id, before(7), 3).await, (span(4, 6), true, true));
    assert_eq!(w.page(id, before(7), 6).await, (span(1, 6), false, true));
    assert_eq!(w.page(id, before(2), 6).await, (vec![1], false, true));
    assert_eq!(w.page(id, before(10), 1).await, (vec![9], true, true));
}

async fn before_the_beginning_is_nothing(trial: Trial) {
    let w = trial.world().await;
    let id = log_of(&w, 10).await;
    for place in [0, 1] {
        let page = w.page(id, Page::Before(Seq::new(place)), 5).await;
        assert_eq!(page, (vec![], false, true), "before {place}");
    }
}

async fn before_a_place_beyond_the_head_is_the_end(trial: Trial) {
    let w = trial.world().await;
    let id = log_of(&w, 10).await;
    for place in [11, 12, 1_000, u64::MAX] {
        let page = w.page(id, Page::Before(Seq::new(place)), 5).await;
        assert_eq!(page, (span(6, 10), true, false), "before {place}");
    }
}

async fn a_page_after_does_not_hold_the_place(trial: Trial) {
    let w = trial.world().await;
    let id = log_of(&w, 10).await;
    let after = |place| Page::After(Seq::new(place));
    assert_eq!(w.page(id, after(4), 3).await, (span(5, 7), true, true));
    assert_eq!(w.page(id, after(4), 6).await, (span(5, 10), true, false));
    assert_eq!(w.page(id, after(9), 6).await, (vec![10], true, false));
}

async fn after_zero_is_the_beginning(trial: Trial) {
    let w = trial.world().await;
    let id = log_of(&w, 10).await;
    assert_eq!(w.page(id, Page::After(Seq::ZERO), 4).await, (span(1, 4), false, true));
    assert_eq!(w.page(id, Page::After(Seq::ZERO), 10).await, (span(1, 10), false, false));
}

async fn after_the_head_is_nothing(trial: Trial) {
    let w = trial.world().await;
    let id = log_of(&w, 10).await;
    for place in [10, 11, u64::MAX] {
        let page = w.page(id, Page::After(Seq::new(place)), 5).await;
        assert_eq!(page, (vec![], true, false), "after {place}");
    }
}

async fn a_page_around_holds_the_place_and_half_on_each_side(trial: Trial) {
    let w = trial.world().await;
    let id = log_of(&w, 20).await;
    let around = Page::Around(Seq::new(10));
    assert_eq!(w.page(id, around, 5).await, (span(8, 12), true, true));
    assert_eq!(w.page(id, around, 19).await, (span(1, 19), false, true));
    assert_eq!(w.page(id, around, 21).await, (span(1, 20), false, false));
}

async fn around_a_border_one_side_is_short(trial: Trial) {
    let w = trial.world().await;
    let id = log_of(&w, 20).await;
    let (first, more_before, more_after) = w.page(id, Page::Around(Seq::new(1)), 5).await;
    assert!(first.starts_with(&[1, 2, 3]) && first.len() <= 5 && !more_before && more_after);
    let (last, more_before, more_after) = w.page(id, Page::Around(Seq::new(20)), 5).await;
    assert!(last.ends_with(&[18, 19, 20]) && last.len() <= 5 && more_before && !more_after);
}

async fn around_with_an_even_limit_holds_the_place(trial: Trial) {
    let w = trial.world().await;
    let id = log_of(&w, 40).await;
    for most in [2, 4, 10, 20] {
        let (page, _, _) = w.page(id, Page::Around(Seq::new(20)), most).await;
        assert!(page.len() <= usize::from(most) && page.contains(&20), "{page:?}");
        assert_eq!(page, span(page[0], page[0] + page.len() as u64 - 1), "without a hole");
        let before = page.iter().filter(|seq| **seq < 20).count() as i64;
        let after = page.iter().filter(|seq| **seq > 20).count() as i64;
        assert!((before - after).abs() <= 1, "half on each side: {page:?}");
    }
}

async fn around_a_place_beyond_the_head_is_what_lies_before(trial: Trial) {
    let w = trial.world().await;
    let id = log_of(&w, 20).await;
    let (page, more_before, more_after) = w.page(id, Page::Around(Seq::new(500)), 5).await;
    assert!(page.ends_with(&[19, 20]) && more_before && !more_after, "{page:?}");
    let (page, more_before, more_after) = w.page(id, Page::Around(Seq::ZERO), 5).await;
    assert!(page.starts_with(&[1, 2]) && !more_before && more_after, "{page:?}");
}

async fn a_page_of_one_holds_one(trial: Trial) {
    let w = trial.world().await;
    let id = log_of(&w, 10).await;
    assert_eq!(w.page(id, Page::Newest, 1).await, (vec![10], true, false));
    assert_eq!(w.page(id, Page::Before(Seq::new(5)), 1).await, (vec![4], true, true));
    assert_eq!(w.page(id, Page::After(Seq::new(5)), 1).await, (vec![6], true, true));
    assert_eq!(w.page(id, Page::Around(Seq::new(5)), 1).await, (vec![5], true, true));
}

async fn the_largest_limit_and_place_are_no_overflow(trial: Trial) {
    let w = trial.world().await;
    let id = log_of(&w, 10).await;
    let all = (span(1, 10), false, false);
    for page in [Page::Newest, Page::Before(Seq::MAX), Page::After(Seq::ZERO)] {
        assert_eq!(w.page(id, page, u16::MAX).await, all);
    }
    assert_eq!(w.page(id, Page::Around(Seq::new(5)), u16::MAX).await, all);
    assert_eq!(w.page(id, Page::Around(Seq::MAX), u16::MAX).await, all);
}

async fn turning_back_shows_everything_once(trial: Trial) {
    let w = trial.world().await;
    let id = log_of(&w, 53).await;
    for most in [1, 10, 53] {
        let (mut all, mut more, _) = w.page(id, Page::Newest, most).await;
        while more {
            let (page, more_before, more_after) =
                w.page(id, Page::Before(Seq::new(all[0])), most).await;
            assert!(more_after && !page.is_empty());
            all.splice(0..0, page);
            more = more_before;
        }
        assert_eq!(all, span(1, 53));
    }
}

async fn turning_forward_shows_everything_once(trial: Trial) {
    let w = trial.world().await;
    let id = log_of(&w, 53).await;
    for most in [1, 10, 53] {
        let (mut all, _, mut more) = w.page(id, Page::After(Seq::ZERO), most).await;
        while more {
            let last = Seq::new(*all.last().expect("a page that is not the last"));
            let (page, more_before, more_after) = w.page(id, Page::After(last), most).await;
            assert!(more_before && !page.is_empty());
            all.extend(page);
            more = more_after;
        }
        assert_eq!(all, span(1, 53));
    }
}

async fn a_page_of_messages_holds_nothing_else(trial: Trial) {
    let w = trial.world().await;
    let id = mixed(&w).await;
    assert_eq!(w.messages(id, Page::Newest, 100).await, (vec![3, 4, 7, 8, 11, 12], false, false));
    assert_eq!(w.messages(id, Page::Newest, 3).await, (vec![8, 11, 12], true, false));
}

async fn pages_of_messages_count_messages_only(trial: Trial) {
    let w = trial.world().await;
    let id = mixed(&w).await;
    let (before, after) = (|n| Page::Before(Seq::new(n)), |n| Page::After(Seq::new(n)));
    // Others lie before 3 and after 12, but no messages.
    assert_eq!(w.messages(id, before(7), 2).await, (vec![3, 4], false, true));
    assert_eq!(w.messages(id, before(9), 2).await, (vec![7, 8], true, true));
    assert_eq!(w.messages(id, before(3), 2).await, (vec![], false, true));
    assert_eq!(w.messages(id, before(14), 2).await, (vec![11, 12], true, false));
    assert_eq!(w.messages(id, before(13), 2).await, (vec![11, 12], true, false));
    assert_eq!(w.messages(id, after(8), 2).await, (vec![11, 12], true, false));
    assert_eq!(w.messages(id, after(4), 2).await, (vec![7, 8], true, true));
    assert_eq!(w.messages(id, after(2), 9).await, (vec![3, 4, 7, 8, 11, 12], false, false));
    assert_eq!(w.messages(id, after(12), 2).await, (vec![], true, false));
}

async fn turning_pages_of_messages_shows_each_once(trial: Trial) {
    let w = trial.world().await;
    let id = mixed(&w).await;
    let (mut all, mut more, _) = w.messages(id, Page::Newest, 2).await;
    while more {
        let (page, more_before, _) = w.messages(id, Page::Before(Seq::new(all[0])), 2).await;
        all.splice(0..0, page);
        more = more_before;
    }
    assert_eq!(all, [3, 4, 7, 8, 11, 12]);
}

async fn around_what_is_no_message_are_messages(trial: Trial) {
    let w = trial.world().await;
    let id = mixed(&w).await;
    let (page, more_before, more_after) = w.messages(id, Page::Around(Seq::new(6)), 3).await;
    assert!(page.contains(&4) && page.contains(&7) && page.len() <= 3, "{page:?}");
    assert!(more_before && more_after);
    let (page, ..) = w.messages(id, Page::Around(Seq::new(7)), 3).await;
    assert_eq!(page, [4, 7, 8]);
}

async fn without_messages_a_page_of_them_is_empty(trial: Trial) {
    let w = trial.world().await;
    let id = w.group(&["ann"]).await;
    w.put(id, "ann", added(&["bob"])).await.expect("an owner adds");
    let places = [Page::Newest, Page::Before(Seq::new(2)), Page::After(Seq::ZERO)];
    for page in places.into_iter().chain([Page::Around(Seq::new(1))]) {
        assert_eq!(w.messages(id, page, 9).await, (vec![], false, false), "{page:?}");
    }
}

async fn a_member_sees_what_the_system_sees(trial: Trial) {
    let w = trial.world().await;
    let id = mixed(&w).await;
    for only in [Only::Everything, Only::Messages] {
        for page in [Page::Newest, Page::Before(Seq::new(9)), Page::Around(Seq::new(7))] {
            let member = w.page_for("ann", id, page, only, 5).await;
            assert!(member.is_some());
            assert_eq!(member, w.page_for(SYSTEM, id, page, only, 5).await);
        }
    }
}
