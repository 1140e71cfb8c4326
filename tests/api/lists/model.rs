//! Random queries, followed page by page with writes between the pages, compared with a list in memory.
//!
//! `LIST_QUERIES` sets the number of pages to compare, `LIST_SEED` the seed of the random queries.

use std::{
    cmp::{Ordering, Reverse},
    collections::{BTreeMap, BTreeSet},
    env,
};

use fastrand::Rng;
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use tests::{App, Contract, Response, User};
use tokio_postgres::Client;

use super::SORTS;

/// Number of pages to compare if `LIST_QUERIES` is not set.
const QUERIES: usize = 3_000;

/// Number of users whose lists are queried at the same time.
const USERS: usize = 4;

/// Letters of several scripts, some of which differ only by case, and characters that are special in SQL or
/// URLs.
const CHARACTERS: [&str; 36] = [
    "a", "A", "ä", "Ä", "e\u{301}", "é", "É", "ß", "ẞ", "σ", "Σ", "ς", "i", "I", "İ", "ı", "ǆ", "ǅ", "Ǆ",
    "я", "Я", "ա", "Ա", "𐐀", "𐐨", "日", "😀", "%", "_", "\\", "'", "\"", "&", "+", " ", "1",
];

#[derive(Debug, Clone)]
struct Task {
    id: String,
    number: i64,
    title: String,
    description: Option<String>,
    due_date: Option<String>,
    priority: String,
    tags: Vec<String>,
    completed: bool,
    created_at: String,
    updated_at: String,
}

#[derive(Debug, Clone)]
struct Query {
    contract: Contract,
    status: Option<&'static str>,
    priority: Option<&'static str>,
    tag: Option<String>,
    search: Option<String>,
    due_after: Option<String>,
    due_before: Option<String>,
    sort: Option<&'static str>,
}

/// The values by which a list is sorted. Tasks with equal values are sorted by number.
type Rank = (String, String);

fn lower_case(text: &str) -> String {
    text.chars().flat_map(char::to_lowercase).map(|letter| if letter == 'ς' { 'σ' } else { letter }).collect()
}

fn text(rng: &mut Rng, longest: usize) -> String {
    (0..rng.usize(1..=longest)).map(|_| CHARACTERS[rng.usize(..CHARACTERS.len())]).collect()
}

/// One of nine dates, so that some tasks have the same. Sometimes it is a time.
fn date(rng: &mut Rng) -> String {
    format!("2026-01-{:02}{}", rng.u8(1..=9), ["", "T00:00:00Z"][rng.usize(..2)])
}

/// One of a few tags, without characters at their ends that would be trimmed.
fn tag(rng: &mut Rng) -> String {
    ["a", "A", "σ", "Σ", "ς", "a b"][rng.usize(..6)].to_owned()
}

const PRIORITIES: [&str; 3] = ["low", "medium", "high"];

impl Task {
    fn new(number: i64, shown: &Value) -> Self {
        let text = |name: &str| shown[name].as_str().map(str::to_owned);
        Self {
            id: text("id").expect("an id"),
            number,
            title: text("title").expect("a title"),
            description: text("description"),
            due_date: text("due_date"),
            priority: text("priority").expect("a priority"),
            tags: text("tags").iter().flat_map(|tags| tags.split(',')).map(str::to_owned).collect(),
            completed: shown["completed"].as_bool().expect("a boolean"),
            created_at: text("created_at").expect("a time"),
            updated_at: text("updated_at").expect("a time"),
        }
    }
}

impl Query {
    fn random(rng: &mut Rng, tasks: &[Task]) -> Self {
        let search = |rng: &mut Rng| match rng.choice(tasks) {
            Some(task) if rng.bool() => {
                let text = task.description.as_ref().filter(|text| !text.is_empty()).unwrap_or(&task.title);
                let letters: Vec<_> = text.chars().collect();
                let start = rng.usize(..letters.len());
                let part: String = letters[start..].iter().take(rng.usize(1..=3)).collect();
                if rng.bool() { part.to_uppercase() } else { part.to_lowercase() }
            }
            _ => text(rng, 2),
        };
        Self {
            contract: Contract::BOTH[rng.usize(..2)],
            status: [None, None, Some("all"), Some("pending"), Some("completed")][rng.usize(..5)],
            priority: (rng.u8(..5) == 0).then(|| PRIORITIES[rng.usize(..3)]),
            tag: (rng.u8(..5) == 0).then(|| tag(rng)),
            search: (rng.u8(..3) == 0).then(|| search(rng)),
            due_after: (rng.u8(..5) == 0).then(|| date(rng)),
            due_before: (rng.u8(..5) == 0).then(|| date(rng)),
            sort: (rng.u8(..3) > 0).then(|| SORTS[rng.usize(..SORTS.len())]),
        }
    }

    fn parameters(&self) -> Vec<(&'static str, String)> {
        [
            ("status", self.status.map(str::to_owned)),
            ("priority", self.priority.map(str::to_owned)),
            ("tag", self.tag.clone()),
            ("search", self.search.clone()),
            ("due_after", self.due_after.clone()),
            ("due_before", self.due_before.clone()),
            ("sort", self.sort.map(str::to_owned)),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
        .collect()
    }

    fn matches(&self, task: &Task) -> bool {
        let contains = |text: &str| {
            self.search.as_ref().is_none_or(|search| lower_case(text).contains(&lower_case(search)))
        };
        // A date and its midnight are equal.
        let midnight = |text: &String| text.trim_end_matches("T00:00:00Z").to_owned();
        let due = task.due_date.as_ref().map(midnight);
        let has = |tag: &String| task.tags.iter().any(|other| lower_case(other) == lower_case(tag));
        match self.status {
            Some("pending") if task.completed => return false,
            Some("completed") if !task.completed => return false,
            _ => {}
        }
        (contains(&task.title) || task.description.as_deref().is_some_and(contains))
            && self.priority.is_none_or(|priority| task.priority == priority)
            && self.tag.as_ref().is_none_or(has)
            && self
                .due_after
                .as_ref()
                .is_none_or(|from| due.as_ref().is_some_and(|due| *due >= midnight(from)))
            && self.due_before.as_ref().is_none_or(|end| due.as_ref().is_some_and(|due| *due < midnight(end)))
    }

    /// The values to sort by; `None` for a missing due date, which comes last in either direction.
    fn rank(&self, task: &Task) -> Option<Rank> {
        let time = |time: &str| Some((time.trim_end_matches("T00:00:00Z").to_owned(), String::new()));
        match self.sort.map(|sort| sort.trim_start_matches('-')) {
            None => Some(Rank::default()),
            Some("created_at") => time(&task.created_at),
            Some("updated_at") => time(&task.updated_at),
            Some("due_date") => task.due_date.as_deref().and_then(time),
            Some("priority") => {
                let place = PRIORITIES.iter().position(|priority| *priority == task.priority);
                place.map(|place| (place.to_string(), String::new()))
            }
            Some(_) => Some((lower_case(&task.title), task.title.clone())),
        }
    }

    fn compare(&self, a: &Task, b: &Task) -> Ordering {
        let (rank_a, rank_b) = (self.rank(a), self.rank(b));
        let by_number = match (self.sort, self.contract) {
            (None, Contract::Envelope) => b.number.cmp(&a.number),
            _ => a.number.cmp(&b.number),
        };
        let by_rank = match self.sort {
            Some(sort) if sort.starts_with('-') => Reverse(&rank_a).cmp(&Reverse(&rank_b)),
            _ => rank_a.cmp(&rank_b),
        };
        rank_a.is_none().cmp(&rank_b.is_none()).then(by_rank).then(by_number)
    }
}

/// A user, with the tasks that the user should have.
struct Player<'a> {
    user: &'a User<'a>,
    database: &'a Client,
    tasks: Vec<Task>,
    rng: Rng,
    compared: usize,
}

impl Player<'_> {
    /// Creates, deletes or changes a random task.
    async fn write(&mut self) {
        let client = self.user.envelope();
        let fields = |rng: &mut Rng| {
            json!({
                // A title must not consist only of white space.
                "title": text(rng, 4) + ["1", "a", "A"][rng.usize(..3)],
                "description": rng.bool().then(|| text(rng, 6)),
                "due_date": (rng.u8(..3) > 0).then(|| date(rng)),
                "priority": PRIORITIES[rng.usize(..3)],
                "tags": (0..rng.usize(..3)).map(|_| tag(rng)).collect::<Vec<_>>(),
            })
        };
        let index = self.rng.usize(..self.tasks.len().max(1));
        match self.rng.u8(..10) {
            0..4 if self.tasks.len() < 90 => {
                let response = client.create(fields(&mut self.rng)).await.expect_status(201);
                let task = client.task(&response);
                let id: uuid::Uuid = client.id(&task).parse().expect("a UUID");
                let number = "select number from tasks where id = $1";
                let number = self.database.query_one(number, &[&id]).await.expect("the task").get(0);
                self.tasks.push(Task::new(number, &task));
            }
            0..3 if self.tasks.len() > 10 => {
                let task = self.tasks.remove(index);
                client.delete(&task.id).await.expect_status(204);
            }
            kind => {
                let Some(task) = self.tasks.get_mut(index) else { return };
                let body = match kind {
                    7.. => json!({ "completed": !task.completed }),
                    _ => fields(&mut self.rng),
                };
                let response = client.patch(&task.id, body).await.expect_status(200);
                *task = Task::new(task.number, &client.task(&response));
            }
        }
    }

    /// Follows a random query from its first page to its last, and compares each page with the model.
    async fn follow(&mut self) {
        let query = Query::random(&mut self.rng, &self.tasks);
        let client = self.user.at(query.contract);
        let write_between = self.rng.bool();
        let limit = |rng: &mut Rng| if rng.bool() { rng.usize(1..=5) } else { rng.usize(1..=100) };
        let page_limit = limit(&mut self.rng);
        let mut parameters = query.parameters();
        parameters.push(("limit", page_limit.to_string()));
        let mut request = client.request(Method::GET, "").query(&parameters);
        let mut limit_now = page_limit;
        let mut position: Option<Task> = None;
        let mut seen = BTreeSet::new();
        // The tasks that have matched with the same rank since the first page.
        let mut steady: BTreeMap<String, Option<Rank>> =
            self.tasks.iter().map(|task| (task.id.clone(), query.rank(task))).collect();
        loop {
            steady.retain(|id, rank| {
                let task = self.tasks.iter().find(|task| task.id == *id);
                task.is_some_and(|task| query.matches(task) && query.rank(task) == *rank)
            });
            let mut matching: Vec<_> = self.tasks.iter().filter(|task| query.matches(task)).collect();
            matching.sort_by(|a, b| query.compare(a, b));
            let rest: Vec<_> = matching
                .iter()
                .filter(|task| position.as_ref().is_none_or(|at| query.compare(at, task).is_lt()))
                .collect();
            let expected: Vec<_> = rest.iter().take(limit_now).collect();

            let context = format!("{query:?} limit {limit_now} after {position:?}");
            let response = Response::to(request).await.expect_status(200);
            let shown = client.tasks(&response).iter().map(|task| client.id(task)).collect::<Vec<_>>();
            let id = |task: &Task| match query.contract {
                Contract::Envelope => task.id.clone(),
                Contract::Plain => task.number.to_string(),
            };
            assert_eq!(shown, expected.iter().map(|task| id(task)).collect::<Vec<_>>(), "{context}");
            let (total, next) = match query.contract {
                Contract::Envelope => {
                    let body = response.json();
                    let pagination = &body["data"]["pagination"];
                    (pagination["total"].to_string(), pagination["next_cursor"].as_str().map(str::to_owned))
                }
                Contract::Plain => {
                    let link = response.header("link").strip_suffix(">; rel=\"next\"");
                    (response.header("x-total-count").to_owned(), link.map(|link| link[1..].to_owned()))
                }
            };
            assert_eq!(total, matching.len().to_string(), "{context}");
            assert_eq!(next.is_some(), rest.len() > limit_now, "{context}");
            self.compared += 1;
            for task in &expected {
                assert!(
                    seen.insert(task.id.clone()) || !steady.contains_key(&task.id),
                    "a task was listed twice: {context}"
                );
            }
            let Some(next) = next else { break };
            position = expected.last().map(|task| (***task).clone());
            request = match query.contract {
                Contract::Envelope => {
                    limit_now = limit(&mut self.rng);
                    let mut parameters = query.parameters();
                    parameters.extend([("limit", limit_now.to_string()), ("cursor", next)]);
                    client.request(Method::GET, "").query(&parameters)
                }
                // The link repeats the limit of the first page.
                Contract::Plain => {
                    let own = format!("/plain/api/{}/tasks", self.user.id);
                    client.request(Method::GET, next.strip_prefix(&own).expect("the user's path"))
                }
            };
            if write_between {
                for _ in 0..self.rng.usize(..3) {
                    self.write().await;
                }
            }
        }
        assert!(steady.keys().all(|id| seen.contains(id)), "a task was skipped: {query:?}");
    }

    /// Compares at least this many pages. Returns the number of pages compared.
    async fn play(mut self, queries: usize) -> usize {
        for _ in 0..40 {
            self.write().await;
        }
        while self.compared < queries {
            self.follow().await;
            if self.rng.u8(..4) == 0 {
                self.write().await;
            }
        }
        self.compared
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn random_queries_with_writes_between_pages_agree_with_a_model() {
    let Some(app) = App::local().await else { return };
    let number = |name, default| {
        env::var(name)
            .map_or(default, |value| value.parse::<usize>().unwrap_or_else(|_| panic!("{name}: {value}")))
    };
    let (queries, seed) = (number("LIST_QUERIES", QUERIES), number("LIST_SEED", 13));
    let database = app.internals().database().await;
    let users: Vec<_> = (0..USERS).map(|number| app.user(&format!("user{number}"))).collect();
    let players = users.iter().zip(0..).map(|(user, number)| {
        let rng = Rng::with_seed(u64::try_from(seed).expect("64 bits") * 100 + number);
        let player = Player { user, database: &database, tasks: Vec::new(), rng, compared: 0 };
        player.play(queries.div_ceil(USERS))
    });
    let compared: usize = join_all(players).await.into_iter().sum();
    println!("{compared} pages, seed {seed}");
}
