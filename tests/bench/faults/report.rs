//! The table of all rows, as Markdown, and the list of what was not good enough.

use std::time::Duration;

use crate::figures::Figures;
use crate::rows::Row;

/// A row that was run: its figures, or why there are none.
#[derive(Debug)]
pub struct Run {
    pub row: Row,
    pub figures: Result<Figures, String>,
}

impl Run {
    /// What is not good enough.
    pub fn misses(&self) -> Vec<String> {
        match &self.figures {
            Ok(figures) => figures.misses.clone(),
            Err(error) => vec![format!("did not run: {error}")],
        }
    }

    /// Whether its only flaw is a percentile.
    pub fn is_only_slow(&self) -> bool {
        let figures = self.figures.as_ref();
        figures.is_ok_and(|figures| !figures.misses.is_empty() && figures.late == figures.misses)
    }

    /// A line for whoever waits.
    pub fn line(&self) -> String {
        let misses = self.misses();
        let verdict = if misses.is_empty() {
            "good".to_owned()
        } else {
            misses.join("; ")
        };
        format!("{}: {verdict}", self.row.name)
    }
}

const COLUMNS: [&str; 14] = [
    "fault/upstream/calls",
    "calls",
    "lost",
    "wrong",
    "back",
    "p50 ms",
    "p99 ms",
    "p99 writes",
    "p99 before",
    "share %",
    "share back s",
    "usual again s",
    "reached",
    "sends/tx",
];

/// The table.
pub fn table(runs: &[Run]) -> String {
    let mut lines = vec![line(&COLUMNS.map(str::to_owned))];
    let mut rule = COLUMNS.map(|_| "---:".to_owned());
    if let Some(first) = rule.first_mut() {
        "---".clone_into(first);
    }
    lines.push(line(&rule));
    for run in runs {
        lines.push(match &run.figures {
            Ok(figures) => line(&cells(&run.row, figures)),
            Err(error) => format!("| {} | {error} |", run.row.name),
        });
    }
    lines.join("\n")
}

fn cells(row: &Row, figures: &Figures) -> [String; 14] {
    let marked = |count: usize| match count {
        0 => "0".to_owned(),
        _ => format!("**{count}**"),
    };
    let timed = |time: Duration| {
        let bold = if time > row.bound { "**" } else { "" };
        format!("{bold}{}{bold}", millis(time))
    };
    let back = if row.faults.is_empty() || figures.share.is_none_or(|share| share < 0.05) {
        String::new()
    } else {
        figures.served_again.map_or("never".to_owned(), seconds)
    };
    [
        row.name.clone(),
        figures.calls.to_string(),
        marked(figures.lost),
        marked(figures.wrong),
        figures.back.to_string(),
        millis(figures.p50),
        timed(figures.p99),
        timed(figures.writes_p99),
        millis(figures.calm_p99),
        format!(
            "{} → {}",
            percent(figures.share),
            percent(figures.share_during)
        ),
        back,
        seconds(figures.usual_again),
        figures.reached.to_string(),
        figures
            .sends
            .map_or(String::new(), |sends| format!("{sends:.2}")),
    ]
}

/// What was not good enough, row by row, with the most frequent complaints.
pub fn missed(runs: &[Run]) -> String {
    let mut lines = Vec::new();
    for run in runs {
        let misses = run.misses();
        if misses.is_empty() {
            continue;
        }
        lines.push(format!("- {}: {}", run.row.name, misses.join("; ")));
        let Ok(figures) = &run.figures else { continue };
        let mut complaints: Vec<_> = figures.complaints.iter().collect();
        complaints.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        for (complaint, count) in complaints.into_iter().take(6) {
            lines.push(format!("  - {count} × `{complaint}`"));
        }
    }
    lines.join("\n")
}

fn line(cells: &[String]) -> String {
    format!("| {} |", cells.join(" | "))
}

fn millis(time: Duration) -> String {
    let millis = time.as_secs_f64() * 1e3;
    if millis < 10.0 {
        format!("{millis:.1}")
    } else {
        format!("{millis:.0}")
    }
}

fn percent(share: Option<f64>) -> String {
    share.map_or("–".to_owned(), |share| format!("{:.0}", share * 100.0))
}

fn seconds(time: Duration) -> String {
    format!("{:.1}", time.as_secs_f64())
}
