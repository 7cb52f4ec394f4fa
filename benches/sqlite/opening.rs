//! The time in which a large file opens that a killed process has left.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use hookwire::model::{End, HookId};
use hookwire::store::{SqliteStore, Store};
use rusqlite::Connection;

use super::support::backlog::{Scene, request, tenant};
use super::support::{Error, Sample, timed};

/// Names the file to the process that is killed.
const FILE: &str = "HOOKWIRE_BENCH_FILE";
/// The number of the first message of that process.
const NUMBER: &str = "HOOKWIRE_BENCH_NUMBER";

const TENANTS: usize = 100;
const HOOKS: usize = 10;
const ROUNDS: usize = 9;
/// What the process that is killed publishes, and how much it holds then.
const PUBLISHED: usize = 5_000;
const HELD: usize = 64;
const MAX_TIME: Duration = Duration::from_secs(2);

/// Whether this process is the one that is killed. If so, it never returns.
pub(crate) async fn is_victim() -> Result<bool, Error> {
    let Some(file) = std::env::var_os(FILE) else { return Ok(false) };
    let number = std::env::var(NUMBER)?.parse()?;
    let store = Arc::new(SqliteStore::open(file).await?);
    let scene = Scene::resumed(store, number);
    for n in 0..PUBLISHED / 100 {
        scene.publish(&tenant(&format!("t{}", n % TENANTS)), HookId::new(1), 100).await?;
    }
    let held = scene.store.claim(&request(HELD)).await?.deliveries.len();
    println!("{held}");
    // Nobody writes there: it ends when the other end is closed, if nobody kills it before.
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink())?;
    Ok(true)
}

/// Fills a file with `rows` ended events and half as many waiting deliveries of many webhooks, and prints how long it takes
/// to open after kills. False when it takes too long.
pub(crate) async fn run(rows: usize, file: &Path) -> Result<bool, Error> {
    fill(rows, file).await?;
    let megabytes = std::fs::metadata(file)?.len() / 1_000_000;
    let (waiting, lanes) = (rows / 2, TENANTS * HOOKS);
    println!("SqliteStore: opening a file of {megabytes} MB after a kill: {rows} ended events,");
    println!("{waiting} deliveries wait for {lanes} webhooks, {HELD} are claimed");
    let (mut cold, mut warm, mut claims) = (Sample::default(), Sample::default(), Sample::default());
    for round in 0..ROUNDS {
        kill_one(file, (round + 1) * 1_000_000_000)?;
        let is_cold = round % 3 == 0;
        if is_cold {
            forget(file)?;
        }
        let (took, store) = timed(SqliteStore::open(file)).await;
        if is_cold {
            cold.add(took)
        } else {
            warm.add(took)
        }
        let (took, claimed) = timed(store?.claim(&request(HELD))).await;
        claims.add(took);
        let claimed = claimed?.deliveries.len();
        if claimed != HELD {
            return Err(format!("claimed {claimed} of {HELD}").into());
        }
    }
    print("open, the system has nothing of the file in memory", &cold);
    print("open, the system has the file in memory", &warm);
    print("the first claim", &claims);
    println!();
    Ok(cold.percentile(100) <= MAX_TIME && warm.percentile(100) <= MAX_TIME)
}

fn print(what: &str, sample: &Sample) {
    let millis = |percent| sample.percentile(percent).as_secs_f64() * 1e3;
    println!("{what:<52} {:>8.1} ms, at most {:>8.1} ms", millis(50), millis(100));
}

/// Starts a process that works on the file, and kills it.
fn kill_one(file: &Path, number: usize) -> Result<(), Error> {
    let mut victim = Command::new(std::env::current_exe()?);
    victim.env(FILE, file).env(NUMBER, number.to_string());
    let mut victim = victim.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let mut held = String::new();
    if let Some(says) = victim.stdout.take() {
        BufReader::new(says).read_line(&mut held)?;
    }
    victim.kill()?;
    victim.wait()?;
    if held.trim() == HELD.to_string() { Ok(()) } else { Err(format!("it holds {held:?}").into()) }
}

/// Has the system forget what it keeps of the file in memory.
fn forget(file: &Path) -> Result<(), Error> {
    for ending in ["", "-wal"] {
        let mut name = file.as_os_str().to_owned();
        name.push(ending);
        let mut to = std::ffi::OsString::from("of=");
        to.push(name);
        let mut dd = Command::new("dd");
        dd.arg(to).args(["oflag=nocache", "conv=notrunc,fdatasync", "count=0", "status=none"]);
        if !dd.status()?.success() {
            return Err("dd cannot drop the file".into());
        }
    }
    Ok(())
}

/// One ended event and one that waits by the store itself, and the others as copies of them.
async fn fill(rows: usize, file: &Path) -> Result<(), Error> {
    let scene = Scene::resumed(Arc::new(SqliteStore::open(file).await?), 0);
    for n in 0..TENANTS {
        for _ in 0..HOOKS {
            scene.create(&tenant(&format!("t{n}"))).await?;
        }
    }
    scene.publish(&tenant("t0"), HookId::new(1), 1).await?;
    scene.drain(End::Delivered).await?;
    scene.publish(&tenant("t0"), HookId::new(1), 1).await?;
    drop(scene);
    let connection = Connection::open(file)?;
    connection.execute_batch("PRAGMA synchronous = OFF; PRAGMA cache_size = -262144")?;
    connection.execute_batch(&copies(1, rows))?;
    connection.execute_batch(&copies(2, rows / 2))?;
    connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)")?;
    Ok(())
}

/// Copies event and delivery `id` so often, for one webhook after the other.
fn copies(id: usize, count: usize) -> String {
    let lanes = TENANTS * HOOKS;
    format!(
        "CREATE TEMP TABLE base AS SELECT (SELECT max(id) FROM event) AS event,
            (SELECT max(id) FROM delivery) AS delivery, (SELECT min(id) FROM lane) AS lane;
        WITH RECURSIVE copy (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM copy WHERE n < {count})
        INSERT INTO event (id, tenant, message, digest, published_at, routed, first, made, targets, skipped, meta,
                routing, payload)
            SELECT base.event + n, lane.tenant, 'copy_{id}_' || n, digest, published_at, routed, base.delivery + n, made,
                targets, skipped, meta, routing, payload
            FROM copy, base JOIN event ON event.id = {id} JOIN lane ON lane.id = base.lane + n % {lanes};
        WITH RECURSIVE copy (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM copy WHERE n < {count})
        INSERT INTO delivery (id, event, lane, epoch, behind, state, due, expires, created_at, attempts, ended_at,
                first_attempt)
            SELECT base.delivery + n, base.event + n, base.lane + n % {lanes}, epoch, behind, state, due, expires,
                created_at, attempts, ended_at, first_attempt
            FROM copy, base JOIN delivery ON delivery.id = {id};
        DROP TABLE base;"
    )
}
