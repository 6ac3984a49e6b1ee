//! Every limit of a node, with its unit and its reason.
//!
//! Whatever a peer can make a node hold, wait for or repeat is bounded by a number here. Knows no
//! other room; the relations between the numbers are checked by [`Limits::check`].

use std::time::Duration;

/// The limits of a node. Change what you need and keep the rest:
///
/// ```
/// use chat_sdk::Limits;
/// let limits = Limits { text_chars_max: 2_000, ..Limits::default() };
/// assert!(limits.check().is_ok());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    // --- HTTP ---
    /// Bytes of a request body. A message and its JSON escapes fit; nothing here is an upload.
    pub body_bytes_max: usize,
    /// Time for a whole body to arrive.
    pub body_timeout: Duration,

    // --- WebSocket ---
    /// Bytes of one incoming frame or message, fragments added up.
    pub frame_bytes_max: usize,
    /// Time from the upgrade to `hello`.
    pub hello_timeout: Duration,
    /// Sockets that are between upgrade and `welcome`, in the whole node: bounds what a storm of
    /// reconnects can make the store do at once.
    pub handshakes_max: usize,
    /// Those of them from one address (IPv6: one /64) of whom nobody knows yet who they are, because
    /// their token comes in `hello`: a stranger who says nothing keeps some of the places, not all.
    pub handshakes_per_address_max: usize,
    /// Live connections of users that a node lets in a second, over time, and as many at once after a
    /// pause: what a herd that reconnects may take from those who are there. Beyond, the upgrade is
    /// refused with 503, and clients come back by themselves, spread over some seconds; who was
    /// upgraded just before is closed as `overloaded`. Only who is authenticated counts.
    pub admissions_per_second: u32,
    /// Live connections of the whole node.
    pub connections_max: usize,
    /// Live connections of one user: every device and some tabs.
    pub connections_per_user_max: usize,
    /// Live connections from one address (IPv6: one /64). High, because offices and mobile
    /// networks put thousands behind one.
    pub connections_per_address_max: usize,
    /// How often a client pings. Proxies close idle connections after 60 s by default (nginx,
    /// AWS ALB), some mobile networks after 30 s.
    pub heartbeat: Duration,
    /// Malformed frames of one connection before it is closed.
    pub malformed_max: u32,
    /// Frames a second of one connection, of any kind, before it is closed as flooding; bursts of
    /// ten seconds' worth are allowed.
    pub frames_per_second: u32,

    // --- commands ---
    /// Bytes of a message's text.
    pub text_bytes_max: usize,
    /// Characters of a message's text.
    pub text_chars_max: usize,
    /// Sends a second of one user on this node, over time.
    pub sends_per_second: u32,
    /// Sends that may come at once after a pause.
    pub sends_burst: u32,
    /// Commands of one connection that are at work at a time; then it is read no further.
    pub commands_in_flight_max: usize,
    /// Files that one message may bring.
    pub files_per_message_max: usize,
    /// How often a client may repeat a typing signal.
    pub typing_interval: Duration,
    /// Users one connection may watch.
    pub watch_max: usize,
    /// Positions in one `hello`.
    pub positions_max: usize,
    /// Positions in one `ping`.
    pub ping_positions_max: usize,
    /// Members of one group.
    pub members_max: usize,
    /// Members of one channel, where most only read.
    pub channel_members_max: usize,
    /// Links to one conversation that were not revoked.
    pub links_max: usize,
    /// Users that can be named in one change of a group.
    pub users_per_change_max: usize,

    // --- files ---
    /// Bytes of one file.
    pub file_bytes_max: u64,
    /// Bytes of all files of one user together, until their messages are deleted.
    pub file_bytes_per_user_max: u64,
    /// Files of one user that wait for their message.
    pub files_waiting_max: u64,
    /// How long a file is kept that no message carries, since its last byte came. Also how old a blob
    /// without a file has to be before it is deleted.
    pub file_kept: Duration,
    /// Uploads that bring bytes to this node at the same time: each holds one piece (of up to 8 MiB
    /// where the blob store wants long ones). Beyond, they are refused as overloaded.
    pub uploads_at_once_max: usize,
    /// Those of them by one user.
    pub uploads_at_once_per_user_max: usize,
    /// Bytes of a picture that is looked at for its size and a small one of it.
    pub picture_bytes_max: u64,
    /// Pixels of a picture that is decoded: a phone's camera makes 12 to 50 million. Each takes up to
    /// eight bytes meanwhile, of one picture at a time.
    pub picture_pixels_max: u64,
    /// How long a signed address of a file holds at least; at most twice as long.
    pub file_address_valid: Duration,
    /// How often a node clears away files that nobody gets any more.
    pub file_collection: Duration,
    /// How often it also looks for blobs without a file, which takes a look at every blob there is.
    pub file_sweep: Duration,

    // --- catching up ---
    /// Missed events of one conversation that are replayed; beyond, the client is told to load
    /// the newest page instead.
    pub replay_max: u64,
    /// Events read from the store at once while catching up.
    pub replay_page: u16,
    /// Events a page of history may hold.
    pub page_max: u16,
    /// Events in a page of history if the request does not say.
    pub page_default: u16,

    // --- delivery ---
    /// Bytes that wait for one connection: a burst of a hundred long messages. Beyond, the
    /// connection is behind and catches up from the store when its socket drains.
    pub mailbox_bytes_max: usize,
    /// Time without any progress in writing before a connection is closed as slow.
    pub stall_timeout: Duration,
    /// Events a host's listener ([`Chat::events`](crate::Chat::events)) may lag behind before it is
    /// told that it missed some.
    pub events_backlog: usize,
    /// How often a node compares the heads of what is followed here with the store, in case the bus
    /// lost something without knowing.
    pub position_check: Duration,
    /// How often a node asks the store whether everybody connected here follows what they are a
    /// member of, in case the news of a membership was lost: one query for a thousand users, and
    /// one for each who came into a conversation or left one since.
    pub membership_check: Duration,
    /// How often live credentials are asked about again.
    pub credential_check: Duration,
    /// How long a node believes what another said of its users without hearing of it; each says
    /// three times as often that it lives.
    pub node_lease: Duration,
    /// How long a user still counts as online after their last connection ended: a reload or a
    /// change of network is no departure.
    pub presence_grace: Duration,

    // --- writing ---
    /// Writes that are committed together at most.
    pub commit_writes_max: usize,
    /// Writes that wait for a commit; then sends are refused as overloaded.
    pub commit_queue_max: usize,
    /// Time for one commit before the store counts as unavailable.
    pub store_timeout: Duration,

    // --- leaving ---
    /// How long before its end a credential is announced as expiring.
    pub expiry_notice: Duration,
    /// Over how long clients are told to move when a node drains, if the budget allows it.
    pub drain_window: Duration,
    /// Clients that all nodes of a chat together tell to move, a second, because they drain or have
    /// more than their share: what the nodes that stay
    /// can take in beside their work. A node with more than its share drains for longer, up to its
    /// deadline.
    pub moves_per_second: u32,

    // --- balance ---
    /// How much more than the mean of all nodes, in percent, one may hold before it tells its surplus
    /// to move: connections stay where they are, so a node that is added gets none of them by itself.
    /// Higher than what chance makes of a blind balancer. Zero: never.
    pub balance_above_percent: u32,
    /// How long it has to hold that much: longer than a new node takes until clients reach it, and
    /// than a herd takes to spread.
    pub balance_after: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes_max: 64 * 1024,
            body_timeout: Duration::from_secs(15),

            frame_bytes_max: 64 * 1024,
            hello_timeout: Duration::from_secs(10),
            handshakes_max: 512,
            handshakes_per_address_max: 256,
            admissions_per_second: 500,
            connections_max: 100_000,
            connections_per_user_max: 32,
            connections_per_address_max: 10_000,
            heartbeat: Duration::from_secs(25),
            malformed_max: 10,
            frames_per_second: 100,

            text_bytes_max: 16 * 1024,
            text_chars_max: 8_000,
            sends_per_second: 20,
            sends_burst: 60,
            commands_in_flight_max: 32,
            files_per_message_max: 10,
            typing_interval: Duration::from_secs(3),
            watch_max: 200,
            positions_max: 1_000,
            ping_positions_max: 100,
            members_max: 10_000,
            channel_members_max: 100_000,
            links_max: 100,
            users_per_change_max: 100,

            file_bytes_max: 100 * 1024 * 1024,
            file_bytes_per_user_max: 5 * 1024 * 1024 * 1024,
            files_waiting_max: 100,
            file_kept: Duration::from_secs(24 * 60 * 60),
            uploads_at_once_max: 64,
            uploads_at_once_per_user_max: 6,
            picture_bytes_max: 20 * 1024 * 1024,
            picture_pixels_max: 50_000_000,
            file_address_valid: Duration::from_secs(5 * 60),
            file_collection: Duration::from_secs(10 * 60),
            file_sweep: Duration::from_secs(6 * 60 * 60),

            replay_max: 1_000,
            replay_page: 100,
            page_max: 100,
            page_default: 50,

            mailbox_bytes_max: 256 * 1024,
            stall_timeout: Duration::from_secs(20),
            events_backlog: 4_096,
            position_check: Duration::from_secs(10),
            membership_check: Duration::from_secs(20),
            credential_check: Duration::from_secs(30),
            node_lease: Duration::from_secs(15),
            presence_grace: Duration::from_secs(5),

            commit_writes_max: 256,
            commit_queue_max: 4_096,
            store_timeout: Duration::from_secs(5),

            expiry_notice: Duration::from_secs(60),
            drain_window: Duration::from_secs(5),
            moves_per_second: 1_000,

            balance_above_percent: 25,
            balance_after: Duration::from_secs(60),
        }
    }
}

/// Limits that contradict each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("limits contradict each other: {0}")]
pub struct InvalidLimits(&'static str);

impl Limits {
    /// How many connections may come from the client before it counts as silent: 2.5 heartbeats.
    #[must_use]
    pub fn silence_max(&self) -> Duration {
        self.heartbeat * 5 / 2
    }

    /// Whether the numbers fit together.
    ///
    /// # Errors
    /// Names the relation that does not hold.
    pub fn check(&self) -> Result<(), InvalidLimits> {
        let relations = [
            // Every byte of a text may become six in JSON (\u0001), and the frame has a head.
            (
                self.text_bytes_max * 2 + 1024 <= self.frame_bytes_max,
                "a text must fit into a frame",
            ),
            (self.text_bytes_max * 2 + 1024 <= self.body_bytes_max, "a text must fit into a body"),
            (
                self.text_bytes_max * 7 + 1024 <= self.mailbox_bytes_max,
                "the longest event, escaped, must fit into an empty mailbox",
            ),
            (self.page_default <= self.page_max, "the default page must not exceed the largest"),
            (self.page_default > 0 && self.replay_page > 0, "a page must hold something"),
            (self.sends_per_second > 0 && self.sends_burst > 0, "somebody must be able to send"),
            (self.commands_in_flight_max > 0, "a command must be able to run"),
            (self.commit_writes_max > 0, "a commit must hold something"),
            (
                self.admissions_per_second > 0 && self.handshakes_per_address_max > 0,
                "somebody must be able to come in",
            ),
            (self.moves_per_second > 0, "somebody must be able to move"),
            (
                self.text_bytes_max * 7 + self.files_per_message_max * 2_048 + 1024
                    <= self.mailbox_bytes_max,
                "the longest event with its files must fit into an empty mailbox",
            ),
            (
                self.uploads_at_once_max > 0 && self.uploads_at_once_per_user_max > 0,
                "somebody must be able to upload",
            ),
            (self.file_kept > self.file_address_valid, "a file is kept longer than its address"),
            (!self.file_address_valid.is_zero(), "an address must hold for a time"),
            (!self.file_collection.is_zero(), "a collection must take time"),
            (!self.heartbeat.is_zero(), "a heartbeat must take time"),
            (!self.position_check.is_zero(), "a position check must take time"),
            (!self.node_lease.is_zero(), "a lease must hold for a time"),
            (!self.membership_check.is_zero(), "a membership check must take time"),
        ];
        match relations.iter().find(|(holds, _)| !holds) {
            Some((_, relation)) => Err(InvalidLimits(relation)),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_fit_together() {
        assert_eq!(Limits::default().check(), Ok(()));
    }

    #[test]
    fn a_contradiction_is_named() {
        let limits = Limits { mailbox_bytes_max: 1024, ..Limits::default() };
        assert!(limits.check().unwrap_err().to_string().contains("mailbox"));
    }
}
