//! The people who are connected: a talk on each socket, and what they hear, told to the scenario that
//! is played. Knows neither which server it is nor what is played.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};

use crate::{
    dialect::{Dialect, Heard, Person, Sign, Talk, Target},
    engine::{Calls, Ended, Engine, Id, Sockets, Traffic},
    machine::has_own_core,
    stamp::Stamp,
};

/// For everybody to get in, at the slowest server that is worth a measurement.
const PATIENCE: Duration = Duration::from_secs(300);
/// Before somebody who was refused tries again, as a server that is busy asks for.
const PAUSE: Duration = Duration::from_millis(500);
/// Refusals in all, in proportion to the people, after which it is no accident.
const REFUSALS_PER_PERSON_MAX: usize = 20;

/// What is played with a crowd.
pub(crate) trait Play {
    /// Somebody heard something; it was `now` when the bytes were read.
    fn heard(&mut self, voice: &mut dyn Voice, who: usize, heard: &Heard, now: Instant);
}

/// What a play can do: have somebody say something.
pub(crate) trait Voice {
    /// On this person's connection; nothing, if it has ended.
    fn send(&mut self, who: usize, to: &Target, stamp: Stamp, size: usize);
}

/// Everybody who is connected, by their number in the order they were asked in.
pub(crate) struct Crowd {
    engine: Engine,
    cast: Cast,
    heartbeat: Option<Duration>,
    /// On whose which connection a sign of life is due when; in this order.
    beats: VecDeque<(Instant, usize, u32)>,
}

struct Cast {
    members: Vec<Member>,
    /// Whose socket it is.
    owners: Vec<usize>,
    ready: usize,
    /// For what is written, and for what is heard, one connection at a time.
    out: Vec<u8>,
    heard: Vec<Heard>,
}

struct Member {
    /// `None`: never came.
    talk: Option<Box<dyn Talk>>,
    /// What opens the connection, until it is said.
    opening: Vec<u8>,
    state: State,
    /// How often they came.
    visits: u32,
}

enum State {
    /// Nobody answers any more.
    Away,
    Coming(Id),
    Ready(Id),
}

impl Member {
    fn socket(&self) -> Option<Id> {
        match self.state {
            State::Away => None,
            State::Coming(id) | State::Ready(id) => Some(id),
        }
    }
}

/// The voices of those who are connected.
struct Lines<'a> {
    sockets: &'a mut Sockets,
    cast: &'a mut Cast,
}

impl Voice for Lines<'_> {
    fn send(&mut self, who: usize, to: &Target, stamp: Stamp, size: usize) {
        let member = &mut self.cast.members[who];
        let (Some(id), Some(talk)) = (member.socket(), &mut member.talk) else { return };
        self.cast.out.clear();
        talk.send(to, stamp, size, &mut self.cast.out);
        self.sockets.write(id, &self.cast.out);
    }
}

/// One who wants in.
pub(crate) struct Guest<'a> {
    pub(crate) person: &'a Person,
    /// The server they go to.
    pub(crate) address: SocketAddr,
    /// Groups they follow.
    pub(crate) follows: &'a [String],
}

impl Crowd {
    /// Room for so many people, none of whom is there.
    pub(crate) fn new(dialect: &dyn Dialect, people: usize) -> anyhow::Result<Self> {
        let absent = || Member { talk: None, opening: Vec::new(), state: State::Away, visits: 0 };
        let cast = Cast {
            members: std::iter::repeat_with(absent).take(people).collect(),
            owners: Vec::new(),
            ready: 0,
            out: Vec::new(),
            heard: Vec::new(),
        };
        Ok(Self {
            engine: Engine::new(has_own_core())?,
            cast,
            heartbeat: dialect.heartbeat(),
            beats: VecDeque::new(),
        })
    }

    /// Everybody, as soon as all are ready; `in_flight` at a time are on the way in.
    pub(crate) fn gather(
        dialect: &dyn Dialect,
        guests: &[Guest<'_>],
        in_flight: usize,
    ) -> anyhow::Result<Self> {
        let mut crowd = Self::new(dialect, guests.len())?;
        let deadline = Instant::now() + PATIENCE;
        let mut arrivals = Arrivals::default();
        let mut waiting: VecDeque<(Instant, usize)> =
            (0..guests.len()).map(|who| (Instant::now(), who)).collect();
        let mut coming = 0;
        while crowd.cast.ready < guests.len() {
            while coming < in_flight
                && let Some((from, who)) = waiting.front().copied()
                && from <= Instant::now()
            {
                waiting.pop_front();
                crowd.come(who, dialect, &guests[who])?;
                coming += 1;
            }
            let until = Instant::now() + Duration::from_millis(100);
            crowd.turn(until.min(deadline), &mut arrivals)?;
            coming -= arrivals.ready.len() + arrivals.refused.len();
            for who in arrivals.ready.drain(..) {
                crowd.expect_beat(who);
            }
            for (who, why) in arrivals.refused.drain(..) {
                arrivals.refusals += 1;
                if arrivals.refusals > guests.len() * REFUSALS_PER_PERSON_MAX {
                    bail!("nobody gets in any more: {why}");
                }
                waiting.push_back((Instant::now() + PAUSE, who));
                arrivals.last = why;
            }
            if Instant::now() > deadline {
                let (ready, all) = (crowd.cast.ready, guests.len());
                bail!("only {ready} of {all} got in within {PATIENCE:?}: {}", arrivals.last);
            }
        }
        Ok(crowd)
    }

    /// Opens a connection of somebody who has none.
    pub(crate) fn come(
        &mut self,
        who: usize,
        dialect: &dyn Dialect,
        guest: &Guest<'_>,
    ) -> anyhow::Result<()> {
        assert!(self.cast.members[who].socket().is_none(), "{who} has a connection already");
        let id = self.engine.sockets().connect(guest.address).context("a socket")?;
        let owners = &mut self.cast.owners;
        if owners.len() <= id.0 {
            owners.resize(id.0 + 1, usize::MAX);
        }
        owners[id.0] = who;
        let member = &mut self.cast.members[who];
        member.opening.clear();
        member.talk = Some(dialect.open(guest.person, guest.follows, &mut member.opening));
        member.state = State::Coming(id);
        member.visits = member.visits.wrapping_add(1);
        Ok(())
    }

    /// Ends somebody's connection with a reset.
    pub(crate) fn leave(&mut self, who: usize) {
        let member = &mut self.cast.members[who];
        if let Some(id) = member.socket() {
            self.engine.sockets().reset(id);
        }
        if matches!(member.state, State::Ready(_)) {
            self.cast.ready -= 1;
        }
        member.state = State::Away;
    }

    /// Gives signs of life on somebody's connection from now on, for as long as that lasts.
    pub(crate) fn expect_beat(&mut self, who: usize) {
        if let Some(heartbeat) = self.heartbeat {
            let visit = self.cast.members[who].visits;
            self.beats.push_back((Instant::now() + heartbeat, who, visit));
        }
    }

    /// Gives a sign of life at once.
    pub(crate) fn beat(&mut self, who: usize) {
        self.utter(who, |talk, out| talk.beat(out));
    }

    /// Has somebody show something without a message.
    pub(crate) fn sign(&mut self, who: usize, conversation: &str, sign: Sign) {
        self.utter(who, |talk, out| talk.sign(conversation, sign, out));
    }

    /// Has somebody end their connection in good order; that it has ended is heard.
    pub(crate) fn say_goodbye(&mut self, who: usize) {
        self.utter(who, |talk, out| talk.say_goodbye(out));
    }

    fn utter(&mut self, who: usize, say: impl FnOnce(&mut dyn Talk, &mut Vec<u8>)) {
        let member = &mut self.cast.members[who];
        if let (State::Ready(id), Some(talk)) = (&member.state, &mut member.talk) {
            let id = *id;
            self.cast.out.clear();
            say(&mut **talk, &mut self.cast.out);
            self.engine.sockets().write(id, &self.cast.out);
        }
    }

    /// Waits until something is heard, at most until this moment, and has it played.
    pub(crate) fn turn(&mut self, until: Instant, play: &mut impl Play) -> anyhow::Result<()> {
        let beat = self.beats.front().map_or(until, |(due, ..)| until.min(*due));
        self.engine.turn(beat, &mut Stage { cast: &mut self.cast, play })?;
        while let Some((due, who, visit)) = self.beats.front().copied()
            && due <= Instant::now()
        {
            self.beats.pop_front();
            let member = &self.cast.members[who];
            if matches!(member.state, State::Ready(_)) && member.visits == visit {
                self.beat(who);
                self.expect_beat(who);
            }
        }
        Ok(())
    }

    /// To say something between two turns.
    pub(crate) fn voice(&mut self) -> impl Voice {
        Lines { sockets: self.engine.sockets(), cast: &mut self.cast }
    }

    /// Reads and writes so far.
    pub(crate) fn calls(&mut self) -> Calls {
        self.engine.sockets().calls
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        for member in &self.cast.members {
            if let Some(id) = member.socket() {
                self.engine.sockets().reset(id);
            }
        }
    }
}

/// The way in: a play before the play.
#[derive(Default)]
struct Arrivals {
    ready: Vec<usize>,
    refused: Vec<(usize, String)>,
    refusals: usize,
    last: String,
}

impl Play for Arrivals {
    fn heard(&mut self, _voice: &mut dyn Voice, who: usize, heard: &Heard, _now: Instant) {
        match heard {
            Heard::Ready => self.ready.push(who),
            Heard::Refused(why) | Heard::Wrong(why) => self.last.clone_from(why),
            Heard::Closed(code) => {
                let why = format!("closed with {code} {}", self.last);
                self.refused.push((who, why));
            }
            // Of somebody who is in already.
            Heard::Delivered(_) | Heard::Acked(_) | Heard::Later(_) => {}
        }
    }
}

/// What happens to the sockets, as what their owners hear.
struct Stage<'a, P> {
    cast: &'a mut Cast,
    play: &'a mut P,
}

impl<P: Play> Traffic for Stage<'_, P> {
    fn opened(&mut self, sockets: &mut Sockets, id: Id) {
        let member = &mut self.cast.members[self.cast.owners[id.0]];
        let opening = std::mem::take(&mut member.opening);
        sockets.write(id, &opening);
    }

    fn arrived(&mut self, sockets: &mut Sockets, id: Id, bytes: &[u8]) -> usize {
        let now = Instant::now();
        let who = self.cast.owners[id.0];
        let cast = &mut *self.cast;
        cast.out.clear();
        // Nobody's socket is there before they came.
        let Some(talk) = &mut cast.members[who].talk else { return bytes.len() };
        let mut heard = std::mem::take(&mut cast.heard);
        let taken = talk.read(bytes, &mut cast.out, &mut heard);
        if !cast.out.is_empty() {
            sockets.write(id, &cast.out);
        }
        for heard in heard.drain(..) {
            self.tell(sockets, who, id, &heard, now);
        }
        self.cast.heard = heard;
        taken
    }

    fn ended(&mut self, sockets: &mut Sockets, id: Id, why: Ended) {
        let who = self.cast.owners[id.0];
        let now = Instant::now();
        self.play.heard(
            &mut Lines { sockets, cast: self.cast },
            who,
            &Heard::Refused(why.to_string()),
            now,
        );
        self.tell(sockets, who, id, &Heard::Closed(0), now);
    }
}

impl<P: Play> Stage<'_, P> {
    fn tell(&mut self, sockets: &mut Sockets, who: usize, id: Id, heard: &Heard, now: Instant) {
        let member = &mut self.cast.members[who];
        match (heard, &member.state) {
            // Ended before, and said so.
            (Heard::Ready | Heard::Closed(_), State::Away) => return,
            (Heard::Ready, State::Coming(_) | State::Ready(_)) => {
                member.state = State::Ready(id);
                self.cast.ready += 1;
            }
            (Heard::Closed(_), State::Coming(_)) => {
                member.state = State::Away;
                sockets.reset(id);
            }
            (Heard::Closed(_), State::Ready(_)) => {
                member.state = State::Away;
                self.cast.ready -= 1;
                sockets.reset(id);
            }
            (
                Heard::Delivered(_)
                | Heard::Acked(_)
                | Heard::Later(_)
                | Heard::Refused(_)
                | Heard::Wrong(_),
                _,
            ) => {}
        }
        self.play.heard(&mut Lines { sockets, cast: self.cast }, who, heard, now);
    }
}
