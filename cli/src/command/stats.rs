//! `mneme stats`: counts entries, hits and misses, once or again and again, or by hour or day.

mod series;

use std::fmt;
use std::time::Duration;

use mneme_api::operations::STATS;
use serde::Deserialize;
use serde_json::value::RawValue;

use self::series::{Series, When, period, when};
use super::Done;
use crate::cache::{Cache, Fields};
use crate::exit::Outcome;
use crate::output::{print, printable, show, time};

/// Count entries, hits, misses, evictions and expirations.
///
/// Functions write hits and misses up to a minute late.
#[derive(Debug, clap::Args)]
pub(crate) struct Stats {
    /// Count this namespace only.
    #[arg(long, short, value_name = "NAMESPACE")]
    namespace: Option<String>,
    /// Print a line with what has changed, every 10 seconds or as often as given, until Ctrl-C.
    ///
    /// A reading costs a read of the whole table's counts, so a short interval has a price.
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "10", value_parser = clap::value_parser!(u64).range(1..))]
    watch: Option<u64>,
    /// With --watch: end after this number of lines.
    #[arg(long, value_name = "NUMBER", requires = "watch", value_parser = clap::value_parser!(u64).range(1..))]
    lines: Option<u64>,
    /// Show the lookups from this time on, and what hits saved: epoch seconds, or a time before now such as 90m, 24h or 7d.
    #[arg(long, value_name = "TIME", value_parser = when, conflicts_with = "watch")]
    from: Option<When>,
    /// Show the lookups up to this time.
    #[arg(long, value_name = "TIME", value_parser = when, conflicts_with = "watch")]
    to: Option<When>,
    /// Show the lookups by hour or by day.
    #[arg(long, value_name = "hour|day", value_parser = period, conflicts_with = "watch")]
    by: Option<String>,
}

/// The fields of a reply that are shown.
#[derive(Debug, Clone, Deserialize)]
struct Counts {
    entries: u64,
    namespaces: u64,
    hits_exact: u64,
    hits_semantic: u64,
    misses: u64,
    evictions: u64,
    expirations: u64,
    embedder_fingerprint: Option<String>,
}

/// Prints the counts, once or again and again.
///
/// # Errors
/// See [`Cache::call`].
pub(crate) async fn stats(cache: &Cache, arguments: Stats, as_json: bool) -> Done {
    let Stats { namespace, watch, lines, from, to, by } = arguments;
    if from.is_some() || to.is_some() || by.is_some() {
        let now = epoch_secs();
        let second = |when: Option<When>| when.map(|when| when.second(now));
        let fields = Fields::new().with("namespace", namespace).with("from", second(from)).with("to", second(to));
        let reply: Box<RawValue> = cache.call(&STATS, fields.with("by", by)).await?;
        show::<Series>(&reply, as_json)?;
        return Ok(Outcome::Done);
    }
    let read = async || cache.call::<Box<RawValue>>(&STATS, Fields::new().with("namespace", namespace.clone())).await;
    let Some(interval) = watch else {
        show::<Counts>(&read().await?, as_json)?;
        return Ok(Outcome::Done);
    };
    let mut previous: Option<Counts> = None;
    for _ in 0..lines.unwrap_or(u64::MAX) {
        if previous.is_some() {
            tokio::time::sleep(Duration::from_secs(interval)).await;
        }
        let reply = read().await?;
        let counts: Counts = serde_json::from_str(reply.get())?;
        match as_json {
            true => print(&reply)?,
            false => print(&change(previous.as_ref().unwrap_or(&counts), &counts))?,
        }
        previous = Some(counts);
    }
    Ok(Outcome::Done)
}

/// A line with the numbers of now, and with hits and misses since `before`.
fn change(before: &Counts, now: &Counts) -> String {
    let since = |count: fn(&Counts) -> u64| count(now).saturating_sub(count(before));
    let (hits, misses) = (since(Counts::hits), since(|counts| counts.misses));
    format!(
        "{}  entries {}  hits +{hits} ({} exact)  misses +{misses}  hit rate {}  evicted +{}  expired +{}",
        time(epoch_secs()),
        now.entries,
        since(|counts| counts.hits_exact),
        rate(hits, misses),
        since(|counts| counts.evictions),
        since(|counts| counts.expirations),
    )
}

fn epoch_secs() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_secs()).unwrap_or(i64::MAX)
}

/// The share of hits in percent; a dash if there was no lookup.
fn rate(hits: u64, misses: u64) -> String {
    match hits + misses {
        0 => "-".to_owned(),
        lookups => format!("{:.1} %", 100.0 * hits as f64 / lookups as f64),
    }
}

impl Counts {
    fn hits(&self) -> u64 {
        self.hits_exact + self.hits_semantic
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { entries, namespaces, hits_exact, hits_semantic, misses, evictions, expirations, .. } = self;
        writeln!(f, "entries   {entries} in {namespaces} namespaces")?;
        writeln!(f, "hits      {} ({hits_exact} exact, {hits_semantic} semantic)", self.hits())?;
        writeln!(f, "misses    {misses}")?;
        writeln!(f, "hit rate  {}", rate(self.hits(), *misses))?;
        write!(f, "removed   {evictions} evicted, {expirations} expired")?;
        match &self.embedder_fingerprint {
            Some(name) => write!(f, "\nembedder  {}", printable(name)),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(hits_exact: u64, hits_semantic: u64, misses: u64) -> Counts {
        let embedder_fingerprint = Some("a/1".to_owned());
        let (entries, namespaces, evictions, expirations) = (7, 2, 0, 1);
        Counts { entries, namespaces, hits_exact, hits_semantic, misses, evictions, expirations, embedder_fingerprint }
    }

    #[test]
    fn change_between_two_readings_has_the_hit_rate_of_that_time() {
        let line = change(&counts(10, 10, 100), &counts(12, 11, 101));
        assert!(line.contains("hits +3 (2 exact)  misses +1  hit rate 75.0 %  evicted +0"), "{line}");
        assert!(change(&counts(1, 1, 1), &counts(1, 1, 1)).contains("hit rate -"));
        // The counts are lost with their item, and then start again at 0.
        assert!(change(&counts(5, 5, 5), &counts(0, 0, 0)).contains("hits +0"));
    }
}
