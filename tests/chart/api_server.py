"""A stand-in for the Kubernetes API, enough for Helm 3 and 4 to install, upgrade, roll back, test and uninstall.

It keeps objects in memory, refuses what strict validation refuses and changed selectors, and calls every workload
ready at once. It knows no defaulting, no admission and no field ownership. Jobs and Pods end well, unless
`fail_next_job` is what their name matches; `log` is what they said.
"""

import base64
import copy
import http.server
import json
import re
import sys
import threading
import urllib.parse
import uuid

import yaml

from kube_schema import fault

# (group, version, kind, plural, namespaced)
KINDS = [
    ("", "v1", "Secret", "secrets", True),
    ("", "v1", "ConfigMap", "configmaps", True),
    ("", "v1", "Service", "services", True),
    ("", "v1", "ServiceAccount", "serviceaccounts", True),
    ("", "v1", "Pod", "pods", True),
    ("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims", True),
    ("", "v1", "Namespace", "namespaces", False),
    ("apps", "v1", "Deployment", "deployments", True),
    ("apps", "v1", "StatefulSet", "statefulsets", True),
    ("apps", "v1", "ReplicaSet", "replicasets", True),
    ("batch", "v1", "Job", "jobs", True),
    ("batch", "v1", "CronJob", "cronjobs", True),
    ("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets", True),
    ("autoscaling", "v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers", True),
    ("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies", True),
    ("networking.k8s.io", "v1", "Ingress", "ingresses", True),
    ("monitoring.coreos.com", "v1", "ServiceMonitor", "servicemonitors", True),
    ("monitoring.coreos.com", "v1", "PrometheusRule", "prometheusrules", True),
    ("keda.sh", "v1alpha1", "ScaledObject", "scaledobjects", True),
    ("gateway.networking.k8s.io", "v1", "HTTPRoute", "httproutes", True),
    ("external-secrets.io", "v1", "ExternalSecret", "externalsecrets", True),
    ("postgresql.cnpg.io", "v1", "Cluster", "clusters", True),
    ("postgresql.cnpg.io", "v1", "ScheduledBackup", "scheduledbackups", True),
]
EPOCH = "2026-01-01T00:00:00Z"


def joined(group, version):
    return f"{group}/{version}".strip("/")


# ---- Helm's own Secrets come as protobuf. ----

def varint(data, at):
    shift = value = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, at


def fields(data):
    at, found = 0, []
    while at < len(data):
        tag, at = varint(data, at)
        number, wire = tag >> 3, tag & 7
        if wire == 2:
            length, at = varint(data, at)
            found.append((number, data[at:at + length]))
            at += length
        elif wire == 0:
            value, at = varint(data, at)
            found.append((number, value))
        else:
            raise ValueError(f"wire type {wire}")
    return found


def entries(found, number, convert):
    pairs = (dict(fields(value)) for key, value in found if key == number)
    return {pair[1].decode(): convert(pair.get(2, b"")) for pair in pairs}


def decoded(data):
    """A Secret, or the options of a deletion, out of Kubernetes' protobuf envelope."""
    if not data.startswith(b"k8s\0"):
        return yaml.safe_load(data)
    envelope = dict(fields(data[4:]))
    kind = dict(fields(envelope[1]))
    if kind[2] == b"DeleteOptions":
        return {"kind": "DeleteOptions"}
    body = fields(envelope[2])
    meta = fields(dict(body)[1])
    plain = dict(meta)
    metadata = {"name": plain[1].decode(), "labels": entries(meta, 11, bytes.decode)}
    if plain.get(6):
        metadata["resourceVersion"] = plain[6].decode()
    return {
        "apiVersion": kind[1].decode(), "kind": kind[2].decode(), "metadata": metadata,
        "data": entries(body, 2, lambda value: base64.b64encode(value).decode()),
        "type": dict(body).get(3, b"").decode(),
    }


class Cluster:
    """What is there, and what was refused."""

    def __init__(self, kube="1.34"):
        self.kube, self.lock = kube, threading.RLock()
        self.objects, self.version = {}, 1
        # (version, type, key, object) of everything that happened, for who watches.
        self.events, self.changed = [], threading.Condition(self.lock)
        # A pattern of names, and when it counts.
        self.fail_next_job, self.fail_when = None, lambda: True
        self.log, self.closed = "", False
        for name in ("default", "spot"):
            self.save(("", "Namespace", "", name),
                      {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})

    def all(self, kind):
        with self.lock:
            return {key[3]: value for key, value in self.objects.items() if key[1] == kind}

    def status(self, document):
        kind, spec = document["kind"], document.get("spec") or {}
        generation, count = document["metadata"]["generation"], spec.get("replicas", 1)
        if kind in ("Deployment", "ReplicaSet", "StatefulSet"):
            status = {"observedGeneration": generation,
                      **dict.fromkeys(("replicas", "readyReplicas", "availableReplicas"), count)}
            if kind != "ReplicaSet":
                status["updatedReplicas"] = count
            if kind == "StatefulSet":
                status.update(currentReplicas=count, currentRevision="a", updateRevision="a")
            if kind == "Deployment":
                status["conditions"] = [{"type": "Available", "status": "True"}]
            return status
        fails = (kind in ("Pod", "Job") and self.fail_next_job and self.fail_when()
                 and re.search(self.fail_next_job, document["metadata"]["name"]))
        if fails:
            self.fail_next_job = None
        if kind == "Pod":
            return {"phase": "Failed" if fails else "Succeeded"}
        if kind == "Job":
            if fails:
                return {"failed": 1, "startTime": EPOCH, "conditions": [
                    {"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded", "message": "check said no"}]}
            return {"succeeded": 1, "startTime": EPOCH, "completionTime": EPOCH,
                    "conditions": [{"type": "Complete", "status": "True"}]}
        if kind in ("PersistentVolumeClaim", "Namespace"):
            return {"phase": "Bound" if kind != "Namespace" else "Active"}
        return document.get("status")

    def save(self, key, document, old=None):
        self.version += 1
        meta = document.setdefault("metadata", {})
        before = (old or {}).get("metadata", {})
        meta.update(uid=before.get("uid") or str(uuid.uuid4()), resourceVersion=str(self.version),
                    creationTimestamp=EPOCH, generation=before.get("generation", 0) + 1)
        status = self.status(document)
        if status:
            document["status"] = status
        self.objects[key] = document
        self.tell("MODIFIED" if old else "ADDED", key, document)
        if document["kind"] == "Deployment":
            self.roll_out(key, document)
        if document["kind"] == "Job":
            self.save(self.pod_of(key), {"apiVersion": "v1", "kind": "Pod", "metadata": {
                "name": key[3] + "-pod", "namespace": key[2], "labels": {"job-name": key[3]}}, "spec": {
                    k: v for k, v in document["spec"]["template"]["spec"].items() if k == "containers"}})
        return document

    @staticmethod
    def pod_of(key):
        """Of a Job: its Pod, whose log Helm 4 shows."""
        return "", "Pod", key[2], key[3] + "-pod"

    def remove(self, key):
        gone = self.objects.pop(key, None)
        if gone:
            self.version += 1
            self.tell("DELETED", key, gone)
            if key[1] == "Job":
                self.remove(self.pod_of(key))
        return gone

    def tell(self, what, key, document):
        with self.changed:
            self.events.append((self.version, what, key, document))
            self.changed.notify_all()

    def roll_out(self, key, deployment):
        """The ReplicaSet that the controller would make; Helm 3 waits for it."""
        name, spec = key[3], deployment["spec"]
        owner = {"apiVersion": "apps/v1", "kind": "Deployment", "name": name,
                 "uid": deployment["metadata"]["uid"], "controller": True}
        copied = {"apiVersion": "apps/v1", "kind": "ReplicaSet",
                  "metadata": {"name": name, "namespace": key[2], "labels": spec["template"]["metadata"]["labels"],
                               "ownerReferences": [owner]},
                  "spec": {k: spec[k] for k in ("replicas", "selector", "template")}}
        self.save((key[0], "ReplicaSet", key[2], name), copied, self.objects.get((key[0], "ReplicaSet", key[2], name)))


# What Kubernetes merges lists by, of the lists that the chart has.
MERGE_KEYS = {"containers": "name", "initContainers": "name", "volumes": "name", "env": "name", "imagePullSecrets": "name",
              "volumeMounts": "mountPath", "topologySpreadConstraints": "topologyKey"}


def merged(old, change):
    """A strategic merge patch, as Helm 3 sends it; a JSON merge patch is one without directives."""
    for key, value in change.items():
        by = MERGE_KEYS.get(key)
        if key == "ports" and isinstance(value, list):
            by = "containerPort" if any("containerPort" in item for item in value) else "port"
        if key.startswith("$"):
            continue
        if value is None:
            old.pop(key, None)
        elif isinstance(value, dict) and isinstance(old.get(key), dict):
            merged(old[key], value)
        elif by and isinstance(value, list) and isinstance(old.get(key), list):
            old[key] = merged_list(old[key], value, by)
        else:
            old[key] = value
    return old


def merged_list(old, change, by):
    items = {item[by]: item for item in old}
    for item in change:
        if item.get("$patch") == "delete":
            items.pop(item[by], None)
        else:
            items[item[by]] = merged(items.get(item[by], {}), item)
    return list(items.values())


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Head and body in one packet: two would wait for each other's acknowledgement, 40 ms for each answer.
    wbufsize, disable_nagle_algorithm = -1, True

    def log_message(self, *_):
        pass

    def answer(self, code, body):
        data = json.dumps(body).encode() if not isinstance(body, bytes) else body
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def refuse(self, code, reason, message):
        self.answer(code, {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason,
                           "message": message, "code": code})

    def handle_any(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        url = urllib.parse.urlparse(self.path)
        parts, query = url.path.strip("/").split("/"), dict(urllib.parse.parse_qsl(url.query))
        if parts[0] in ("version", "openapi") or len(parts) == 1:
            return self.discover(parts)
        group, version, rest = ("", parts[1], parts[2:]) if parts[0] == "api" else (parts[1], parts[2], parts[3:])
        if not rest:
            return self.answer(200, {"kind": "APIResourceList", "groupVersion": joined(group, version), "resources": [
                {"name": k[3], "kind": k[2], "namespaced": k[4],
                 "verbs": ["get", "list", "create", "update", "patch", "delete", "watch"]}
                for k in KINDS if k[:2] == (group, version)]})
        namespace = ""
        if rest[0] == "namespaces" and len(rest) > 2:
            namespace, rest = rest[1], rest[2:]
        kind = next((k for k in KINDS if (k[0], k[1], k[3]) == (group, version, rest[0])), None)
        if not kind:
            return self.refuse(404, "NotFound", f"no resource {rest[0]}")
        key = (group, kind[2], namespace, rest[1] if len(rest) > 1 else None)
        if self.command == "GET" and query.get("watch") in ("1", "true"):
            return self.watch(kind, key, query)
        with self.cluster.lock:
            if len(rest) > 2 and rest[2] == "log":
                return self.answer(200, self.cluster.log.encode())
            if self.command == "GET":
                return self.read(kind, key, query)
            if self.command == "DELETE":
                gone = self.cluster.remove(key)
                if kind[2] == "Deployment":
                    self.cluster.remove((group, "ReplicaSet", *key[2:]))
                return self.answer(200, gone) if gone else self.refuse(404, "NotFound", f'{rest[0]} "{key[3]}" not found')
            return self.write(kind, key, decoded(body))

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any

    def discover(self, parts):
        groups = sorted({k[:2] for k in KINDS})
        if parts == ["version"]:
            minor = self.cluster.kube.split(".")[1]
            return self.answer(200, {"major": "1", "minor": minor, "gitVersion": f"v{self.cluster.kube}.0"})
        if parts == ["api"]:
            return self.answer(200, {"kind": "APIVersions", "versions": ["v1"]})
        if parts == ["apis"]:
            return self.answer(200, {"kind": "APIGroupList", "apiVersion": "v1", "groups": [
                {"name": g, "versions": [{"groupVersion": joined(g, v), "version": v}],
                 "preferredVersion": {"groupVersion": joined(g, v), "version": v}} for g, v in groups if g]})
        paths = {(g, v): f"apis/{g}/{v}" if g else f"api/{v}" for g, v in groups}
        if parts == ["openapi", "v3"]:
            return self.answer(200, {"paths": {p: {"serverRelativeURL": f"/openapi/v3/{p}"} for p in paths.values()}})
        here = next((gv for gv, p in paths.items() if p == "/".join(parts[2:])), None)
        if here is None:
            return self.refuse(404, "NotFound", self.path)
        asked = [{"name": n, "in": "query", "schema": {"type": "string"}} for n in ("fieldValidation", "dryRun")]
        return self.answer(200, {"openapi": "3.0.0", "info": {"title": "stub", "version": self.cluster.kube}, "paths": {
            f"/{paths[here]}/" + ("namespaces/{namespace}/" if k[4] else "") + k[3] + "/{name}": {"patch": {
                "operationId": f"patch{k[2]}", "parameters": asked, "responses": {},
                "x-kubernetes-group-version-kind": {"group": k[0], "version": k[1], "kind": k[2]}}}
            for k in KINDS if k[:2] == here}, "components": {"schemas": {}}})

    def read(self, kind, key, query):
        if key[3]:
            found = self.cluster.objects.get(key)
            return self.answer(200, found) if found else self.refuse(404, "NotFound", f'{kind[3]} "{key[3]}" not found')
        wanted = self.selection(key, query)
        items = [o for k, o in self.cluster.objects.items() if wanted(k, o)]
        return self.answer(200, {"kind": kind[2] + "List", "apiVersion": joined(*kind[:2]),
                                 "metadata": {"resourceVersion": str(self.cluster.version)}, "items": items})

    @staticmethod
    def selection(key, query):
        """Whether an object is among those that a list or a watch asks for."""
        labels = [s.split("=") for s in query.get("labelSelector", "").replace("==", "=").split(",")
                  if "=" in s and "!" not in s]
        name = dict(s.split("=") for s in query.get("fieldSelector", "").split(",") if "=" in s).get("metadata.name")

        def wanted(k, o):
            return (k[:2] == key[:2] and key[2] in ("", k[2]) and name in (None, k[3])
                    and all(o["metadata"].get("labels", {}).get(a) == b for a, b in labels))

        return wanted

    def watch(self, kind, key, query):
        """Tells what is there, if that is asked for, and then what changes, until the client has enough."""
        cluster, wanted, events = self.cluster, self.selection(key, query), []
        with cluster.lock:
            seen = len(cluster.events)
            if query.get("sendInitialEvents") == "true" or "resourceVersion" not in query:
                events = [{"type": "ADDED", "object": o} for k, o in cluster.objects.items() if wanted(k, o)]
            else:
                since = int(query["resourceVersion"] or 0)
                seen = next((n for n, event in enumerate(cluster.events) if event[0] > since), seen)
            if query.get("sendInitialEvents") == "true":
                mark = {"resourceVersion": str(cluster.version), "annotations": {"k8s.io/initial-events-end": "true"}}
                events.append({"type": "BOOKMARK", "object": {
                    "apiVersion": joined(*kind[:2]), "kind": kind[2], "metadata": mark}})
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.close_connection = True
        while not cluster.closed:
            self.wfile.write("".join(json.dumps(event) + "\n" for event in events).encode())
            self.wfile.flush()
            with cluster.changed:
                cluster.changed.wait_for(lambda: cluster.closed or len(cluster.events) > seen)
                events = [{"type": what, "object": o} for _, what, k, o in cluster.events[seen:] if wanted(k, o)]
                seen = len(cluster.events)

    def write(self, kind, key, document):
        cluster = self.cluster
        meta = document.setdefault("metadata", {})
        if kind[4]:
            meta["namespace"] = key[2]
        key = (*key[:3], key[3] or meta["name"])
        old = cluster.objects.get(key)
        if self.command == "POST" and old:
            return self.refuse(409, "AlreadyExists", f'{kind[3]} "{key[3]}" already exists')
        if self.command == "PATCH" and "apply" not in self.headers.get("Content-Type", ""):
            if not old:
                return self.refuse(404, "NotFound", key[3])
            document = merged(copy.deepcopy(old), document)
        document.pop("status", None)
        if kind[2] in ("Deployment", "StatefulSet") and document.get("spec", {}).get("replicas") is None:
            # Defaulted once, and then whoever scales it has its way.
            document["spec"]["replicas"] = (old or {"spec": {}})["spec"].get("replicas", 1)
        if kind[2] == "Service":
            document["spec"].setdefault("clusterIP", "10.0.0.1")
        error = fault(document, cluster.kube)
        if error:
            return self.refuse(422, "Invalid", f'{kind[2]} "{key[3]}" is invalid: {error}')
        if old and kind[2] in ("Deployment", "StatefulSet") and old["spec"]["selector"] != document["spec"]["selector"]:
            return self.refuse(422, "Invalid", f'{kind[2]} "{key[3]}" is invalid: spec.selector: field is immutable')
        return self.answer(200 if old else 201, cluster.save(key, document, old))


class Http(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        # A client leaves its watch by closing the connection.
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class Server:
    """The stand-in on a free port, as a context manager."""

    def __init__(self, kube="1.34"):
        self.cluster = Cluster(kube)
        handler = type("Bound", (Handler,), {"cluster": self.cluster})
        self.http = Http(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}"

    def __enter__(self):
        threading.Thread(target=self.http.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        with self.cluster.changed:
            self.cluster.closed = True
            self.cluster.changed.notify_all()
        self.http.shutdown()
        self.http.server_close()
