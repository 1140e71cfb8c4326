//! Many users who work at once and keep journals, with which their lists are compared.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::{App, Contract, Response, User};

/// The tasks that a client should have according to the responses, by title, which is unique.
type Journal = BTreeMap<String, Entry>;

#[derive(Debug, Clone, PartialEq)]
struct Entry {
    contract: Contract,
    id: String,
    completed: bool,
}

/// The counts of all users together.
#[derive(Debug, Default)]
pub struct Counts {
    /// The number of requests.
    pub requests: usize,
    /// The number of responses with status 503.
    pub refused: usize,
    /// Writes that were answered with 503, but carried out.
    pub refused_and_done: usize,
    /// The time that the slowest request took.
    pub slowest: Duration,
    /// The number of tasks at the end.
    pub kept: usize,
}

/// A client that uses both contracts and keeps a journal.
struct Client<'a> {
    user: &'a User<'a>,
    journal: Journal,
    random: fastrand::Rng,
    counts: &'a Mutex<Counts>,
    number: usize,
}

impl Client<'_> {
    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a request. The response must be a success, a 503 or one of `others`.
    async fn ask(&self, ask: impl AsyncFn() -> Response, others: &[u16]) -> Response {
        let started = Instant::now();
        let response = ask().await;
        let status = response.status;
        let is_expected = matches!(status, 200..=204 | 503) || others.contains(&status);
        assert!(is_expected, "unexpected {status} {}", response.text);
        let mut counts = self.counts();
        counts.requests += 1;
        counts.refused += usize::from(status == 503);
        counts.slowest = started.elapsed().max(counts.slowest);
        drop(counts);
        response
    }

    /// Sends a request that can safely be repeated, until the response is not 503.
    async fn insist(&self, ask: impl AsyncFn() -> Response, others: &[u16]) -> Response {
        for _ in 0..60 {
            let response = self.ask(&ask, others).await;
            if response.status != 503 {
                return response;
            }
            sleep(Duration::from_secs(1)).await;
        }
        panic!("503 for a minute")
    }

    /// Carries out one random operation, and updates the journal.
    async fn operate(&mut self) {
        self.number += 1;
        let contract = Contract::BOTH[self.random.usize(..2)];
        let known = self.random.usize(..self.journal.len().max(1));
        let known = self.journal.iter().nth(known).map(|(title, entry)| (title.clone(), entry.clone()));
        match (self.random.u8(..10), known) {
            (0..3, _) | (_, None) => self.create(contract).await,
            (3, Some(_)) => {
                let client = self.user.at(contract);
                let response = self.ask(async || client.list("").await, &[]).await;
                if response.status == 200 {
                    for task in client.tasks(&response) {
                        self.assert_own(&task);
                    }
                }
            }
            (4, Some((title, entry))) => {
                let client = self.user.at(entry.contract);
                let response = self.ask(async || client.get(&entry.id).await, &[]).await;
                if response.status == 200 {
                    self.assert_shows(&client.task(&response), &title, &entry);
                }
            }
            (5, Some((title, entry))) => self.delete(title, entry).await,
            (6..8, Some((title, entry))) => self.rename(title, entry).await,
            (_, Some((title, entry))) => self.complete(title, entry).await,
        }
    }

    fn title(&self) -> String {
        format!("{} of {}", self.number, self.user.id)
    }

    async fn create(&mut self, contract: Contract) {
        let title = self.title();
        let client = self.user.at(contract);
        let create = async || {
            let request = client.request(Method::POST, "").header("idempotency-key", self.number.to_string());
            Response::to(request.json(&json!({ "title": title }))).await
        };
        let response = self.insist(create, &[]).await;
        let replayed = response.header("idempotency-replayed") == "true";
        self.counts().refused_and_done += usize::from(replayed);
        let task = client.task(&response);
        let entry = Entry { contract, id: client.id(&task), completed: false };
        self.assert_shows(&task, &title, &entry);
        self.journal.insert(title, entry);
    }

    async fn delete(&mut self, title: String, entry: Entry) {
        let client = self.user.at(entry.contract);
        let response = self.ask(async || client.delete(&entry.id).await, &[]).await;
        if response.status == 503 {
            let now = self.insist(async || client.get(&entry.id).await, &[404]).await;
            if now.status == 200 {
                return self.assert_shows(&client.task(&now), &title, &entry);
            }
            self.counts().refused_and_done += 1;
        }
        self.journal.remove(&title);
    }

    async fn rename(&mut self, title: String, entry: Entry) {
        let new_title = self.title();
        let client = self.user.at(entry.contract);
        let after = Entry { completed: self.random.bool(), ..entry.clone() };
        let body = json!({ "title": new_title, "completed": after.completed });
        let response = self.ask(async || client.put(&entry.id, body.clone()).await, &[]).await;
        self.settle(response, (title, entry), (new_title, after)).await;
    }

    async fn complete(&mut self, title: String, entry: Entry) {
        let client = self.user.at(entry.contract);
        // One contract sets `completed`, the other toggles it. Both change it.
        let after = Entry { completed: !entry.completed, ..entry.clone() };
        let response = self.ask(async || client.complete(&entry.id, after.completed).await, &[]).await;
        self.settle(response, (title.clone(), entry), (title, after)).await;
    }

    /// Updates the journal after a change of a task. After a 503 it reads the task, which must be either
    /// unchanged or changed as requested.
    async fn settle(&mut self, response: Response, before: (String, Entry), after: (String, Entry)) {
        let client = self.user.at(before.1.contract);
        let refused = response.status == 503;
        let now = match refused {
            true => self.insist(async || client.get(&before.1.id).await, &[]).await,
            false => response,
        };
        let shown = client.task(&now);
        let done = shown["title"] == after.0.as_str() && shown["completed"] == after.1.completed;
        if !done {
            assert!(refused, "the response reports success, but shows {shown}");
            return self.assert_shows(&shown, &before.0, &before.1);
        }
        self.counts().refused_and_done += usize::from(refused);
        self.journal.remove(&before.0);
        self.journal.insert(after.0, after.1);
    }

    fn assert_own(&self, task: &Value) {
        assert_eq!(task["user_id"], self.user.id.as_str());
        assert!(task["title"].as_str().is_some_and(|title| title.ends_with(&self.user.id)), "{task}");
    }

    #[track_caller]
    fn assert_shows(&self, task: &Value, title: &str, entry: &Entry) {
        self.assert_own(task);
        assert_eq!((&task["title"], &task["completed"]), (&json!(title), &json!(entry.completed)));
    }
}

/// Lets this many users work while `trouble` happens, which is told when they have finished. Then their lists
/// must contain exactly what their journals say, in both contracts.
pub async fn work_with_journals(
    app: &App,
    users: usize,
    duration: Duration,
    trouble: impl AsyncFnOnce(&AtomicBool),
) -> Counts {
    let users: Vec<_> = (0..users).map(|number| app.user(&format!("user{number}"))).collect();
    let counts = Mutex::new(Counts::default());
    let over = AtomicBool::new(false);
    let end = Instant::now() + duration;
    let work = async {
        let clients = users.iter().map(async |user| {
            let (journal, random) = (Journal::new(), fastrand::Rng::new());
            let mut client = Client { user, journal, random, counts: &counts, number: 0 };
            while Instant::now() < end {
                client.operate().await;
            }
            client.journal
        });
        let journals = join_all(clients).await;
        over.store(true, Ordering::Relaxed);
        journals
    };
    let (journals, ()) = tokio::join!(work, trouble(&over));

    let mut counts = counts.into_inner().unwrap_or_else(PoisonError::into_inner);
    for (user, journal) in users.iter().zip(&journals) {
        for client in user.clients() {
            let tasks = client.all_tasks().await;
            let held: BTreeMap<_, _> = tasks
                .values()
                .map(|task| (task["title"].as_str().expect("text"), task["completed"] == true))
                .collect();
            let written: BTreeMap<_, _> =
                journal.iter().map(|(title, entry)| (title.as_str(), entry.completed)).collect();
            assert_eq!(held, written, "the tasks of {} are those of the journal", user.id);
            assert_eq!(tasks.len(), journal.len(), "no task of {} is duplicated", user.id);
            for (title, entry) in journal.iter().filter(|(_, entry)| entry.contract == client.contract) {
                assert_eq!(tasks[&entry.id]["title"], title.as_str());
            }
        }
        counts.kept += journal.len();
    }
    println!(
        "{} users for {duration:?}, no task lost, duplicated or of another user: {counts:?}",
        users.len()
    );
    counts
}
