//! `export` and `import`: everything into a file, and from a file into another store, of whatever
//! kind.

use std::{
    fs::{File, OpenOptions},
    io::{self, BufRead, BufReader, BufWriter, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use anyhow::{Context, bail};
use chat_sdk::{
    Store,
    auth::accounts::AccountStore,
    store::transfer::{Import, Imported, Record},
};

use crate::{
    config::{Config, StoreChoice},
    data_dir::DataDir,
    stored::Stored,
};

/// Bytes of one line at most: the longest event, escaped, is well below.
const LINE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Writes everything into a new file, or on standard output for `-`. May run beside a server: what
/// is written is as of one moment.
pub(crate) fn export(file: &Path, config: &Config) -> anyhow::Result<()> {
    crate::run_async(async {
        if let StoreChoice::Sqlite(path) = &config.store
            && !path.exists()
        {
            bail!("there is no chat in {}", path.display());
        }
        let store = Stored::open(config).await?;
        let out: Box<dyn Write> = if file.as_os_str() == "-" {
            Box::new(io::stdout().lock())
        } else {
            // Password hashes are in it.
            let new = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file);
            Box::new(new.with_context(|| format!("cannot make {}", file.display()))?)
        };
        let written = write_all(&store, out).await;
        store.close().await;
        let records = written?;
        // Standard output may be the export.
        writeln!(io::stderr(), "exported {records} records")?;
        Ok(())
    })
}

async fn write_all(store: &Stored, out: impl Write) -> anyhow::Result<u64> {
    let mut export = match store {
        Stored::Sqlite(store) => store.export().await,
        Stored::Postgres(store) => store.export().await,
    }?;
    let mut out = BufWriter::new(out);
    let mut records = 0;
    while let Some(record) = export.next().await {
        let record = record.context("the store failed")?;
        serde_json::to_writer(&mut out, &record)?;
        out.write_all(b"\n")?;
        if matches!(record, Record::End { .. }) {
            out.flush()?;
            return Ok(records);
        }
        records += 1;
    }
    bail!("the export broke off after {records} records")
}

/// Takes everything out of a file, or of standard input for `-`. No server may run meanwhile.
pub(crate) fn import(file: &Path, config: &Config) -> anyhow::Result<()> {
    crate::run_async(async {
        let _occupied = match &config.store {
            StoreChoice::Sqlite(_) => Some(DataDir::open(&config.data_dir)?.occupy()?),
            StoreChoice::Postgres(_) => None,
        };
        let input: Box<dyn BufRead> = if file.as_os_str() == "-" {
            Box::new(io::stdin().lock())
        } else {
            let file =
                File::open(file).with_context(|| format!("cannot read {}", file.display()))?;
            Box::new(BufReader::new(file))
        };
        let store = Stored::open(config).await?;
        let imported = match &store {
            Stored::Sqlite(store) => read_all(store, input).await,
            Stored::Postgres(store) => read_all(store, input).await,
        };
        store.close().await;
        let Imported { accounts, conversations, events, known, .. } = imported?;
        writeln!(
            io::stdout(),
            "imported {accounts} accounts and {conversations} conversations with {events} events, {known} of them there already"
        )?;
        Ok(())
    })
}

async fn read_all(
    store: &(impl Store + AccountStore),
    mut input: impl BufRead,
) -> anyhow::Result<Imported> {
    let mut import = Import::into(store);
    let mut line = String::new();
    for number in 1_u64.. {
        line.clear();
        let length = io::Read::take(&mut input, LINE_BYTES_MAX).read_line(&mut line)?;
        if length == 0 {
            break;
        }
        let record = serde_json::from_str(&line)
            .map_err(|error| anyhow::anyhow!("line {number} is not a record: {error}"))?;
        import.take(record).await.with_context(|| format!("line {number}"))?;
    }
    Ok(import.finish().await?)
}
