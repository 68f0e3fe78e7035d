//! Reading users: by id, by filters, page by page.

use std::rc::Rc;
use std::time::Instant;

use crate::contest::{CONNECTIONS, Contest, Entry, Goal, Series, grouped, hold, middle};
use crate::load::{Connection, Load, Request, Turn, encode};
use crate::servers::Server;
use crate::{Bench, FIRST_STAGE, Outcome, progress, seed};

/// Users a page.
pub(crate) const PAGE: usize = 100;

/// How many pages next to the middle one are asked for in turn.
const MIDDLE_PAGES: usize = 20;

/// Points of a line in the plot of page depth.
const DEPTHS: usize = 40;

/// Where Frontdesk serves SCIM.
pub(crate) const BASE: &str = "/scim/v2";

impl Server {
    /// A load on this server that is answered 200.
    pub(crate) fn reading(&self, contains: &'static str, make: impl Fn(&mut Turn) -> Request + 'static) -> Load {
        Load { target: self.target.clone(), make: Rc::new(make), statuses: &[200], contains }
    }
}

/// An entry whose goals name the entries that it is compared with.
pub(crate) fn entry(name: &str, server: &Server, load: Load, goals: &[(&str, Goal)]) -> Entry {
    let goals = goals.iter().map(|(other, goal)| ((*other).to_owned(), *goal)).collect();
    Entry { name: name.to_owned(), load, watched: server.watched, goals }
}

/// A filter on users as a path.
pub(crate) fn filter(text: &str) -> String {
    format!("{BASE}/Users?filter={}", encode(text))
}

/// What finds one user: by id, by user name, by external id. At every stage, since it must not depend on their number.
pub(crate) async fn lookups(bench: &mut Bench) -> Outcome<()> {
    let users = bench.users.len();
    let connections = if users == FIRST_STAGE || users == bench.settings.users() { &CONNECTIONS } else { &CONNECTIONS[..1] };
    let (floor, frontdesk) = (&bench.floor, &bench.frontdesk);
    let (ids, others) = (Rc::clone(&bench.users), Rc::clone(&bench.users));
    let get = Contest {
        key: "get",
        connections,
        entries: vec![
            entry(
                "floor, by id",
                floor,
                floor.reading("userName", move |turn| Request::get(format!("/Users/{}", ids[turn.random.below(users)]))),
                &[],
            ),
            entry(
                "GET /Users/{id}",
                frontdesk,
                frontdesk.reading("userName", move |turn| Request::get(format!("{BASE}/Users/{}", others[turn.random.below(users)]))),
                &[("floor, by id", Goal::Rate(0.8))],
            ),
        ],
    };
    let pair = |key, floor_name: &str, path: &'static str, value: fn(usize) -> String, name: &str, lookup: fn(usize) -> String| Contest {
        key,
        connections,
        entries: vec![
            entry(
                floor_name,
                floor,
                floor.reading("\"totalResults\":1,", move |turn| {
                    Request::get(format!("/{path}/{}", encode(&value(turn.random.below(users)))))
                }),
                &[],
            ),
            entry(
                name,
                frontdesk,
                frontdesk.reading("\"totalResults\":1,", move |turn| Request::get(lookup(turn.random.below(users)))),
                &[(floor_name, Goal::Rate(0.8))],
            ),
        ],
    };
    let user_name = pair("user-name", "floor, by user name", "by-user-name", seed::user_name_key, "filter userName eq", by_user_name);
    let external_id = pair("external-id", "floor, by external id", "by-external-id", seed::external_id, "filter externalId eq", |user| {
        filter(&format!("externalId eq \"{}\"", seed::external_id(user)))
    });
    for contest in [get, user_name, external_id] {
        hold(bench, contest).await?;
    }
    Ok(())
}

fn by_user_name(user: usize) -> String {
    filter(&format!("userName eq \"{}\"", seed::user_name(user)))
}

/// How much of its ratio to the floor a lookup may lose from the first stage to the last.
const SAME: f64 = 0.9;

/// The ratios at the last stage against those at the first.
pub(crate) fn same_at_all_sizes(bench: &mut Bench) {
    let users = bench.users.len();
    for (key, entry) in [("get", "GET /Users/{id}"), ("user-name", "filter userName eq"), ("external-id", "filter externalId eq")] {
        let ratio = |users| {
            let row = bench.results.row(key, users, entry, CONNECTIONS[0])?;
            let floor = bench.results.row(key, users, row.floor.as_deref()?, CONNECTIONS[0])?;
            Some(row.median.per_second / floor.median.per_second)
        };
        let (Some(first), Some(last)) = (ratio(FIRST_STAGE), ratio(users)) else { continue };
        let data = format!("{} and {} users", grouped(FIRST_STAGE), grouped(users));
        let measured = format!("{first:.2} and {last:.2}");
        let goal = format!("the same ratio, within {:.0} %", (1.0 - SAME) * 100.0);
        bench.results.judge(entry, &data, &goal, measured, Some(last >= SAME * first));
    }
}

/// Equality on any one attribute, against equality on the user name.
pub(crate) async fn attributes(bench: &mut Bench) -> Outcome<()> {
    let users = bench.users.len();
    let frontdesk = &bench.frontdesk;
    let lookup = |name: &str, path: fn(usize) -> String, goals: &[(&str, Goal)]| {
        let load = frontdesk.reading("\"totalResults\":1,", move |turn| Request::get(path(turn.random.below(users))));
        entry(name, frontdesk, load, goals)
    };
    let goal = [("filter userName eq", Goal::P50(1.5))];
    let contest = Contest {
        key: "attributes",
        connections: &CONNECTIONS,
        entries: vec![
            lookup("filter userName eq", by_user_name, &[]),
            lookup(
                "filter emails[type eq \"work\"].value eq",
                |user| filter(&format!("emails[type eq \"work\"].value eq \"{}\"", seed::email(user))),
                &goal,
            ),
            lookup("filter emails.value eq", |user| filter(&format!("emails.value eq \"{}\"", seed::email(user))), &goal),
            lookup("filter nickName eq", |user| filter(&format!("nickName eq \"{}\"", seed::nick_name(user))), &goal),
        ],
    };
    hold(bench, contest).await
}

/// What was found on a walk from the first page to the last.
struct Walk {
    /// What asks for each page, in order.
    paths: Vec<String>,
    /// What each took, in milliseconds.
    took: Vec<f64>,
}

impl Walk {
    /// The pages next to the middle one.
    fn middle(&self) -> Vec<String> {
        let middle = self.paths.len() / 2;
        self.paths[middle..(middle + MIDDLE_PAGES).min(self.paths.len())].to_vec()
    }

    /// The last page that is full: the one behind it may have any number of users.
    fn last(&self) -> Vec<String> {
        let full = self.paths.len().saturating_sub(2);
        self.paths.get(full).cloned().into_iter().collect()
    }

    /// The median of what the pages took, over the number of the page.
    fn points(&self) -> Vec<(f64, f64)> {
        let size = self.took.len().div_ceil(DEPTHS).max(1);
        let middles = self.took.chunks(size).enumerate();
        middles.map(|(at, took)| ((at * size + took.len() / 2 + 1) as f64, middle(took.to_vec()))).collect()
    }
}

/// Walks from page to page; `next` finds the path of the next page in an answer to the page of this number.
async fn walk(server: &Server, first: &str, next: impl Fn(&[u8], usize) -> Option<String>) -> Outcome<Walk> {
    let mut connection = Connection::open(&server.target).await?;
    let mut walk = Walk { paths: Vec::new(), took: Vec::new() };
    let mut path = Some(first.to_owned());
    while let Some(current) = path {
        let since = Instant::now();
        let status = connection.exchange(&Request::get(&current)).await?;
        if status != 200 {
            return Err(format!("{current} was answered {status}").into());
        }
        walk.took.push(since.elapsed().as_secs_f64() * 1000.0);
        path = next(&connection.body, walk.paths.len());
        walk.paths.push(current);
    }
    Ok(walk)
}

/// The text behind a name in JSON, up to the next comma, without quotes.
pub(crate) fn value_of(body: &[u8], name: &str) -> Option<String> {
    let head = String::from_utf8_lossy(&body[..body.len().min(2_048)]);
    let (_, rest) = head.split_once(&format!("\"{name}\":"))?;
    Some(rest.split([',', '}']).next()?.trim_matches('"').to_owned())
}

/// The first, the middle and the last page of all users, by cursor and by index.
pub(crate) async fn lists(bench: &mut Bench) -> Outcome<()> {
    if !bench.settings.wants("list") {
        return Ok(());
    }
    let (floor, frontdesk) = (&bench.floor, &bench.frontdesk);
    progress("walking through all users, three times");
    let by_index = walk(frontdesk, &format!("{BASE}/Users?startIndex=1&count={PAGE}"), |body, page| {
        let total: usize = value_of(body, "totalResults")?.parse().ok()?;
        let next = (page + 1) * PAGE + 1;
        (next <= total).then(|| format!("{BASE}/Users?startIndex={next}&count={PAGE}"))
    })
    .await?;
    let by_cursor = walk(frontdesk, &format!("{BASE}/Users?cursor&count={PAGE}"), |body, _| {
        value_of(body, "nextCursor").map(|cursor| format!("{BASE}/Users?cursor={cursor}&count={PAGE}"))
    })
    .await?;
    let bare = walk(floor, "/pages/0", |body, _| {
        let full = value_of(body, "itemsPerPage")? == PAGE.to_string();
        full.then(|| value_of(body, "next").map(|next| format!("/pages/{next}"))).flatten()
    })
    .await?;
    let pages =
        |server: &Server, paths: Vec<String>| server.reading("itemsPerPage", move |turn| Request::get(&paths[turn.number % paths.len()]));
    let middle = format!("page {}", grouped(by_index.paths.len() / 2));
    let (floor_middle, first) = (format!("floor, {middle}"), "first page, by index");
    let against = |floor: &str| [(floor.to_owned(), Goal::Rate(0.8)), (first.to_owned(), Goal::P50(1.3))];
    let mine = |name: String, paths: Vec<String>, goals: &[(String, Goal)]| Entry {
        name,
        load: pages(frontdesk, paths),
        watched: frontdesk.watched,
        goals: goals.to_vec(),
    };
    let counted = |page: usize| vec![format!("/pages/by-index/{}", page * PAGE)];
    let contest = Contest {
        key: "list",
        connections: &CONNECTIONS,
        entries: vec![
            entry("floor, first page", floor, pages(floor, counted(0)), &[]),
            entry("floor, first page by keyset without total", floor, pages(floor, vec![bare.paths[0].clone()]), &[]),
            mine(first.into(), vec![by_index.paths[0].clone()], &against("floor, first page")[..1]),
            mine("first page, by cursor".into(), vec![by_cursor.paths[0].clone()], &against("floor, first page")[..1]),
            entry(&floor_middle, floor, pages(floor, counted(by_index.paths.len() / 2)), &[]),
            entry(&format!("{floor_middle} by keyset without total"), floor, pages(floor, bare.middle()), &[]),
            mine(format!("{middle}, by index"), by_index.middle(), &against(&floor_middle)),
            mine(format!("{middle}, by cursor"), by_cursor.middle(), &against(&floor_middle)),
            entry("floor, last page", floor, pages(floor, counted(by_index.paths.len().saturating_sub(2))), &[]),
            entry("floor, last page by keyset without total", floor, pages(floor, bare.last()), &[]),
            mine("last page, by index".into(), by_index.last(), &against("floor, last page")),
            mine("last page, by cursor".into(), by_cursor.last(), &against("floor, last page")),
        ],
    };
    for (name, walk) in [("Frontdesk by startIndex", &by_index), ("Frontdesk by cursor", &by_cursor), ("floor by keyset", &bare)] {
        bench.results.series.push(Series { plot: "page-depth", name: name.into(), points: walk.points() });
    }
    hold(bench, contest).await
}
