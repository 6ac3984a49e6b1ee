//! The PostgreSQL of a server of ours, asked how often it was asked what. Its extension
//! `pg_stat_statements` counts statements; where that is not installed, transactions are counted,
//! which the system does in any case.

use std::{collections::BTreeMap, rc::Rc};

use anyhow::Context;
use testbed::Postgres;

/// Whether somebody wants to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Counts {
    No,
    Yes,
}

/// A database of one server.
pub(crate) struct Database {
    postgres: Rc<Postgres>,
    name: String,
    has_extension: bool,
}

/// How often each statement was run, by its text with `$1` for what varies.
pub(crate) type Statements = BTreeMap<String, u64>;

impl Database {
    /// Before anybody is connected: to count, PostgreSQL has to start again.
    pub(super) fn new(postgres: Rc<Postgres>, url: &str, counts: Counts) -> anyhow::Result<Self> {
        let name = url.rsplit('/').next().context("the URL of a database ends with its name")?;
        let has_extension = match counts {
            Counts::No => false,
            Counts::Yes => {
                let available =
                    "SELECT 1 FROM pg_available_extensions WHERE name = 'pg_stat_statements'";
                !postgres.sql(name, available).trim().is_empty()
            }
        };
        if has_extension {
            let preload = "ALTER SYSTEM SET shared_preload_libraries = 'pg_stat_statements'";
            postgres.sql(name, preload);
            postgres.crash();
            postgres.start_again();
            postgres.sql(name, "CREATE EXTENSION pg_stat_statements");
        }
        Ok(Self { postgres, name: name.to_owned(), has_extension })
    }

    /// What is counted, in the plural.
    pub(crate) fn counted(&self) -> &'static str {
        if self.has_extension {
            "statements (pg_stat_statements)"
        } else {
            "transactions (pg_stat_database; pg_stat_statements is not installed)"
        }
    }

    /// What was run so far. Starts a program to ask, so not while something is measured.
    pub(crate) fn statements(&self) -> anyhow::Result<Statements> {
        let sql = if self.has_extension {
            "SELECT calls || ' ' || regexp_replace(query, '\\s+', ' ', 'g') \
             FROM pg_stat_statements JOIN pg_database ON pg_database.oid = dbid \
             WHERE datname = current_database() AND query NOT LIKE '%pg_stat_statements%'"
        } else {
            "SELECT xact_commit || ' transaction' \
             FROM pg_stat_database WHERE datname = current_database()"
        };
        let mut statements = Statements::new();
        for line in self.postgres.sql(&self.name, sql).lines() {
            let (calls, text) =
                line.split_once(' ').context("a count and a text were asked for")?;
            // Of several roles, or planned apart.
            *statements.entry(text.to_owned()).or_default() += calls.parse::<u64>()?;
        }
        Ok(statements)
    }
}
