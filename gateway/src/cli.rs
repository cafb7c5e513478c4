//! The command line: commands and their arguments. Module `app` carries them out.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use perijove_core::settings::Setting;

const AFTER_HELP: &str = "\
Exit codes:
  0  success, or stopped on request
  1  failed to start, or had to stop
  2  invalid command line
  3  invalid configuration; standard error has the details

Signals:
  TERM, INT  finish the requests in progress, then exit (see `shutdown` in the configuration)
  HUP        reload the configuration
  QUIT       hand the listening sockets to a process started with `run --upgrade`, then exit";

/// A drop-in Solana RPC endpoint in front of your validators and providers.
#[derive(Clone, Debug, PartialEq, Eq, Parser)]
#[command(name = "perijove-gateway", version, about, after_help = AFTER_HELP)]
#[command(arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// Serve until stopped
    Run(RunCommand),
    /// Check a configuration and report every error in it
    Check(ConfigSource),
    /// Print the JSON Schema of the configuration
    Schema,
    /// Check whether a running gateway is healthy; exit code 0 if so, else 1
    Health(HealthCommand),
    /// Create, list and revoke API keys, which configurations hold as hashes
    #[command(subcommand)]
    Keys(KeysCommand),
}

/// The commands for API keys.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum KeysCommand {
    /// Create a key: the key for its owner, its hash for the configuration
    ///
    /// The key is shown only once and stored nowhere. With --file its hash is added to the keys file,
    /// which a running gateway reads again at once.
    New(NewKey),
    /// Print the hash of each key on standard input (one key per line)
    Hash,
    /// List the keys in a keys file: beginning of the hash, consumer, plan, time of creation
    List(InKeysFile),
    /// Remove keys from a keys file; a running gateway refuses them from then on
    Revoke(RevokedKeys),
}

/// Arguments of `keys new`.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct NewKey {
    /// Keys file to add the hash to; created if it does not exist
    #[arg(
        short,
        long,
        value_name = "FILE",
        env = "PERIJOVE_KEYS_FILE",
        requires = "consumer"
    )]
    pub file: Option<PathBuf>,

    /// The consumer that owns the key
    #[arg(long, value_name = "ID", requires = "file")]
    pub consumer: Option<String>,

    /// The consumer's plan, if this is its first key
    #[arg(long, value_name = "ID", requires = "file")]
    pub plan: Option<String>,
}

/// Arguments of `keys list`.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct InKeysFile {
    /// Keys file
    #[arg(short, long, value_name = "FILE", env = "PERIJOVE_KEYS_FILE")]
    pub file: PathBuf,
}

/// Arguments of `keys revoke`.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
#[group(id = "which", required = true, multiple = false, args = ["hashes", "consumer"])]
pub struct RevokedKeys {
    #[command(flatten)]
    pub of: InKeysFile,

    /// Hashes of the keys, or at least the first eight digits of each, as `keys list` prints them
    #[arg(value_name = "HASH")]
    pub hashes: Vec<String>,

    /// All keys of this consumer
    #[arg(long, value_name = "ID")]
    pub consumer: Option<String>,
}

/// Arguments of `run`.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct RunCommand {
    #[command(flatten)]
    pub source: ConfigSource,

    /// Take over the listening sockets of the running process
    ///
    /// Start this process first, then send QUIT to the old one: no connection is refused in between.
    /// Both need the same `runtime.upgrade_socket`.
    #[arg(long)]
    pub upgrade: bool,
}

/// Arguments of `health`.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct HealthCommand {
    /// Health URLs, http://host:port/path or https://host:port/path; each must answer with 2xx
    #[arg(
        value_name = "URL",
        env = "PERIJOVE_HEALTH_URL",
        value_delimiter = ' ',
        default_value = "http://127.0.0.1:9090/health"
    )]
    pub addresses: Vec<String>,

    #[command(flatten)]
    pub access: HealthAccess,

    /// How long to keep trying before giving up
    #[arg(short, long, value_name = "TIME", default_value = "0s", value_parser = duration)]
    pub wait: Duration,
}

/// What `health` trusts and shows, for an admin port with `admin.tls` or `admin.token`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Args)]
pub struct HealthAccess {
    /// Certificate authorities (PEM) of https URLs, instead of those of the system
    #[arg(long, value_name = "FILE", env = "PERIJOVE_HEALTH_CA")]
    pub ca: Option<PathBuf>,

    /// Name in the server's certificate, if it is not the host of the URL
    #[arg(long, value_name = "NAME", env = "PERIJOVE_HEALTH_SERVER_NAME")]
    pub server_name: Option<String>,

    /// Client certificate to show (PEM)
    #[arg(
        long,
        value_name = "FILE",
        env = "PERIJOVE_HEALTH_CERTIFICATE",
        requires = "key"
    )]
    pub certificate: Option<PathBuf>,

    /// Key of the client certificate (PEM)
    #[arg(
        long,
        value_name = "FILE",
        env = "PERIJOVE_HEALTH_KEY",
        requires = "certificate"
    )]
    pub key: Option<PathBuf>,

    /// File with the token to show, for URLs other than /health and /ready
    #[arg(long, value_name = "FILE", env = "PERIJOVE_HEALTH_TOKEN_FILE")]
    pub token_file: Option<PathBuf>,
}

fn duration(text: &str) -> Result<Duration, String> {
    Duration::from_text(text).ok_or_else(|| format!("must be {}", Duration::EXPECTED))
}

/// Arguments of every command that reads a configuration.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct ConfigSource {
    /// Configuration file (YAML)
    ///
    /// Without a file, the embedded demo configuration is used: three validators on
    /// 127.0.0.1:18899, 18901 and 18903.
    #[arg(short, long, value_name = "FILE", env = "PERIJOVE_CONFIG")]
    pub config: Option<PathBuf>,
}

/// The exit code. clap exits with 2 on an invalid command line before any of this.
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

    fn every(command: &clap::Command, look: &impl Fn(&str)) {
        let help = command.get_arguments().map(clap::Arg::get_help);
        let texts = std::iter::once(command.get_about()).chain(help).flatten();
        for text in texts {
            look(&text.to_string());
        }
        for one in command.get_subcommands() {
            every(one, look);
        }
    }

    #[test]
    fn no_help_runs_sentences_together() {
        // Short help is one phrase, and ends without a full stop: what follows one without an empty
        // line between them has no sign before it.
        every(&Cli::command(), &|text| {
            let words: Vec<&str> = text.split(' ').collect();
            for pair in words.windows(2) {
                let begins = [
                    "The", "Without", "With", "Start", "Both", "A", "It", "Its", "This",
                ];
                assert!(!begins.contains(&pair[1]), "{text}");
            }
        });
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
            "health https://a:1/ready http://b:2/ --ca c --server-name d --token-file e",
            "health --certificate a --key b",
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
            "health --certificate a",
            "health --key a",
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
