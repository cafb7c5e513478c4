//! The page of the schema says what the databases are like. To write it anew:
//! `PERIJOVE_WRITE_DOCS=1 cargo test -p perijove-ingest --test sinks schema`

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::str::FromStr as _;

use sqlx::postgres::PgPool;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool};

use crate::scene::{on_postgres, on_sqlite, open};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/ingest-schema.md");
const BEGIN: &str = "<!-- tables, from the databases -->\n";
const END: &str = "<!-- end of tables -->\n";

/// A table or a view of PostgreSQL.
#[derive(sqlx::FromRow)]
struct Relation {
    oid: i64,
    name: String,
    view: bool,
    comment: Option<String>,
}

#[derive(sqlx::FromRow)]
struct Column {
    name: String,
    kind: String,
    needed: bool,
    comment: Option<String>,
}

/// Columns of each table and view of SQLite with their types.
async fn of_sqlite() -> BTreeMap<String, Vec<(String, String)>> {
    let mut tables: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
    on_sqlite(async |settings| {
        open(&settings).await;
        let options = SqliteConnectOptions::from_str(settings.url.expose().as_str()).unwrap();
        let pool = SqlitePool::connect_with(options).await.unwrap();
        let rows: Vec<(String, String, String)> = sqlx::query_as(
            "SELECT m.name, c.name, c.type FROM sqlite_master m JOIN pragma_table_info(m.name) c
             WHERE m.type IN ('table', 'view') AND m.name NOT LIKE '\\_sqlx%' ESCAPE '\\'
                 AND m.name NOT LIKE 'sqlite\\_%' ESCAPE '\\'
             ORDER BY m.name, c.cid",
        )
        .fetch_all(&pool)
        .await
        .unwrap();
        for (table, column, kind) in rows {
            tables.entry(table).or_default().push((column, kind));
        }
    })
    .await;
    tables
}

async fn columns(pool: &PgPool, relation: &Relation) -> Vec<Column> {
    sqlx::query_as(
        "SELECT attname::text AS name, format_type(atttypid, atttypmod) AS kind, attnotnull AS needed,
             col_description(attrelid, attnum) AS comment
         FROM pg_attribute WHERE attrelid = $1::bigint::oid AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
    )
    .bind(relation.oid)
    .fetch_all(pool)
    .await
    .unwrap()
}

async fn indexes(pool: &PgPool, relation: &Relation) -> Vec<String> {
    sqlx::query_scalar(
        "SELECT '`' || i.relname || '` ' || substring(pg_get_indexdef(i.oid) FROM 'USING (.*)$')
         FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid
         WHERE x.indrelid = $1::bigint::oid ORDER BY i.relname",
    )
    .bind(relation.oid)
    .fetch_all(pool)
    .await
    .unwrap()
}

/// A section of the page.
fn section(
    relation: &Relation,
    columns: &[Column],
    indexes: &[String],
    sqlite: &[(String, String)],
) -> String {
    let name = &relation.name;
    let comment = relation.comment.as_ref();
    let comment = comment.unwrap_or_else(|| panic!("{name} has no comment"));
    let kind = if relation.view { "view" } else { "table" };
    let mut text = format!("### {name} ({kind})\n\n{comment}\n\n");
    // The order of columns is another in places.
    let types: BTreeMap<_, _> = sqlite.iter().cloned().collect();
    text.push_str("| column | PostgreSQL | SQLite | |\n|---|---|---|---|\n");
    for column in columns {
        let Column {
            name: of,
            kind,
            needed,
            comment,
        } = column;
        let comment = comment.as_ref();
        let comment = comment.unwrap_or_else(|| panic!("{name}.{of} has no comment"));
        let null = if *needed || relation.view {
            ""
        } else {
            ", null"
        };
        let other = types.get(of);
        let other = other.unwrap_or_else(|| panic!("SQLite has no {name}.{of}"));
        let other = if other.is_empty() { "any" } else { other };
        let kind = kind.replace("timestamp with time zone", "timestamptz");
        writeln!(text, "| `{of}` | {kind}{null} | {other} | {comment} |").unwrap();
    }
    assert_eq!(columns.len(), sqlite.len(), "columns of {name}");
    if !indexes.is_empty() {
        write!(text, "\nIndexes of PostgreSQL: {}.\n", indexes.join(", ")).unwrap();
    }
    text
}

async fn rendered() -> String {
    let mut text = String::new();
    let sqlite = of_sqlite().await;
    on_postgres(async |settings| {
        open(&settings).await;
        let pool = PgPool::connect(settings.url.expose().as_str()).await.unwrap();
        let relations: Vec<Relation> = sqlx::query_as(
            "SELECT oid::bigint, relname::text AS name, relkind = 'v' AS view, obj_description(oid, 'pg_class') AS comment
             FROM pg_class
             WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v') AND NOT relispartition
                 AND relname <> '_sqlx_migrations'
             ORDER BY relkind = 'v', oid",
        )
        .fetch_all(&pool)
        .await
        .unwrap();
        for relation in &relations {
            let columns = columns(&pool, relation).await;
            let indexes = indexes(&pool, relation).await;
            let other = sqlite.get(&relation.name);
            let other = other.unwrap_or_else(|| panic!("SQLite has no {}", relation.name));
            text.push_str(&section(relation, &columns, &indexes, other));
            text.push('\n');
        }
        assert_eq!(relations.len(), sqlite.len(), "tables and views");
    })
    .await;
    text
}

#[tokio::test]
async fn the_page_of_the_schema_is_that_of_the_databases() {
    let page = std::fs::read_to_string(PAGE).unwrap();
    let (before, rest) = page.split_once(BEGIN).unwrap();
    let (_, after) = rest.split_once(END).unwrap();
    let wanted = format!("{before}{BEGIN}\n{}{END}{after}", rendered().await);
    if std::env::var_os("PERIJOVE_WRITE_DOCS").is_some() {
        std::fs::write(PAGE, &wanted).unwrap();
    }
    assert!(
        std::fs::read_to_string(PAGE).unwrap() == wanted,
        "docs/ingest-schema.md is of another schema; write it anew: \
         PERIJOVE_WRITE_DOCS=1 cargo test -p perijove-ingest --test sinks schema"
    );
}
