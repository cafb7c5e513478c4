"""What Helm makes of the chart: every combination of values files that is shipped, and some more."""

import functools
import itertools
from pathlib import Path

import yaml

from tools import CHART, program, run

ENVIRONMENTS = ("dev", "staging", "prod")
CLUSTERS = ("mainnet", "testnet", "devnet")


class Refused(Exception):
    """Helm would not render."""


@functools.cache
def text(files=(), settings=(), helm="helm4", kube="1.34", name="rel"):
    """The manifests as text: values files, then `key=value` settings."""
    words = [program(helm), "template", name, CHART, "--namespace", "spot", "--kube-version", kube]
    words += itertools.chain.from_iterable(("--values", file) for file in files)
    words += itertools.chain.from_iterable(("--set-json", setting) for setting in settings)
    done = run(*words)
    if done.returncode:
        raise Refused(done.stderr)
    return done.stdout


@functools.cache
def _objects(files, settings, helm, kube):
    return [document for document in yaml.safe_load_all(text(files, settings, helm, kube)) if document]


def objects(*files, settings=(), helm="helm4", kube="1.34"):
    return _objects(tuple(files), tuple(settings), helm, kube)


def named(objects_, kind, name=None):
    """The only object of a kind, or of kind and name."""
    found = [o for o in objects_ if o["kind"] == kind and name in (None, o["metadata"]["name"])]
    assert len(found) == 1, f"{len(found)} of {kind} {name or ''}"
    return found[0]


def combinations():
    """Title and values files of everything that is rendered in tests."""
    yield "defaults", ()
    for environment, cluster in itertools.product(ENVIRONMENTS, CLUSTERS):
        files = (CHART / f"values-{environment}.yaml", CHART / f"values-{cluster}.yaml")
        yield f"{environment} {cluster}", files
    yield "second region", tuple(CHART / f"values-{name}.yaml" for name in ("prod", "mainnet", "dr"))
    for file in sorted((CHART / "ci").glob("*.yaml")):
        yield file.stem, (Path(file),)


def everything(helm="helm4"):
    """(title, objects) of every combination."""
    for title, files in combinations():
        yield title, objects(*files, helm=helm)


def pods(objects_):
    """(owner, pod spec, pod labels) of everything that makes pods."""
    for owner in objects_:
        spec = owner.get("spec", {})
        if owner["kind"] == "Pod":
            yield owner, spec, owner["metadata"].get("labels", {})
        elif owner["kind"] == "CronJob":
            template = spec["jobTemplate"]["spec"]["template"]
            yield owner, template["spec"], template["metadata"]["labels"]
        elif owner["kind"] in ("Deployment", "StatefulSet", "Job"):
            yield owner, spec["template"]["spec"], spec["template"]["metadata"]["labels"]


def containers(spec):
    return spec.get("initContainers", []) + spec["containers"]

