"""The programs under test and around it: their configuration, where they run, how they end."""

import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.request
from contextlib import ExitStack
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TARGET = (ROOT / os.environ.get("CARGO_TARGET_DIR", "target")).resolve()
GATEWAY = TARGET / "release/perijove-gateway"
SANDBOX = TARGET / "release/perijove-sandbox"
BARE_PINGORA = TARGET / "release/bare-pingora"

# Load and backend share one core, what is measured has the other to itself.
LOAD_CORE, PROXY_CORE = 0, 1

START_SECONDS = 30
# Nobody closes a connection because it served enough.
MANY = 1_000_000_000

ACCOUNT = "11111111111111111111111111111111"


def call_body():
    """The call of the benchmark."""
    params = [ACCOUNT, {"encoding": "base64", "commitment": "processed"}]
    call = {"jsonrpc": "2.0", "id": 1, "method": "getAccountInfo", "params": params}
    return json.dumps(call, separators=(",", ":"))


def answer(size):
    """An answer to the call of exactly this many bytes."""
    result = {
        "context": {"apiVersion": "4.2.2", "slot": 300_000_000},
        "value": {
            "data": ["", "base64"],
            "executable": False,
            "lamports": 1,
            "owner": ACCOUNT,
            "rentEpoch": 2**64 - 1,
            "space": 0,
        },
    }
    text = json.dumps({"jsonrpc": "2.0", "result": result, "id": 1}, separators=(",", ":")) + "\n"
    return text.replace('["",', f'["{"A" * (size - len(text))}",')


def free_ports(count):
    """Ports that nobody listens on now."""
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


class Servers(ExitStack):
    """Starts programs pinned to a core, each in a folder of its own; ends them at exit."""

    def __init__(self):
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="perijove-bench-"))
        self.folder.chmod(0o755)
        self.callback(shutil.rmtree, self.folder, ignore_errors=True)

    def place(self, name):
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        return folder

    def start(self, name, core, command):
        """Starts a program; its output goes to a file, which is returned with the process."""
        path = self.place(name) / "log"
        with path.open("wb") as log:
            process = subprocess.Popen(
                ["taskset", "-c", str(core), *map(str, command)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self.callback(end, process)
        return process, path

    def start_listening(self, name, core, command, port):
        """Starts a program and waits until it listens on a port."""
        process, path = self.start(name, core, command)
        self.wait(name, process, path, lambda: can_connect(port))
        return process

    def start_announcing(self, name, core, command):
        """Starts a program and waits for the JSON line that says where it listens."""
        process, path = self.start(name, core, command)
        self.wait(name, process, path, lambda: announced(path))
        return process, announced(path), path

    def wait(self, name, process, path, ready):
        deadline = time.monotonic() + START_SECONDS
        while not ready():
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"{name} did not start:\n{path.read_text()[-2000:]}")
            time.sleep(0.02)

    # The servers themselves.

    def backend(self, size, probes):
        """nginx with one fixed answer on two ports; the gateway's probes go to a sandbox validator."""
        folder = self.place(f"backend-{size}")
        ports = free_ports(2)
        text = answer(size)
        (folder / "answer.json").write_text(text)
        # Short answers from the configuration, long ones from a file. nginx answers POST to a file
        # with 405, which is turned into the file.
        deliver = (
            f"return 200 '{text}';"
            if size < 4000
            else "error_page 405 =200 /answer.json; try_files /answer.json =404;"
        )
        listen = " ".join(f"listen 127.0.0.1:{port} reuseport backlog=4096;" for port in ports)
        self.nginx(
            folder,
            f"""
            upstream probes {{ server {probes.removeprefix("http://")}; }}
            server {{
              {listen}
              root {folder};
              default_type "application/json; charset=utf-8";
              error_page 418 = @probe;
              if ($http_x_perijove_probe) {{ return 418; }}
              location / {{ {deliver} }}
              location = /answer.json {{ }}
              location @probe {{ proxy_pass http://probes; }}
            }}""",
            LOAD_CORE,
            ports[0],
        )
        return ports

    def nginx_proxy(self, backends):
        folder = self.place("nginx")
        (port,) = free_ports(1)
        members = " ".join(f"server 127.0.0.1:{backend};" for backend in backends)
        self.nginx(
            folder,
            f"""
            upstream backend {{ {members} keepalive 64; keepalive_requests {MANY}; }}
            server {{
              listen 127.0.0.1:{port} backlog=4096;
              location / {{
                proxy_pass http://backend;
                proxy_http_version 1.1;
                proxy_set_header Connection "";
                proxy_buffer_size 16k;
                proxy_buffers 16 16k;
                proxy_max_temp_file_size 0;
              }}
            }}""",
            PROXY_CORE,
            port,
        )
        return port, worker_of(folder / "pid")

    def nginx(self, folder, http, core, port):
        config = folder / "nginx.conf"
        temporary = " ".join(
            f"{kind}_temp_path {folder}/{kind};"
            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        config.write_text(
            f"""daemon off; worker_processes 1; pid {folder}/pid;
            error_log {folder}/error.log;
            events {{ worker_connections 4096; }}
            http {{
              access_log off; sendfile on; tcp_nodelay on; {temporary}
              keepalive_requests {MANY}; keepalive_timeout 300s;
              {http}
            }}"""
        )
        command = ["nginx", "-p", folder, "-e", folder / "error.log", "-c", config]
        self.start_listening(folder.name, core, command, port)

    def haproxy(self, backends):
        folder = self.place("haproxy")
        (port,) = free_ports(1)
        members = "\n".join(
            f"  server b{i} 127.0.0.1:{backend}" for i, backend in enumerate(backends)
        )
        config = folder / "haproxy.cfg"
        config.write_text(
            f"""global
  nbthread 1
  maxconn 4096
defaults
  mode http
  timeout connect 1s
  timeout client 60s
  timeout server 30s
  option http-keep-alive
  http-reuse always
frontend rpc
  bind 127.0.0.1:{port}
  default_backend upstreams
backend upstreams
  balance roundrobin
{members}
"""
        )
        process = self.start_listening(
            "haproxy", PROXY_CORE, ["haproxy", "-db", "-f", config], port
        )
        return port, process.pid

    def bare_pingora(self, backends):
        (port,) = free_ports(1)
        addresses = [f"127.0.0.1:{backend}" for backend in backends]
        process = self.start_listening(
            "bare-pingora", PROXY_CORE, [BARE_PINGORA, f"127.0.0.1:{port}", *addresses], port
        )
        return port, process.pid

    def gateway(self, urls, access_log=False):
        """The gateway in front of local upstreams: the process, its addresses, its log."""
        upstreams = "\n".join(
            f"  - {{id: upstream-{i}, url: '{url}', tier: local, connections: 64}}"
            for i, url in enumerate(urls)
        )
        config = self.place("gateway") / "gateway.yaml"
        config.write_text(
            f"""listen: {{rpc: ['127.0.0.1:0']}}
admin: {{listen: '127.0.0.1:0'}}
runtime: {{threads: 1}}
log: {{format: json, access: {str(access_log).lower()}}}
upstreams:
{upstreams}
"""
        )
        process, where, log = self.start_announcing(
            "gateway", PROXY_CORE, [GATEWAY, "run", "-c", config]
        )
        (rpc,), admin = where["rpc"], where["admin"]
        if isinstance(admin, list):
            (admin,) = admin
        self.wait("gateway", process, log, lambda: is_ready(f"http://{admin}/ready"))
        return process, {"rpc": rpc, "admin": f"http://{admin}"}, log

    def sandbox(self, validators):
        """A sandbox cluster; the URLs of its validators and of its control port."""
        _, where, _ = self.start_announcing(
            "sandbox",
            LOAD_CORE,
            [SANDBOX, "--print-json", "--validators", validators]
            + ["--base-port", "0", "--control", "127.0.0.1:0"],
        )
        return where["validators"], where["control"]


def end(process):
    process.terminate()
    try:
        process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def can_connect(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def is_ready(url):
    try:
        with urllib.request.urlopen(url, timeout=1) as reply:
            return reply.status == 200
    except OSError:
        return False


def announced(path):
    for line in path.read_text().splitlines():
        if '"event":"listening"' in line and line.startswith("{"):
            return json.loads(line)
    return None


def worker_of(pid_file):
    """The only worker of the nginx whose master's pid is in a file."""
    master = pid_file.read_text().strip()
    children = Path(f"/proc/{master}/task/{master}/children").read_text().split()
    return int(children[0])
