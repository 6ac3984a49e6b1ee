//! The servers start, survive what tests do to them, and end.

use testbed::{Postgres, Redis, RedisCluster};

#[test]
fn postgres_starts_crashes_and_comes_back() {
    let server = Postgres::start();
    let url = server.new_database();
    assert!(url.ends_with("/test_0"), "{url}");
    server.sql("test_0", "CREATE TABLE kept (a int); INSERT INTO kept VALUES (7)");
    server.crash();
    assert_eq!(server.pid(), None);
    server.start_again();
    assert_eq!(server.sql("test_0", "SELECT a FROM kept").trim(), "7");
    server.kill();
    server.start_again();
    assert_eq!(server.sql("test_0", "SELECT a FROM kept").trim(), "7");
    let (port, data) = (server.port(), server.data());
    drop(server);
    assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_err(), "it ended");
    assert!(!data.exists(), "nothing is left");
}

#[test]
fn redis_starts_dies_and_comes_back_empty() {
    let server = Redis::start();
    assert_eq!(server.cli(&["SET", "a", "b"]), "OK");
    server.kill();
    server.start_again();
    assert_eq!(server.cli(&["GET", "a"]), "");
}

#[test]
fn a_cluster_of_three_answers() {
    let cluster = RedisCluster::start();
    assert!(cluster.nodes()[0].cli(&["CLUSTER", "INFO"]).contains("cluster_size:3"));
}
