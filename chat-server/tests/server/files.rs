//! Files at the real server: they survive a restart, lie beside the database, and can be switched off.

use std::fs;

use chat_sdk::{
    Message, Text,
    client::{Client, Http, HttpError, LogIn},
    protocol::{Code, SendTo},
};

use crate::support::{Server, Start};

fn rt() -> tokio::runtime::Runtime {
    tokio::runtime::Runtime::new().unwrap()
}

#[test]
fn a_file_survives_a_restart_and_lies_beside_the_database() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = bytes::Bytes::from((0..6_000_000_u32).map(|n| (n % 253) as u8).collect::<Vec<_>>());
    let server = Server::start(&folder);
    let (_, token) = server.register("alice", "correct horse");
    let (bob, _) = server.register("bob", "correct horse");
    let url = format!("http://{}", server.address());
    let file = rt().block_on(async {
        let http = Http::new(&url).unwrap();
        let file = http.upload(&token, "long.bin", bytes.clone()).await.unwrap();
        let log_in = LogIn::new(&url, "alice", "correct horse").unwrap();
        let (client, _events) = Client::builder(&url, log_in).start().unwrap();
        let mut message = Message::new(Text::none());
        message.files.push(file.clone());
        client.send(SendTo::User(bob.parse().unwrap()), message).unwrap().await.unwrap();
        file
    });
    // An address is a credential: what it is signed with is in no log.
    let bearer = format!("Bearer {token}");
    let told = server.get_with(&format!("/files?ids={}", file.id), &[("Authorization", &bearer)]);
    let told = told.expect(200).json();
    let address = told[0]["address"].as_str().unwrap();
    server.get(&format!("/{address}")).expect(200);
    let (_, signature) = address.split_once("signature=").unwrap();
    assert!(!server.log().contains(signature), "the signature is logged");
    let kept = fs::read_dir(folder.path().join("data/files")).unwrap().count();
    assert!(kept >= 2, "the folder of files has {kept} entries");
    server.stop();

    let server = Server::start(&folder);
    let url = format!("http://{}", server.address());
    rt().block_on(async {
        let http = Http::new(&url).unwrap();
        let token = http.log_in("bob", "correct horse").await.unwrap().token;
        let again = http.download(&token, file.id, 10_000_000).await.unwrap();
        assert!(again == bytes, "other bytes");
    });
    server.stop();
}

#[test]
fn files_can_be_off_and_small() {
    let folder = tempfile::tempdir().unwrap();
    for (settings, code) in [
        ("[files]\nstore = \"off\"\n", Code::Forbidden),
        ("[limits]\nfile_bytes_max = 10\n", Code::TooLarge),
        ("[limits]\nfile_bytes_per_user_max = 10\n", Code::QuotaExceeded),
    ] {
        fs::write(folder.path().join("chat.toml"), settings).unwrap();
        let server = Start::new(folder.path()).arg("-c").arg("chat.toml").up();
        let url = format!("http://{}", server.address());
        let (_, token) = server.register(code.name(), "correct horse");
        rt().block_on(async {
            let http = Http::new(&url).unwrap();
            let refused = http.upload(&token, "x", vec![0; 11].into()).await.unwrap_err();
            let HttpError::Refused(problem) = refused else { panic!("{refused:?}") };
            assert_eq!(problem.code, code);
        });
        server.stop();
    }
}
