//! No token and no password in anything that is logged, whatever happens and at any level.

use serde_json::json;

use crate::support::{PATIENCE, Start, request, run_with_input, text};

#[test]
fn no_credential_is_ever_logged() {
    for format in ["json", "pretty"] {
        let folder = tempfile::tempdir().unwrap();
        let server = Start::new(folder.path()).env("CHAT_SERVER__LOG__FORMAT", format).up();
        let mut secrets: Vec<String> = Vec::new();
        let mut secret = |text: &str| {
            secrets.push(text.to_owned());
            text.to_owned()
        };

        // Passwords: right, wrong, malformed, in the wrong place.
        let code = secret(&server.setup_code());
        let password = secret("correct-horse-1");
        let body = json!({ "code": code, "name": "root", "password": password });
        let (_, token) = server.post("/user/setup", &[], &body).expect(201).user_and_token();
        secret(&token);
        let password = secret("correct-horse-2");
        let (user, token) = server.register("alice", &password);
        let token = secret(&token);
        server.log_in("alice", &secret("wrong-horse-3")).expect(401);
        server.log_in(&secret("password-as-name-4"), "x").expect(401);
        server.post("/user/login", &[], &json!(secret("password-as-body-5")));
        server.post(
            "/user/login",
            &[],
            &json!({ "identifier": "a", "password": [secret("in-list-6")] }),
        );
        server.get(&format!("/user/login?password={}", secret("in-query-7")));
        server.get(&format!("/setup?code={}", secret("setup-code-8")));
        let (_, second) = server.log_in("alice", &password).expect(200).user_and_token();
        let second = secret(&second);

        // Tokens: in the header, the query, the subprotocol, in frames; good and bad.
        let bearer = |token: &str| format!("Bearer {token}");
        server.get_with("/user", &[("Authorization", &bearer(&token))]).expect(200);
        let forged = secret("eyJhbGciOiJub25lIn0.eyJzdWIiOiJ1XzEifQ.c2lnbmF0dXJl");
        server.get_with("/user", &[("Authorization", &bearer(&forged))]).expect(401);
        server
            .get_with("/user", &[("Authorization", &bearer(&secret("opaque-token-9")))])
            .expect(401);
        let basic = secret("YWxpY2U6aHVudGVyMg==");
        server.get_with("/user", &[("Authorization", &format!("Basic {basic}"))]).expect(401);
        server.get_with("/user", &[("Cookie", &format!("session={}", secret("cookie-10")))]);
        assert!(server.upgrade(&format!("/ws?token={forged}")).is_err());
        let mut live = server.connect(&token);
        live.say(&json!({ "type": "auth", "id": "1", "token": second }));
        live.hear("done");
        live.say(&json!({ "type": "auth", "id": "2", "token": secret("opaque-token-11") }));
        live.hear("error");
        live.say(&json!({ "type": "send", "id": "3", "key": "k", "to": user, "text": secret("private-words-12") }));
        live.say(&json!({ "type": "nonsense", "token": secret("opaque-token-13") }));
        live.hear("error");
        let mut late = server.upgrade("/ws").unwrap();
        late.say(&json!({ "type": "hello", "version": 1, "token": second }));
        late.hear("welcome");
        server.post("/user/logout", &[("Authorization", &bearer(&second))], &json!({})).expect(204);
        drop((live, late));

        // Beside it.
        let password = secret("correct-horse-14");
        let made = run_with_input(
            folder.path(),
            &["user", "create", "carol", "--log-level=trace"],
            &format!("{password}\n"),
        );
        assert!(made.status.success(), "{made:?}");
        let said = text(&made.stdout) + &text(&made.stderr);
        assert!(!said.contains(&password), "{said}");

        secret(std::fs::read_to_string(folder.path().join("data/secret.key")).unwrap().trim());
        // A request that breaks off in the middle.
        let half = request("GET", &format!("/ws?token={token}"), &[], "");
        let mut stream = std::net::TcpStream::connect(server.address()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        std::io::Write::write_all(&mut stream, &half.as_bytes()[..half.len() - 4]).unwrap();
        drop(stream);

        server.signal("INT");
        let mut server = server;
        assert_eq!(server.wait().code(), Some(0));
        let log = server.log();
        assert!(log.contains("\"request\"") || log.contains("request"), "debug lines are there");
        for secret in &secrets {
            // As it is, and without its last part, should a line have been cut short.
            for part in [secret.as_str(), &secret[..secret.len() - 2]] {
                if let Some(line) = log.lines().find(|line| line.contains(part)) {
                    panic!("{secret} in {line}");
                }
            }
        }
    }
}
