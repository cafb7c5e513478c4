//! The result of a comparison: lines for a person, metrics for monitoring, and a verdict.

use std::path::Path;
use std::{fs, io};

use perijove_core::Pubkey;
use perijove_core::redis::Dollars;

use crate::cli::ReconcileArgs;
use crate::record::UnixMillis;

/// What became of one token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Good,
    /// It differs by more than the tolerance.
    Off,
    Old,
    /// It may be wrong by more than is served.
    Uncertain,
    /// Redis has no price for it.
    Missing,
    /// Jupiter has none.
    Unknown,
}

impl Verdict {
    const ALL: [Self; 6] = [
        Self::Good,
        Self::Off,
        Self::Old,
        Self::Uncertain,
        Self::Missing,
        Self::Unknown,
    ];

    const fn label(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Off => "off",
            Self::Old => "old",
            Self::Uncertain => "uncertain",
            Self::Missing => "missing",
            Self::Unknown => "unknown_to_jupiter",
        }
    }
}

/// One token.
struct Row {
    mint: Pubkey,
    verdict: Verdict,
    /// Relative deviation of the price, and its age in seconds.
    deviation: Option<f64>,
    age: Option<f64>,
}

/// Every token that was compared.
pub(super) struct Report<'w> {
    what: &'w ReconcileArgs,
    rows: Vec<Row>,
}

impl<'w> Report<'w> {
    pub(super) const fn new(what: &'w ReconcileArgs) -> Self {
        let rows = Vec::new();
        Self { what, rows }
    }

    /// Adds a token, and gives the line about it.
    pub(super) fn line(
        &mut self,
        mint: Pubkey,
        our: Option<&Dollars>,
        their: Option<f64>,
        now: UnixMillis,
    ) -> String {
        let age = our.map(|our| seconds(now.0.saturating_sub(our.since)));
        let deviation = our.zip(their).map(|(our, their)| our.usd / their - 1.0);
        let old = age.is_some_and(|age| age > self.what.max_age.as_secs_f64());
        let off = deviation.is_some_and(|share| share.abs() * 100.0 > self.what.tolerance);
        let verdict = match (our, deviation) {
            (None, _) => Verdict::Missing,
            (Some(_), _) if old => Verdict::Old,
            (Some(our), _) if our.uncertain > self.what.max_uncertainty => Verdict::Uncertain,
            (Some(_), None) => Verdict::Unknown,
            (Some(_), Some(_)) if off => Verdict::Off,
            (Some(_), Some(_)) => Verdict::Good,
        };
        self.rows.push(Row {
            mint,
            verdict,
            deviation,
            age,
        });
        let text = match (our, their) {
            (None, _) => "no price in Redis".to_owned(),
            (Some(our), None) => format!("{:.9}, but Jupiter has no price", our.usd),
            (Some(our), Some(their)) => format!(
                "{:.9} against {their:.9}: {:+.2} %",
                our.usd,
                deviation.unwrap_or_default() * 100.0
            ),
        };
        let age = age.map_or_else(String::new, |age| format!(", {age:.0} s old"));
        let flag = match verdict {
            Verdict::Good | Verdict::Unknown => "",
            Verdict::Off => "  <- off",
            Verdict::Old => "  <- old",
            Verdict::Uncertain => "  <- uncertain",
            Verdict::Missing => "  <- missing",
        };
        format!("{mint}  {text}{age}{flag}")
    }

    fn count(&self, verdict: Verdict) -> usize {
        let rows = self.rows.iter();
        rows.filter(|row| row.verdict == verdict).count()
    }

    /// Whether everything that could be compared is within bounds, and something could.
    pub(super) fn is_good(&self) -> bool {
        let bad = [
            Verdict::Off,
            Verdict::Old,
            Verdict::Uncertain,
            Verdict::Missing,
        ];
        bad.iter().all(|verdict| self.count(*verdict) == 0) && self.count(Verdict::Good) > 0
    }

    pub(super) fn summary(&self) -> String {
        let counts = Verdict::ALL.map(|verdict| (verdict.label(), self.count(verdict)));
        let counts = counts.map(|(label, count)| format!("{count} {label}"));
        let what = counts.join(", ").replace('_', " ");
        if self.count(Verdict::Good) == 0 {
            format!("{what}: no price could be confirmed")
        } else {
            what
        }
    }

    /// Writes the metrics atomically: readers never find half of the file.
    pub(super) fn write(&self, file: &Path, now: UnixMillis) -> io::Result<()> {
        let mut unfinished = file.as_os_str().to_owned();
        unfinished.push(".tmp");
        fs::write(&unfinished, self.metrics(now))?;
        fs::rename(&unfinished, file)
    }

    fn metrics(&self, now: UnixMillis) -> String {
        let mut text = String::new();
        let mut family = |name: &str, help: &str, value: &dyn Fn(&Row) -> Option<f64>| {
            let head = format!("# HELP {name} {help}\n# TYPE {name} gauge\n");
            text.push_str(&head);
            for row in &self.rows {
                if let Some(value) = value(row) {
                    let line = format!("{name}{{mint=\"{}\"}} {value}\n", row.mint);
                    text.push_str(&line);
                }
            }
        };
        family(
            "perijove_price_deviation_ratio",
            "Relative difference between Perijove's price and Jupiter's.",
            &|row| row.deviation,
        );
        family(
            "perijove_price_age_seconds",
            "Age of the oldest trade that Perijove's price is based on.",
            &|row| row.age,
        );
        let name = "perijove_price_reconciled";
        text.push_str(
            "# HELP perijove_price_reconciled Tokens by the result of the last comparison.\n",
        );
        text.push_str("# TYPE perijove_price_reconciled gauge\n");
        for verdict in Verdict::ALL {
            let (label, count) = (verdict.label(), self.count(verdict));
            let line = format!("{name}{{result=\"{label}\"}} {count}\n");
            text.push_str(&line);
        }
        let name = "perijove_price_reconcile_timestamp_seconds";
        let last = format!(
            "# HELP {name} Time of the last comparison.\n# TYPE {name} gauge\n{name} {}\n",
            seconds(now.0)
        );
        text.push_str(&last);
        text
    }
}

#[expect(clippy::cast_precision_loss, reason = "times of this era")]
fn seconds(millis: i64) -> f64 {
    millis as f64 / 1_000.0
}
