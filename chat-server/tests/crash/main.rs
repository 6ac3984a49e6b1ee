//! The real binary with its store on disk, killed while people talk. Whatever it acknowledged has
//! to be there afterwards, once and at its place.
//!
//! `SEED=…` repeats a run, `ROUNDS=…` sets how often the server is killed (5 if not said, 20 is a
//! good number by hand), and `ALL=1` dies at every flush instead of at some of them.

// The lint knows functions marked as tests, not those that they share.
#![allow(clippy::unwrap_used)]

mod check;
mod device;
mod faults;
mod fleet;
mod leaving;
#[cfg(feature = "sabotage")]
mod power;
mod process;
mod random;
mod recording;
mod rounds;
mod stored;
mod wire;
