"""Runs suites in helm-unittest's format, charts/perijove/tests/*_test.yaml, with plain `helm template`.

The plugin runs them as well: `helm unittest charts/perijove`. An assertion that is not known here is an error.
"""

import copy
import fnmatch
import re
import tempfile
from pathlib import Path

import yaml

from tools import CHART, program, run


def put(values, path, value):
    keys = [part.strip('"') for part in re.findall(r'"[^"]+"|[^.\[\]]+', path)]
    for key in keys[:-1]:
        values = values.setdefault(key, {})
    values[keys[-1]] = value


def look(document, path):
    """(found, value) at a path such as spec.ports[0].name or data["a.yaml"]."""
    for quoted, index, word in re.findall(r'\["([^"]+)"\]|\[(\d+)\]|([^.\[\]]+)', path or ""):
        try:
            document = document[int(index)] if index else document[quoted or word]
        except (KeyError, IndexError, TypeError):
            return False, None
    return True, document


def within(part, whole):
    if isinstance(part, dict) and isinstance(whole, dict):
        return all(key in whole and within(value, whole[key]) for key, value in part.items())
    return part == whole


ASSERTIONS = {
    "equal": lambda found, value, want: found and value == want["value"],
    "exists": lambda found, value, want: found and value is not None,
    "contains": lambda found, value, want: isinstance(value, list)
        and any(within(want["content"], item) if want.get("any") else item == want["content"] for item in value),
    "isSubset": lambda found, value, want: found and within(want["content"], value),
    "matchRegex": lambda found, value, want: found and re.search(want["pattern"], str(value)) is not None,
    "lengthEqual": lambda found, value, want: found and len(value) == want["count"],
    "isKind": lambda found, value, want: value["kind"] == want["of"],
}
OPPOSITES = {"notEqual": "equal", "notExists": "exists", "notContains": "contains", "notMatchRegex": "matchRegex"}


def holds(assertion, documents, error):
    """Whether an assertion holds of what was rendered."""
    assertion = dict(assertion)
    template, index = assertion.pop("template", None), assertion.pop("documentIndex", None)
    selector = assertion.pop("documentSelector", None)
    (name, want), = assertion.items()
    want = want or {}
    if name == "failedTemplate":
        return error is not None and (want.get("errorMessage", "") in error) and bool(
            re.search(want.get("errorPattern", ""), error))
    if error is not None:
        return False
    if name == "notFailedTemplate":
        return True
    chosen = [document for source, document in documents if not template or source.endswith(template)]
    if selector:
        chosen = [d for d in chosen if look(d, selector["path"]) == (True, selector["value"])]
    if index is not None:
        chosen = chosen[index:index + 1]
    if name == "hasDocuments":
        return len(chosen) == want["count"]
    negative = name in OPPOSITES
    check = ASSERTIONS[OPPOSITES.get(name, name)]
    return bool(chosen) and all(bool(check(*look(d, want.get("path")), want)) != negative for d in chosen)


def render(suite, test):
    """([(source, document)], error) of a test's values."""
    values = {}
    for settings in (suite.get("set") or {}, test.get("set") or {}):
        for path, value in settings.items():
            put(values, path, copy.deepcopy(value))
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        yaml.safe_dump(values, file)
        file.flush()
        release = {**(suite.get("release") or {}), **(test.get("release") or {})}
        words = [program("helm4"), "template", release.get("name", "RELEASE-NAME").lower(), CHART,
                 "--namespace", release.get("namespace", "spot")]
        for name in (suite.get("values") or []) + (test.get("values") or []):
            words += ["--values", CHART / "tests" / name]
        done = run(*words, "--values", file.name)
    if done.returncode:
        return [], done.stderr.replace('\\"', '"')
    templates = test.get("templates") or ([test["template"]] if "template" in test else suite.get("templates"))
    documents = []
    for chunk in re.split(r"(?m)^---\s*$", done.stdout):
        source = re.search(r"(?m)^# Source: [^/]+/(.*)$", chunk)
        document = yaml.safe_load(chunk)
        if source and document and (not templates or any(
                fnmatch.fnmatch(source[1], f"templates/{name.removeprefix('templates/')}") for name in templates)):
            documents.append((source[1], document))
    return documents, None


def suites():
    for file in sorted(Path(CHART, "tests").glob("*_test.yaml")):
        yield file.name, yaml.safe_load(file.read_text())
