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


class Labels(unittest.TestCase):
    """What queries group and join by, and what legends show, exists."""

    def test_queries_group_and_join_by_labels_that_are_there(self):
        count = 0
        for where, query in queries():
            with self.subTest(where):
                for used, there in groupings(promql_parser.parse(query)):
                    count += 1
                    self.assertLessEqual(used, there)
        self.assertGreater(count, 150)

    def test_legends_show_labels_that_their_query_leaves(self):
        count = 0
        for name, board in dashboards():
            for panel in board["panels"]:
                for target in panel.get("targets", []):
                    shown = set(re.findall(r"{{\s*(\w+)\s*}}", target["legendFormat"]))
                    with self.subTest(f"{name}: {panel['title']}"):
                        self.assertLessEqual(shown, outcome(promql_parser.parse(substituted(target["expr"]))))
                    count += len(shown)
        self.assertGreater(count, 80)

    def test_alerts_tell_labels_that_their_query_leaves(self):
        for rule in rules():
            if "alert" in rule:
                text = " ".join(rule["annotations"].values())
                with self.subTest(rule["alert"]):
                    self.assertLessEqual(set(re.findall(r"\$labels\.(\w+)", text)), outcome(promql_parser.parse(rule["expr"])))

    def test_misspelt_ones_would_be_found(self):
        known = 'perijove_rpc_class_calls_total{outcome="answered"}[5m]'
        for query, fine in ((f"sum by (class) (rate({known}))", True), (f"sum by (clas) (rate({known}))", False),
                            (f"sum without (clas) (rate({known}))", False),
                            (f"rate({known}) / on (clas) rate({known})", False)):
            found = list(groupings(promql_parser.parse(query)))
            self.assertEqual(all(used <= there for used, there in found), fine, query)
        self.assertNotIn("outcome", outcome(promql_parser.parse(f"sum by (class) (rate({known}))")))
        self.assertIn("class", outcome(promql_parser.parse(f"sum by (class) (rate({known})) or vector(0)")))


# What Prometheus and Kubernetes add to every series.
EVERYWHERE = {"job", "namespace", "instance", "pod"}


def outcome(expression):
    """Labels that what an expression gives may have."""
    return walk(expression, lambda used, there: None)


def groupings(expression):
    """(labels that are named, labels that there are) for each `by`, `without`, `on`, `ignoring` and `group_left`."""
    found = []
    walk(expression, lambda used, there: found.append((set(used), there)))
    return found


def walk(expression, named):
    kind = type(expression).__name__
    if kind == "VectorSelector":
        return labels_of(expression.name)
    if kind == "MatrixSelector":
        return walk(expression.vector_selector, named)
    if kind in ("ParenExpr", "SubqueryExpr", "UnaryExpr"):
        return walk(expression.expr, named)
    if kind == "AggregateExpr":
        there, modifier = walk(expression.expr, named), expression.modifier
        if modifier is None:
            return there if expression.op.__str__() in ("topk", "bottomk") else set()
        named(modifier.labels, there)
        return set(modifier.labels) if "By" in str(modifier.type) else there - set(modifier.labels)
    if kind == "Call":
        given = [walk(argument, named) for argument in expression.args]
        left = set().union(*given)
        return left - {"le"} if expression.func.name == "histogram_quantile" else left
    if kind == "BinaryExpr":
        left, right, modifier = walk(expression.lhs, named), walk(expression.rhs, named), expression.modifier
        matching = modifier.matching if modifier is not None else None
        if matching is not None:
            named(matching.labels, left & right)
        return left | right if str(expression.op) == "or" else (left or right)
    return set()


def labels_of(name):
    """Labels of a metric, of a recorded series, or of one that Prometheus makes."""
    if name == "ALERTS":
        return EVERYWHERE | {"alertname", "alertstate", "severity"}
    for rule in rules():
        if rule.get("record") == name:
            return outcome(promql_parser.parse(rule["expr"]))
    known = labels()
    plain = re.sub(r"_(?:sum|count)$", "", name)
    return known.get(name, known.get(plain, set())) | EVERYWHERE


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

    def test_a_page_leads_from_each_alert_to_its_runbook(self):
        page = (ROOT / "docs/operations/alerts.md").read_text()
        rows = re.findall(r'^\| <a id="(\w+)"></a>`(\w+)` \| (\w+) \| ([^|]+) \| \[[^]]+\]\(([\w-]+\.md)\) \|$', page, re.M)
        said = {name: (shown, severity, summary, runbook) for name, shown, severity, summary, runbook in rows}
        self.assertEqual(len(said), len(rows))
        self.assertEqual(said, {
            rule["alert"]: (rule["alert"], rule["labels"]["severity"], rule["annotations"]["summary"],
                            rule["annotations"]["runbook_url"].removeprefix("docs/operations/"))
            for rule in rules() if "alert" in rule})

    def test_the_dashboard_for_the_person_on_call_shows_every_alert_and_leads_to_that_page(self):
        board = dict(dashboards())["overview"]
        (panel,) = [panel for panel in board["panels"] if panel["title"] == "Alerts"]
        (shown,) = re.findall(r'alertname=~"([^"]+)"', panel["targets"][0]["expr"])
        for rule in rules():
            if "alert" in rule:
                self.assertRegex(rule["alert"], f"^(?:{shown})$")
        self.assertNotRegex("Watchdog", f"^(?:{shown})$")
        (link,) = panel["fieldConfig"]["defaults"]["links"]
        self.assertEqual(link["url"], "${runbooks}/alerts.md#${__field.labels.alertname}")
        self.assertIn("{{severity}} {{alertname}}", panel["targets"][0]["legendFormat"])
        (base,) = [variable["query"] for variable in board["templating"]["list"] if variable["name"] == "runbooks"]
        self.assertTrue((ROOT / base / "alerts.md").is_file())

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
