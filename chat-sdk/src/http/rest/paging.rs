//! Pages: which one is asked for, and the links that lead on.

use std::num::NonZeroU16;

use http::{HeaderValue, header};

use crate::{
    http::{reply::Reply, route::Query},
    limits::Limits,
    model::{Event, Seq},
    protocol::{Code, Problem},
    store::{Events, Page},
};

/// How many are asked for: within the node's limit.
pub(super) fn limit(query: &Query<'_>, limits: &Limits) -> Result<NonZeroU16, Problem> {
    let wanted = query.parsed::<u64>("limit")?.unwrap_or(u64::from(limits.page_default));
    let limit = u16::try_from(wanted).unwrap_or(u16::MAX).min(limits.page_max);
    NonZeroU16::new(limit).ok_or_else(|| Problem::new(Code::Invalid, "limit must be at least 1"))
}

/// Which part of a log is asked for.
pub(super) fn page(query: &Query<'_>) -> Result<Page, Problem> {
    let given = (
        query.parsed::<Seq>("before")?,
        query.parsed::<Seq>("after")?,
        query.parsed::<Seq>("around")?,
    );
    match given {
        (None, None, None) => Ok(Page::Newest),
        (Some(before), None, None) => Ok(Page::Before(before)),
        (None, Some(after), None) => Ok(Page::After(after)),
        (None, None, Some(around)) => Ok(Page::Around(around)),
        _ => Err(Problem::new(Code::Invalid, "only one of before, after and around can be given")),
    }
}

/// Links to the older and the newer events, relative to the request.
pub(super) fn link_events(
    reply: &mut Reply,
    events: &Events,
    limit: NonZeroU16,
    keep: &[(&str, &str)],
) {
    let (Some(first), Some(last)) = (events.events.first(), events.events.last()) else { return };
    let mut links = Vec::new();
    let mut add = |rel: &str, name: &str, event: &Event| {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(keep);
        query.append_pair(name, &event.seq.to_string());
        query.append_pair("limit", &limit.to_string());
        links.push(format!("<?{}>; rel=\"{rel}\"", query.finish()));
    };
    if events.more_before {
        add("prev", "before", first);
    }
    if events.more_after {
        add("next", "after", last);
    }
    set_links(reply, &links);
}

/// A link to what comes next in a list.
pub(super) fn link_on(reply: &mut Reply, rel: &str, pairs: &[(&str, &str)]) {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(pairs);
    set_links(reply, &[format!("<?{}>; rel=\"{rel}\"", query.finish())]);
}

fn set_links(reply: &mut Reply, links: &[String]) {
    if links.is_empty() {
        return;
    }
    let value = HeaderValue::try_from(links.join(", ")).expect("URL-encoded text is ASCII");
    reply.headers_mut().insert(header::LINK, value);
}
