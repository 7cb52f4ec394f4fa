//! The schema: its name, its version, and the migrations that create and update it. The last of them that has it defines
//! the SQL function `publish`.

use tokio_postgres::Client;
use tokio_postgres::types::Type;

use crate::connection::error::ConnectError;
use crate::transaction::{BEGIN, BEGIN_UNLIMITED};

/// The version of the schema that this code creates.
pub(crate) const VERSION: i32 = MIGRATIONS.len() as i32;
/// The oldest version of the schema that this code can use.
const OLDEST_SCHEMA: i32 = 4;
/// The version that code has to know at least to use the schema that this code creates. A migration that only adds
/// leaves it as it is, so that the code of before runs beside the new one, and after it.
const OLDEST_CODE: i32 = 4;

/// The migrations. Each leads from the version that is its index to the next one. A released one never changes.
const MIGRATIONS: [&str; 6] = [
    include_str!("../../migrations/001.sql"),
    include_str!("../../migrations/002.sql"),
    include_str!("../../migrations/003.sql"),
    include_str!("../../migrations/004.sql"),
    include_str!("../../migrations/005.sql"),
    include_str!("../../migrations/006.sql"),
];

/// The name of a schema. It is an identifier that needs no quotes, so it reads the same everywhere.
#[derive(Clone, Debug)]
pub(crate) struct SchemaName(String);

impl SchemaName {
    pub(crate) fn new(name: &str) -> Result<Self, ConnectError> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        let is_valid = name.len() <= 63
            && name.bytes().all(plain)
            && name.starts_with(|first: char| first.is_ascii_lowercase() || first == '_')
            && !name.starts_with("pg_");
        if is_valid {
            Ok(Self(name.to_owned()))
        } else {
            Err(ConnectError::SchemaName { name: name.to_owned() })
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The search path of this crate's statements: they find the tables of this schema, and no others.
    pub(crate) fn search_path(&self) -> String {
        format!("\"{}\", pg_temp", self.0)
    }
}

/// Returns the SQL that [`migrate`](crate::PostgresStore::migrate) runs on a database that has nothing of hookwire
/// yet. It opens and commits a transaction of its own. Read it, or run it with a migration tool of yours.
///
/// ```
/// let sql = hookwire_postgres::migration_sql("hookwire")?;
/// assert!(sql.contains("CREATE FUNCTION publish"));
/// # Ok::<_, hookwire_postgres::ConnectError>(())
/// ```
///
/// # Errors
///
/// [`ConnectError::SchemaName`] if `schema` cannot be the name of a schema.
pub fn migration_sql(schema: &str) -> Result<String, ConnectError> {
    let schema = SchemaName::new(schema)?;
    Ok(format!("{BEGIN};\n{}{}COMMIT;\n", prelude(&schema), steps(0)))
}

fn prelude(schema: &SchemaName) -> String {
    format!(
        "CREATE SCHEMA IF NOT EXISTS \"{}\";\nSET LOCAL search_path TO {};\n",
        schema.as_str(),
        schema.search_path()
    )
}

/// The migrations from version `found` to the present one.
fn steps(found: usize) -> String {
    let mut sql = MIGRATIONS.iter().skip(found).copied().collect::<String>();
    sql.push_str(&format!("UPDATE settings SET version = {VERSION}, oldest_code = {OLDEST_CODE};\n"));
    sql
}

/// Brings the schema to the present version in one transaction. Others who migrate at the same time wait.
pub(crate) async fn migrate(client: &Client, schema: &SchemaName) -> Result<(), ConnectError> {
    begin(client, schema).await?;
    let applied = apply(client, schema).await;
    end(client, schema, applied).await
}

/// Begins a transaction, and refuses a database whose default is that nothing may be written. That a standby is
/// read-only is no default: it may become the primary.
async fn begin(client: &Client, schema: &SchemaName) -> Result<(), ConnectError> {
    const IS_READ_ONLY: &str =
        "SELECT current_setting('default_transaction_read_only') = 'on' AND NOT pg_is_in_recovery()";
    let failed = |error| ConnectError::of(error, schema.as_str());
    client.batch_execute(BEGIN_UNLIMITED).await.map_err(failed)?;
    let rows = client.query_typed(IS_READ_ONLY, &[]).await.map_err(failed)?;
    let is_read_only = rows.first().is_some_and(|row| row.get(0));
    if is_read_only { end(client, schema, Err(ConnectError::ReadOnly)).await } else { Ok(()) }
}

/// Commits the transaction, or rolls it back after an error.
async fn end<T>(
    client: &Client,
    schema: &SchemaName,
    done: Result<T, ConnectError>,
) -> Result<T, ConnectError> {
    let ended = client.batch_execute(if done.is_ok() { "COMMIT" } else { "ROLLBACK" }).await;
    // The first error says more than that of a rollback.
    let done = done?;
    ended.map(|()| done).map_err(|error| ConnectError::of(error, schema.as_str()))
}

async fn apply(client: &Client, schema: &SchemaName) -> Result<(), ConnectError> {
    const LOCK: &str = "SELECT pg_advisory_xact_lock(hashtextextended('hookwire migrates ' || $1, 0))";
    let name = schema.as_str();
    let failed = |error| ConnectError::of(error, name);
    client.query_typed(LOCK, &[(&name, Type::TEXT)]).await.map_err(failed)?;
    let found = version(client, schema).await?.unwrap_or_default();
    found.check_code(name)?;
    if found.version >= VERSION {
        return Ok(());
    }
    let sql = format!("{}{}", prelude(schema), steps(usize::try_from(found.version).unwrap_or_default()));
    client.batch_execute(&sql).await.map_err(failed)
}

/// The version of a schema.
#[derive(Clone, Copy, Debug, Default)]
struct Found {
    version: i32,
    /// The version that code has to know at least.
    oldest_code: i32,
}

impl Found {
    /// Checks that this code is not too old for the schema.
    fn check_code(self, schema: &str) -> Result<(), ConnectError> {
        let Self { version, oldest_code } = self;
        if oldest_code <= VERSION {
            return Ok(());
        }
        Err(ConnectError::Newer { schema: schema.to_owned(), found: version, known: VERSION })
    }
}

/// Checks that the schema is there, and that this code can use it.
pub(crate) async fn check(client: &Client, schema: &SchemaName) -> Result<(), ConnectError> {
    let name = schema.as_str();
    begin(client, schema).await?;
    let found = version(client, schema).await;
    let Some(found) = end(client, schema, found).await? else {
        return Err(ConnectError::NotMigrated { schema: name.to_owned() });
    };
    found.check_code(name)?;
    if found.version < OLDEST_SCHEMA {
        let (schema, found) = (name.to_owned(), found.version);
        return Err(ConnectError::Older { schema, found, known: OLDEST_SCHEMA });
    }
    Ok(())
}

/// Reads the version of the schema. `None` if the schema is not there. Before version 4 there was no `oldest_code`, and
/// each version was for its own code alone.
async fn version(client: &Client, schema: &SchemaName) -> Result<Option<Found>, ConnectError> {
    let name = schema.as_str();
    let failed = |error| ConnectError::of(error, name);
    let known = "SELECT to_regclass($1) IS NOT NULL";
    let table = format!("\"{name}\".settings");
    // Statements without a name: a pooler may be in between.
    let rows = client.query_typed(known, &[(&table, Type::TEXT)]).await.map_err(failed)?;
    if !rows.first().is_some_and(|row| row.get(0)) {
        return Ok(None);
    }
    let versions = format!(
        "SELECT version, coalesce((to_json(it) ->> 'oldest_code')::integer, version) FROM {table} AS it"
    );
    let rows = client.query_typed(&versions, &[]).await.map_err(failed)?;
    Ok(rows.first().map(|row| Found { version: row.get(0), oldest_code: row.get(1) }))
}
