//! The real binary, on ports of its own, seen from outside.

// The lint knows functions marked as tests, not those that they share.
#![allow(clippy::unwrap_used)]

mod accounts;
mod charts;
mod demo;
mod described;
mod doors;
mod files;
mod image;
mod leaving;
mod migrating;
mod secrecy;
mod settings;
mod several;
mod starting;
mod support;
mod tls;
