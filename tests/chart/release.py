"""Releases of the chart in a stand-in for the API."""

import os
import unittest

from api_server import Server
from tools import CHART, HELMS, program, run


class Release:
    """Helm, pointed at a server."""

    def __init__(self, helm, server):
        self.helm, self.server = program(helm), server

    def __call__(self, *words):
        environment = {**os.environ, "KUBECONFIG": "/dev/null", "HELM_DRIVER": "secret"}
        if words[0] in ("install", "upgrade", "rollback", "test", "uninstall"):
            words = (*words, "--timeout", "60s")
        return run(self.helm, *words, "--namespace", "spot", "--kube-apiserver", self.server.url, env=environment)


def values(*names):
    return [word for name in names for word in ("--values", CHART / f"values-{name}.yaml")]


class Releases(unittest.TestCase):
    """What tests of releases begin with."""

    def each(self):
        """(name of a Helm, its release, what is in the cluster), for both Helms."""
        for helm in HELMS:
            with Server() as server:
                yield helm, Release(helm, server), server.cluster

    def good(self, done):
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout
