//! Several servers that share the work by parts.
//!
//! Each part is on one server, and an id contains its part, so a call goes to one server: [`Cluster::on_part`] and
//! [`Cluster::on_id`] find it. The map of parts comes from the servers themselves ([`Engine::find_parts`]). It is read
//! again when a server refuses a part, so an outdated map costs a detour but never causes an error.

use crate::{
    Answer, ClaimInput, ClaimedTask, Engine, Error, Heartbeat, LeaseState, Outcome, Refusal, Result, SignalInput,
    SignalState, StartInput, StartManyInput, WorkflowStatus,
    worker::{CancellationToken, WorkerBuilder},
};
use futures::future::{join_all, try_join_all};
use sqlx::PgPool;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};
use tokio::time::{sleep, timeout};
use tracing::warn;

/// Number of parts.
const PARTS: usize = 1024;

/// The code with which a server refuses a part that is not its own.
const FOREIGN_PART: &str = "WF622";

/// How long a server may take to report its parts.
const PATIENCE: Duration = Duration::from_secs(5);

/// Servers that share the parts. Clones share the same state.
#[derive(Clone)]
pub struct Cluster(Arc<Shared>);

struct Shared {
    servers: Vec<PgPool>,
    /// Index of the server that has each part, as far as it is known.
    placement: RwLock<Vec<Option<usize>>>,
    /// Server at which the next claim begins.
    turn: AtomicUsize,
    /// How long calls for a part that is being moved are retried.
    patience: Duration,
}

impl Cluster {
    /// Returns a cluster whose map is read from the servers. The parts of a server that does not answer are unknown
    /// until it does.
    pub async fn connect(servers: Vec<PgPool>) -> Result<Cluster> {
        let cluster = Cluster::of(servers, vec![None; PARTS]);
        cluster.refresh().await?;
        Ok(cluster)
    }

    /// Returns a cluster with a given map: each server with its parts, as numbers and ranges (`0-127,300`), for example
    /// from a configuration file. If a server refuses a part, the servers are asked.
    pub fn with_placement(servers: Vec<(PgPool, &str)>) -> Result<Cluster> {
        let (servers, parts): (Vec<PgPool>, Vec<&str>) = servers.into_iter().unzip();
        let placement = place(parts.into_iter().enumerate(), vec![None; PARTS])?;
        Ok(Cluster::of(servers, placement))
    }

    fn of(servers: Vec<PgPool>, placement: Vec<Option<usize>>) -> Cluster {
        let (placement, turn) = (RwLock::new(placement), AtomicUsize::new(0));
        Cluster(Arc::new(Shared { servers, placement, turn, patience: Duration::from_secs(30) }))
    }

    /// Returns the servers, in the order in which they were given.
    pub fn servers(&self) -> &[PgPool] {
        &self.0.servers
    }

    /// Asks all servers which parts they have. Those that do not answer are assumed to have the same parts as before.
    /// It is an error if two servers have the same part.
    pub async fn refresh(&self) -> Result<()> {
        let asked = self.0.servers.iter().map(async |server| timeout(PATIENCE, Engine::find_parts(server)).await);
        let mut parts = BTreeMap::new();
        for (server, answer) in join_all(asked).await.into_iter().enumerate() {
            match answer {
                Ok(Ok(answer)) => _ = parts.insert(server, answer),
                Ok(Err(error)) => warn!(server, %error, "the server does not say which parts it has"),
                Err(_) => warn!(server, "the server does not answer"),
            }
        }
        let known = self.0.placement.read().unwrap_or_else(PoisonError::into_inner).clone();
        let known = known.into_iter().map(|server| server.filter(|server| !parts.contains_key(server))).collect();
        let placement = place(parts.iter().map(|(server, parts)| (*server, parts.as_str())), known)?;
        *self.0.placement.write().unwrap_or_else(PoisonError::into_inner) = placement;
        Ok(())
    }

    /// Returns the index of the server that has a part, if it is known.
    pub fn placement(&self, part: i32) -> Option<usize> {
        let placement = self.0.placement.read().unwrap_or_else(PoisonError::into_inner);
        usize::try_from(part).ok().and_then(|part| placement.get(part).copied().flatten())
    }

    /// Returns the part of a key, such as a tenant's name.
    pub async fn part(&self, key: &str) -> Result<i32> {
        let mut last = no_servers();
        for server in self.in_turn() {
            match Engine::part(&self.0.servers[server], key).await {
                Err(error) if is_away(&error) => last = error,
                answer => return answer,
            }
        }
        Err(last)
    }

    /// Makes a call on the server that has a part, and retries it elsewhere if the part has moved.
    pub async fn on_part<T, Fut>(&self, part: i32, call: impl Fn(PgPool) -> Fut) -> Result<T>
    where
        Fut: Future<Output = Result<T>>,
    {
        let began = Instant::now();
        loop {
            let refused = match self.placement(part) {
                Some(server) => match call(self.0.servers[server].clone()).await {
                    Err(error) if error.code() == Some(FOREIGN_PART) => error,
                    answer => return answer,
                },
                None => unknown(part),
            };
            if began.elapsed() >= self.0.patience {
                return Err(refused);
            }
            self.refresh().await?;
            if self.placement(part).is_none() {
                sleep(Duration::from_millis(20)).await;
            }
        }
    }

    /// Makes a call on the server that has the part of an execution's or task's id.
    pub async fn on_id<T, Fut>(&self, id: i64, call: impl Fn(PgPool) -> Fut) -> Result<T>
    where
        Fut: Future<Output = Result<T>>,
    {
        self.on_part(part_of(id), call).await
    }

    /// Starts an execution: in the given part, else in the part of its idempotency key, else anywhere. Returns `None`
    /// if it was skipped, as described at [`Engine::start`].
    pub async fn start(&self, input: StartInput) -> Result<Option<i64>> {
        let part = self.choose(input.part, input.idempotency_key.as_deref()).await?;
        let input = StartInput { part: Some(part), ..input };
        let call = |server| {
            let input = input.clone();
            async move { Engine::start(&server, input).await }
        };
        self.on_part(part, call).await
    }

    /// Starts executions, each as [`Cluster::start`] would, and returns their ids in order. Those of one part are
    /// started together or not at all, independently of other parts.
    pub async fn start_many(&self, input: StartManyInput) -> Result<Vec<Option<i64>>> {
        let mut places: BTreeMap<i32, Vec<usize>> = BTreeMap::new();
        let anywhere = self.choose(input.part, None).await?;
        for place in 0..input.parameters.len() {
            let key = input.idempotency_keys.as_ref().and_then(|keys| keys.get(place)).and_then(Option::as_deref);
            let part = if key.is_some() { self.choose(input.part, key).await? } else { anywhere };
            places.entry(part).or_default().push(place);
        }
        let mut ids = vec![None; input.parameters.len()];
        for (part, places) in places {
            let chosen = StartManyInput {
                part: Some(part),
                parameters: pick(&input.parameters, &places),
                idempotency_keys: input.idempotency_keys.as_ref().map(|keys| pick(keys, &places)),
                attributes: input.attributes.as_ref().map(|attributes| pick(attributes, &places)),
                traceparents: input.traceparents.as_ref().map(|traceparents| pick(traceparents, &places)),
                ..input.clone()
            };
            let call = |server| {
                let chosen = chosen.clone();
                async move { Engine::start_many(&server, chosen).await }
            };
            let started = self.on_part(part, call).await?;
            places.into_iter().zip(started).for_each(|(place, id)| ids[place] = id);
        }
        Ok(ids)
    }

    /// Sends a signal to an execution.
    pub async fn signal(&self, execution: i64, input: SignalInput) -> Result<SignalState> {
        let call = |server| {
            let input = input.clone();
            async move { Engine::signal(&server, execution, input).await }
        };
        self.on_id(execution, call).await
    }

    /// Returns the status of an execution.
    pub async fn status(&self, execution: i64) -> Result<WorkflowStatus> {
        self.on_id(execution, |server| async move { Engine::status(&server, execution).await }).await
    }

    /// Claims tasks, starting with another server each time, until there are as many as requested. Unavailable servers
    /// are skipped, unless all of them are unavailable.
    pub async fn claim(&self, input: &ClaimInput) -> Result<Vec<ClaimedTask>> {
        let (mut claimed, mut last, mut answered) = (Vec::new(), no_servers(), false);
        for server in self.in_turn() {
            let most = input.max_tasks - claimed.len() as i32;
            if most <= 0 {
                break;
            }
            let input = ClaimInput { max_tasks: most, ..input.clone() };
            match Engine::claim(&self.0.servers[server], &input).await {
                Ok(tasks) => {
                    claimed.extend(tasks);
                    answered = true;
                }
                Err(error) if is_away(&error) => {
                    warn!(server, %error, "the server is passed over");
                    last = error;
                }
                // Tasks already claimed must not be lost.
                Err(error) if claimed.is_empty() => return Err(error),
                Err(error) => warn!(server, %error, "the server refuses to hand out work"),
            }
        }
        if answered || input.max_tasks <= 0 { Ok(claimed) } else { Err(last) }
    }

    /// Reports outcomes, each to the server that has its part, and returns one answer per outcome, in the same order.
    /// After an error, report all of them again: those already accepted get the same answer.
    pub async fn finish(&self, outcomes: &[Outcome]) -> Result<Vec<Answer>> {
        self.in_order(
            outcomes,
            |outcome| outcome.task,
            |server, outcomes: Vec<Outcome>| async move { Engine::finish(&server, &outcomes).await },
            |answer| matches!(&answer.state, Err(refused) if refused.code == FOREIGN_PART),
        )
        .await
    }

    /// Extends leases, each on the server that has its part, and returns, in the same order, which are still held.
    pub async fn heartbeat(&self, leases: &[(i64, i64)], lease: Duration) -> Result<Vec<Heartbeat>> {
        self.in_order(
            leases,
            |(task, _)| *task,
            |server, leases: Vec<(i64, i64)>| async move { Engine::heartbeat(&server, &leases, lease).await },
            |beat| beat.state == LeaseState::Elsewhere,
        )
        .await
    }

    /// Processes what is due on every server, skipping unavailable ones. Returns how much was done.
    pub async fn tick(&self, max_rows: i32) -> i32 {
        let ticks = self.0.servers.iter().map(async |server| Engine::tick(server, max_rows, None).await);
        let done = join_all(ticks).await.into_iter().enumerate();
        done.map(|(server, done)| done.inspect_err(|error| warn!(server, %error, "tick failed")).unwrap_or(0)).sum()
    }

    /// Runs one worker per server until shutdown is requested. A worker whose server is unavailable waits for it
    /// without disturbing the others. If a part moves, outcomes of its tasks are reported to its new server.
    pub async fn work(&self, build: impl Fn(PgPool) -> WorkerBuilder, shutdown: CancellationToken) -> Result<()> {
        let build = |server: &PgPool| build(server.clone()).cluster(self.clone()).build();
        let workers = self.0.servers.iter().map(build).collect::<std::result::Result<Vec<_>, _>>()?;
        try_join_all(workers.iter().map(|worker| worker.run(shutdown.clone()))).await?;
        Ok(())
    }

    /// Returns all servers, starting with another one each time.
    fn in_turn(&self) -> impl Iterator<Item = usize> + use<> {
        let (count, first) = (self.0.servers.len(), self.0.turn.fetch_add(1, Ordering::Relaxed));
        (0..count).map(move |place| (first.wrapping_add(place)) % count)
    }

    async fn choose(&self, part: Option<i32>, key: Option<&str>) -> Result<i32> {
        match (part, key) {
            (Some(part), _) => Ok(part),
            (None, Some(key)) => self.part(key).await,
            (None, None) => {
                let turn = self.0.turn.fetch_add(1, Ordering::Relaxed);
                let known = |part: &i32| self.placement(*part).is_some();
                let part = (0..PARTS as i32).cycle().skip(turn % PARTS).take(PARTS).find(known);
                part.ok_or_else(no_servers)
            }
        }
    }

    /// Splits a batch by server, and restores the order of the answers. Elements whose part has moved are sent again.
    async fn in_order<I: Clone, A, Fut: Future<Output = Result<Vec<A>>>>(
        &self,
        items: &[I],
        id: impl Fn(&I) -> i64,
        call: impl Fn(PgPool, Vec<I>) -> Fut,
        is_elsewhere: impl Fn(&A) -> bool,
    ) -> Result<Vec<A>> {
        let began = Instant::now();
        let mut answers: Vec<Option<A>> = items.iter().map(|_| None).collect();
        let mut open: Vec<usize> = (0..items.len()).collect();
        while !open.is_empty() {
            let mut batches: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
            let mut lost = Vec::new();
            for place in std::mem::take(&mut open) {
                match self.placement(part_of(id(&items[place]))) {
                    Some(server) => batches.entry(server).or_default().push(place),
                    None => lost.push(place),
                }
            }
            // Collected first: a future that holds an iterator of closures could not be spawned.
            let calls: Vec<Fut> = batches
                .iter()
                .map(|(server, places)| call(self.0.servers[*server].clone(), pick(items, places)))
                .collect();
            let called = join_all(calls).await;
            for (places, answered) in batches.values().zip(called) {
                for (place, answer) in places.iter().zip(answered?) {
                    if is_elsewhere(&answer) {
                        open.push(*place);
                    }
                    answers[*place] = Some(answer);
                }
            }
            if open.is_empty() && lost.is_empty() {
                break;
            }
            if began.elapsed() >= self.0.patience {
                match lost.first() {
                    Some(place) => return Err(unknown(part_of(id(&items[*place])))),
                    None => break,
                }
            }
            open.extend(lost);
            sleep(Duration::from_millis(20)).await;
            self.refresh().await?;
        }
        Ok(answers.into_iter().flatten().collect())
    }
}

fn part_of(id: i64) -> i32 {
    (id >> 48) as i32
}

fn pick<T: Clone>(items: &[T], places: &[usize]) -> Vec<T> {
    places.iter().filter_map(|place| items.get(*place).cloned()).collect()
}

/// Whether the error is the server's, rather than the call's.
fn is_away(error: &Error) -> bool {
    error.is_transient() || matches!(error, Error::Database(sqlx::Error::PoolClosed))
}

/// Adds the parts of servers, written as numbers and ranges, to a map.
fn place<'a>(
    parts: impl Iterator<Item = (usize, &'a str)>,
    mut placement: Vec<Option<usize>>,
) -> Result<Vec<Option<usize>>> {
    for (server, ranges) in parts {
        for range in ranges.split(',').map(str::trim).filter(|range| !range.is_empty()) {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            let number = |text: &str| text.trim().parse::<usize>().ok().filter(|part| *part < PARTS);
            let (Some(first), Some(last)) = (number(first), number(last)) else {
                return Err(refused("WF613", format!("{range} is not a part or a range of parts")));
            };
            for (part, place) in placement.iter_mut().enumerate().take(last + 1).skip(first) {
                match place.replace(server) {
                    Some(other) if other != server => {
                        return Err(refused(
                            FOREIGN_PART,
                            format!("servers {other} and {server} both have part {part}"),
                        ));
                    }
                    _ => {}
                }
            }
        }
    }
    Ok(placement)
}

fn unknown(part: i32) -> Error {
    refused(FOREIGN_PART, format!("no server that answers has part {part}"))
}

fn no_servers() -> Error {
    refused(FOREIGN_PART, "no server has any part".to_owned())
}

fn refused(code: &str, message: String) -> Error {
    let hint = Some("compare workflow_find_parts() on all servers".to_owned());
    Error::WrongState(Refusal {
        code: Some(code.to_owned()),
        sqlstate: "55000".to_owned(),
        message,
        detail: None,
        hint,
    })
}

#[cfg(test)]
mod tests {
    use super::{Cluster, PARTS, place};
    use crate::worker::Worker;
    use crate::{StartInput, StartManyInput};
    use serde_json::Value;
    use tokio_util::sync::CancellationToken;

    /// Compiles only if the futures can be spawned.
    #[allow(dead_code)]
    fn calls_can_be_spawned(cluster: &'static Cluster, worker: &'static Worker) {
        fn spawn(_: impl Future + Send + 'static) {}
        spawn(worker.run(CancellationToken::new()));
        spawn(
            cluster.work(
                |server| Worker::builder(server).handler("a", async |_: Value, _| Ok(())),
                CancellationToken::new(),
            ),
        );
        spawn(cluster.start(StartInput::default()));
        spawn(cluster.start_many(StartManyInput::default()));
        spawn(cluster.finish(&[]));
        spawn(cluster.heartbeat(&[], std::time::Duration::ZERO));
        spawn(cluster.tick(1));
        spawn(cluster.status(1));
    }

    #[test]
    fn a_map_is_read_and_one_that_contradicts_itself_is_refused() {
        let placement = place([(0, "0-511, 600"), (1, "512-599")].into_iter(), vec![None; PARTS]).unwrap();
        assert_eq!(
            [placement[0], placement[511], placement[600], placement[512]],
            [Some(0), Some(0), Some(0), Some(1)]
        );
        assert_eq!(placement[1023], None);
        let error = place([(0, "0-3"), (1, "3")].into_iter(), vec![None; PARTS]).unwrap_err();
        assert_eq!(error.to_string(), "WF622: servers 0 and 1 both have part 3");
        for wrong in ["x", "0-1024", "-1"] {
            let error = place([(0, wrong)].into_iter(), vec![None; PARTS]).unwrap_err();
            assert_eq!(error.code(), Some("WF613"), "{wrong}");
        }
    }
}
