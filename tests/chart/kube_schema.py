"""Strict schemas of Kubernetes objects: unknown keys are refused, of custom resources too."""

import functools
import re

import jsonschema
import kubernetes_validate.utils as upstream
from referencing import Registry, Resource

ANY, TEXT, NUMBER, FLAG = {}, {"type": "string"}, {"type": "integer"}, {"type": "boolean"}
DURATION = {"type": "string", "pattern": r"^([0-9]+(ms|s|m|h|d|w|y))+$"}
METADATA = {"type": "object", "required": ["name"]}


def closed(required=(), **members):
    return {"type": "object", "additionalProperties": False, "required": list(required), "properties": members}


def many(item, least=1):
    return {"type": "array", "items": item, "minItems": least}


def resource(group, kind, spec):
    group_, version = group.rsplit("/", 1)
    body = closed(("spec", "metadata"), apiVersion={"const": f"{group_}/{version}"}, kind={"const": kind},
                  metadata=METADATA, spec=spec)
    return (group, kind), body


SECRET_KEY = closed(("name", "key"), name=TEXT, key=TEXT)
RELABELING = closed(sourceLabels=many(TEXT), targetLabel=TEXT, replacement=TEXT, regex=TEXT, action=TEXT)
LABELS = {"type": "object", "additionalProperties": TEXT}
TRIGGER = closed(("type", "metadata"), type=TEXT, metricType={"enum": ["Utilization", "AverageValue", "Value"]},
                 metadata=LABELS, name=TEXT, authenticationRef=ANY)

# The parts of these that the chart uses, by their projects' API references.
CUSTOM = dict([
    resource("monitoring.coreos.com/v1", "ServiceMonitor", closed(
        ("selector", "endpoints"),
        selector=closed(matchLabels=LABELS),
        namespaceSelector=closed(matchNames=many(TEXT), any=FLAG),
        jobLabel=TEXT,
        endpoints=many(closed(port=TEXT, path=TEXT, interval=DURATION, scrapeTimeout=DURATION,
                              scheme={"enum": ["http", "https"]}, authorization=closed(type=TEXT, credentials=SECRET_KEY),
                              tlsConfig=closed(serverName=TEXT, insecureSkipVerify=FLAG, keySecret=SECRET_KEY,
                                               ca=closed(secret=SECRET_KEY), cert=closed(secret=SECRET_KEY)),
                              relabelings=many(RELABELING), metricRelabelings=many(RELABELING))))),
    resource("monitoring.coreos.com/v1", "PrometheusRule", closed(
        ("groups",),
        groups=many(closed(("name", "rules"), name=TEXT, interval=DURATION, limit=NUMBER, rules=many({"oneOf": [
            closed(("record", "expr"), record=TEXT, expr=TEXT, labels=LABELS),
            closed(("alert", "expr"), alert=TEXT, expr=TEXT, labels=LABELS, annotations=LABELS,
                   **{"for": DURATION, "keep_firing_for": DURATION})]}))))),
    resource("gateway.networking.k8s.io/v1", "HTTPRoute", closed(
        ("parentRefs", "rules"),
        parentRefs=many(closed(("name",), name=TEXT, namespace=TEXT, sectionName=TEXT, port=NUMBER, kind=TEXT, group=TEXT)),
        hostnames=many(TEXT),
        rules=many(closed(
            matches=many(closed(
                path=closed(type={"enum": ["PathPrefix", "Exact", "RegularExpression"]}, value=TEXT),
                headers=many(closed(("name", "value"), type={"enum": ["Exact", "RegularExpression"]}, name=TEXT, value=TEXT)))),
            timeouts=closed(request=DURATION, backendRequest=DURATION),
            backendRefs=many(closed(("name", "port"), name=TEXT, port=NUMBER, weight=NUMBER)))))),
    resource("keda.sh/v1alpha1", "ScaledObject", closed(
        ("scaleTargetRef", "triggers"),
        scaleTargetRef=closed(("name",), name=TEXT, kind=TEXT, apiVersion=TEXT),
        minReplicaCount=NUMBER, maxReplicaCount=NUMBER, pollingInterval=NUMBER, cooldownPeriod=NUMBER,
        advanced=closed(horizontalPodAutoscalerConfig=closed(behavior=ANY)), triggers=many(TRIGGER))),
    resource("external-secrets.io/v1", "ExternalSecret", closed(
        ("secretStoreRef", "data"),
        refreshInterval=DURATION,
        secretStoreRef=closed(("name",), name=TEXT, kind={"enum": ["SecretStore", "ClusterSecretStore"]}),
        target=closed(name=TEXT, creationPolicy={"enum": ["Owner", "Orphan", "Merge", "None"]}),
        data=many(closed(("secretKey", "remoteRef"), secretKey=TEXT,
                         remoteRef=closed(("key",), key=TEXT, property=TEXT, version=TEXT))))),
    resource("postgresql.cnpg.io/v1", "Cluster", closed(
        ("instances", "storage"),
        instances=NUMBER, imageName=TEXT, bootstrap=closed(initdb=closed(database=TEXT, owner=TEXT)),
        storage=closed(("size",), size=TEXT, storageClass=TEXT), backup={"type": "object"})),
    resource("postgresql.cnpg.io/v1", "ScheduledBackup", closed(
        ("schedule", "cluster"),
        schedule={"type": "string", "pattern": r"^(\S+ ){5}\S+$"},
        backupOwnerReference={"enum": ["none", "self", "cluster"]}, cluster=closed(("name",), name=TEXT))),
])


@functools.cache
def validator(api_version, kind, kube):
    """The schema of a kind, or None where there is none."""
    if (api_version, kind) in CUSTOM:
        return jsonschema.Draft202012Validator(CUSTOM[api_version, kind])
    folder = f"kubernetes-json-schema/v{kube}.0-local-strict"
    # Files are named after the first part of the group: policy-v1 for policy/v1, v1 for the core.
    short = re.sub(r"^([^./]*)(?:\.[^/]*)?/", r"\1-", api_version)
    try:
        schema = upstream.schema_contents(f"{folder}/{kind.lower()}-{short}.json", kube)
    except FileNotFoundError:
        return None
    definitions = upstream.schema_contents(f"{folder}/_definitions.json", kube)
    registry = Resource.from_contents(definitions) @ (Resource.from_contents(schema) @ Registry())
    return jsonschema.Draft202012Validator(schema, registry=registry)


def fault(document, kube):
    """What is wrong with an object, or None."""
    schema = validator(document.get("apiVersion", ""), document.get("kind", ""), kube)
    if schema is None:
        return f"no such kind in Kubernetes {kube}: {document.get('apiVersion')} {document.get('kind')}"
    error = jsonschema.exceptions.best_match(schema.iter_errors(document))
    return error and f"{'.'.join(map(str, error.absolute_path))}: {error.message}"
