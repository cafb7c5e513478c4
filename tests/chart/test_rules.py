"""Alerts and dashboards: they parse, fire and do not, lead to runbooks, and name only what the programs export."""

import json
import re
import tempfile
import unittest

import promql_parser
import yaml

import rendered
from tools import ROOT, RULES, program, run

# What comes from Prometheus itself.
BUILT_IN = {"up", "ALERTS"}
PROCESS = {"process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds", "process_max_fds"}
VARIABLES = {"$__rate_interval": "5m", "$job": ".*", "$namespace": ".*", "$instance": ".*"}


def documented():
    """Names of metrics in the documentation, which a test of each program holds to be what it exports."""
    text = "".join((ROOT / "docs" / page).read_text() for page in ("metrics.md", "ingest-storing.md"))
    names = set(re.findall(r"^\| `([a-z_]+)` \| (?:counter|gauge|histogram|summary)", text, re.M))
    histograms = set(re.findall(r"^\| `([a-z_]+)` \| histogram", text, re.M))
    return names | {f"{name}_{end}" for name in histograms for end in ("bucket", "sum", "count")}


def labels():
    """Labels of each metric, by the documentation."""
    text = "".join((ROOT / "docs" / page).read_text() for page in ("metrics.md", "ingest-storing.md"))
    found = {}
    for name, kind, columns in re.findall(r"^\| `([a-z_]+)` \| (counter|gauge|histogram|summary) \| ([^|]*)", text, re.M):
        own = set(re.findall(r"`(\w+)`", columns))
        found[name] = own
        if kind == "histogram":
            found[f"{name}_bucket"] = own | {"le"}
    return found


def rules():
    for file in sorted(RULES.glob("*.yaml")):
        for group in yaml.safe_load(file.read_text())["groups"]:
            yield from group["rules"]


def dashboards():
    for file in sorted((ROOT / "dashboards").glob("*.json")):
        yield file.stem, json.loads(file.read_text())


def substituted(query):
    for name, value in VARIABLES.items():
        query = query.replace(name, value)
    return query


def queries():
    """(where, query) of everything that asks Prometheus."""
    for rule in rules():
        yield rule.get("alert") or rule["record"], rule["expr"]
    for name, board in dashboards():
        for panel in board["panels"]:
            for target in panel.get("targets", []):
                yield f"{name}: {panel['title']}", substituted(target["expr"])
        for note in board["annotations"]["list"]:
            yield f"{name}: {note['name']}", note["expr"]


def selectors(query):
    """(metric, labels that are matched) in a query."""
    bare = re.sub(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)", "", query)
    bare = re.sub(r"\[[^\]]*\]|\b[0-9.]+[smhd]?\b", "", bare)
    for name, matchers in re.findall(r"\b([a-zA-Z_:][a-zA-Z0-9_:]*)\b(?!\s*\()(\{[^}]*\})?", re.sub(r'"[^"]*"', '""', bare)):
        if name in ("and", "or", "unless", "offset", "bool") or re.search(r"[{,]\s*" + name + r"\s*[=!]", bare):
            continue
        yield name, set(re.findall(r"(\w+)\s*[=!]~?", matchers))


class Queries(unittest.TestCase):
    def test_they_parse(self):
        count = 0
        for where, query in queries():
            with self.subTest(where):
                promql_parser.parse(query)
                count += 1
        self.assertGreater(count, 90)

    def test_they_name_metrics_and_labels_that_are_exported(self):
        known, by_metric = documented(), labels()
        recorded = {rule["record"] for rule in rules() if "record" in rule}
        everywhere = {"job", "namespace", "instance"}
        found = set()
        for where, query in queries():
            for name, matched in selectors(query):
                with self.subTest(where):
                    self.assertIn(name, known | recorded | BUILT_IN | PROCESS)
                    if name in by_metric:
                        self.assertLessEqual(matched, by_metric[name] | everywhere, name)
                found.add(name)
        self.assertGreater(len(found), 50)

    def test_what_scales_asks_for_metrics_that_are_exported(self):
        known, named = documented(), set()
        for _, objects in rendered.everything():
            for o in objects:
                if o["kind"] == "ScaledObject":
                    for trigger in o["spec"]["triggers"]:
                        if trigger["type"] == "prometheus":
                            promql_parser.parse(trigger["metadata"]["query"])
                            named |= {name for name, _ in selectors(trigger["metadata"]["query"])}
        # What the chart's README tells a metrics adapter, and what the autoscalers ask it for.
        (adapter,) = re.findall(r"(?ms)^```yaml\n(rules:\n.*?)^```", (ROOT / "charts/perijove/README.md").read_text())
        rules_of = yaml.safe_load(adapter)["rules"]
        served = {}
        for kind in ("custom", "external"):
            for rule in rules_of[kind]:
                named.add(rule["seriesQuery"].split("{")[0])
                served[kind] = rule["name"]["as"]
        self.assertLessEqual(named, known)
        self.assertEqual(named, {"perijove_http_answered_total", "kafka_consumer_lag"})
        asked = set()
        for _, objects in rendered.everything():
            for o in objects:
                for one in o["spec"]["metrics"] if o["kind"] == "HorizontalPodAutoscaler" else ():
                    asked |= {("custom", one["pods"]["metric"]["name"])} if "pods" in one else set()
                    asked |= {("external", one["external"]["metric"]["name"])} if "external" in one else set()
        self.assertEqual(asked, set(served.items()))

    def test_a_wrong_name_would_be_found(self):
        self.assertEqual(list(selectors('rate(a_total{x="1", y=~"2"}[5m]) > 3')), [("a_total", {"x", "y"})])
        self.assertNotIn("perijove_invented_total", documented())


class Alerts(unittest.TestCase):
    def test_promtool_takes_the_rules_and_each_alert_fires_and_does_not(self):
        done = run(program("promtool"), "check", "rules", *sorted(RULES.glob("*.yaml")))
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        done = run(program("promtool"), "test", "rules", *sorted((RULES / "tests").glob("*.yaml")))
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_promtool_takes_the_rules_as_the_chart_renders_them(self):
        several = [objects for _, objects in rendered.everything()]
        for limit in ("2Ti", "1.5Gi", "1500Mi", "3T", "2G", "4294967296", "700M"):
            limits = json.dumps({"memory": limit})
            several.append(rendered.objects(settings=("monitoring.enabled=true", f"apiGateway.resources.limits={limits}",
                                                      f"ingest.resources.limits={limits}")))
        seen = set()
        for objects in several:
            for o in objects:
                text = yaml.safe_dump(o["spec"]) if o["kind"] == "PrometheusRule" else ""
                if not text or text in seen:
                    continue
                seen.add(text)
                with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
                    file.write(text)
                    file.flush()
                    done = run(program("promtool"), "check", "rules", file.name)
                    self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertGreater(len(seen), 8)

    def test_every_alert_is_tested_both_ways(self):
        fires, quiet = set(), set()
        for file in (RULES / "tests").glob("*.yaml"):
            for test in yaml.safe_load(file.read_text())["tests"]:
                quiet |= {t["alertname"] for t in test.get("alert_rule_test", [])}
                for expression in test.get("promql_expr_test", []):
                    for sample in expression["exp_samples"]:
                        fires |= set(re.findall(r'alertname="(\w+)"', sample["labels"]))
        alerts = {rule["alert"] for rule in rules() if "alert" in rule}
        self.assertEqual(alerts, fires)
        self.assertEqual(alerts, quiet)

    def test_every_alert_says_what_it_means_and_leads_to_a_runbook_that_names_it(self):
        for rule in rules():
            if "alert" not in rule:
                continue
            with self.subTest(rule["alert"]):
                self.assertIn(rule["labels"]["severity"], ("info", "warning", "critical"))
                self.assertTrue(rule["annotations"]["summary"] and rule["annotations"]["description"])
                page = ROOT / rule["annotations"]["runbook_url"]
                self.assertTrue(page.is_file(), page)
                self.assertIn(rule["alert"], page.read_text(), f"{page.name} does not name its alert")

    def test_the_users_alerts_are_all_there(self):
        names = {rule["alert"] for rule in rules() if "alert" in rule}
        self.assertLessEqual({"JupiterAPIHighLatency", "JupiterAPIDown", "JupiterAPIHighErrorRate", "HighConsumerLag",
                              "ConnectionFailure", "HighMemoryUsage", "HighErrorRate"}, names)


class Dashboards(unittest.TestCase):
    def test_panels_have_a_title_a_unit_a_description_and_the_data_source_that_is_chosen(self):
        for name, board in dashboards():
            self.assertLessEqual(len(board["uid"]), 40)
            self.assertNotIn("id", board)
            variables = {v["name"] for v in board["templating"]["list"]}
            self.assertLessEqual({"datasource", "job", "namespace", "instance"}, variables)
            numbers = [panel["id"] for panel in board["panels"]]
            self.assertEqual(len(numbers), len(set(numbers)))
            for panel in board["panels"]:
                if panel["type"] == "row":
                    continue
                with self.subTest(f"{name}: {panel['title']}"):
                    self.assertTrue(panel["title"] and panel["description"])
                    self.assertTrue(panel["fieldConfig"]["defaults"]["unit"])
                    self.assertEqual(panel["datasource"]["uid"], "${datasource}")
                    for target in panel["targets"]:
                        self.assertTrue(target["legendFormat"])
                        for window in re.findall(r"\[([^\]]+)\]", target["expr"]):
                            self.assertEqual(window, "$__rate_interval")

    def test_panels_do_not_overlap(self):
        for name, board in dashboards():
            taken = set()
            for panel in board["panels"]:
                at = panel["gridPos"]
                cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
                self.assertFalse(cells & taken, f"{name}: {panel['title']}")
                self.assertLessEqual(at["x"] + at["w"], 24)
                taken |= cells
