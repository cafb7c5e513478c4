//! The command line: what can be asked of the program. What it does then is in `app`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use perijove_core::settings::Setting;

const AFTER_HELP: &str = "\
Exit codes:
  0  done, or stopped as asked
  1  could not start, or had to stop
  2  the command line is wrong
  3  the configuration is wrong; standard error says what

Signals:
  TERM, INT  finish what is under way, then end (see `shutdown` in the configuration)
  HUP        load the configuration again
  QUIT       hand the sockets to a process started with `run --upgrade`, then end";

/// A drop-in Solana RPC endpoint in front of your validators and providers.
#[derive(Clone, Debug, PartialEq, Eq, Parser)]
#[command(name = "perijove-gateway", version, about, after_help = AFTER_HELP)]
#[command(arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

/// What the program can do.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// Serve until told to stop
    Run(RunCommand),
    /// Check a configuration and say everything that is wrong with it
    Check(ConfigSource),
    /// Print the JSON Schema of the configuration
    Schema,
    /// Ask a running gateway whether it is well: 0 for yes, 1 for no
    Health(HealthCommand),
    /// Make API keys, and the hashes that stand for them in a configuration
    #[command(subcommand)]
    Keys(KeysCommand),
}

/// What is done with API keys.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum KeysCommand {
    /// Make a key: the key for its owner, its hash for the configuration
    ///
    /// The key is shown this once and kept nowhere. With --file its hash is added to the keys file,
    /// which a running gateway reads at once.
    New(NewKey),
    /// Print the hash of every key on standard input, one a line
    Hash,
    /// Print the keys in a keys file: the beginning of the hash, consumer, plan, when it was made
    List(InKeysFile),
    /// Take keys out of a keys file, after which a running gateway refuses them
    Revoke(RevokedKeys),
}

/// A key that is to be made.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct NewKey {
    /// Keys file to add its hash to; made if it is not there
    #[arg(
        short,
        long,
        value_name = "FILE",
        env = "PERIJOVE_KEYS_FILE",
        requires = "consumer"
    )]
    pub file: Option<PathBuf>,

    /// Whose key it is
    #[arg(long, value_name = "ID", requires = "file")]
    pub consumer: Option<String>,

    /// The plan of the consumer, where it has no other key
    #[arg(long, value_name = "ID", requires = "file")]
    pub plan: Option<String>,
}

/// A keys file.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct InKeysFile {
    /// Keys file
    #[arg(short, long, value_name = "FILE", env = "PERIJOVE_KEYS_FILE")]
    pub file: PathBuf,
}

/// Which keys are to go.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
#[group(id = "which", required = true, multiple = false, args = ["hashes", "consumer"])]
pub struct RevokedKeys {
    #[command(flatten)]
    pub of: InKeysFile,

    /// Their hashes, or the first eight or more digits of each, as `keys list` prints them
    #[arg(value_name = "HASH")]
    pub hashes: Vec<String>,

    /// All keys of this consumer
    #[arg(long, value_name = "ID")]
    pub consumer: Option<String>,
}

/// How to serve.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct RunCommand {
    #[command(flatten)]
    pub source: ConfigSource,

    /// Take over the listening sockets of the process that runs now
    ///
    /// Start this first, then send QUIT to the old process: no connection is refused in between.
    /// Both must name the same `runtime.upgrade_socket`.
    #[arg(long)]
    pub upgrade: bool,
}

/// Who is asked.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct HealthCommand {
    /// Where: http://host:port/path. Every one has to answer with 2xx
    #[arg(value_name = "URL", default_value = "http://127.0.0.1:9090/health")]
    pub addresses: Vec<String>,

    /// How long to ask again and again before giving up
    #[arg(short, long, value_name = "TIME", default_value = "0s", value_parser = duration)]
    pub wait: Duration,
}

fn duration(text: &str) -> Result<Duration, String> {
    Duration::from_text(text).ok_or_else(|| format!("must be {}", Duration::EXPECTED))
}

/// Which configuration.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct ConfigSource {
    /// Configuration file (YAML)
    ///
    /// Without one, the embedded demo configuration is used: three validators on
    /// 127.0.0.1:18899, 18901 and 18903.
    #[arg(short, long, value_name = "FILE", env = "PERIJOVE_CONFIG")]
    pub config: Option<PathBuf>,
}

/// How the program ends. A wrong command line ends it with 2 before any of this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    Done,
    Failed,
    BadConfig,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        match exit {
            Exit::Done => Self::SUCCESS,
            Exit::Failed => Self::from(1),
            Exit::BadConfig => Self::from(3),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_run_names_its_file_and_may_take_over() {
        let cli = Cli::parse_from(["perijove-gateway", "run", "-c", "a.yaml", "--upgrade"]);
        let source = ConfigSource {
            config: Some(PathBuf::from("a.yaml")),
        };
        assert_eq!(
            cli.command,
            Command::Run(RunCommand {
                source,
                upgrade: true
            })
        );
    }

    #[test]
    fn every_command_is_understood_and_others_are_not() {
        for line in [
            "run",
            "run --config x",
            "check -c x",
            "schema",
            "health --wait 5s",
            "keys new",
            "keys hash",
            "keys new --file k --consumer a --plan b",
            "keys list --file k",
            "keys revoke --file k 0011aabb",
            "keys revoke --file k --consumer a",
        ] {
            let words = std::iter::once("perijove-gateway").chain(line.split(' '));
            assert!(Cli::try_parse_from(words).is_ok(), "{line}");
        }
        for line in [
            "",
            "walk",
            "keys",
            "check --upgrade",
            "run a.yaml",
            "keys new --file k",
            "keys new --consumer a",
            "keys list",
            "keys revoke --file k",
            "keys revoke --file k --consumer a 0011aabb",
        ] {
            let words = std::iter::once("perijove-gateway").chain(line.split(' '));
            assert!(Cli::try_parse_from(words).is_err(), "{line}");
        }
    }

    #[test]
    fn the_help_says_where_the_file_comes_from_and_how_the_program_ends() {
        let mut command = Cli::command();
        assert!(
            command
                .render_long_help()
                .to_string()
                .contains("Exit codes:")
        );
        let run = command.find_subcommand_mut("run").unwrap();
        assert!(
            run.render_long_help()
                .to_string()
                .contains("PERIJOVE_CONFIG")
        );
    }
}
