//! The examples are compiled with the tests, and run here: what they print, what they serve.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::PathBuf,
    process::{Child, Command, Stdio},
};

fn example(name: &str) -> Command {
    // Beside the test binaries: target/<profile>/examples.
    let mut path: PathBuf = std::env::current_exe().unwrap();
    path.pop();
    path.pop();
    let path = path.join("examples").join(name);
    assert!(path.exists(), "build the examples first: cargo build -p chat-sdk --examples");
    Command::new(path)
}

fn output(name: &str) -> Vec<String> {
    let output = example(name).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(ToOwned::to_owned).collect()
}

/// A served example, ended by its own pid when dropped.
struct Served {
    child: Child,
    address: String,
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn serve(name: &str) -> Served {
    let mut child =
        example(name).env("LISTEN", "127.0.0.1:0").stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address = line.trim().strip_prefix("http://").expect("an address").to_owned();
    Served { child, address }
}

/// One request, as bytes; the whole answer.
fn request(served: &Served, head: &str, body: &str) -> String {
    let mut socket = TcpStream::connect(&served.address).unwrap();
    let length = body.len();
    let host = &served.address;
    write!(
        socket,
        "{head}\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
    .unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn the_shortest_embed_is_at_most_fifteen_lines_and_serves() {
    let source = include_str!("../examples/hello_hyper.rs");
    let (_, embed) = source.split_once("// [embed\n").unwrap();
    let (embed, _) = embed.split_once("// embed]").unwrap();
    assert!(embed.lines().count() <= 15, "{} lines", embed.lines().count());

    let served = serve("hello_hyper");
    let alice = "Authorization: Bearer alice";
    let sent = request(
        &served,
        &format!("POST /messages HTTP/1.1\r\n{alice}"),
        r#"{"to":"bob","content":"hi"}"#,
    );
    assert!(sent.starts_with("HTTP/1.1 201"), "{sent}");
    let read =
        request(&served, "GET /messages?with=alice HTTP/1.1\r\nAuthorization: Bearer bob", "");
    assert!(read.contains(r#""content":"hi""#), "{read}");
    let stranger = request(&served, "GET /messages?with=alice HTTP/1.1", "");
    assert!(stranger.starts_with("HTTP/1.1 401"), "{stranger}");
}

#[test]
fn a_chat_nested_in_axum_knows_the_apps_own_users() {
    let served = serve("hello_axum");
    let sign_in = |name: &str| {
        let answer = request(&served, &format!("POST /sign-in/{name} HTTP/1.1"), "");
        let (_, cookie) = answer.split_once("set-cookie: ").expect("a cookie");
        cookie.split(';').next().unwrap().to_owned()
    };
    let (alice, bob) = (sign_in("alice"), sign_in("bob"));
    let sent = request(
        &served,
        &format!("POST /chat/messages HTTP/1.1\r\nCookie: {alice}"),
        r#"{"to":"bob","content":"over the fence"}"#,
    );
    assert!(sent.starts_with("HTTP/1.1 201"), "{sent}");
    let read =
        request(&served, &format!("GET /chat/messages?with=alice HTTP/1.1\r\nCookie: {bob}"), "");
    assert!(read.contains("over the fence"), "{read}");
    assert!(request(&served, "GET /chat/conversations HTTP/1.1", "").starts_with("HTTP/1.1 401"));
    // The prefix is the router's; without it there is no chat, and the app's pages are its own.
    assert!(request(&served, "GET /messages HTTP/1.1", "").starts_with("HTTP/1.1 404"));
    assert!(request(&served, "GET / HTTP/1.1", "").contains("the app's own page"));

    // A socket of the app's own page opens by the cookie; one of another page does not.
    let upgrade = |origin: &str| {
        let head = format!(
            "GET /chat/ws HTTP/1.1\r\nCookie: {alice}\r\nOrigin: {origin}\r\nUpgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: chat.v1\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
        );
        let mut socket = TcpStream::connect(&served.address).unwrap();
        write!(socket, "{head}\r\nHost: {}\r\n\r\n", served.address).unwrap();
        let mut line = String::new();
        BufReader::new(socket).read_line(&mut line).unwrap();
        line
    };
    let own = format!("http://{}", served.address);
    assert!(upgrade(&own).starts_with("HTTP/1.1 101"), "{}", upgrade(&own));
    assert!(upgrade("https://evil.example").starts_with("HTTP/1.1 403"));
}

#[test]
fn the_hosts_rules_hold() {
    let lines = output("own_policy");
    assert_eq!(lines, ["ann → guest-1: sent", "guest-1 → guest-2: guests cannot write to guests"]);
}

#[test]
fn a_bot_answers() {
    let lines = output("bot");
    assert_eq!(lines, ["ann: is anybody there?", "echo: you said: is anybody there?"]);
}

#[test]
fn a_bot_that_lives_elsewhere_answers_and_goes_on_where_it_stopped() {
    let served = serve("hello_hyper");
    let directory = std::env::temp_dir().join(format!("remote_bot-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let resume = directory.join("resume.json");
    let bot = || {
        let mut child = example("remote_bot")
            .env("CHAT_URL", format!("http://{}", served.address))
            .env("CHAT_TOKEN", "echo")
            .env("CHAT_RESUME", &resume)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "live as Some(\"echo\")\n");
        Served { child, address: served.address.clone() }
    };
    let say = |text: &str| {
        let head = "POST /messages HTTP/1.1\r\nAuthorization: Bearer bob";
        let sent = request(&served, head, &format!(r#"{{"to":"echo","content":"{text}"}}"#));
        assert!(sent.starts_with("HTTP/1.1 201"), "{sent}");
    };
    let answers = |wanted: usize| {
        for _ in 0..600 {
            let head = "GET /messages?with=echo HTTP/1.1\r\nAuthorization: Bearer bob";
            let found = request(&served, head, "").matches("you said: ").count();
            assert!(found <= wanted, "answered twice");
            if found == wanted {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        panic!("not answered");
    };
    let first = bot();
    say("one");
    answers(1);
    // Stored right behind the answer.
    while !resume.exists() {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    drop(first);
    say("while you were away");
    let second = bot();
    answers(2);
    drop(second);
    std::fs::remove_dir_all(directory).unwrap();
}

#[test]
fn a_store_of_the_hosts_own_is_used() {
    let lines = output("custom_store");
    assert_eq!(lines.len(), 2);
    assert!(lines[1].starts_with("ann wrote #2 in "), "{lines:?}");
}
