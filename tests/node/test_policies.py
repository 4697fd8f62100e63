"""The chart's NetworkPolicies on a real node: who reaches what, tried from every side.

Pods with the labels of a release's listen on every port that matters, and try each other, strangers, and addresses
that stand for the internet, a private network and a cloud's metadata. First without policies (everything is open, so
that what is refused later is refused by them), then with those of the chart's own values, then with private addresses
allowed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import pytest

from localnode import outside
from localnode.node import Node
from support.clusterkit import Cluster, until
from support.probes import Place, create, listener, namespace, outsider

CHART = Path(__file__).resolve().parents[2] / "charts" / "velum"
RELEASE, HOME, ELSEWHERE = "strict", "strict", "elsewhere"

PUBLIC, PRIVATE, METADATA = "203.0.113.7", "192.168.77.7", "169.254.169.254"
WORLD = {"public": PUBLIC, "private": PRIVATE, "metadata": METADATA}
WORLD_PORTS = (80, 443, 8080)
PORTS = (7000, 9090, 8000, 8265, 52365, 8080, 6379, 10001, 20000)
"""REST, metrics; Serve, dashboard, dashboard agent, Ray's metrics, GCS, client; one of those that workers choose."""


def _velum(component: str, *, name: str = "velum") -> dict[str, str]:
    return {
        "app.kubernetes.io/name": name,
        "app.kubernetes.io/instance": RELEASE,
        "app.kubernetes.io/component": component,
        "app.kubernetes.io/part-of": "velum",
    }


def _ray(kind: str) -> dict[str, str]:
    return {**_velum(kind, name="kuberay"), "velum.dev/ray": f"{RELEASE}-velum", "ray.io/node-type": kind}


PODS = {
    "operator": (HOME, _velum("operator")),
    "ingress": (HOME, _velum("ingress")),
    "test": (HOME, _velum("test")),
    "head": (HOME, _ray("head")),
    "worker": (HOME, _ray("worker")),
    "neighbour": (HOME, {}),
    "stranger": (ELSEWHERE, {}),
    "kuberay": (ELSEWHERE, {"app.kubernetes.io/component": "kuberay-operator"}),
}


def _at(pods: tuple[str, ...], ports: tuple[int, ...] = PORTS) -> set[str]:
    return {f"{pod}:{port}" for pod, port in product(pods, ports)}


API, RAY = {"api"}, ("head", "worker")
ANYBODY = _at(("ingress",), (7000, 9090)) | _at(("operator",), (9090,)) | _at(RAY, (8080,))
"""The REST API, and metrics, as long as `metricsFrom` says nothing else."""
UNBOUND = ANYBODY | API | _at(("neighbour", "stranger", "kuberay")) | _at(tuple(WORLD), WORLD_PORTS)
ON_443 = _at(tuple(WORLD), (443,))
"""Where the API server is, is the cluster's affair: who needs it may go to its ports at any address."""
WEB = _at(("public",), (80, 443))
OPEN = {
    "operator": API | ON_443 | WEB | _at(RAY, (8000, 8265)),
    "ingress": API | ON_443,
    "test": _at(("ingress",), (7000,)),
    "head": API | ON_443 | WEB | _at(("worker",)),
    "worker": WEB | _at(("head",)),
    "neighbour": UNBOUND,
    "stranger": UNBOUND,
    "kuberay": UNBOUND | _at(RAY, (8000, 8265, 52365)),
}
"""Who reaches what with the chart's own values."""


@pytest.fixture(scope="module")
def places(cluster: Cluster) -> Iterator[dict[str, Place]]:
    """A pod of each kind, and the world outside, which lives on the node."""
    node = Node(Path(os.environ["VELUM_CLUSTER"]), os.environ, print).inside()
    for address in WORLD.values():
        outside.run(node, ["ip", "address", "replace", f"{address}/32", "dev", "lo"], os.environ)
    named = {"operator": {"metrics": 9090}, "ingress": {"http": 7000, "metrics": 9090}}
    pods = [listener(name, where, labels, PORTS, named.get(name, {})) for name, (where, labels) in PODS.items()]
    addresses = [f"{address}:{port}" for address, port in product(WORLD.values(), WORLD_PORTS)]
    try:
        create(cluster, namespace(HOME), namespace(ELSEWHERE), *pods, outsider("world", ELSEWHERE, addresses))
        yield {name: Place(cluster, name, where) for name, (where, _labels) in PODS.items()}
    finally:
        cluster.kubectl("delete", "namespace", HOME, ELSEWHERE, "--timeout=120s", timeout=140)
        for address in WORLD.values():
            outside.run(node, ["ip", "address", "delete", f"{address}/32", "dev", "lo"], os.environ)


@pytest.fixture(scope="module")
def targets(places: dict[str, Place]) -> dict[str, str]:
    """What there is to reach: its name, and where it is."""
    hosts = {name: (place.address, PORTS) for name, place in places.items()}
    hosts |= {name: (address, WORLD_PORTS) for name, address in WORLD.items()}
    found = {f"{name}:{port}": f"{host}:{port}" for name, (host, ports) in hosts.items() for port in ports}
    return {**found, "api": "kubernetes.default.svc.cluster.local:443"}  # by its name: DNS is open to everybody


def _without_own(source: str, names: set[str]) -> set[str]:
    return {name for name in names if not name.startswith(f"{source}:")}


def _wrong(places: dict[str, Place], targets: dict[str, str], wanted: dict[str, set[str]]) -> dict[str, set[str]]:
    """What somebody reaches and should not, and what they should and do not: nothing, if all is well."""
    found: dict[str, set[str]] = {}
    for source, names in wanted.items():
        others = _without_own(source, set(targets))
        reached, right = places[source].opens({name: targets[name] for name in others}), names & others
        found |= {f"{source} reaches": reached - right, f"{source} does not reach": right - reached}
    return {text: names for text, names in found.items() if names}


def _enforce(cluster: Cluster, *values: str) -> None:
    words = ["template", RELEASE, CHART, "--show-only=templates/networkpolicy.yaml", *values]
    manifests = cluster.helm(*words, f"--namespace={HOME}")
    cluster.kubectl("apply", f"--namespace={HOME}", "-f", "-", given=manifests)


def test_without_policies_everything_is_open(places: dict[str, Place], targets: dict[str, str]) -> None:
    until(lambda: "metadata:8080" in places["stranger"].opens(targets), 60, "the world outside does not answer")
    assert not _wrong(places, targets, {source: set(targets) for source in places})


def test_the_charts_policies_let_through_what_has_to_pass_and_nothing_else(
    cluster: Cluster, places: dict[str, Place], targets: dict[str, str]
) -> None:
    _enforce(cluster)
    until(lambda: "head:6379" not in places["stranger"].opens(targets), 60, "nothing is enforced")
    assert not _wrong(places, targets, OPEN)


def test_private_addresses_are_opened_on_demand_but_never_where_clouds_hand_out_credentials(
    cluster: Cluster, places: dict[str, Place], targets: dict[str, str]
) -> None:
    _enforce(cluster, "--set=settings.webhook.allow_private=true", "--set=settings.source.allow_private=true")
    until(lambda: "private:8080" in places["worker"].opens(targets), 60, "no private address was opened")
    outdoors = _at(("public", "private"), WORLD_PORTS) | API | _at(("neighbour", "stranger", "kuberay")) | ANYBODY
    assert not any(name.startswith("metadata") for name in outdoors)
    wanted = {source: OPEN[source] | outdoors for source in ("operator", "head", "worker")}
    wanted["operator"] |= _at(RAY, (52365,))  # Ray lets it in beside KubeRay; its own rules had kept it from there
    assert not _wrong(places, targets, OPEN | wanted)
