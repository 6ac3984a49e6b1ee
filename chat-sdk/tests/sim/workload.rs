//! What a device does next.

use super::rng::Rng;

/// A user who is a member of nothing and asks all the same.
pub const STRANGER: &str = "eve";

/// The ways of a town, drawn once a run.
#[derive(Debug, Clone, Copy)]
pub struct Habits {
    /// Milliseconds between two actions of a device, at most.
    pub pause: u64,
    /// Whether anybody disconnects or stops reading by themselves.
    pub restless: bool,
    /// Whether groups change.
    pub moving: bool,
    /// Whether everybody talks much.
    pub crowded: bool,
}

impl Habits {
    pub fn draw(rng: &mut Rng, crowded: bool) -> Self {
        let pause = *rng.pick(&[300, 600, 1200]);
        let (restless, moving) = (rng.chance(700), rng.chance(700));
        if crowded {
            return Self { pause: 300, restless: true, moving, crowded };
        }
        Self { pause, restless, moving, crowded }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// So many messages at once.
    Send(u64),
    Mark,
    Summary,
    Page,
    Messages,
    /// Edits, deletes, reacts, pins.
    Amend,
    Members,
    Sync,
    Typing,
    /// Does not read for so many milliseconds.
    Pause(u64),
    /// Goes away without a word.
    Disconnect,
    /// Opens a group.
    Group,
    /// Adds, removes, leaves, makes an owner.
    Change,
}

pub fn next(rng: &mut Rng, habits: &Habits, stranger: bool) -> Action {
    if stranger {
        let asks = [
            Action::Send(1),
            Action::Mark,
            Action::Summary,
            Action::Page,
            Action::Messages,
            Action::Amend,
            Action::Members,
            Action::Sync,
            Action::Typing,
            Action::Change,
        ];
        return *rng.pick(&asks);
    }
    match rng.below(1000) {
        0..200 if habits.crowded => Action::Send(rng.between(5, 25)),
        0..430 => Action::Send(1),
        430..490 => Action::Amend,
        490..520 => Action::Messages,
        520..540 => Action::Send(rng.between(5, 25)),
        540..690 => Action::Mark,
        690..750 => Action::Summary,
        750..790 => Action::Page,
        790..800 => Action::Members,
        800..830 => Action::Sync,
        830..860 => Action::Typing,
        // Long enough to miss more than a node keeps.
        860..890 if habits.crowded => Action::Pause(rng.between(4_000, 9_000)),
        860..890 if habits.restless => Action::Pause(rng.between(200, 4_500)),
        890..920 if habits.restless => Action::Disconnect,
        920..930 => Action::Group,
        930..980 if habits.moving => Action::Change,
        _ => Action::Send(1),
    }
}
