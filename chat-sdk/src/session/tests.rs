use super::*;
use crate::{
    model::{Epoch, Text, Timestamp},
    protocol::{Hello, SendTo, VERSION, codec::decode_client},
};

const START: Duration = Duration::from_secs(100);

fn at(secs: u64) -> Duration {
    START + Duration::from_secs(secs)
}

fn identity(user: &str) -> Identity {
    Identity::new(UserId::new(user).unwrap())
}

fn welcome(user: &str) -> Welcome {
    Welcome {
        version: VERSION,
        session: "s".to_owned(),
        user: UserId::new(user).unwrap(),
        epoch: Epoch::new("e").unwrap(),
        resumed: false,
        heartbeat_ms: 25_000,
        typing_ms: 3_000,
        limits: (&Limits::default()).into(),
        expires_at: None::<Timestamp>,
    }
}

fn new(identity: Option<Identity>) -> Session {
    Session::new(START, Arc::new(Limits::default()), Dialect::Native, identity, None)
}

fn outputs(session: &mut Session) -> Vec<Output> {
    std::iter::from_fn(|| session.poll_output()).collect()
}

fn hello(token: Option<&str>) -> Result<ClientFrame, MalformedFrame> {
    let token = token.map(ToOwned::to_owned);
    Ok(ClientFrame::Hello(Hello { version: VERSION, token, resume: None }))
}

fn live(user: &str) -> Session {
    let mut session = new(Some(identity(user)));
    session.handle_frame(START, hello(None));
    assert!(matches!(outputs(&mut session)[..], [Output::Join(..)]));
    session.joined(START, Ok(welcome(user)));
    assert!(matches!(outputs(&mut session)[..], [Output::Send(ServerFrame::Welcome(_))]));
    session
}

fn closed(session: &mut Session) -> Option<CloseCode> {
    outputs(session).into_iter().find_map(|output| match output {
        Output::Close(code) => Some(code),
        _ => None,
    })
}

#[test]
fn a_hello_with_a_token_is_checked_before_anything_is_loaded() {
    let mut session = new(None);
    session.handle_frame(START, hello(Some("t")));
    assert_eq!(outputs(&mut session), [Output::Authenticate("t".to_owned())]);
    session.authenticated(START, Ok((identity("u"), None)));
    assert_eq!(outputs(&mut session), [Output::Join(Box::new(identity("u")), None)]);
}

#[test]
fn nothing_but_hello_is_looked_at_before_the_welcome() {
    for frame in [
        r#"{"type":"send","id":"1","key":"k","to":"u2","text":"hi"}"#,
        r#"{"type":"ping"}"#,
        r#"{"type":"auth","id":"1","token":"t"}"#,
        "nonsense",
    ] {
        let mut session = new(Some(identity("u")));
        session.handle_frame(START, decode_client(frame));
        assert_eq!(closed(&mut session), Some(CloseCode::Malformed), "{frame}");
        // And nothing after it.
        session.handle_frame(START, hello(None));
        assert_eq!(outputs(&mut session), []);
    }
}

#[test]
fn without_a_credential_there_is_no_way_in() {
    let mut session = new(None);
    session.handle_frame(START, hello(None));
    assert_eq!(closed(&mut session), Some(CloseCode::Unauthenticated));

    let mut session = new(None);
    session.handle_frame(START, hello(Some("bad")));
    outputs(&mut session);
    session.authenticated(START, Err(AuthFailure::Refused));
    assert_eq!(closed(&mut session), Some(CloseCode::Unauthenticated));
}

#[test]
fn silence_before_hello_and_after_it_ends_the_connection() {
    let mut session = new(Some(identity("u")));
    let deadline = session.poll_timeout().unwrap();
    assert_eq!(deadline, at(10));
    session.handle_timeout(deadline);
    assert_eq!(closed(&mut session), Some(CloseCode::HelloTimeout));

    let mut session = live("u");
    session.handle_frame(at(20), decode_client(r#"{"type":"ping"}"#));
    assert_eq!(outputs(&mut session), [Output::Pong(BTreeMap::new())]);
    let deadline = session.poll_timeout().unwrap();
    assert_eq!(deadline, at(20) + Duration::from_millis(62_500));
    session.handle_timeout(deadline - Duration::from_millis(1));
    assert_eq!(outputs(&mut session), []);
    session.handle_timeout(deadline);
    assert_eq!(closed(&mut session), Some(CloseCode::Silent));
}

#[test]
fn another_version_is_refused_by_name() {
    let mut session = new(Some(identity("u")));
    session.handle_frame(START, decode_client(r#"{"type":"hello","version":2}"#));
    assert_eq!(closed(&mut session), Some(CloseCode::Version));
}

#[test]
fn a_command_is_passed_on_with_its_id() {
    let mut session = live("u");
    let frame = r#"{"type":"send","id":"1","key":"k","to":"u2","text":"hi"}"#;
    session.handle_frame(START, decode_client(frame));
    let expected = Command::Send {
        key: crate::model::ClientKey::new("k").unwrap(),
        to: SendTo::User(UserId::new("u2").unwrap()),
        message: Text::new("hi").unwrap().into(),
        files: Vec::new(),
    };
    assert_eq!(outputs(&mut session), [Output::Run(CommandId::new("1"), expected)]);
}

#[test]
fn the_tenth_malformed_frame_ends_the_connection() {
    let mut session = live("u");
    for n in 1..10 {
        session.handle_frame(START, decode_client("{"));
        assert!(
            matches!(outputs(&mut session)[..], [Output::Reply(ServerFrame::Error { .. })]),
            "{n}"
        );
    }
    session.handle_frame(START, decode_client("{"));
    assert_eq!(closed(&mut session), Some(CloseCode::Malformed));
}

#[test]
fn a_flood_of_frames_ends_the_connection() {
    let mut session = live("u");
    let mut sent = 0;
    let code = loop {
        session.handle_frame(START, decode_client(r#"{"type":"ping"}"#));
        sent += 1;
        if let Some(code) = closed(&mut session) {
            break code;
        }
    };
    assert_eq!(code, CloseCode::Flooding);
    // The hello was the first of the thousand.
    assert_eq!(sent, 1000);
}

#[test]
fn an_expiring_token_is_announced_renewed_or_the_end() {
    let mut session = new(None);
    session.handle_frame(START, hello(Some("t")));
    outputs(&mut session);
    session.authenticated(START, Ok((identity("u"), Some(Duration::from_secs(600)))));
    session.joined(START, Ok(welcome("u")));
    outputs(&mut session);
    let keep_alive = |session: &mut Session, secs| session.heard(at(secs));

    keep_alive(&mut session, 539);
    assert_eq!(session.poll_timeout(), Some(at(540)));
    session.handle_timeout(at(540));
    let notice = Output::Send(ServerFrame::Expiring { in_ms: 60_000 });
    assert_eq!(outputs(&mut session), [notice]);

    // Somebody else's token changes nothing.
    let renew = r#"{"type":"auth","id":"6","token":"t2"}"#;
    session.handle_frame(at(541), decode_client(renew));
    outputs(&mut session);
    session.authenticated(at(541), Ok((identity("other"), None)));
    assert!(matches!(
        &outputs(&mut session)[..],
        [Output::Reply(ServerFrame::Error { problem, .. })] if problem.code == Code::Unauthenticated
    ));

    session.handle_frame(at(550), decode_client(renew));
    assert_eq!(outputs(&mut session), [Output::Authenticate("t2".to_owned())]);
    session.authenticated(at(550), Ok((identity("u"), Some(Duration::from_secs(100)))));
    assert_eq!(
        outputs(&mut session),
        [
            Output::Renewed(Box::new(identity("u"))),
            Output::Reply(ServerFrame::Done { id: CommandId::new("6").unwrap() })
        ]
    );
    // The old end has no meaning any more; the new one is announced half-way.
    session.handle_timeout(at(600));
    assert!(matches!(outputs(&mut session)[..], [Output::Send(ServerFrame::Expiring { .. })]));
    keep_alive(&mut session, 640);
    session.handle_timeout(at(650));
    assert_eq!(closed(&mut session), Some(CloseCode::TokenExpired));
}

#[test]
fn an_original_client_is_live_at_once_and_pinged_by_us() {
    let limits = Arc::new(Limits::default());
    let mut session = Session::new(START, limits, Dialect::Legacy, Some(identity("u")), None);
    assert!(matches!(outputs(&mut session)[..], [Output::Join(..)]));
    session.joined(START, Ok(welcome("u")));
    outputs(&mut session);
    assert_eq!(session.poll_timeout(), Some(at(25)));
    session.handle_timeout(at(25));
    assert_eq!(outputs(&mut session), [Output::Ping]);
    session.heard(at(26));
    session.handle_timeout(at(51));
    assert_eq!(outputs(&mut session), [Output::Ping]);
    session.handle_timeout(at(26) + Duration::from_millis(62_500));
    assert_eq!(closed(&mut session), Some(CloseCode::Silent));
}

#[test]
fn an_idle_session_owns_no_buffer() {
    let mut session = live("u");
    session.handle_frame(START, decode_client(r#"{"type":"ping"}"#));
    outputs(&mut session);
    assert_eq!(session.outputs.capacity(), 0);
}
