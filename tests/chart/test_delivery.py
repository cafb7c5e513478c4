"""Dockerfile, compose file, units, pages and what `helm test` runs. Scripts are linted here, and run in test_scripts."""

import json
import re
import shlex
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

    STATES = {"Normal_Operation", "Incident_Detected", "Assessment", "Minor_Issue", "Major_Incident", "Critical_Failure",
              "Auto_Recovery", "Manual_Intervention", "Disaster_Recovery", "Backup_Systems", "Service_Restored"}

    def test_each_state_of_a_disaster_is_in_the_diagram_and_has_a_row(self):
        page = (ROOT / "docs/operations/disaster-recovery.md").read_text()
        self.assertEqual(set(re.findall(r"(?m)^\| `(\w+)` \|", page)), self.STATES)
        moves = re.findall(r"(?m)^    (\w+) --> (\w+) : \S", page)
        self.assertEqual({state for move in moves for state in move}, self.STATES)
        for state in self.STATES:
            self.assertTrue(any(move[0] == state for move in moves), f"there is no way out of {state}")

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
