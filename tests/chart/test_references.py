"""Whatever an object names exists, and every pod keeps the restricted Pod Security Standard."""

import re
import unittest

import rendered
from tools import CHART

# What the chart expects to be there before it, by the values that name it.
BEFORE = {
    "Secret": {"perijove-kafka", "perijove-redis", "perijove-database", "perijove-secrets", "perijove-backup", "before"},
    "ConfigMap": {"before"},
    "PersistentVolumeClaim": {"before"},
}


def selects(selector, labels):
    return all(labels.get(key) == value for key, value in selector.items())


class References(unittest.TestCase):
    def each(self):
        for _, objects in rendered.everything():
            yield objects

    def test_every_service_selects_pods_that_have_its_port(self):
        for objects in self.each():
            for service in (o for o in objects if o["kind"] == "Service"):
                chosen = [spec for owner, spec, labels in rendered.pods(objects)
                          if selects(service["spec"]["selector"], labels) and owner["kind"] in ("Deployment", "StatefulSet")]
                self.assertTrue(chosen, service["metadata"]["name"])
                for spec in chosen:
                    ports = {port["name"] for c in spec["containers"] for port in c.get("ports", [])}
                    self.assertLessEqual({port["targetPort"] for port in service["spec"]["ports"]}, ports)

    def test_probes_and_policies_name_ports_that_pods_have(self):
        for objects in self.each():
            for owner, spec, _ in rendered.pods(objects):
                for container in spec["containers"]:
                    names = {port["name"] for port in container.get("ports", [])}
                    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
                        how = container.get(probe, {})
                        port = (how.get("httpGet") or how.get("tcpSocket") or {}).get("port")
                        self.assertTrue(port is None or port in names, f"{owner['metadata']['name']} {probe} {port}")
            for policy in (o for o in objects if o["kind"] == "NetworkPolicy"):
                chosen = [spec for _, spec, labels in rendered.pods(objects)
                          if selects(policy["spec"]["podSelector"]["matchLabels"], labels)]
                if not policy["metadata"]["name"].endswith("-test"):
                    self.assertTrue(chosen, policy["metadata"]["name"])
                names = {port["name"] for spec in chosen for c in spec["containers"] for port in c.get("ports", [])}
                for rule in policy["spec"].get("ingress", []):
                    for port in rule.get("ports", []):
                        self.assertIn(port["port"], names, policy["metadata"]["name"])

    def test_every_pod_has_a_policy_in_both_directions_but_the_checks(self):
        for objects in self.each():
            policies = [o["spec"] for o in objects if o["kind"] == "NetworkPolicy"]
            for owner, _, labels in rendered.pods(objects):
                if labels["app.kubernetes.io/component"] == "check":
                    continue
                mine = [p for p in policies if selects(p["podSelector"]["matchLabels"], labels)]
                self.assertTrue(any(set(p["policyTypes"]) == {"Ingress", "Egress"} for p in mine), owner["metadata"]["name"])

    def test_policies_let_pods_reach_what_their_configuration_and_environment_name(self):
        found = 0
        for objects in self.each():
            for owner, spec, labels in rendered.pods(objects):
                where = owner["metadata"]["name"]
                if labels["app.kubernetes.io/component"] in ("check", "jupiter-api"):
                    continue
                rules = [rule for o in objects if o["kind"] == "NetworkPolicy"
                         and selects(o["spec"]["podSelector"]["matchLabels"], labels) for rule in o["spec"].get("egress", [])]
                for host, port in self.addresses(objects, spec):
                    found += 1
                    with self.subTest(f"{where} {host}:{port}"):
                        self.assertTrue(any(self.lets(rule, objects, host, port) for rule in rules), rules)
        self.assertGreater(found, 60)

    @staticmethod
    def addresses(objects, spec):
        """(host, port) of what a pod's configuration, arguments and environment name."""
        # A backup only keeps what the others are configured with.
        maps = [v["configMap"]["name"] for v in spec.get("volumes", []) if "configMap" in v and spec["containers"][0]["name"]
                in ("gateway", "ingest", "reconcile")]
        texts = [text for o in objects if o["kind"] == "ConfigMap" and o["metadata"]["name"] in maps
                 for key, text in o["data"].items() if key.endswith(".yaml")]
        for container in rendered.containers(spec):
            texts += container.get("args", [])
            texts += [env["value"] for env in container.get("env", []) if "value" in env]
        defaults = {"http": 80, "https": 443, "ws": 80, "wss": 443, "redis": 6379, "rediss": 6379, "postgres": 5432}
        for text in texts:
            for scheme, host, port in re.findall(r"\b(\w+)://(?:[^@/\s]*@)?([\w.-]+)(?::(\d+))?(?=[/?\s\"']|$)", text):
                yield host, int(port or defaults[scheme])
            for host, port in re.findall(r"(?m)^ *- (?!0\.0\.0\.0:)([\w.-]+):(\d+)$", text):
                yield host, int(port)

    @staticmethod
    def lets(rule, objects, host, port):
        """Whether a rule of egress lets a host's port through, which may be one of the chart's own."""
        service = next((o for o in objects if o["kind"] == "Service" and o["metadata"]["name"] == host), None)
        names = {p["targetPort"] for p in service["spec"]["ports"] if p["port"] == port} if service else set()
        if "ports" in rule and not {p["port"] for p in rule["ports"]} & ({port} | names):
            return False
        if "to" not in rule:
            return True
        if not service:
            # Where a user's own peers are cannot be told from here.
            return any("namespaceSelector" in peer for peer in rule["to"])
        return any(selects(peer.get("podSelector", {}).get("matchLabels", {}), service["spec"]["selector"])
                   for peer in rule["to"] if "podSelector" in peer)

    def test_the_secrets_of_production_are_those_that_the_readme_has_made(self):
        readme = (CHART / "README.md").read_text()
        made = set()
        for name, literals in re.findall(r"create secret generic (\S+)((?: --from-literal=\S+)+)", readme):
            made |= {(name, key) for key in re.findall(r"--from-literal=([\w-]+)=", literals)}
        needed = set()
        for cluster in ("mainnet", "testnet", "devnet"):
            objects = rendered.objects(CHART / "values-prod.yaml", CHART / f"values-{cluster}.yaml")
            for _, spec, _ in rendered.pods(objects):
                needed |= {(name, key) for kind, name, key, optional in self.named(spec) if kind == "Secret" and not optional}
        self.assertEqual(made, needed)

    def test_every_secret_configmap_and_claim_exists_with_its_key(self):
        for objects in self.each():
            kept = {(o["kind"], o["metadata"]["name"]): o for o in objects}
            external = {o["spec"]["target"]["name"]: {d["secretKey"] for d in o["spec"]["data"]}
                        for o in objects if o["kind"] == "ExternalSecret"}
            made = {f"{o['metadata']['name']}-app" for o in objects if o["kind"] == "Cluster"}
            for owner, spec, _ in rendered.pods(objects):
                where = owner["metadata"]["name"]
                for kind, name, key, optional in self.named(spec):
                    if optional or name in BEFORE[kind] or name in made:
                        continue
                    if name in external:
                        self.assertTrue(key is None or key in external[name], f"{where}: {name} {key}")
                        continue
                    self.assertIn((kind, name), kept, where)
                    thing = kept[kind, name]
                    keys = {**thing.get("data", {}), **thing.get("stringData", {})}
                    self.assertTrue(key is None or key in keys, f"{where}: {kind} {name} has no {key}")

    @staticmethod
    def named(spec):
        for container in rendered.containers(spec):
            for env in container.get("env", []):
                source = env.get("valueFrom", {})
                if "secretKeyRef" in source:
                    ref = source["secretKeyRef"]
                    yield "Secret", ref["name"], ref["key"], ref.get("optional", False)
            for source in container.get("envFrom", []):
                for kind, word in (("Secret", "secretRef"), ("ConfigMap", "configMapRef")):
                    if word in source:
                        yield kind, source[word]["name"], None, False
        for volume in spec.get("volumes", []):
            if "configMap" in volume:
                yield "ConfigMap", volume["configMap"]["name"], None, False
            if "secret" in volume:
                yield "Secret", volume["secret"]["secretName"], None, False
            if "persistentVolumeClaim" in volume:
                yield "PersistentVolumeClaim", volume["persistentVolumeClaim"]["claimName"], None, False

    def test_mounts_volumes_accounts_and_references_to_variables_exist(self):
        for objects in self.each():
            accounts = {o["metadata"]["name"] for o in objects if o["kind"] == "ServiceAccount"} | {"default"}
            for owner, spec, _ in rendered.pods(objects):
                where = owner["metadata"]["name"]
                hook = "helm.sh/hook" in owner["metadata"].get("annotations", {})
                # A hook that comes before the install cannot count on the release's account.
                self.assertIn(spec.get("serviceAccountName", "default"), {"default"} if hook else accounts, where)
                volumes = [volume["name"] for volume in spec.get("volumes", [])]
                volumes += [c["metadata"]["name"] for c in owner["spec"].get("volumeClaimTemplates", [])]
                self.assertEqual(len(volumes), len(set(volumes)), where)
                for container in rendered.containers(spec):
                    for mount in container.get("volumeMounts", []):
                        self.assertIn(mount["name"], volumes, where)
                    names = [env["name"] for env in container.get("env", [])]
                    self.assertEqual(len(names), len(set(names)), where)
                    for env in container.get("env", []):
                        if "$(" in env.get("value", ""):
                            self.assertIn(env["value"].split("$(")[1].split(")")[0], names, where)

    def test_scalers_budgets_routes_and_monitors_name_what_is_there(self):
        for objects in self.each():
            kept = {(o["kind"], o["metadata"]["name"]): o for o in objects}
            for o in objects:
                if o["kind"] in ("HorizontalPodAutoscaler", "ScaledObject"):
                    target = kept["Deployment", o["spec"]["scaleTargetRef"]["name"]]
                    self.assertNotIn("replicas", target["spec"], "an autoscaler and the chart would fight")
                elif o["kind"] == "PodDisruptionBudget":
                    chosen = [owner for owner, _, labels in rendered.pods(objects)
                              if selects(o["spec"]["selector"]["matchLabels"], labels)]
                    self.assertEqual(len(chosen), 1, o["metadata"]["name"])
                elif o["kind"] == "Ingress":
                    for rule in o["spec"]["rules"]:
                        for path in rule["http"]["paths"]:
                            self.service_port(kept, path["backend"]["service"]["name"], path["backend"]["service"]["port"]["name"])
                elif o["kind"] == "HTTPRoute":
                    for backend in [one for rule in o["spec"]["rules"] for one in rule["backendRefs"]]:
                        ports = [p["port"] for p in kept["Service", backend["name"]]["spec"]["ports"]]
                        self.assertIn(backend["port"], ports)
                elif o["kind"] == "ServiceMonitor":
                    chosen = [s for s in objects if s["kind"] == "Service"
                              and selects(o["spec"]["selector"]["matchLabels"], s["metadata"]["labels"])]
                    self.assertEqual(len(chosen), 1, "each target once")
                    self.service_port(kept, chosen[0]["metadata"]["name"], o["spec"]["endpoints"][0]["port"])

    def test_pods_are_kept_apart_in_production_and_preferably_elsewhere(self):
        for title, objects in rendered.everything():
            for o in objects:
                if o["kind"] != "Deployment":
                    continue
                apart = o["spec"]["template"]["spec"]["affinity"]["podAntiAffinity"]
                with self.subTest(f"{title}: {o['metadata']['name']}"):
                    if title.startswith("prod") or title == "second region":
                        (term,) = apart["requiredDuringSchedulingIgnoredDuringExecution"]
                        self.assertEqual(term["matchLabelKeys"], ["pod-template-hash"], "a rollout would need a further node")
                    else:
                        self.assertTrue(apart)

    def test_a_key_that_only_newer_kubernetes_knows_is_not_rendered_for_older_ones(self):
        files = tuple(CHART / f"values-{name}.yaml" for name in ("prod", "mainnet"))
        for kube, known in (("1.29", False), ("1.30.14", False), ("1.31", True), ("1.31.2-gke.100", True), ("1.37", True)):
            for o in rendered.objects(*files, kube=kube):
                if o["kind"] != "Deployment":
                    continue
                (term,) = o["spec"]["template"]["spec"]["affinity"]["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
                with self.subTest(f"{kube}: {o['metadata']['name']}"):
                    self.assertEqual("matchLabelKeys" in term, known)
                    self.assertTrue(term["labelSelector"]["matchLabels"])

    def service_port(self, kept, service, port):
        self.assertIn(port, [p["name"] for p in kept["Service", service]["spec"]["ports"]])

    def test_no_two_workloads_select_the_same_pods_and_selectors_hold_no_version(self):
        for objects in self.each():
            owners = [o for o in objects if o["kind"] in ("Deployment", "StatefulSet")]
            for owner in owners:
                selector = owner["spec"]["selector"]["matchLabels"]
                self.assertFalse({"helm.sh/chart", "app.kubernetes.io/version"} & selector.keys())
                mine = [o for o in owners if selects(selector, o["spec"]["template"]["metadata"]["labels"])]
                self.assertEqual(mine, [owner])


class PodSecurity(unittest.TestCase):
    def test_every_pod_is_restricted(self):
        for title, objects in rendered.everything():
            for owner, spec, _ in rendered.pods(objects):
                with self.subTest(f"{title}: {owner['metadata']['name']}"):
                    pod = spec["securityContext"]
                    self.assertTrue(pod["runAsNonRoot"] and pod["runAsUser"] > 0)
                    self.assertEqual(pod["seccompProfile"], {"type": "RuntimeDefault"})
                    self.assertIs(spec["automountServiceAccountToken"], False)
                    self.assertFalse({"hostNetwork", "hostPID", "hostIPC"} & spec.keys())
                    for volume in spec.get("volumes", []):
                        kinds = volume.keys() - {"name"}
                        self.assertLessEqual(kinds, {"configMap", "secret", "emptyDir", "persistentVolumeClaim"})
                    for container in rendered.containers(spec):
                        own = container["securityContext"]
                        self.assertIs(own["allowPrivilegeEscalation"], False)
                        self.assertIs(own["readOnlyRootFilesystem"], True)
                        self.assertEqual(own["capabilities"], {"drop": ["ALL"]})
                        self.assertTrue({"cpu", "memory"} <= container["resources"]["requests"].keys())
                        self.assertIn("memory", container["resources"]["limits"])
                        self.assertNotRegex(container["image"], r":latest$|^[^:@]*$")

    def test_nothing_may_talk_to_the_api(self):
        for _, objects in rendered.everything():
            self.assertFalse([o for o in objects if o["kind"] in ("Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding")])
