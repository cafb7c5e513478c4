"""The chart's suites in helm-unittest's format."""

import unittest

import unit


class Units(unittest.TestCase):
    def test_every_suite_passes(self):
        ran = 0
        for file, suite in unit.suites():
            for test in suite["tests"]:
                documents, error = unit.render(suite, test)
                chosen = {key: test[key] for key in ("documentSelector", "documentIndex") if key in test}
                for assertion in test["asserts"]:
                    assertion = chosen | assertion
                    with self.subTest(f"{file}: {test['it']}"):
                        self.assertTrue(unit.holds(assertion, documents, error), f"{assertion} {error or ''}")
                        ran += 1
        self.assertGreater(ran, 60)

    def test_the_runner_can_say_no(self):
        documents = [("templates/a.yaml", {"kind": "A", "spec": {"n": [1, 2]}})]
        for assertion in (
            {"equal": {"path": "spec.n[0]", "value": 2}}, {"notExists": {"path": "spec.n"}},
            {"contains": {"path": "spec.n", "content": 3}}, {"hasDocuments": {"count": 2}},
            {"failedTemplate": {}}, {"isKind": {"of": "B"}}, {"isSubset": {"path": "spec", "content": {"m": 1}}},
        ):
            self.assertFalse(unit.holds(assertion, documents, None), assertion)
        with self.assertRaises(KeyError):
            unit.holds({"isMagic": {}}, documents, None)
