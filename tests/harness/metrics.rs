//! Reads Prometheus' text format, as far as tests need it.

/// A scrape.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    samples: Vec<Sample>,
}

#[derive(Debug, Clone, PartialEq)]
struct Sample {
    name: String,
    labels: Vec<(String, String)>,
    value: f64,
}

impl Metrics {
    /// Parses a scrape; comments are skipped.
    pub fn parse(text: &str) -> Self {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        Self {
            samples: lines.filter_map(sample).collect(),
        }
    }

    /// The sum over all series of this name that have these labels; 0 if there are none.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let has = |sample: &Sample, (key, value): &(&str, &str)| {
            sample
                .labels
                .iter()
                .any(|(own, text)| own == key && text == value)
        };
        self.samples
            .iter()
            .filter(|sample| sample.name == name && labels.iter().all(|label| has(sample, label)))
            .map(|sample| sample.value)
            .sum()
    }

    /// Whether a metric of this name is there; histograms and summaries by their base name.
    pub fn has(&self, name: &str) -> bool {
        self.samples.iter().any(|sample| {
            sample
                .name
                .strip_prefix(name)
                .is_some_and(|rest| matches!(rest, "" | "_bucket" | "_sum" | "_count"))
        })
    }

    /// All values one label has on a metric.
    pub fn label_values(&self, name: &str, label: &str) -> Vec<String> {
        let series = self.samples.iter().filter(|sample| sample.name == name);
        let mut values: Vec<_> = series
            .flat_map(|sample| &sample.labels)
            .filter(|(own, _)| own == label)
            .map(|(_, value)| value.clone())
            .collect();
        values.sort();
        values.dedup();
        values
    }
}

fn sample(line: &str) -> Option<Sample> {
    let (series, value) = line.rsplit_once(' ')?;
    let value = value.parse().ok()?;
    let (name, labels) = match series.split_once('{') {
        Some((name, rest)) => (name, rest.strip_suffix('}')?),
        None => (series, ""),
    };
    let labels = labels.split("\",").filter_map(|pair| {
        let (key, value) = pair.split_once("=\"")?;
        Some((
            key.trim().to_owned(),
            value.trim_end_matches('"').to_owned(),
        ))
    });
    Some(Sample {
        name: name.to_owned(),
        labels: labels.collect(),
        value,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_go_over_the_series_with_the_labels() {
        let scrape = Metrics::parse(
            "# TYPE a counter\na{x=\"1\",y=\"2\"} 3\na{x=\"1\",y=\"3\"} 4\na{x=\"2\"} 8\nb 0.5\n\
             h_bucket{le=\"+Inf\"} 2\n",
        );
        assert!((scrape.sum("a", &[("x", "1")]) - 7.0).abs() < f64::EPSILON);
        assert!((scrape.sum("a", &[]) - 15.0).abs() < f64::EPSILON);
        assert!((scrape.sum("b", &[]) - 0.5).abs() < f64::EPSILON);
        assert!(scrape.has("h") && scrape.has("b") && !scrape.has("c"));
        assert_eq!(scrape.label_values("a", "x"), ["1", "2"]);
    }
}
