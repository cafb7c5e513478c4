"""Clients that would hold the gateway hostage: what they hold, for how long, and what a stop costs."""

import json
import os
import socket
import ssl
import struct
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import quantiles

from calls import call
from servers import GATEWAY, SANDBOX, Servers, announced, end, free_ports, is_ready

# The gateway's own defaults are measured: 30 s for each piece of an answer, 10 s for a head.
WATCHED_SECONDS = 45
LEAVE_SECONDS = 60
# Most of the time is waiting.
AT_ONCE = 3
WIDE = 0x7FFFFFFF
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
PAD = call("sandboxPad", {"bytes": 250_000}).encode()
ECHO = call("sandboxEcho", 7).encode()


def measure(binaries, watched=WATCHED_SECONDS):
    """{attack: {name of a binary: what was measured}}; each on a gateway and an upstream of its own."""
    with Servers() as servers:
        certificate = self_signed(servers.place("certificate"))
        pairs = [(attack, name) for attack in ATTACKS for name in binaries]
        with ThreadPoolExecutor(AT_ONCE) as pool:
            runs = {
                pair: pool.submit(one, servers, certificate, *pair, binaries[pair[1]], watched)
                for pair in pairs
            }
        return {
            attack: {name: runs[attack, name].result() for name in binaries} for attack in ATTACKS
        }


def one(servers, certificate, attack, binary_name, binary, watched):
    """One attack on one gateway: watched for a while, then made again and the gateway told to stop."""
    connections, open_one, descriptors = ATTACKS[attack]
    place = servers.place(f"{binary_name}-{attack}".replace(" ", "-").replace("/", ""))
    sandbox, upstream = start_sandbox(servers, place)
    gateway = start(servers, place, binary, upstream, certificate, descriptors)
    try:
        before = gateway.resident(), gateway.sockets()
        held = attacked(gateway, connections, open_one)
        memory, sockets, calls = [], [], Calls(gateway)
        until = time.monotonic() + watched
        freed = None
        while time.monotonic() < until:
            memory.append(gateway.resident() - before[0])
            sockets.append(gateway.sockets() - before[1])
            calls.one()
            time.sleep(0.25)
        later = memory[-1], sockets[-1]
        release(held)
        held = attacked(gateway, connections, open_one)
        time.sleep(3)
        gateway.process.terminate()
        begin = time.monotonic()
        try:
            gateway.process.wait(LEAVE_SECONDS)
            freed = time.monotonic() - begin
        except subprocess.TimeoutExpired:
            pass
        release(held)
        return {
            "asked": connections,
            "most": max(memory),
            "sockets": max(sockets),
            "later": later[0],
            "sockets_later": later[1],
            "failed": calls.failed,
            "p99": calls.p99(),
            "leaves": freed,
        }
    finally:
        end(gateway.process)
        end(sandbox)


class Running:
    """A gateway under attack."""

    def __init__(self, process, where):
        self.process = process
        (self.rpc,), (self.tls,) = where["rpc"], where["tls"]
        self.admin = where["admin"] if isinstance(where["admin"], str) else where["admin"][0]

    def resident(self):
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return next(int(line.split()[1]) * 1024 for line in status.splitlines() if "VmRSS" in line)

    def sockets(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))


def start_sandbox(servers, place):
    log = place / "sandbox.log"
    command = [SANDBOX, "--print-json", "--validators", "1", "--base-port", "0", "--control", "127.0.0.1:0"]
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
    servers.callback(end, process)
    servers.wait("sandbox", process, log, lambda: announced(log))
    return process, announced(log)["validators"][0]


def start(servers, place, binary, upstream, certificate, descriptors):
    clear, tls = free_ports(2)
    config = {
        "listen": {
            "rpc": [f"127.0.0.1:{clear}"],
            "tls": [{"address": f"127.0.0.1:{tls}", "certificate": certificate[0], "key": certificate[1]}],
        },
        "admin": {"listen": "127.0.0.1:0"},
        "runtime": {"threads": 1, "upgrade_socket": str(place / "upgrade.sock")},
        "log": {"format": "json"},
        "cache": {"enabled": False},
        "upstreams": [{"id": "one", "url": upstream, "tier": "local", "connections": 64}],
    }
    (place / "gateway.yaml").write_text(json.dumps(config))
    log = place / "log"
    command = [str(binary), "run", "-c", str(place / "gateway.yaml")]
    if descriptors:
        command = ["sh", "-c", f'ulimit -n {descriptors} && exec "$0" "$@"', *command]
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
    servers.callback(end, process)
    servers.wait(place.name, process, log, lambda: announced(log))
    gateway = Running(process, announced(log))
    servers.wait(place.name, process, log, lambda: is_ready(f"http://{gateway.admin}/ready"))
    return gateway


class Calls:
    """Calls of a client that does no harm, each on a new connection."""

    def __init__(self, gateway):
        self.address = address(gateway.rpc)
        self.admin = f"http://{gateway.admin}/health"
        self.took, self.failed = [], 0

    def one(self):
        begin = time.monotonic()
        try:
            with socket.create_connection(self.address, timeout=5) as client:
                client.settimeout(5)
                client.sendall(post(ECHO))
                answered = b"[7]" in client.recv(4096)
        except OSError:
            answered = False
        self.took.append((time.monotonic() - begin) * 1e3)
        self.failed += not (answered and is_ready(self.admin))

    def p99(self):
        return quantiles(self.took, n=100)[98]


# Ways to attack. Each returns what has to be kept for the attack to last.


def attacked(gateway, connections, open_one):
    held = []
    for _ in range(connections):
        try:
            held.append(open_one(gateway))
        except OSError:
            # Closed while it began: that is how it may end.
            pass
    return held


def release(held):
    for each in held:
        each.close()


def tcp(where):
    connection = socket.create_connection(address(where), timeout=10)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def over_tls(where, protocol):
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols([protocol])
    return context.wrap_socket(tcp(where))


def reads_nothing(gateway):
    connection = tcp(gateway.rpc)
    connection.sendall(post(PAD) * 80)
    return connection


def http2(connection, window, requests=100):
    connection.sendall(beginning(window))
    for stream in range(1, 2 * requests, 2):
        connection.sendall(head(stream, len(PAD)) + frame(0, 1, stream, PAD))
    return connection


def half_a_body(gateway):
    connection = tcp(gateway.rpc)
    lines = b"POST / HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: 1000000\r\n\r\n"
    connection.sendall(lines + b" " * 900_000)
    return connection


class Trickle:
    """A head that gets a byte every 2.5 s."""

    def __init__(self, gateway):
        self.connection = tcp(gateway.rpc)
        self.over = threading.Event()
        self.connection.sendall(b"POST / HTTP/1.1\r\nhost: a\r\nx: ")
        threading.Thread(target=self.go_on, daemon=True).start()

    def go_on(self):
        while not self.over.wait(2.5):
            try:
                self.connection.sendall(b"x")
            except OSError:
                return

    def close(self):
        self.over.set()
        self.connection.close()


def preface_only(gateway):
    connection = tcp(gateway.rpc)
    connection.sendall(beginning(65_535))
    return connection


# Name: connections, how one is opened, descriptors of the gateway if they are few.
ATTACKS = {
    "HTTP/1, 80 answers of 250 KB asked for, none read": (64, reads_nothing, None),
    "HTTP/2, window 0, 100 answers of 250 KB": (16, lambda it: http2(tcp(it.rpc), 0), None),
    "HTTP/2, wide windows, the connection not read": (16, lambda it: http2(tcp(it.rpc), WIDE), None),
    "HTTP/2 over TLS, window 0": (16, lambda it: http2(over_tls(it.tls, "h2"), 0), None),
    "heads of one byte per 2.5 s": (300, Trickle, None),
    "TLS connections without a word": (300, lambda it: tcp(it.tls), None),
    "HTTP/2 that asks for nothing": (300, preface_only, None),
    "900 KB of bodies of 1 MB": (100, half_a_body, None),
    "250 idle connections, 160 descriptors": (250, lambda it: tcp(it.rpc), 160),
}


def address(text):
    host, port = text.rsplit(":", 1)
    return host, int(port)


def post(body):
    lines = f"POST / HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    return lines.encode() + body


def frame(kind, flags, stream, payload):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def beginning(window):
    settings = frame(4, 0, 0, struct.pack(">HI", 4, window))
    return PREFACE + settings + frame(8, 0, 0, struct.pack(">I", WIDE - 65_535))


def head(stream, length):
    fields = [(":method", "POST"), (":scheme", "http"), (":path", "/"), (":authority", "localhost"),
              ("content-type", "application/json"), ("content-length", str(length))]
    text = lambda word: bytes([len(word)]) + word.encode()
    return frame(1, 4, stream, b"".join(b"\0" + text(name) + text(value) for name, value in fields))


def self_signed(folder):
    certificate, key = folder / "tls.crt", folder / "tls.key"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
         "-days", "2", "-subj", "/CN=localhost", "-keyout", key, "-out", certificate],
        check=True, stderr=subprocess.DEVNULL,
    )
    return str(certificate), str(key)


def binaries(baseline):
    """The gateway that was built here, and an earlier one to compare it with."""
    return {**({"before": baseline} if baseline else {}), "now": GATEWAY}
