"""Dockerfile, compose file, units and scripts: linted, and the scripts run against a real gateway."""

import contextlib
import json
import os
import re
import shlex
import socket
import subprocess
import tempfile
import unittest
from pathlib import Path

import yaml

import rendered
from scene import Scene, eventually
from tools import ROOT, binary, program, run


class Lints(unittest.TestCase):
    def clean(self, *words):
        done = run(*words, cwd=ROOT)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_scripts(self):
        tracked = run("git", "ls-files", cwd=ROOT).stdout.split()
        files = [file for file in map(ROOT.joinpath, tracked) if file.is_file() and not file.is_symlink()]
        scripts = [file for file in files if re.match(rb"#!/(usr/)?bin/(env )?(ba)?sh\b", file.read_bytes())]
        self.assertGreater(len(scripts), 12)
        self.clean(program("shellcheck"), *scripts)

    def test_dockerfile(self):
        self.clean(program("hadolint"), "Dockerfile")

    def test_compose_file(self):
        self.clean(program("check-jsonschema"), "--builtin-schema", "vendor.compose-spec", "deploy/compose/compose.yaml")

    def test_yaml_that_no_template_makes(self):
        rules = "{extends: default, rules: {line-length: disable, document-start: disable, braces: {max-spaces-inside: 1}, comments: disable, commas: disable, truthy: {check-keys: false}}}"
        self.clean(program("yamllint"), "--strict", "-d", rules, "deploy", "dashboards/rules/gateway.yaml",
                   "dashboards/rules/ingest.yaml", *ROOT.glob("charts/perijove/values*.yaml"))


@contextlib.contextmanager
def running():
    """A gateway in front of a sandbox: its RPC and admin URLs."""
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        def start(*words):
            process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=folder)
            stack.callback(process.stdout.close)
            stack.callback(process.wait)
            stack.callback(process.kill)
            return json.loads(process.stdout.readline())

        sandbox = start(binary("SANDBOX"), "--print-json", "--base-port", "0", "--control", "127.0.0.1:0")
        upstreams = [{"id": f"v{n}", "url": first(v), "tier": "local"}
                     for n, v in enumerate(sandbox["validators"])]
        file = Path(folder, "gateway.yaml")
        file.write_text(yaml.safe_dump({"listen": {"rpc": ["127.0.0.1:0"]}, "admin": {"listen": "127.0.0.1:0"},
                                        "upstreams": upstreams, "runtime": {"upgrade_socket": f"{folder}/u.sock"}}))
        gateway = start(binary("GATEWAY"), "run", "--config", str(file))
        yield gateway


class Commands(unittest.TestCase):
    def test_the_programs_know_every_command_that_the_documentation_gives(self):
        pages = [ROOT / "README.md", ROOT / "charts/perijove/README.md", *ROOT.glob("docs/**/*.md")]
        seen = set()
        for page in pages:
            for block in re.findall(r"(?ms)^ *```(?:sh|bash|console)?\n(.*?)^ *```", page.read_text()):
                for line in block.replace("\\\n", " ").splitlines():
                    seen |= {(page.name, part.strip()) for part in re.split(r"\s#|[|;&>]", line)
                             if re.match(r"\s*perijove-(gateway|ingest) ", part)}
        self.assertGreater(len(seen), 20)
        for page, command in sorted(seen):
            name, *words = shlex.split(command)
            done = run(binary(name.removeprefix("perijove-").upper()), *words, "--help")
            with self.subTest(f"{page}: {command}"):
                self.assertEqual(done.returncode, 0, done.stderr)


class Pages(unittest.TestCase):
    """What the pages for operators name is there."""

    def test_checks_that_the_page_of_acceptance_names(self):
        text = (ROOT / "docs/operations/acceptance.md").read_text()
        files = set(re.findall(r"`(test_\w+\.py)`", text))
        self.assertGreater(len(files), 8)
        for file in files:
            self.assertTrue((ROOT / "tests/chart" / file).is_file(), file)
        modules = {"metrics_docs"}
        for names in re.findall(r"end-to-end tests? ((?:`[\w:]+`(?:, | and )?)+)", text):
            modules |= set(re.findall(r"`([\w:]+)`", names))
        self.assertGreater(len(modules), 10)
        for module in modules:
            self.assertTrue((ROOT / "tests/e2e" / (module.replace("::", "/") + ".rs")).is_file(), module)

    def test_scripts_and_files_that_pages_name(self):
        found = set()
        for page in [ROOT / "README.md", ROOT / "charts/perijove/README.md", *ROOT.glob("docs/**/*.md")]:
            for name in re.findall(r"(?<![\w./-])((?:scripts|deploy|conf)/[\w./-]*\w)", page.read_text()):
                found.add(name)
                with self.subTest(f"{page.name}: {name}"):
                    self.assertTrue((ROOT / name).exists())
        delivered = {str(file.relative_to(ROOT)) for file in ROOT.glob("scripts/*.sh")}
        delivered |= {str(file.relative_to(ROOT)) for file in (ROOT / "deploy").glob("*/*") if file.suffix in (".service", ".yml")}
        delivered.add("deploy/compose/compose.yaml")
        missing = {name for name in delivered if name.replace("ingest", "gateway") not in found}
        self.assertFalse(missing, "no page tells of them")

    def test_panels_and_dashboards_that_runbooks_name(self):
        boards = [json.loads(file.read_text()) for file in (ROOT / "dashboards").glob("*.json")]
        titles = {board["title"] for board in boards} | {panel["title"] for board in boards for panel in board["panels"]}
        found = 0
        for page in [*(ROOT / "docs/operations").glob("*.md"), ROOT / "charts/perijove/README.md"]:
            text = re.sub(r"(?ms)^```.*?^```|`[^`]*`", "", page.read_text())
            for name in re.findall(r"(?<![*\w])\*([A-Z][^*]{1,60})\*(?!\*)", text):
                found += 1
                with self.subTest(page.name):
                    self.assertIn(re.sub(r"\s+", " ", name), titles)
        self.assertGreater(found, 20)


class Units(unittest.TestCase):
    """The systemd units, with the programs where they are."""

    def each(self):
        folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        for name in ("gateway", "ingest"):
            text = (ROOT / f"deploy/systemd/perijove-{name}.service").read_text()
            unit = folder / f"perijove-{name}.service"
            unit.write_text(text.replace(f"/usr/local/bin/perijove-{name}", binary(name.upper())))
            yield name, text, unit

    def test_systemd_takes_them(self):
        for name, _, unit in self.each():
            done = run(program("systemd-analyze"), "verify", "--man=no", unit)
            self.assertEqual((done.returncode, done.stdout + done.stderr), (0, ""), name)

    def test_they_are_confined(self):
        for name, _, unit in self.each():
            # Of 100; without any confinement it is 96.
            done = run(program("systemd-analyze"), "security", "--no-pager", "--offline=true", "--threshold=20", unit)
            self.assertEqual(done.returncode, 0, f"{name}: {done.stdout[-400:]}{done.stderr}")

    def test_what_they_run_are_commands_of_the_programs(self):
        for name, text, _ in self.each():
            commands = re.findall(r"^Exec(?:Start|StartPre)=(\S+) (\w+) --config (\S+)$", text, re.M)
            self.assertEqual([command for _, command, _ in commands], ["check", "run"])
            self.assertEqual({file for *_, file in commands}, {f"/etc/perijove/{name}.yaml"})


class Filebeat(unittest.TestCase):
    """The example for shipping logs, on lines as a container's runtime keeps them."""

    CONFIG = yaml.safe_load((ROOT / "deploy/filebeat/filebeat.yml").read_text())

    def lines(self):
        """What a gateway says about a call, a fault, and a configuration that it refuses."""
        with Scene() as scene:
            (validator, other), fault = scene.sandbox(2)
            upstreams = [{"id": f"v{n}", "url": url, "tier": "local"} for n, url in enumerate((validator, other))]
            _, address = scene.gateway("gateway", upstreams, log={"access": True, "level": "debug"})
            eventually("an answer", lambda: run(ROOT / "scripts/quick_verify.sh", address["rpc"], address["admin"]).returncode == 0)
            fault(0, kind="down")
            log = scene.folder / "gateway.log"
            eventually("a fault", lambda: "upstream health changed" in log.read_text())
            file = scene.folder / "gateway.yaml"
            file.write_text(file.read_text() + "retries: many\n")
            eventually("a refusal", lambda: "retries" in log.read_text())
            return log.read_text().splitlines()

    def test_every_line_is_an_object_whose_fields_keep_their_types_and_whose_time_is_read(self):
        (reader,) = self.CONFIG["filebeat.inputs"]
        self.assertEqual(reader["parsers"], [{"container": None}, {"ndjson": {"target": "perijove", "add_error_key": True}}])
        self.assertTrue(reader["prospector.scanner.symlinks"], "a node's folder of logs holds links")
        (timestamp,) = [p["timestamp"] for p in self.CONFIG["processors"] if "timestamp" in p]
        self.assertEqual(timestamp["field"], "perijove.timestamp")
        types, lines = {}, self.lines()
        self.assertGreater(len(lines), 5)
        for line in lines:
            stored = f"2026-11-28T06:00:00.123456789Z stderr F {line}"
            said = json.loads(re.match(r"\S+ (?:stdout|stderr) [FP] (.*)$", stored)[1])
            self.assertLessEqual({"timestamp", "level", "message", "target"}, said.keys(), line)
            for layout in timestamp["layouts"]:
                self.assertRegex(said["timestamp"], as_pattern(layout))
            for name, value in fields_of(said):
                # A field that is once text and once a number is refused by Elasticsearch.
                kind = types.setdefault(name, kind_of(value))
                self.assertEqual(kind, kind_of(value), f"{name} in {line}")

    def test_its_own_example_of_a_time_is_one(self):
        (timestamp,) = [p["timestamp"] for p in self.CONFIG["processors"] if "timestamp" in p]
        for time in timestamp["test"]:
            self.assertRegex(time, as_pattern(timestamp["layouts"][0]))


def as_pattern(layout):
    """A layout of Go's for times, as a regular expression."""
    pattern = re.escape(layout)
    for part in ("2006", "01", "02", "15", "04", "05"):
        pattern = pattern.replace(part, rf"\d{{{len(part)}}}", 1)
    return pattern.replace("999999", r"\d{1,9}") + "$"


def fields_of(value, name="perijove"):
    """(name, value) of all that is no object."""
    if isinstance(value, dict):
        for key, member in value.items():
            yield from fields_of(member, f"{name}.{key}")
    elif isinstance(value, list):
        for member in value:
            yield from fields_of(member, name)
    else:
        yield name, value


def kind_of(value):
    return "number" if isinstance(value, (int, float)) and not isinstance(value, bool) else type(value).__name__


class Smoke(unittest.TestCase):
    """What `helm test` runs, with addresses in place of Services."""

    def test_it_says_yes_to_a_gateway_that_serves_and_no_to_one_that_cannot(self):
        pod = rendered.named(rendered.objects(), "Pod", "rel-perijove-test")
        (container,) = pod["spec"]["containers"]
        with Scene() as scene:
            (validator,), fault = scene.sandbox(1)
            _, address = scene.gateway("gateway", [{"id": "v", "url": validator, "tier": "local"}])
            words = [word.replace("http://rel-perijove-api-gateway:8899", address["rpc"])
                     .replace("http://rel-perijove-api-gateway-admin:9090", address["admin"]) for word in container["args"]]
            self.assertNotIn("rel-perijove", " ".join(words))
            done = run(binary("GATEWAY"), *words)
            self.assertEqual(done.returncode, 0, done.stderr)
            fault(0, kind="down")
            now = [word for word in words if not word.startswith("--wait")]
            eventually("a no", lambda: run(binary("GATEWAY"), *now).returncode == 1)


class Scripts(unittest.TestCase):
    def test_they_say_what_is_wrong_with_their_words(self):
        for name, words, says in (
            ("monitor_deployment.sh", ["--time"], "--time needs a value"),
            ("monitor_deployment.sh", ["--time", "soon"], "--time needs a whole number, not soon"),
            ("monitor_deployment.sh", ["--tiem", "1"], "--tiem is not known"),
            ("deploy_blue_green.sh", [], "--tag is needed"),
            ("deploy_blue_green.sh", ["--tag"], "--tag needs a value"),
            ("deploy_blue_green.sh", ["--tag", "1", "--component", "redis"], "redis is neither gateway nor ingest"),
            ("verify_setup.sh", ["--gateway"], "--gateway needs a value"),
            ("verify_setup.sh", ["--kafka"], "--kafka needs --ingest"),
            ("verify_setup.sh", ["--yellowstone"], "--yellowstone needs a value"),
            ("quick_verify.sh", ["--rpc"], "--rpc is not known"),
            ("quick_verify.sh", ["--key"], "--key needs a value"),
            ("monitor_deployment.sh", ["--ca"], "--ca needs a value"),
        ):
            with self.subTest(f"{name} {words}"):
                done = run(ROOT / "scripts" / name, *words)
                self.assertEqual(done.returncode, 2)
                self.assertIn(says, done.stderr)

    def test_they_say_how_they_are_used_to_who_asks(self):
        for script in sorted(ROOT.glob("scripts/*.sh")):
            with self.subTest(script.name):
                done = run(script, "--help")
                self.assertEqual((done.returncode, done.stderr), (0, ""))
                self.assertIn(f"scripts/{script.name} ", done.stdout)

    def test_they_name_a_program_that_is_missing(self):
        with tempfile.TemporaryDirectory() as folder:
            for name in ("bash", "dirname", "sed", "cat"):
                os.symlink(program(name), Path(folder, name))
            for name, words, says in (
                ("monitor_deployment.sh", [], "curl is missing; install it with: apt-get install curl"),
                ("quick_verify.sh", [], "curl is missing; install it with: apt-get install curl"),
                ("deploy_blue_green.sh", ["--tag", "1"], "helm is missing"),
                ("verify_setup.sh", [], "perijove-gateway is not there; build it with: cargo build"),
            ):
                with self.subTest(name):
                    done = run(ROOT / "scripts" / name, *words, env={"PATH": folder})
                    self.assertIn(done.returncode, (1, 2))
                    self.assertIn(says, done.stderr)

    def test_quick_verify_says_what_it_was_told(self):
        with Scene() as scene:
            (validator,), fault = scene.sandbox(1)
            fault(0, kind="down")
            _, address = scene.gateway("gateway", [{"id": "v", "url": validator, "tier": "local"}])
            done = run(ROOT / "scripts/quick_verify.sh", address["rpc"], address["admin"])
            self.assertEqual(done.returncode, 1)
            for says in ("FAIL  ready", "no upstream available", "FAIL  getSlot", "-32005", "2 of 4 failed"):
                self.assertIn(says, done.stderr)
            self.assertIn("ok    health", done.stdout)

    def test_health_quick_verify_and_monitor_say_yes_to_a_gateway_that_is_well_and_no_to_none(self):
        with running() as gateway:
            rpc, admin = (first(gateway[name]) for name in ("rpc", "admin"))
            done = run(binary("GATEWAY"), "health", "--wait", "60s", f"{admin}/health", f"{admin}/ready", f"{rpc}/health")
            self.assertEqual(done.returncode, 0, done.stderr)
            done = run(ROOT / "scripts/quick_verify.sh", rpc, admin)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            done = run(ROOT / "scripts/monitor_deployment.sh", "--admin", admin, "--time", "1", "--every", "1")
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            self.assertIn("healthy upstreams 3", done.stdout)
        self.assertEqual(run(binary("GATEWAY"), "health", f"{admin}/health").returncode, 1)
        self.assertNotEqual(run(ROOT / "scripts/quick_verify.sh", rpc, admin).returncode, 0)

    def test_they_check_a_gateway_that_asks_for_keys_tokens_and_certificates(self):
        key, token = "a-key-of-someone", "the-token-of-the-port"
        with Scene() as scene:
            (validator,), _ = scene.sandbox(1)
            tls = scene.tls("own", 30)
            admin = {"listen": "127.0.0.1:0", "token": token, "tls": {name: tls[name] for name in ("certificate", "key")}}
            _, address = scene.gateway("gateway", [{"id": "v", "url": validator, "tier": "local"}], admin=admin,
                                       anonymous=False, consumers=[{"id": "bots", "keys": [key]}])
            admin = address["admin"].replace("http://127.0.0.1", "https://localhost")
            quick = [ROOT / "scripts/quick_verify.sh", address["rpc"], admin]
            watch = [ROOT / "scripts/monitor_deployment.sh", "--admin", admin, "--time", "1", "--every", "1"]
            shown = {"PERIJOVE_KEY": key, "PERIJOVE_ADMIN_TOKEN": token, "PERIJOVE_CA": tls["certificate"]}
            options = ["--token", token, "--ca", tls["certificate"]]
            ordinary = {name: value for name, value in os.environ.items() if not name.startswith("PERIJOVE_")}
            eventually("a healthy upstream", lambda: run(*watch, *options, env=ordinary).returncode == 0)
            for words, env in (([*quick, "--key", key, *options], ordinary), (quick, {**ordinary, **shown}),
                               (watch, {**ordinary, **shown})):
                done = run(*words, env=env)
                self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
                self.assertNotIn(key, done.stdout + done.stderr)
            without = {**ordinary, "PERIJOVE_CA": tls["certificate"]}
            said = self.refused(run(*quick, env=without))
            for says in ("show admin.token with --token or PERIJOVE_ADMIN_TOKEN", "show an API key with --key or PERIJOVE_KEY",
                         "2 of 4 failed"):
                self.assertIn(says, said)
            self.assertIn("needs admin.token: --token or PERIJOVE_ADMIN_TOKEN", self.refused(run(*watch, env=without)))
            self.assertIn("FAIL  health", self.refused(run(*quick, env=ordinary)))

    def test_monitor_says_what_is_wrong_with_a_deployment(self):
        with Scene() as scene:
            (validator,), fault = scene.sandbox(1)
            process, address = scene.gateway("gateway", [{"id": "v", "url": validator, "tier": "local"}])
            watch = [ROOT / "scripts/monitor_deployment.sh", "--admin", address["admin"], "--time", "1", "--every", "1"]
            eventually("a healthy upstream", lambda: run(*watch).returncode == 0)
            fault(0, kind="down")
            scene.load(address["rpc"], [("/", {"jsonrpc": "2.0", "id": 1, "method": "getSlot"})])
            for problem in ("no upstream is healthy", "calls failed"):
                eventually(problem, lambda problem=problem: problem in self.refused(run(*watch)))
            scene.end(process)
            self.assertIn("/metrics cannot be read", self.refused(run(*watch)))

    def refused(self, done):
        """What a script that said no had to say."""
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        return done.stderr

    def test_verify_setup_finds_a_configuration_that_is_wrong(self):
        with tempfile.TemporaryDirectory() as folder:
            bins = Path(folder, "bin")
            bins.mkdir()
            for name in ("GATEWAY", "INGEST"):
                os.symlink(binary(name), bins / f"perijove-{name.lower()}")
            script = [ROOT / "scripts/verify_setup.sh", "--bin", bins, "--gateway"]
            self.assertEqual(run(*script, ROOT / "conf/examples/minimal.yaml", cwd=folder).returncode, 0)
            done = run(*script, ROOT / "conf/invalid/unknown-key.yaml", cwd=folder)
            self.assertEqual(done.returncode, 1)
            self.assertIn("FAIL", done.stderr)
            asks = [*script, ROOT / "conf/examples/minimal.yaml", "--yellowstone"]
            with socket.create_server(("127.0.0.1", 0)) as server:
                url = f"http://127.0.0.1:{server.getsockname()[1]}"
                done = run(*asks, url, cwd=folder)
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertIn(f"ok    Yellowstone at {url}", done.stdout)
            for wrong, says in ((url, "cannot be reached"), ("nonsense", "is not http(s)://HOST:PORT")):
                done = run(*asks, wrong, cwd=folder)
                self.assertEqual(done.returncode, 1)
                self.assertIn(says, done.stderr)


def first(addresses):
    address = addresses if isinstance(addresses, str) else addresses[0]
    return address if address.startswith("http") else f"http://{address}"


