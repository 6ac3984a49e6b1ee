//! The fault run: real servers with their database and their bus, real connections, everything that
//! breaks, and a judge who knows only what the clients were told.
//!
//! | file | knows |
//! | --- | --- |
//! | [`random`] | numbers from a seed |
//! | [`book`] | where the history is written |
//! | [`http`], [`device`] | how clients speak |
//! | [`workload`] | what they say |
//! | [`town`] | what the devices of a run share |
//! | [`proxy`] | a network that can be broken |
//! | [`nodes`], [`dependencies`] | the processes |
//! | [`nemesis`] | what is broken, and when |
//! | [`run`] | the parts of a run, in their order |
//! | [`report`] | what came of it |
//!
//! The judge is the crate `chat-check`, which shares no code with the server. Everything of a run
//! lives on one thread, so that its history has one order.

pub mod random;
pub mod book;
pub mod http;
pub mod workload;
pub mod town;
pub mod device;
pub mod proxy;
pub mod dependencies;
pub mod nodes;
pub mod nemesis;
pub mod report;
pub mod run;
