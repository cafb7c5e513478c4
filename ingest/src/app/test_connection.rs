//! The command `test-connection`.

use crate::app::check::with_kafka;
use crate::app::console::say;
use crate::cli::{ConfigArgs, Exit};
use crate::source::kafka::{Step, probe};

/// Tries everything that reading needs, and reports what is wrong and how to fix it.
pub(super) fn test(source: &ConfigArgs) -> Exit {
    with_kafka(source, |kafka, config| {
        if probe(kafka, &config.streams, |step| say(&line(&step))) {
            say("all checks passed");
            Exit::Done
        } else {
            Exit::Failed
        }
    })
}

fn line(step: &Step) -> String {
    let (what, of) = (step.what, &step.of);
    match &step.outcome {
        Ok(found) => format!("ok    {what:<8}  {of}: {found}"),
        Err(fault) => {
            let kind = fault.kind.label();
            let hint = fault.kind.hint();
            let hint = hint.map_or(String::new(), |hint| format!("\n      {hint}"));
            format!("FAIL  {what:<8}  {of}: {fault} [{kind}]{hint}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::{SourceError, SourceErrorKind};

    #[test]
    fn a_step_that_fails_says_what_mends_it() {
        let mut step = Step {
            what: "name",
            of: "rpk0.bitquery.io:9092".to_owned(),
            outcome: Ok("10.0.0.1".to_owned()),
        };
        assert_eq!(
            line(&step),
            "ok    name      rpk0.bitquery.io:9092: 10.0.0.1"
        );
        step.outcome = Err(SourceError::new(SourceErrorKind::Name, "unknown"));
        let failed = "FAIL  name      rpk0.bitquery.io:9092: unknown [name]\n      \
                      check kafka.brokers and name resolution";
        assert_eq!(line(&step), failed);
    }
}
