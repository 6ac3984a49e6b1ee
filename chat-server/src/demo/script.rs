//! What alice, bob and carol have been talking about: a few exchanges that were written down, with
//! small talk between them that is put together from parts, always in the same way.

use std::time::Duration;

/// Something somebody said.
#[derive(Debug, Clone)]
pub(super) struct Line {
    /// Which member: 0 is alice, 1 bob, 2 carol.
    pub(super) by: usize,
    /// How long before now.
    pub(super) ago: Duration,
    pub(super) text: String,
}

/// Lines at the end that alice has not read yet, all by others.
pub(super) const UNREAD: u64 = 3;

/// Lines of the group: enough for a virtual list, a search and a long way up.
const GROUP_LINES: usize = 900;
/// Lines between alice and bob.
const DIRECT_LINES: usize = 160;

const THINGS: &[&str] = &[
    "the blue boat",
    "the trailer",
    "the rope locker",
    "the kettle in the shed",
    "the rota",
    "the jetty",
    "the spare oars",
    "the life jackets",
    "the lamp over the door",
    "the padlock",
    "the regatta form",
    "the slipway",
    "the bilge pump",
    "the varnish",
    "the notice board",
    "the second key",
];
const NEWS: &[&str] = &[
    "is back where it belongs",
    "needs another look",
    "is dry now",
    "was behind the stove all along",
    "squeaks again",
    "is done, finally",
    "is somebody else's problem until Monday",
    "looks better than last year",
    "is missing a screw",
    "is booked for Saturday",
    "is heavier than I remember",
    "passed the inspection",
];
const ANSWERS: &[&str] = &[
    "Good.",
    "I can do that on the way home.",
    "Wasn't that fixed in spring?",
    "Thank you!! 🙏",
    "👍",
    "Let me ask my neighbour, he has the right tool.",
    "Not before the weekend, sorry.",
    "Ha, of course it is.",
    "Take a photo next time, please.",
    "I'll put it on the list.",
    "Who has the key?",
    "Same as last year then.",
    "Count me in.",
    "Is that the short one or the long one?",
    "Fine with me.",
    "Let us talk on Thursday.",
];
const QUESTIONS: &[&str] = &[
    "Does anybody know about",
    "Who looked after",
    "Can somebody check",
    "Did we ever decide about",
    "What happened to",
    "Shall I buy something for",
];

/// Said in the group at these places instead of small talk.
const GROUP_MOMENTS: &[(usize, usize, &str)] = &[
    (0, 0, "Hello both. I made this so that we stop losing things in three different threads."),
    (1, 2, "About time 😄"),
    (2, 1, "Present. What is the first order of business?"),
    (3, 0, "The plan for the season:\n\n1. boats into the water\n2. everything else\n3. cake"),
    (240, 2, "For the record, the combination of the shed is on the board *inside* the shed."),
    (241, 1, "That is the most us thing I have read all week."),
    (
        430,
        1,
        "Tide table for the weekend: Sat 06:12 and 18:40, Sun 07:01 and 19:27. The second one is the comfortable one.",
    ),
    (431, 0, "Sunday evening it is. I bring soup, who brings bowls?"),
    (432, 2, "Bowls: me. Also spoons, because I remember last time 🥄"),
    (
        700,
        2,
        "A longer one, because somebody asked how the pump works.\n\nThe float lifts when there is water, and that closes the switch. If it runs dry for more than a minute, something is stuck under the float; usually a leaf. Turn it off at the box, take the two screws out, lift the lid straight up (not sideways, ask me how I know), and remove the leaf. Then put it all back in the other order.",
    ),
    (701, 0, "Printed and pinned up. Thank you, Carol."),
];
/// The last lines, and how many minutes before now.
const GROUP_END: &[(usize, u64, &str)] = &[
    (0, 95, "Weather looks kind for the weekend. Shall we try the long way round the island?"),
    (2, 41, "Yes please. I can be there at nine."),
    (1, 12, "Nine works. I will check the trailer lights before."),
    (2, 4, "And I bring the coffee ☕"),
];
const DIRECT_END: &[(usize, u64, &str)] = &[
    (0, 180, "Did the parcel arrive?"),
    (1, 64, "It did, thank you! It fits exactly."),
    (1, 63, "I owe you one."),
    (1, 7, "Lunch on Friday?"),
];

pub(super) fn group() -> Vec<Line> {
    script(GROUP_LINES, 3, GROUP_MOMENTS, GROUP_END)
}

pub(super) fn direct() -> Vec<Line> {
    script(DIRECT_LINES, 2, &[], DIRECT_END)
}

fn script(
    lines: usize,
    members: usize,
    moments: &[(usize, usize, &str)],
    end: &[(usize, u64, &str)],
) -> Vec<Line> {
    let mut dice = Dice(lines as u64);
    let talk = lines - end.len();
    let mut by = 0;
    let mut told: Vec<Line> = (0..talk)
        .map(|number| {
            let moment = moments.iter().find(|(at, _, _)| *at == number);
            // Mostly somebody answers; now and then one person says two things in a row.
            by = match moment {
                Some((_, by, _)) => *by,
                None if dice.roll(4) == 0 => by,
                None => (by + 1 + dice.roll(members - 1)) % members,
            };
            let text =
                moment.map_or_else(|| small_talk(&mut dice), |(_, _, text)| (*text).to_owned());
            // About three weeks, in bursts of five lines a couple of minutes apart.
            let minutes = (talk - number) / 5 * 170 + 120 + (4 - number % 5) * 2;
            Line { by, ago: Duration::from_secs(minutes as u64 * 60), text }
        })
        .collect();
    told.extend(end.iter().map(|(by, minutes, text)| Line {
        by: *by,
        ago: Duration::from_secs(minutes * 60),
        text: (*text).to_owned(),
    }));
    // Whatever the numbers above are: nobody answers before the question.
    let mut earliest = Duration::MAX;
    for line in &mut told {
        line.ago = line.ago.min(earliest);
        earliest = line.ago;
    }
    told
}

fn small_talk(dice: &mut Dice) -> String {
    let thing = dice.pick(THINGS);
    match dice.roll(3) {
        0 => dice.pick(ANSWERS).to_owned(),
        1 => format!("{} {thing}?", dice.pick(QUESTIONS)),
        _ => {
            let news = format!("{thing} {}.", dice.pick(NEWS));
            news[..1].to_uppercase() + &news[1..]
        }
    }
}

/// The same throws every time (a linear congruential generator, of which the high bits are good).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % sides
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.roll(from.len())]
    }
}
