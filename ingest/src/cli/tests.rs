//! Command lines.

use clap::CommandFactory;

use super::*;

#[test]
fn the_definition_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn every_command_is_understood_and_others_are_not() {
    for line in [
        "check",
        "check -c x",
        "check --config x",
        "schema",
        "health --wait 5s",
        "health http://a:1/ready http://b:2/",
        "generate x",
        "test-connection -c x",
        "lag",
        "record x -c y --from 30m --time 5s --messages 7",
        "record x --from earliest",
        "run -c x",
        "replay x -c y",
        "offsets show",
        "offsets reset --to 17 --topic x --partition 3",
        "offsets reset --to 30m",
        "dead-letters list --class json --all -n 5",
        "dead-letters replay --id 3",
        "verify --reference x --tolerance 3",
        "reconcile So11111111111111111111111111111111111111112 --tolerance 1",
        "reconcile --max-uncertainty 0.02",
        "export x --from 24h",
        "export x --format parquet --from 2025-10-09 --to 2025-10-09T08:00:00Z -c y",
        "base58 So11111111111111111111111111111111111111112",
        "generate x --messages 5 --seed 2 --until 1760000000",
    ] {
        let words = std::iter::once("perijove-ingest").chain(line.split(' '));
        assert!(Cli::try_parse_from(words).is_ok(), "{line}");
    }
    for line in [
        "",
        "walk",
        "check a.yaml",
        "generate",
        "record",
        "record x --from x",
        "replay",
        "offsets reset",
        "offsets reset --to -1",
        "dead-letters",
        "verify",
        "reconcile x",
        "reconcile --tolerance nan",
        "reconcile --tolerance=-1",
        "reconcile --max-uncertainty inf",
        "verify --reference x --tolerance inf",
        "export x",
        "export x --from yesterday",
        "export x --from 24h --format csv",
        "base58",
    ] {
        let words = std::iter::once("perijove-ingest").chain(line.split(' '));
        assert!(Cli::try_parse_from(words).is_err(), "{line}");
    }
}
