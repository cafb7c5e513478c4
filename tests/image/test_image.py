"""The images: built from the Dockerfile's runtime stages, run read only and without capabilities, drained by SIGTERM."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import yaml

from scene import Scene, eventually, fetch, free_port
from tools import ROOT, binary

# What gcr.io/distroless/cc-debian12 is made of.
BASE = ("base-files", "ca-certificates", "libc6", "libgcc-s1", "libgomp1", "libssl3", "libstdc++6", "netbase", "tzdata")
PASSWD = "root:x:0:0::/root:/sbin/nologin\nnonroot:x:65532:65532::/home/nonroot:/sbin/nologin\n"


def good(*words, **options):
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
    return done.stdout.strip()


class Images(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.scene = cls.enterClassContext(Scene())
        cls.folder = Path(tempfile.mkdtemp(dir="/var/tmp", prefix="perijove-image-"))
        cls.addClassCleanup(shutil.rmtree, cls.folder, True)
        cls.base()
        cls.built()
        cls.images = {target: cls.image(target) for target in ("gateway", "ingest")}

    @classmethod
    def buildah(cls, *words):
        return good("buildah", "--root", cls.folder / "store", "--runroot", cls.folder / "run", "--storage-driver", "vfs", *words)

    @classmethod
    def base(cls):
        """A stand-in under the base's own name, of Debian's packages."""
        root, packages = cls.folder / "base/root", cls.folder / "packages"
        root.mkdir(parents=True)
        packages.mkdir()
        good("apt-get", "download", "-qq", *BASE, cwd=packages)
        for package in packages.iterdir():
            good("dpkg-deb", "-x", package, root)
        (root / "etc/passwd").write_text(PASSWD)
        # What installing ca-certificates does.
        (root / "etc/ssl/certs").mkdir(parents=True, exist_ok=True)
        authorities = sorted((root / "usr/share/ca-certificates").rglob("*.crt"))
        (root / "etc/ssl/certs/ca-certificates.crt").write_text("".join(file.read_text() for file in authorities))
        for name in ("dev", "proc", "tmp", "etc/perijove", "home/nonroot"):
            (root / name).mkdir(parents=True, exist_ok=True)
        (cls.folder / "base/Dockerfile").write_text("FROM scratch\nCOPY root /\n")
        cls.runtime = re.search(r"ARG RUNTIME_IMAGE=(\S+)", (ROOT / "Dockerfile").read_text())[1]
        cls.buildah("bud", "--isolation", "chroot", "--layers=false", "-t", cls.runtime, cls.folder / "base")

    @classmethod
    def built(cls):
        """What the build stage leaves: programs, and the libraries that its own command picks."""
        out, libraries = cls.folder / "built/out", cls.folder / "built/libraries"
        out.mkdir(parents=True)
        for name in ("gateway", "ingest"):
            shutil.copy(binary(name.upper()), out / f"perijove-{name}")
        command = re.search(r"^RUN (mkdir /libraries .*)$", (ROOT / "Dockerfile").read_text(), re.M)[1]
        command = command.replace("/libraries", str(libraries)).replace("/out/", f"{out}/")
        good("bash", "-c", f"set -o pipefail; {command}")

    @classmethod
    def image(cls, target):
        """Builds a runtime stage; gives its file system and its settings."""
        whole = (ROOT / "Dockerfile").read_text()
        # The compiler's stage takes a registry: its results stand in for it.
        text, count = re.subn(r"(?s)^FROM \$\{RUST_IMAGE\} AS build\n.*?(?=^FROM \$\{RUNTIME_IMAGE\})", "", whole, flags=re.M)
        assert count == 1
        file = cls.folder / "Dockerfile"
        file.write_text(text)
        cls.buildah("bud", "--isolation", "chroot", "--layers=false", "--pull-never", "--build-context",
                    f"build={cls.folder}/built", "--target", target, "-t", f"localhost/{target}", "-f", file, cls.folder / "base")
        settings = json.loads(cls.buildah("inspect", "--type", "image", f"localhost/{target}"))["OCIv1"]["config"]
        container = cls.buildah("from", "--pull-never", f"localhost/{target}")
        return Path(cls.buildah("mount", container)), settings

    def run_image(self, name, target, config):
        """Starts an image with its own command."""
        root, settings = self.images[target]
        (root / "etc/perijove").mkdir(exist_ok=True)
        (root / f"etc/perijove/{target}.yaml").write_text(yaml.safe_dump(config))
        environment = {f"IMG_{k}": v for k, v in (one.split("=", 1) for one in settings.get("Env", []))}
        words = settings["Entrypoint"] + settings["Cmd"]
        process, _ = self.scene.start(name, "unshare", "--mount", sys.executable, ROOT / "tests/image/confined.py", root, *words,
                                      env={"PATH": os.environ["PATH"], **environment})
        return process

    def serves(self, process, url, name):
        def look():
            if process.poll() is not None:
                raise RuntimeError(f"{name} ended: {self.scene.log(name)}")
            return fetch(url)

        eventually(name, look)

    def status(self, process):
        lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
        return {line.split(":")[0]: line.split(":")[1].split() for line in lines}

    def test_the_settings_are_those_that_the_chart_counts_on(self):
        for target, (root, settings) in self.images.items():
            self.assertEqual(settings["User"], "65532:65532")
            program = root / settings["Entrypoint"][0].lstrip("/")
            self.assertTrue(os.access(program, os.X_OK), program)
            self.assertEqual(settings["Cmd"], ["run", "--config", f"/etc/perijove/{target}.yaml"])
            self.assertFalse((root / "bin/sh").exists(), "a shell is of no use but to others")

    def test_a_gateway_runs_read_only_without_capabilities_and_drains(self):
        validators, fault = self.scene.sandbox(1)
        rpc, admin = free_port(), free_port()
        process = self.run_image("gateway", "gateway", {
            "listen": {"rpc": [f"127.0.0.1:{rpc}"], "next_port": False}, "admin": {"listen": f"127.0.0.1:{admin}"},
            "upstreams": [{"id": "v", "url": validators[0], "tier": "local"}]})
        self.serves(process, f"http://127.0.0.1:{admin}/ready", "gateway")
        status = self.status(process)
        self.assertEqual(set(status["Uid"]), {"65532"})
        for kind in ("CapPrm", "CapEff", "CapBnd", "CapInh", "CapAmb"):
            self.assertEqual(int(status[kind][0], 16), 0, kind)
        self.assertEqual(status["NoNewPrivs"], ["1"])

        # A call that is under way when SIGTERM comes is answered.
        fault(0, kind="slow", ms=2000, spare_probes=True)
        call = subprocess.Popen(["curl", "-s", "-m", "30", f"http://127.0.0.1:{rpc}", "-H", "content-type: application/json", "-d",
                                 '{"jsonrpc":"2.0","id":1,"method":"getBalance","params":["11111111111111111111111111111111"]}'],
                                stdout=subprocess.PIPE, text=True)
        in_flight = re.compile(r"^perijove_http_in_flight ([1-9])", re.M)
        eventually("the call", lambda: in_flight.search(fetch(f"http://127.0.0.1:{admin}/metrics")))
        process.send_signal(signal.SIGTERM)
        self.assertIn('"result"', call.communicate()[0])
        self.assertEqual(process.wait(60), 0, self.scene.log("gateway"))

    def test_an_ingest_finds_its_libraries_and_runs(self):
        port = free_port()
        process = self.run_image("ingest", "ingest", {
            "http": {"listen": f"127.0.0.1:{port}"}, "database": {"url": "sqlite:/tmp/perijove.db"},
            "kafka": {"brokers": [f"127.0.0.1:{free_port()}"], "security": "plaintext", "group": {"prefix": "image"}},
            "streams": [{"topic": "t", "kind": "trades"}]})
        self.serves(process, f"http://127.0.0.1:{port}/metrics", "ingest")
        self.assertEqual(set(self.status(process)["Uid"]), {"65532"})
        maps = Path(f"/proc/{process.pid}/maps").read_text()
        self.assertIn("/usr/local/lib/perijove/", maps)
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(60), 0, self.scene.log("ingest"))
