//! The real binary, on ports of its own, seen from outside.

mod accounts;
mod demo;
mod doors;
mod leaving;
mod secrecy;
mod settings;
mod starting;
mod support;
