//! The way in where a client asks for every group that it wants to hear: it is known first, and live
//! when it is in all of them. Knows nothing of how that is said.

use super::Heard;

/// How far somebody has come.
pub(super) enum WayIn {
    /// The server has not said yet that it knows this one, who is to follow these groups.
    Coming { follows: Vec<String> },
    /// So many of the groups are not joined yet.
    Joining { left: usize },
    /// In all of them.
    Live,
}

impl WayIn {
    /// So many groups are asked for and not joined: without any, the connection is ready.
    pub(super) fn wait_for(&mut self, left: usize, heard: &mut Vec<Heard>) {
        if left == 0 {
            *self = Self::Live;
            heard.push(Heard::Ready);
        } else {
            *self = Self::Joining { left };
        }
    }
}
