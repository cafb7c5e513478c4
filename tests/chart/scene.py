"""Real programs on free ports, which end with the test: gateways, ingest, sandbox, Redis, PostgreSQL, Kafka, Prometheus."""

import contextlib
import fcntl
import functools
import http.client
import itertools
import json
import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
import xml.etree.ElementTree
from pathlib import Path

import websocket
import yaml

from api_server import fields
from tools import REMEDY, ROOT, binary, postgres, program

# PostgreSQL does not run as root.
ORDINARY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] if os.getuid() == 0 else []
PATIENCE = 120


def eventually(what, look, patience=PATIENCE):
    """What `look` gives as soon as that is true; it may fail until then."""
    end, last = time.monotonic() + patience, None
    while True:
        try:
            last = look()
            if last:
                return last
        except (OSError, http.client.HTTPException, AssertionError, ValueError, KeyError) as error:
            last = error
        if time.monotonic() > end:
            raise AssertionError(f"not within {patience} s: {what}; at last {last!r}")
        time.sleep(0.1)


def fetch(url, body=None, method=None):
    """A body by its URL; a refusal is an OSError."""
    data = json.dumps(body).encode() if body is not None else None
    request = urllib.request.Request(url, data, {"content-type": "application/json"}, method=method)
    with urllib.request.urlopen(request, timeout=10) as answer:
        return answer.read().decode()


@functools.cache
def ports():
    """Ports of a block that is ours alone, by the same locks as tests/harness/ports.rs."""
    for block in range(27, -1, -1):
        lock = open(f"{tempfile.gettempdir()}/perijove-test-ports-{block}.lock", "w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.close()
            continue
        return iter(range(12000 + 700 * block, 12700 + 700 * block)), lock
    raise RuntimeError("every block of ports is taken")


def listens(address):
    host, port = address.removeprefix("http://").rsplit(":", 1)
    with socket.create_connection((host, int(port)), 5):
        return True


def free_port():
    """A port that nobody else is given, and on which nobody listens."""
    for port in ports()[0]:
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return port
    raise RuntimeError("no port is free")


class Proxy:
    """A TCP connection passed on, late by `delay` seconds or, while `cut`, to nobody. `hang` takes everything in."""

    def __init__(self, port, host="127.0.0.1"):
        self.target, self.delay, self.cut, self.hang, self.open = (host, port), 0, False, False, set()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        with contextlib.suppress(OSError):
            while True:
                client = self.listener.accept()[0]
                if self.cut:
                    client.close()
                    continue
                server = socket.create_connection(self.target)
                self.open |= {client, server}
                for pair in ((client, server, True), (server, client, False)):
                    threading.Thread(target=self.pump, args=pair, daemon=True).start()

    def pump(self, source, sink, late):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if late:
                    time.sleep(self.delay)
                while self.hang:
                    time.sleep(0.1)
                sink.sendall(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def away(self):
        """Ends every connection and takes no new one."""
        self.cut = True
        self.breaks()

    def breaks(self):
        """Ends every connection."""
        for end in list(self.open):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self):
        self.listener.close()
        self.away()


class Scene(contextlib.ExitStack):
    """Programs, and a folder for their files; all of it goes at the end."""

    def __init__(self):
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(dir="/tmp", prefix="perijove-chart-"))
        self.folder.chmod(0o755)
        if not os.environ.get("KEEP"):
            self.callback(shutil.rmtree, self.folder, True)
        # Told before anything ends.
        self.stopping = threading.Event()
        self.threads = []

    def __exit__(self, *details):
        self.stopping.set()
        for thread in self.threads:
            thread.join(30)
        return super().__exit__(*details)

    def beside(self, work, *arguments):
        """Does something on a thread that minds `stopping`."""
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        self.threads.append(thread)
        thread.start()

    def start(self, name, *words, announces=False, **options):
        """Starts a program whose log goes to NAME.log; with `announces` its first line is read."""
        log = (self.folder / f"{name}.log").open("wb")
        out = subprocess.PIPE if announces else log
        # Whatever becomes of us, it ends with us: with the thread that starts it, which is the test's own.
        words = ["setpriv", "--pdeathsig", "KILL", *words]
        process = subprocess.Popen([str(word) for word in words], stdin=subprocess.DEVNULL, stdout=out, stderr=log,
                                   cwd=self.folder, **options)
        log.close()
        self.callback(self.end, process)
        if not announces:
            return process, None
        line = process.stdout.readline()
        assert line, f"{name} ended: {self.log(name)}"
        threading.Thread(target=drained, args=(process.stdout,), daemon=True).start()
        return process, json.loads(line)

    @staticmethod
    def end(process, kill=True):
        if process.poll() is None:
            process.kill() if kill else process.terminate()
        process.wait()

    def log(self, name):
        return (self.folder / f"{name}.log").read_text(errors="replace")[-3000:]

    def sandbox(self, validators, *more):
        """Validators, and a function that gives one of them a fault or takes it away. Stand-ins for Jupiter, if
        there are any, are in `jupiters` then."""
        _, said = self.start("sandbox", binary("SANDBOX"), "--print-json", "--base-port", "0", "--control",
                             "127.0.0.1:0", "--validators", validators, "--jupiter-base-port", "0", *more, announces=True)
        control = with_scheme(said["control"])
        self.jupiters = said["jupiters"]

        def fault(number, of="validators", **what):
            url = f"{control}/{of}/{number}/fault"
            fetch(url, what) if what else fetch(url, method="DELETE")

        return [with_scheme(one) for one in said["validators"]], fault

    def gateway(self, name, upstreams, env=None, **config):
        """A gateway in front of upstreams: its process, and its addresses. `env` is all of its environment."""
        config = {"listen": {"rpc": ["127.0.0.1:0"]}, "admin": {"listen": "127.0.0.1:0"}, "upstreams": upstreams,
                  "runtime": {"upgrade_socket": str(self.folder / f"{name}.sock"), "threads": 1},
                  "log": {"access": False}, "shutdown": {"linger": "0s"}, **config}
        file = self.folder / f"{name}.yaml"
        file.write_text(yaml.safe_dump(config))
        process, said = self.start(name, binary("GATEWAY"), "run", "--config", file, announces=True, env=env)
        return process, {kind: with_scheme(said[kind]) for kind in ("rpc", "admin")}

    def tls(self, name, days):
        """A TLS listener with a certificate of its own, in NAME.crt and NAME.key."""
        files = {"certificate": self.folder / f"{name}.crt", "key": self.folder / f"{name}.key"}
        subprocess.run([program("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
                        "-nodes", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-days", str(days),
                        "-out", files["certificate"], "-keyout", files["key"]], check=True, capture_output=True)
        return {"address": "127.0.0.1:0", **{key: str(file) for key, file in files.items()}}

    def ingest(self, name, **config):
        """An ingest: its process, and its address."""
        port = free_port()
        config = {"http": {"listen": f"127.0.0.1:{port}"}, "database": {"url": f"sqlite:{name}.db"},
                  "batch": {"wait": "10ms"}, **config}
        file = self.folder / f"{name}.yaml"
        file.write_text(yaml.safe_dump(config))
        process, _ = self.start(name, binary("INGEST"), "run", "--config", file)
        return process, f"http://127.0.0.1:{port}"

    def redis(self):
        port = free_port()
        self.start("redis", program("redis-server"), "--port", port, "--bind", "127.0.0.1", "--save", "")
        eventually("Redis", lambda: listens(f"127.0.0.1:{port}"))
        return port

    def postgres(self):
        data, port = self.folder / "postgres", free_port()
        data.mkdir()
        if ORDINARY:
            os.chown(data, 65534, 65534)
        subprocess.run([*ORDINARY, postgres("initdb"), "-D", data, "-U", "owner", "-A", "trust", "-N"], check=True,
                       stdout=subprocess.DEVNULL, cwd="/")
        self.start("postgres", *ORDINARY, postgres("postgres"), "-D", data, "-k", data, "-p", port,
                   "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off")
        eventually("PostgreSQL", lambda: subprocess.run(
            [postgres("pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(port)], check=False).returncode == 0)
        return port

    def kafka(self):
        """One broker of Apache Kafka that anybody may use: its address, on which it will listen."""
        jars = kafka_jars()
        port, controller, folder = free_port(), free_port(), self.folder / "kafka"
        folder.mkdir()
        (folder / "server.properties").write_text("\n".join((
            "process.roles=broker,controller", "node.id=1", f"controller.quorum.voters=1@127.0.0.1:{controller}",
            f"listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}",
            "controller.listener.names=CONTROLLER", f"log.dirs={folder}/data", "num.partitions=1",
            "offsets.topic.replication.factor=1", "offsets.topic.num.partitions=1",
            "group.initial.rebalance.delay.ms=0", "log.retention.check.interval.ms=500")))
        java = ["java", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", f"{jars}/*"]
        subprocess.run([*java, "kafka.tools.StorageTool", "format", "-t", "UGVyaWpvdmVDaGFydDAwMQ", "-c",
                        folder / "server.properties"], check=True, capture_output=True)
        self.start("broker", *java, "kafka.Kafka", folder / "server.properties")
        return f"127.0.0.1:{port}"

    def prometheus(self, rules, targets):
        """A Prometheus with rules, by what it scrapes: (job, namespace, address). A function that queries it."""
        port = free_port()
        scrapes = [{"job_name": job, "static_configs": [
            {"targets": [address.removeprefix("http://")], "labels": {"namespace": namespace}}
            for kind, namespace, address in targets if kind == job]} for job in sorted({kind for kind, _, _ in targets})]
        (self.folder / "rules").mkdir()
        for name, text in rules.items():
            (self.folder / "rules" / name).write_text(text)
        (self.folder / "prometheus.yaml").write_text(yaml.safe_dump({
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
            "rule_files": ["rules/*.yaml"], "scrape_configs": scrapes}))
        self.start("prometheus", program("prometheus"), "--config.file", "prometheus.yaml", "--storage.tsdb.path", "tsdb",
                   "--web.listen-address", f"127.0.0.1:{port}", "--log.level", "warn")

        def ask(path="query", **words):
            url = f"http://127.0.0.1:{port}/api/v1/{path}?{urllib.parse.urlencode(words)}"
            try:
                return json.loads(fetch(url))["data"]
            except urllib.error.HTTPError as error:
                raise AssertionError(f"{words}: {error.read().decode()}") from error

        eventually("Prometheus", lambda: ask(query="vector(1)"))
        return ask

    def subscribe(self, address, methods=("slotSubscribe", "rootSubscribe")):
        """A client of WebSocket that reads what it is told until the end."""
        socket = websocket.create_connection(address.replace("http", "ws"), timeout=PATIENCE)
        numbers = itertools.count(1)

        def subscribed(method):
            number = next(numbers)
            socket.send(json.dumps({"jsonrpc": "2.0", "id": number, "method": method}))
            return answered(socket, number)

        for method in methods:
            eventually(method, lambda method=method: subscribed(method))

        def read():
            with contextlib.closing(socket), contextlib.suppress(OSError, websocket.WebSocketConnectionClosedException):
                while not self.stopping.is_set():
                    with contextlib.suppress(websocket.WebSocketTimeoutException):
                        socket.recv()

        socket.settimeout(1)
        self.beside(read)

    def load(self, address, calls, every=0.1):
        """Makes HTTP requests, (path, body) in turn, one every so many seconds, until the scene ends."""
        def run():
            where = urllib.parse.urlparse(address).netloc
            connection = http.client.HTTPConnection(where, timeout=10)
            for path, body in itertools.cycle(calls):
                if self.stopping.wait(every):
                    return connection.close()
                try:
                    connection.request("POST" if body else "GET", path, body and json.dumps(body),
                                       {"content-type": "application/json"} if body else {})
                    connection.getresponse().read()
                except (OSError, http.client.HTTPException):
                    connection.close()

        self.beside(run)


def answered(socket, number):
    """Whether a socket is told that this call was carried out; what else comes is passed over."""
    while True:
        said = json.loads(socket.recv())
        if said.get("id") == number:
            return "result" in said


def drained(stream):
    """Reads to the end, so that the writer never waits."""
    with stream:
        for _ in stream:
            pass


def with_scheme(addresses):
    address = addresses if isinstance(addresses, str) else addresses[0]
    return address if address.startswith("http") else f"http://{address}"


def kafka_jars():
    """Where scripts/setup put the jars of the version that the end-to-end tests use."""
    pom = xml.etree.ElementTree.parse(ROOT / "tests/harness/kafka/pom.xml")
    space = {"m": "http://maven.apache.org/POM/4.0.0"}
    version = next(d.find("m:version", space).text for d in pom.iter("{http://maven.apache.org/POM/4.0.0}dependency")
                   if d.find("m:artifactId", space).text == "kafka_2.13")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / f"perijove/kafka-{version}/lib"
    if not folder.is_dir():
        raise RuntimeError(f"Kafka's jars are missing; {REMEDY}")
    return folder


def recording(file):
    """(key, payload) of each message in a recording of ingest's."""
    data, at = Path(file).read_bytes(), 8
    while at < len(data):
        length = int.from_bytes(data[at:at + 4], "little")
        frame = dict(fields(data[at + 8:at + 8 + length]))
        yield frame.get(5), frame[6]
        at += 8 + length
