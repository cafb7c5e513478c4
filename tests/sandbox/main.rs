//! `perijove-sandbox`: a stand-in cluster on loopback ports, and stand-ins for Jupiter beside it, with
//! faults to switch while they run. They themselves are the test harness's `sandbox` and `jupiter`.

mod jupiters;

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, Parser};
use jupiters::Jupiters;
use perijove_tests::jupiter::Jupiter;
use perijove_tests::sandbox::pubsub::Offer;
use perijove_tests::sandbox::{Sandbox, Settings, control};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

/// A simulated Solana cluster: validators that answer all of Agave's RPC methods over one advancing
/// chain. Faults can be injected while they run. Nothing is executed or verified.
#[derive(Debug, Parser)]
#[command(name = "perijove-sandbox", version, after_help = EXAMPLES)]
struct Options {
    /// Number of validators.
    #[arg(long, default_value_t = 3)]
    validators: usize,

    /// Validator i listens on this port + 2i, and for WebSocket also on the port above it; 0 takes free
    /// ports (see --print-json).
    #[arg(long, default_value_t = 18_899)]
    base_port: u16,

    /// Address the validators listen on.
    #[arg(long, default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    bind: IpAddr,

    /// Address of the control port.
    #[arg(long, default_value = "127.0.0.1:18898")]
    control: SocketAddr,

    /// Time between slots, in milliseconds with the suffix ms or in seconds with s.
    #[arg(long, default_value = "400ms", value_parser = duration)]
    slot_time: Duration,

    /// First slot of the cluster.
    #[arg(long, default_value_t = 300_000_000)]
    start_slot: u64,

    /// Change accounts, supply and all counters with every slot.
    #[arg(long)]
    moving: bool,

    #[command(flatten)]
    pubsub: PubSub,

    #[command(flatten)]
    jupiter: Jupiters,

    /// Print one JSON line with all addresses when ready, instead of text.
    #[arg(long)]
    print_json: bool,
}

/// WebSocket options of the validators.
#[derive(Debug, Args)]
struct PubSub {
    /// Offer blockSubscribe, like Agave with --rpc-pubsub-enable-block-subscription.
    #[arg(long)]
    rpc_pubsub_enable_block_subscription: bool,

    /// Offer voteSubscribe, like Agave with --rpc-pubsub-enable-vote-subscription.
    #[arg(long)]
    rpc_pubsub_enable_vote_subscription: bool,

    /// Serve no WebSocket.
    #[arg(long)]
    no_websocket: bool,
}

impl From<PubSub> for Offer {
    fn from(options: PubSub) -> Self {
        Self {
            websocket: !options.no_websocket,
            blocks: options.rpc_pubsub_enable_block_subscription,
            votes: options.rpc_pubsub_enable_vote_subscription,
        }
    }
}

const EXAMPLES: &str = "\
Ask it:
  curl -s http://127.0.0.1:18899 -H 'content-type: application/json' \\
    -d '{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"getSlot\"}'

Besides Agave's methods there are sandboxPad [{\"bytes\": N}], which answers a string of N letters,
and sandboxEcho, which answers its params. The reply header x-sandbox-validator names the validator.

Give validator 0 a fault, look, and take it away again:
  curl -s 127.0.0.1:18898/validators/0/fault -d '{\"kind\":\"lag\",\"slots\":50}'
  curl -s 127.0.0.1:18898/validators
  curl -s -X DELETE 127.0.0.1:18898/validators/0/fault

Faults of what it knows:
  {\"kind\":\"lag\",\"slots\":50}           trails the cluster
  {\"kind\":\"stop\"}                     its slot stands still
  {\"kind\":\"fork\",\"ahead\":2}        what it processes is not the cluster's
  {\"kind\":\"wrong-genesis\"}            is on another cluster
  {\"kind\":\"health\",\"says\":\"ok\"}       ok, behind or unknown, whatever is true
  {\"kind\":\"height-is-slot\"}           block height not below the slot
  {\"kind\":\"shred-gap\",\"slots\":500}    has shreds it does not process
  {\"kind\":\"already-processed\"}        refuses a transaction that any validator was sent
Faults of how it answers:
  {\"kind\":\"rate-limit\",\"shape\":\"rpcpool\",\"retry_after\":\"2\"}
                                      shapes: rpcpool plain ok ok-internal helius credits
  {\"kind\":\"http-status\",\"status\":503} any status; \"body\" to replace the usual one
  {\"kind\":\"challenge\"}                Cloudflare's challenge page
  {\"kind\":\"rpc-error\",\"code\":-32005}  with Agave's message and data, or \"message\", \"data\"
  {\"kind\":\"garbage\"}  {\"kind\":\"wrong-shape\"}  {\"kind\":\"big\",\"bytes\":1000000}
  {\"kind\":\"spoil\",\"how\":\"wrong-id\"}    or no-id, null-result, error-text, control-bytes,
                                      half-json, gzip
  {\"kind\":\"previous\"}                 with the answer to the request before
Faults of the wire:
  {\"kind\":\"down\"}  {\"kind\":\"up\"}      connection refused, and back again
  {\"kind\":\"hang\"}                     takes requests, never answers
  {\"kind\":\"hold\"}                     answers them when it is taken away
  {\"kind\":\"slow\",\"ms\":500}            before the first byte
  {\"kind\":\"slow-body\",\"ms\":500}       between the first and the last
  {\"kind\":\"reset\",\"when\":\"after-read\"}  or before-read, mid-body
  {\"kind\":\"truncate\"}                 half of the promised body
  {\"kind\":\"stall\",\"after\":\"head\"}    or half: that much of the answer, then nothing
  {\"kind\":\"trickle\",\"ms\":200}         the body byte by byte
  {\"kind\":\"close\"}  {\"kind\":\"swallow\"}  closes in place of an answer; does the work first
  {\"kind\":\"twice\",\"ms\":50}            each answer once more, later
  {\"kind\":\"keep-alive-close\"}         closes after answering, unannounced
  {\"kind\":\"connection-close\"}  {\"kind\":\"http10\"}  {\"kind\":\"chunked\"}
Faults of WebSockets, which validators speak on their port and on the one after it:
  {\"kind\":\"ws-close\",\"code\":1012}     those that are open; 1006 cuts, 0 gives no code
  {\"kind\":\"ws-close\",\"code\":1011,\"after\":5}  each after so many notifications
  {\"kind\":\"ws-freeze\"}                nothing is read or written until it is taken away
  {\"kind\":\"ws-silence\",\"after\":3}    so many notifications, and then no more
  {\"kind\":\"ws-lag\",\"slots\":20}       notifications trail what the node answers
  {\"kind\":\"ws-duplicate\"}  {\"kind\":\"ws-reorder\"}
  {\"kind\":\"ws-oversized\",\"bytes\":20000000}
  {\"kind\":\"ws-garbage\",\"what\":\"text\"}  or json, stranger, binary, utf8, frame
  {\"kind\":\"ws-refuse\",\"from\":3}       subscriptions of a socket, from the third on
  any fault of answers with \"methods\":[\"webSocket\"] hits handshakes, for example
  {\"kind\":\"hang\",\"methods\":[\"webSocket\"]}   never answers them

Stand-ins for Jupiter (--jupiter self-hosted,hosted) quote over pools that trade as slots pass:
  curl -s '127.0.0.1:18880/quote?inputMint=So11111111111111111111111111111111111111112&\\
outputMint=EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v&amount=1000000000'
  curl -s 127.0.0.1:18898/jupiters/0/fault -d '{\"kind\":\"stale\"}'
Their faults, limited by \"paths\": [\"/quote\"] and \"times\": 3 where they concern answers:
  {\"kind\":\"stale\"}  {\"kind\":\"lag\",\"slots\":9}    the market stands still or trails
  {\"kind\":\"cold\"}  {\"kind\":\"http-status\",\"status\":500}  {\"kind\":\"firewall\"}
  {\"kind\":\"rate-limit\",\"firewall\":false}   429 of the plan, or of the firewall
  {\"kind\":\"no-route\"}  {\"kind\":\"error\",\"error\":\"text\",\"code\":\"CODE\"}  {\"kind\":\"garbage\"}
  {\"kind\":\"slow\",\"ms\":300}  {\"kind\":\"hang\"}  {\"kind\":\"close\"}  {\"kind\":\"swallow\"}  {\"kind\":\"cut\"}
  {\"kind\":\"down\"}  {\"kind\":\"up\"}

Faults that concern answers can be limited:
  \"methods\": [\"getBalance\"]           only requests that call one of these; of WebSockets,
                                      notifications, for example accountNotification
  \"times\": 3                          only the next three
  \"spare_probes\": true                not those with the header x-perijove-probe
";

/// `400ms`, `2s` or a bare number of milliseconds.
fn duration(text: &str) -> Result<Duration, String> {
    let (digits, unit) = match text.strip_suffix("ms") {
        Some(digits) => (digits, 1),
        None => match text.strip_suffix('s') {
            Some(digits) => (digits, 1_000),
            None => (text, 1),
        },
    };
    let number: u64 = digits
        .trim()
        .parse()
        .map_err(|_text| format!("{text:?} is not a duration such as 400ms or 2s"))?;
    if number == 0 {
        return Err("a slot takes time".to_owned());
    }
    Ok(Duration::from_millis(number.saturating_mul(unit)))
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Options::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Standard error being gone leaves the exit code to tell.
            writeln!(std::io::stderr(), "perijove-sandbox: {error}").unwrap_or_default();
            ExitCode::FAILURE
        }
    }
}

async fn run(options: Options) -> Result<(), Box<dyn std::error::Error>> {
    let sandbox = Arc::new(
        Sandbox::with(Settings {
            validators: options.validators,
            base_port: options.base_port,
            bind: options.bind,
            slot_time: options.slot_time,
            start_slot: options.start_slot,
            moving: options.moving,
            pubsub: options.pubsub.into(),
        })
        .await?,
    );
    let listener = TcpListener::bind(options.control)
        .await
        .map_err(|error| format!("cannot listen on {}: {error}", options.control))?;
    let jupiter = Arc::new(options.jupiter.start(options.bind, &sandbox).await?);
    let _feed = options.jupiter.feed(&sandbox, &jupiter).await?;
    let control = listener.local_addr()?;
    announce(&sandbox, &jupiter, control, options.print_json)?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        served = control::serve_both(listener, sandbox, jupiter) => served?,
        interrupted = tokio::signal::ctrl_c() => interrupted?,
        _ = terminate.recv() => {}
    }
    Ok(())
}

fn announce(
    sandbox: &Sandbox,
    jupiter: &Jupiter,
    control: SocketAddr,
    as_json: bool,
) -> std::io::Result<()> {
    let mut out = std::io::stdout();
    let validators = sandbox.validators();
    let urls: Vec<_> = validators.iter().map(|one| one.url()).collect();
    let websockets: Vec<_> = validators.iter().map(|one| one.websocket_url()).collect();
    let jupiters: Vec<_> = jupiter.servers().iter().map(|one| one.url()).collect();
    if as_json {
        let line = json!({
            "event": "listening",
            "validators": urls,
            "websockets": websockets,
            "jupiters": jupiters,
            "control": format!("http://{control}"),
        });
        writeln!(out, "{line}")?;
    } else {
        for (index, url) in urls.iter().enumerate() {
            writeln!(out, "validator {index}  {url}")?;
        }
        for (index, url) in jupiters.iter().enumerate() {
            writeln!(out, "jupiter {index}    {url}")?;
        }
        writeln!(out, "control      http://{control}")?;
    }
    out.flush()
}
