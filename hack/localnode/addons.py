"""What runs in the cluster from the start: CoreDNS, and the roles that let it read Services and kube-router policies.

Manifests as JSON documents of one List, for `kubectl apply`.
"""

import json
from typing import Any

from . import addresses, policies

COREDNS_IMAGE = "localhost/velum/coredns:1"
_RBAC = "rbac.authorization.k8s.io"
_NAME = {"name": "coredns"}
_PLACE = {**_NAME, "namespace": "kube-system", "labels": {"k8s-app": "kube-dns"}}
_COREFILE = f"""\
.:53 {{
    errors
    health {{
        lameduck 2s
    }}
    ready
    kubernetes {addresses.DOMAIN} in-addr.arpa ip6.arpa {{
        pods insecure
        fallthrough in-addr.arpa ip6.arpa
        ttl 5
    }}
    # No forward: nothing outside can be reached from here, and a fast refusal is better than a slow one.
    cache 5
    loadbalance
}}
"""


def manifests() -> str:
    """All of it, as one JSON document."""
    items = [_account(), *_roles(), _corefile(), _deployment(), _service()]
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": items})


def _account() -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": _PLACE}


def _roles() -> list[dict[str, Any]]:
    read = ["list", "watch"]
    rules = [
        {"apiGroups": [""], "resources": ["services", "pods", "namespaces"], "verbs": read},
        {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": read},
    ]
    coredns = {"kind": "ServiceAccount", "name": "coredns", "namespace": "kube-system"}
    kube_router = {"apiGroup": _RBAC, "kind": "User", "name": policies.USER}
    return [*_role("system:coredns", rules, coredns), *_role(policies.USER, policies.RULES, kube_router)]


def _role(name: str, rules: list[dict[str, Any]], subject: dict[str, str]) -> list[dict[str, Any]]:
    """A ClusterRole and the binding that gives it to one subject."""
    kind, version, metadata = "ClusterRole", f"{_RBAC}/v1", {"name": name}
    binding = {"roleRef": {"apiGroup": _RBAC, "kind": kind, "name": name}, "subjects": [subject]}
    return [
        {"apiVersion": version, "kind": kind, "metadata": metadata, "rules": rules},
        {"apiVersion": version, "kind": f"{kind}Binding", "metadata": metadata, **binding},
    ]


def _corefile() -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": _PLACE, "data": {"Corefile": _COREFILE}}


def _deployment() -> dict[str, Any]:
    container = {
        **_NAME,
        "image": COREDNS_IMAGE,
        "imagePullPolicy": "Never",
        "args": ["-conf", "/etc/coredns/Corefile"],
        "ports": [{"name": "dns", "containerPort": 53, "protocol": "UDP"}, {"name": "dns-tcp", "containerPort": 53}],
        "readinessProbe": {"httpGet": {"path": "/ready", "port": 8181}, "periodSeconds": 1},
        # As upstream's: without, it gets no processor where others work.
        "resources": {"requests": {"cpu": "100m", "memory": "70Mi"}},
        "livenessProbe": {"httpGet": {"path": "/health", "port": 8080}, "initialDelaySeconds": 30},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "runAsUser": 0,  # a program from scratch without file capabilities opens port 53 only so
            "capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]},
        },
        "volumeMounts": [{"name": "config", "mountPath": "/etc/coredns", "readOnly": True}],
    }
    pod = {
        "serviceAccountName": "coredns",
        "priorityClassName": "system-cluster-critical",
        "dnsPolicy": "Default",
        "containers": [container],
        "volumes": [{"name": "config", "configMap": _NAME}],
    }
    labels = _PLACE["labels"]
    template = {"metadata": {"labels": labels}, "spec": pod}
    spec = {"replicas": 1, "selector": {"matchLabels": labels}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": _PLACE, "spec": spec}


def _service() -> dict[str, Any]:
    ports = [{"name": f"dns-{protocol.lower()}", "port": 53, "protocol": protocol} for protocol in ("UDP", "TCP")]
    spec = {"clusterIP": addresses.DNS_SERVICE, "selector": _PLACE["labels"], "ports": ports}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {**_PLACE, "name": "kube-dns"}, "spec": spec}
