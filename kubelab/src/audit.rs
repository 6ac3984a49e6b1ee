//! Who asked the API server for what: its audit log.

use std::{fs, path::PathBuf};

use anyhow::{Context, Result};
use serde_json::Value;

/// The audit log of a control plane.
#[derive(Debug, Clone)]
pub struct Audit {
    file: PathBuf,
}

/// One request that was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEvent {
    /// When it arrived, RFC 3339.
    pub at: String,
    /// The name of the user, as `system:serviceaccount:NAMESPACE:NAME`.
    pub user: String,
    /// The pod whose token it came with, or empty.
    pub pod: String,
    /// What the client calls itself.
    pub user_agent: String,
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`.
    pub verb: String,
    /// The API group; empty for the core.
    pub group: String,
    /// The plural of the resource; empty where the request was for none.
    pub resource: String,
    /// `status`, `scale`, `eviction` …, or empty.
    pub subresource: String,
    /// The namespace, or empty.
    pub namespace: String,
    /// The object, or empty.
    pub name: String,
    /// The path and the query.
    pub uri: String,
    /// The HTTP status of the answer.
    pub code: u16,
    /// Whether the user had no right to it. What admission refuses (a quota, a namespace that is about
    /// to be gone) has the same HTTP status and is not meant.
    pub forbidden: bool,
    /// What was sent, where it was a write of something that is no Secret.
    pub sent: Option<Value>,
}

impl AuditEvent {
    /// Whether it could change something.
    #[must_use]
    pub fn is_write(&self) -> bool {
        matches!(self.verb.as_str(), "create" | "update" | "patch" | "delete" | "deletecollection")
    }

    /// Whether it comes from this client: its user's whole name, or the beginning of its user agent.
    #[must_use]
    pub fn is_by(&self, who: &str) -> bool {
        self.user == who || self.user_agent.starts_with(who)
    }
}

impl Audit {
    pub(crate) const fn new(file: PathBuf) -> Self {
        Self { file }
    }

    /// Everything so far, in the order of the answers.
    ///
    /// # Errors
    /// The log cannot be read, or is not what is expected.
    pub fn events(&self) -> Result<Vec<AuditEvent>> {
        let log = fs::read_to_string(&self.file).context("the audit log cannot be read")?;
        // The last line may be half written.
        let end = log.rfind('\n').map_or(0, |end| end + 1);
        log[..end].lines().map(parse).collect()
    }

    /// All writes of a client, refused ones too: by its user's whole name, or by the beginning of its
    /// user agent.
    ///
    /// # Errors
    /// As [`events`](Self::events).
    pub fn writes_by(&self, who: &str) -> Result<Vec<AuditEvent>> {
        let mut events = self.events()?;
        events.retain(|event| event.is_write() && event.is_by(who));
        Ok(events)
    }

    /// All requests that were refused for want of a right.
    ///
    /// # Errors
    /// As [`events`](Self::events).
    pub fn denied(&self) -> Result<Vec<AuditEvent>> {
        let mut events = self.events()?;
        events.retain(|event| event.code == 401 || event.forbidden);
        Ok(events)
    }
}

fn parse(line: &str) -> Result<AuditEvent> {
    let event: Value = serde_json::from_str(line).context("a line of the audit log")?;
    let text = |pointer: &str| {
        event.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    Ok(AuditEvent {
        at: text("/requestReceivedTimestamp"),
        user: text("/user/username"),
        pod: text("/user/extra/authentication.kubernetes.io~1pod-name/0"),
        user_agent: text("/userAgent"),
        verb: text("/verb"),
        group: text("/objectRef/apiGroup"),
        resource: text("/objectRef/resource"),
        subresource: text("/objectRef/subresource"),
        namespace: text("/objectRef/namespace"),
        name: text("/objectRef/name"),
        uri: text("/requestURI"),
        code: event
            .pointer("/responseStatus/code")
            .and_then(Value::as_u64)
            .and_then(|code| u16::try_from(code).ok())
            .unwrap_or_default(),
        forbidden: text("/annotations/authorization.k8s.io~1decision") == "forbid",
        sent: event.get("requestObject").cloned(),
    })
}
