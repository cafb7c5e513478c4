//! Real proxies in front of a gateway, configured as in production.

#![expect(clippy::expect_used, reason = "a harness fails the test it is used in")]

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;

use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use crate::ports;
use crate::wait::until;

const REMEDY: &str = "install it with: scripts/setup test";

/// Debian keeps servers out of the path of ordinary users.
const FOLDERS: &str = "/usr/local/sbin:/usr/sbin:/sbin";

/// A running proxy. Killed when dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    _child: Child,
    _folder: TempDir,
}

impl Proxy {
    /// nginx as it comes: HTTP/1.0 to the gateway, a connection for each request.
    pub async fn nginx(gateway: SocketAddr) -> Self {
        Self::nginx_with(&format!("server {gateway};"), "").await
    }

    /// nginx set up for speed: HTTP/1.1 and kept connections.
    pub async fn nginx_keeping_connections(gateway: SocketAddr) -> Self {
        let upstream = format!("server {gateway}; keepalive 4;");
        let location = "proxy_http_version 1.1; proxy_set_header Connection \"\";";
        Self::nginx_with(&upstream, location).await
    }

    async fn nginx_with(upstream: &str, location: &str) -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let (port, place) = (ports::take(), folder.path().display());
        let mut temporary = String::new();
        for kind in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"] {
            write!(temporary, "{kind}_temp_path {place}/{kind}; ").expect("text");
        }
        let text = format!(
            "daemon off; master_process off; pid {place}/pid; error_log {place}/log;
             events {{ worker_connections 256; }}
             http {{
               access_log off; {temporary}
               upstream gateway {{ {upstream} }}
               server {{
                 listen 127.0.0.1:{port};
                 location / {{ proxy_pass http://gateway; {location} }}
               }}
             }}"
        );
        let file = write(&folder, "nginx.conf", &text);
        let log = format!("{place}/log");
        Self::start("nginx", &["-e", &log, "-c", &file], port, folder).await
    }

    /// `haproxy`, which shares few connections among all clients and lets pass what it can.
    pub async fn haproxy(gateway: SocketAddr) -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let port = ports::take();
        let text = format!(
            "global
  nbthread 1
  maxconn 256
defaults
  mode http
  timeout connect 30s
  timeout client 60s
  timeout server 60s
  option http-keep-alive
  option accept-invalid-http-request
  http-reuse always
frontend rpc
  bind 127.0.0.1:{port}
  default_backend gateway
backend gateway
  server gateway {gateway}
"
        );
        let file = write(&folder, "haproxy.cfg", &text);
        Self::start("haproxy", &["-db", "-f", &file], port, folder).await
    }

    async fn start(program: &str, arguments: &[&str], port: u16, folder: TempDir) -> Self {
        let path = std::env::var("PATH").unwrap_or_default();
        let mut child = Command::new(program)
            .args(arguments)
            .env("PATH", format!("{path}:{FOLDERS}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("{program}: {error}; {REMEDY}"));
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        until(&format!("{program} to listen"), || {
            let ended = child.try_wait().expect("the state of a child");
            assert!(ended.is_none(), "{program} ended: {ended:?}");
            async move { TcpStream::connect(address).await.ok() }
        })
        .await;
        Self {
            address,
            _child: child,
            _folder: folder,
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

fn write(folder: &TempDir, name: &str, text: &str) -> String {
    let file = Path::new(folder.path()).join(name);
    std::fs::write(&file, text).expect("a file");
    file.display().to_string()
}
