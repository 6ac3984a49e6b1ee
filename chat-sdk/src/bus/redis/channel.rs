//! What topics, budgets and messages are called in Redis. Pure.

use bytes::Bytes;

use crate::{
    bus::Topic,
    model::{ConversationId, UserId},
};

/// Into how many parts topics are divided. All channels of a part lie in one slot of a Redis
/// Cluster, because the part's number is their hash tag.
///
/// With channels in slots of their own, moving any of the 16,384 slots would cut off somebody who
/// listens there; this way only these few count, and who serves whom is a small table. Enough parts
/// that a cluster of some dozen masters is loaded evenly; more would only make the table longer.
pub(super) const PARTS: usize = 128;

/// The hash tag of what is counted rather than published.
const BUDGET: &str = "budget";

/// How many bytes of a message say which node published it.
pub(super) const NODE_BYTES: usize = 8;

/// The random name of one bus, before each of its messages.
pub(super) type NodeId = [u8; NODE_BYTES];

/// The names of one chat, which differ from those of others by their prefix.
#[derive(Debug, Clone)]
pub(super) struct Names {
    prefix: String,
}

impl Names {
    /// The prefix is at most 64 characters that mean nothing to Redis.
    pub(super) fn new(prefix: &str) -> Option<Self> {
        let harmless = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':');
        let well_formed = (1..=64).contains(&prefix.len()) && prefix.chars().all(harmless);
        well_formed.then(|| Self { prefix: prefix.to_owned() })
    }

    /// The part that a topic is in, and its channel.
    pub(super) fn channel(&self, topic: &Topic) -> (usize, String) {
        let text = text(topic);
        let part = usize::from(crc16(text.as_bytes())) % PARTS;
        (part, format!("{}:{{{part}}}:{text}", self.prefix))
    }

    /// The topic of a channel, if it is one of ours.
    pub(super) fn topic(&self, channel: &[u8]) -> Option<Topic> {
        let channel = std::str::from_utf8(channel).ok()?;
        let (_part, text) =
            channel.strip_prefix(&self.prefix)?.strip_prefix(":{")?.split_once("}:")?;
        match text.split_once(':') {
            None if text == "n" => Some(Topic::Nodes),
            Some(("c", id)) => id.parse::<ConversationId>().ok().map(Topic::Conversation),
            Some(("u", id)) => UserId::new(id).ok().map(Topic::User),
            _ => None,
        }
    }

    /// A channel of a part that nobody follows.
    pub(super) fn nobody(&self, part: usize) -> String {
        format!("{}:{{{part}}}:check", self.prefix)
    }

    /// The key of a budget.
    pub(super) fn budget(&self, name: &str) -> String {
        format!("{}:{{{BUDGET}}}:{name}", self.prefix)
    }
}

fn text(topic: &Topic) -> String {
    match topic {
        Topic::Conversation(id) => format!("c:{id}"),
        Topic::User(id) => format!("u:{id}"),
        Topic::Nodes => "n".to_owned(),
    }
}

/// The slot in which the channels of a part are.
pub(super) fn slot_of_part(part: usize) -> u16 {
    slot(&part.to_string())
}

/// The slot in which all budgets are.
pub(super) fn slot_of_budgets() -> u16 {
    slot(BUDGET)
}

fn slot(tag: &str) -> u16 {
    crc16(tag.as_bytes()) % 16_384
}

/// CRC-16/XMODEM, by which Redis Cluster divides keys into slots.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ u16::from(*byte) << 8, |crc, _| {
            let shifted = crc << 1;
            if crc & 0x8000 == 0 { shifted } else { shifted ^ 0x1021 }
        })
    })
}

/// A message as it is published.
pub(super) fn sealed(node: NodeId, message: &[u8]) -> Vec<u8> {
    [&node[..], message].concat()
}

/// A message as it was given to [`sealed`], and by whom; nothing if it cannot come from there.
pub(super) fn opened(sealed: Vec<u8>) -> Option<(NodeId, Bytes)> {
    let node = *sealed.first_chunk()?;
    Some((node, Bytes::from(sealed).slice(NODE_BYTES..)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topics() -> [Topic; 5] {
        [
            Topic::Nodes,
            Topic::Conversation(ConversationId::from_bytes([7; 16])),
            Topic::User(UserId::new("ann").unwrap()),
            Topic::User(UserId::new("}:c:{:n").unwrap()),
            Topic::User(UserId::new("é \u{1f600} %*:").unwrap()),
        ]
    }

    #[test]
    fn a_channel_names_its_topic() {
        let names = Names::new("chat").unwrap();
        for topic in topics() {
            let (_, channel) = names.channel(&topic);
            assert_eq!(names.topic(channel.as_bytes()), Some(topic), "{channel}");
        }
    }

    #[test]
    fn the_channel_of_another_chat_names_nothing() {
        let names = Names::new("chat").unwrap();
        for prefix in ["chat2", "cha", "x:chat"] {
            let other = Names::new(prefix).unwrap();
            for topic in topics() {
                assert_eq!(names.topic(other.channel(&topic).1.as_bytes()), None);
            }
        }
        for channel in ["", "chat", "chat:{1}:", "chat:{1}:c:x", "chat:{1}:check", "chat:{1"] {
            assert_eq!(names.topic(channel.as_bytes()), None);
        }
        assert_eq!(names.topic(b"chat:{1}:u:\xff"), None);
    }

    #[test]
    fn a_prefix_holds_nothing_that_redis_or_we_interpret() {
        for prefix in ["", "a{b", "a}b", "a b", "é", "a*", &"a".repeat(65)] {
            assert!(Names::new(prefix).is_none(), "{prefix}");
        }
    }

    /// The first is the check value of the algorithm, the second stands in Redis' documentation.
    #[test]
    fn slots_are_those_of_redis_cluster() {
        assert_eq!(crc16(b"123456789"), 0x31c3);
        assert_eq!(slot("somekey"), 11_058);
    }

    #[test]
    fn a_message_is_opened_as_it_was_sealed() {
        for message in [&b""[..], b"\0", b"hello"] {
            let (node, opened) = opened(sealed([9; NODE_BYTES], message)).unwrap();
            assert_eq!((node, &*opened), ([9; NODE_BYTES], message));
        }
        assert_eq!(opened(vec![1; NODE_BYTES - 1]), None);
    }
}
