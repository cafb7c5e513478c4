"""The programs under test and around it: their configuration, where they run, how they end."""

import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.request
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TARGET = (ROOT / os.environ.get("CARGO_TARGET_DIR", "target")).resolve()
GATEWAY = TARGET / "release/perijove-gateway"
SANDBOX = TARGET / "release/perijove-sandbox"
BACKEND = TARGET / "release/perijove-backend"
BARE_PINGORA = TARGET / "release/bare-pingora"

# Load and backend share one core, what is measured has the other to itself.
LOAD_CORE, PROXY_CORE = 0, 1

START_SECONDS = 30
# Nobody closes a connection because it served enough.
MANY = 1_000_000_000

def free_ports(count):
    """Ports that nobody listens on now."""
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


@dataclass
class Gateway:
    """A running gateway: its process, where it listens, its log."""

    pid: int
    rpc: str
    admin: str
    log: Path

    @property
    def port(self):
        return int(self.rpc.rsplit(":", 1)[1])


class Servers(ExitStack):
    """Starts programs pinned to a core, each in a folder of its own; ends them at exit."""

    def __init__(self):
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="perijove-bench-"))
        self.folder.chmod(0o755)
        self.callback(shutil.rmtree, self.folder, ignore_errors=True)

    def place(self, name):
        """The folder of a program."""
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

    def calls(self, name, bodies):
        """A file of calls for the load."""
        path = self.place("calls") / name
        path.write_text("".join(f"{body}\n" for body in bodies))
        return path

    def backend(self, text, probes, ports=2, counted=False):
        """One fixed answer on some ports, with the id of each call as a node gives it; the gateway's
        probes go to a sandbox validator. If counted, every other call is a line in asked_log, see asked."""
        name = "backend-counted" if counted else "backend"
        ports = free_ports(ports)
        answer = self.place(name) / "answer.json"
        answer.write_text(text)
        log = ["--log", self.asked_log] if counted else []
        probes = probes.removeprefix("http://").rstrip("/")
        command = [BACKEND, "--answer", answer, "--probes", probes, *log, *ports]
        self.start_listening(name, LOAD_CORE, command, ports[-1])
        return ports

    @property
    def asked_log(self):
        return self.place("backend-counted") / "asked"

    def asked(self, port):
        """Calls that have reached a port of the counted backend."""
        return self.asked_log.read_text().split().count(str(port))

    def fixed(self, name, text):
        """The locations of an nginx server with one fixed answer."""
        folder = self.place(name)
        (folder / "answer.json").write_text(text)
        # Short answers from the configuration, long ones from a file. nginx answers POST to a file
        # with 405, which is turned into the file.
        deliver = (
            f"return 200 '{text}';"
            if len(text) < 4000
            else "error_page 405 =200 /answer.json; try_files /answer.json =404;"
        )
        return f"""root {folder};
              default_type "application/json; charset=utf-8";
              location / {{ {deliver} }}
              location = /answer.json {{ }}"""

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

    def gateway(
        self,
        urls,
        name="gateway",
        cache="enabled: false",
        access_log=False,
        binary=GATEWAY,
        upstream="connections: 64",
        more="",
    ):
        """The gateway in front of local upstreams. `cache` is that section of its configuration,
        `upstream` what each upstream has besides, `more` further sections, `binary` the program, if
        not the one that was built here."""
        upstreams = "\n".join(
            f"  - {{id: upstream-{i}, url: '{url}', tier: local, {upstream}}}"
            for i, url in enumerate(urls)
        )
        config = self.place(name) / "gateway.yaml"
        config.write_text(
            f"""listen: {{rpc: ['127.0.0.1:0']}}
admin: {{listen: '127.0.0.1:0'}}
runtime: {{threads: 1}}
log: {{format: json, access: {str(access_log).lower()}}}
cache: {{{cache}}}
upstreams:
{upstreams}
{more}
"""
        )
        process, where, log = self.start_announcing(
            name, PROXY_CORE, [binary, "run", "-c", config]
        )
        (rpc,), admin = where["rpc"], where["admin"]
        if isinstance(admin, list):
            (admin,) = admin
        self.wait(name, process, log, lambda: is_ready(f"http://{admin}/ready"))
        return Gateway(process.pid, rpc, f"http://{admin}", log)

    def sandbox(self, validators, *options):
        """A sandbox cluster; the URLs of its validators and of its control port."""
        _, where, _ = self.start_announcing(
            "sandbox",
            LOAD_CORE,
            [SANDBOX, "--print-json", "--validators", validators]
            + ["--base-port", "0", "--control", "127.0.0.1:0", *options],
        )
        return where["validators"], where["control"]


def afflict(control, validator, fault):
    """Gives a sandbox validator a fault."""
    body = json.dumps(fault).encode()
    urllib.request.urlopen(f"{control}/validators/{validator}/fault", body, timeout=5).close()


def reached(control):
    """The calls by method that have reached the sandbox's validators, probes not among them."""
    with urllib.request.urlopen(f"{control}/validators", timeout=5) as reply:
        validators = json.load(reply)
    total = Counter()
    for each in validators:
        total.update(each["hits"])
    return total


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
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        # The port is open before either has its name, and before the pid is written.
        master = pid_file.read_text().strip() if pid_file.exists() else ""
        for child in children_of(master) if master else []:
            if b"worker process" in Path(f"/proc/{child}/cmdline").read_bytes():
                return child
        time.sleep(0.02)
    raise SystemExit(f"no worker of the nginx in {pid_file.parent}")


def children_of(pid):
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
