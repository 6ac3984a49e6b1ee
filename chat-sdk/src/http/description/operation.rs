//! What is said of one operation, and what follows from it.

use std::collections::BTreeSet;

use http::Method;
use serde_json::{Map, Value, json};

use super::schema::{Of, Schemas, Shared};
use crate::{
    model::{ConversationId, Emoji, FileId, LinkId, LinkToken, Seq, UserId},
    protocol::{Code, problem},
};

/// One method of one path.
#[derive(Debug, Clone)]
pub(in crate::http) struct Operation {
    pub(super) method: Method,
    pub(super) path: &'static str,
    name: &'static str,
    summary: &'static str,
    tag: &'static str,
    who: Who,
    query: Vec<Parameter>,
    headers: Vec<Parameter>,
    body: Option<(&'static str, Of, Vec<Value>)>,
    keyed: bool,
    answers: Vec<Answer>,
    problems: BTreeSet<usize>,
}

/// Who may ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    /// The bearer of a credential.
    User,
    /// Anybody.
    Anybody,
    /// Anybody, and who somebody is may come later.
    Socket,
}

/// A parameter of the query, or a header that is looked at.
#[derive(Debug, Clone)]
struct Parameter {
    name: &'static str,
    required: bool,
    schema: Value,
    about: &'static str,
}

/// What it answers when all is well.
#[derive(Debug, Clone)]
struct Answer {
    status: u16,
    about: &'static str,
    content: Option<(&'static str, Of)>,
    headers: Vec<&'static str>,
}

/// An operation. Until [`Operation::of_anybody`] says otherwise, it wants a credential.
pub(in crate::http) fn operation(
    method: Method,
    path: &'static str,
    name: &'static str,
    summary: &'static str,
) -> Operation {
    let problems = BTreeSet::new();
    Operation {
        method,
        path,
        name,
        summary,
        tag: tag(path),
        who: Who::User,
        query: Vec::new(),
        headers: Vec::new(),
        body: None,
        keyed: false,
        answers: Vec::new(),
        problems,
    }
    .may(&[Code::Internal, Code::Unavailable])
}

/// What it stands under.
fn tag(path: &'static str) -> &'static str {
    match path.split('/').nth(1) {
        Some("ws") => "live",
        Some("api" | "openapi.json" | "asyncapi.json") => "descriptions",
        Some("user") => "oneself",
        first => first.unwrap_or(path),
    }
}

impl Operation {
    /// It wants no credential.
    pub(in crate::http) fn of_anybody(mut self) -> Self {
        self.who = Who::Anybody;
        self
    }

    /// It is the live connection.
    pub(in crate::http) fn of_a_socket(mut self) -> Self {
        self.who = Who::Socket;
        self
    }

    /// Nothing can go wrong with it.
    pub(in crate::http) fn always(mut self) -> Self {
        self.problems.clear();
        self
    }

    /// A parameter of the query. A value that cannot be one is `invalid`.
    pub(in crate::http) fn query(
        mut self,
        name: &'static str,
        schema: Value,
        about: &'static str,
    ) -> Self {
        self.query.push(Parameter { name, required: false, schema, about });
        self.may(&[Code::Invalid])
    }

    /// The same, without which it cannot be answered.
    pub(in crate::http) fn asks_for(
        self,
        name: &'static str,
        schema: Value,
        about: &'static str,
    ) -> Self {
        let mut asking = self.query(name, schema, about);
        if let Some(last) = asking.query.last_mut() {
            last.required = true;
        }
        asking
    }

    /// A header that is looked at.
    pub(in crate::http) fn header(
        mut self,
        name: &'static str,
        schema: Value,
        about: &'static str,
    ) -> Self {
        self.headers.push(Parameter { name, required: false, schema, about });
        self
    }

    /// One without which it cannot be answered.
    pub(in crate::http) fn needs_header(
        self,
        name: &'static str,
        schema: Value,
        about: &'static str,
    ) -> Self {
        let mut needing = self.header(name, schema, about);
        if let Some(last) = needing.headers.last_mut() {
            last.required = true;
        }
        needing
    }

    /// A part of a log: which one is asked for, and links that lead on.
    pub(in crate::http) fn paged(self) -> Self {
        let seq = || or_empty(json!({"type": "integer", "minimum": 0}));
        self.query(
            "before",
            seq(),
            "Those before this place; at most one of before, after, around.",
        )
        .query("after", seq(), "Those after this place.")
        .query("around", seq(), "Those around this place.")
        .limited()
    }

    /// How many at most.
    pub(in crate::http) fn limited(self) -> Self {
        let limit = or_empty(json!({"type": "integer", "minimum": 1}));
        self.query(
            "limit",
            limit,
            "How many at most, 50 by default; more than 100 are taken as 100.",
        )
    }

    /// Bodies of this type, with examples.
    pub(in crate::http) fn takes(mut self, of: Of, examples: Vec<Value>) -> Self {
        self.body = Some(("application/json", of, examples));
        self.may(&[
            Code::Malformed,
            Code::Timeout,
            Code::TooLarge,
            Code::UnsupportedMediaType,
            Code::Invalid,
        ])
    }

    /// Bodies of another kind.
    pub(in crate::http) fn takes_as(mut self, content_type: &'static str, of: Of) -> Self {
        self.body = Some((content_type, of, Vec::new()));
        self
    }

    /// It takes an `Idempotency-Key`.
    pub(in crate::http) fn keyed(mut self) -> Self {
        self.keyed = true;
        self.may(&[Code::KeyConflict, Code::Invalid])
    }

    /// It answers with JSON.
    pub(in crate::http) fn answers(mut self, status: u16, of: Of, about: &'static str) -> Self {
        let content = Some(("application/json", of));
        self.answers.push(Answer { status, about, content, headers: Vec::new() });
        self
    }

    /// It answers with something else.
    pub(in crate::http) fn answers_as(
        mut self,
        status: u16,
        content_type: &'static str,
        of: Of,
        about: &'static str,
    ) -> Self {
        let content = Some((content_type, of));
        self.answers.push(Answer { status, about, content, headers: Vec::new() });
        self
    }

    /// It answers with nothing.
    pub(in crate::http) fn answers_nothing(mut self, status: u16, about: &'static str) -> Self {
        self.answers.push(Answer { status, about, content: None, headers: Vec::new() });
        self
    }

    /// The last answer may have this header.
    pub(in crate::http) fn with(mut self, header: &'static str) -> Self {
        let answer = self.answers.last_mut().expect("an answer comes before its headers");
        answer.headers.push(header);
        self
    }

    /// What may go wrong, beside what follows from everything else.
    pub(in crate::http) fn may(mut self, codes: &[Code]) -> Self {
        let place = |code: &Code| Code::ALL.iter().position(|it| it == code);
        self.problems.extend(codes.iter().filter_map(place));
        self
    }

    /// What a policy or a role may say, and whose conversation it may not be.
    pub(in crate::http) fn in_a_conversation(self) -> Self {
        self.may(&[Code::NotFound, Code::Forbidden])
    }

    /// As OpenAPI has it.
    pub(super) fn describe(mut self, schemas: &mut Schemas, shared: &mut Shared) -> Value {
        if self.who == Who::User {
            self = self.may(&[Code::Unauthenticated]);
        }
        let mut parameters = path_parameters(self.path, schemas);
        if !parameters.is_empty() {
            // What cannot be an id names nothing.
            self = self.may(&[Code::NotFound]);
        }
        for (place, named) in [("query", &self.query), ("header", &self.headers)] {
            for Parameter { name, required, schema, about } in named {
                parameters.push(json!({
                    "name": name, "in": place, "required": required, "description": about,
                    "schema": schema,
                }));
            }
        }
        if self.keyed {
            parameters.push(json!({"$ref": "#/components/parameters/IdempotencyKey"}));
        }
        let mut described = json!({
            "operationId": self.name,
            "summary": self.summary,
            "tags": [self.tag],
            "responses": self.responses(schemas, shared),
        });
        if !parameters.is_empty() {
            described["parameters"] = parameters.into();
        }
        match self.who {
            Who::User => {}
            Who::Anybody => described["security"] = json!([]),
            Who::Socket => described["security"] = json!([{}, {"bearer": []}, {"token": []}]),
        }
        if let Some((content_type, of, examples)) = &self.body {
            let schema = of(schemas);
            schemas.refuse_others(&schema);
            let mut content = json!({"schema": schema});
            let named = |(n, value)| (format!("{}", n + 1), json!({"value": value}));
            let examples: Map<String, Value> = examples.iter().enumerate().map(named).collect();
            if !examples.is_empty() {
                content["examples"] = examples.into();
            }
            described["requestBody"] =
                json!({"required": true, "content": {*content_type: content}});
        }
        described
    }

    fn responses(&self, schemas: &mut Schemas, shared: &mut Shared) -> Value {
        let mut responses = Map::new();
        for Answer { status, about, content, headers } in &self.answers {
            let mut response = json!({"description": about});
            if let Some((content_type, of)) = content {
                response["content"] = json!({*content_type: {"schema": of(schemas)}});
            }
            if !headers.is_empty() {
                let refer = |name: &&str| {
                    let place = format!("#/components/headers/{name}");
                    ((*name).to_owned(), json!({"$ref": place}))
                };
                response["headers"] = headers.iter().map(refer).collect::<Map<_, _>>().into();
            }
            responses.insert(status.to_string(), response);
        }
        let codes: Vec<Code> = self.problems.iter().map(|at| Code::ALL[*at]).collect();
        for of_a_status in codes.chunk_by(|one, next| one.status() == next.status()) {
            let status = of_a_status[0].status();
            let names: Vec<_> = of_a_status.iter().map(|code| code.name()).collect();
            let name = names.join(".");
            let place = format!("#/components/responses/{name}");
            shared.entry(name).or_insert_with(|| problems(status, of_a_status, schemas));
            responses.insert(status.to_string(), json!({"$ref": place}));
        }
        responses.into()
    }
}

/// What is given empty is not given.
pub(in crate::http) fn or_empty(schema: Value) -> Value {
    json!({"anyOf": [schema, {"const": ""}]})
}

/// The answer with this status, and the codes that it can have here.
fn problems(status: u16, codes: &[Code], schemas: &mut Schemas) -> Value {
    let names: Vec<_> = codes.iter().map(|code| code.name()).collect();
    let words: Vec<_> =
        codes.iter().map(|code| format!("`{}`: {}", code.name(), code.title())).collect();
    let mut response = json!({
        "description": words.join("; "),
        "content": {"application/problem+json": {"schema": {
            "allOf": [
                schemas.of::<problem::Wire>(),
                {"properties": {"code": {"enum": names}, "status": {"const": status}}},
            ],
        }}},
    });
    let headers: &[&str] = match status {
        401 => &["WWW-Authenticate"],
        426 => &["Upgrade"],
        429 | 503 => &["Retry-After"],
        _ => &[],
    };
    for name in headers {
        response["headers"][name] = json!({"$ref": format!("#/components/headers/{name}")});
    }
    response
}

/// What stands between the slashes.
fn path_parameters(path: &str, schemas: &mut Schemas) -> Vec<Value> {
    let names = path.split('/').filter_map(|it| it.strip_prefix('{')?.strip_suffix('}'));
    let parameter = |name: &str| {
        let (schema, about, example) = match name {
            "id" => (schemas.of::<ConversationId>(), "The conversation.", json!(super::EXAMPLE_ID)),
            "message" => (schemas.of::<Seq>(), "The message's place in the log.", json!(13)),
            "emoji" => (schemas.of::<Emoji>(), "The emoji, percent-encoded.", json!("👍")),
            "link" => (
                schemas.of::<LinkId>(),
                "The link's name.",
                json!("4b1f0c52e8a79d3614f0b2c6d58e9a07"),
            ),
            "token" => (
                schemas.of::<LinkToken>(),
                "What the link carries.",
                json!("00112233445566778899aabbccddeeff"),
            ),
            "file" => {
                (schemas.of::<FileId>(), "The file.", json!("f_0197a3f252a07c4e9a513e3a1b2c4d5e"))
            }
            "user" => (schemas.of::<UserId>(), "The user, percent-encoded.", json!("u_42")),
            other => panic!("what is {{{other}}}? say it here"),
        };
        json!({
            "name": name, "in": "path", "required": true, "description": about,
            "schema": schema, "example": example,
        })
    };
    names.map(parameter).collect()
}
