//! A store in memory: for tests, demonstrations and hosts that want nothing kept.
pub struct MemoryStore;
