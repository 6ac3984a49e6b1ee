//! `/user` and `/users`: oneself and other people.

pub(in crate::http) mod description;

use http::{StatusCode, request::Parts};

use crate::{
    http::{
        reply::{self, Reply},
        route::Route,
        service::{Shared, query},
    },
    model::UserId,
    protocol::{Code, Problem},
    store::StoreError,
};

/// How many people a search finds.
const FOUND_MAX: usize = 20;
/// How many can be asked for by id.
const IDS_MAX: usize = 100;
/// Longest search, in characters: the longest name and some.
const SEARCH_CHARS_MAX: usize = 64;

pub(in crate::http) async fn answer(
    shared: &Shared,
    route: &Route,
    parts: &Parts,
    me: &UserId,
) -> Result<Reply, Problem> {
    let directory = &shared.node.ports.directory;
    let failed = |why: StoreError| Problem::from(&why);
    if *route == Route::Me {
        let found = shared.node.in_time(directory.profiles(std::slice::from_ref(me))).await;
        let profile = found.map_err(failed)?.into_iter().next();
        let profile = profile.ok_or_else(|| Problem::of(Code::UnknownUser))?;
        return Ok(reply::json(StatusCode::OK, &profile));
    }
    let query = query(parts);
    let profiles = match (query.text("search"), query.text("ids")) {
        (Some(search), None) => {
            if search.chars().count() > SEARCH_CHARS_MAX || search.contains('\0') {
                let detail = format!("search must have at most {SEARCH_CHARS_MAX} characters");
                return Err(Problem::new(Code::Invalid, detail));
            }
            let found = directory.search(me, search, FOUND_MAX);
            shared.node.in_time(found).await.map_err(failed)?
        }
        (None, Some(ids)) => {
            let ids: Result<Vec<UserId>, _> =
                ids.split(',').filter(|id| !id.is_empty()).map(str::parse).collect();
            let ids = ids.map_err(|why| Problem::new(Code::Invalid, format!("ids: one {why}")))?;
            if ids.len() > IDS_MAX {
                let detail = format!("ids must name at most {IDS_MAX} users");
                return Err(Problem::new(Code::Invalid, detail));
            }
            shared.node.in_time(directory.profiles(&ids)).await.map_err(failed)?
        }
        _ => return Err(Problem::new(Code::Invalid, "either search or ids must be given")),
    };
    Ok(reply::json(StatusCode::OK, &profiles))
}
