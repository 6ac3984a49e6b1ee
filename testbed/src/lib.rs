//! Private PostgreSQL and Redis servers for tests, benches and the fault run.
//!
//! Each server is a process of its own on a free port of the loopback interface, with its files in a
//! new folder, and ends with the process that started it, even if that is killed. Knows nothing of
//! chat.

#![allow(clippy::missing_panics_doc)] // All of it is for tests: whatever goes wrong is a panic.

mod postgres;
mod redis;
mod server;

pub use self::{
    postgres::{Postgres, PostgresOptions},
    redis::{Redis, RedisCluster, RedisOptions},
    server::{Watchdog, free_port, kill, pause, resume, terminate},
};
