"""The running release of test_release, and who can reach its ports: work orders to Ray come from the operator alone."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest

from support.clusterkit import NAMESPACE, Cluster, Rest, until
from support.probes import Place, create, listener, namespace
from support.release import FIRST_REPLICA_S

ELSEWHERE = "strangers"
RAY = {8000: "Serve", 8265: "dashboard", 6379: "GCS", 10001: "client"}
_LISTENS = """
import json
found = set()
for name in ("tcp", "tcp6"):
    for line in open(f"/proc/net/{name}").read().splitlines()[1:]:
        words = line.split()
        address, _, port = words[1].rpartition(":")
        if words[3] == "0A" and not address.endswith(("0100007F", "0001000000")):
            found.add(int(port, 16))
print(json.dumps(sorted(found)))
"""


@pytest.fixture(scope="module")
def stranger(cluster: Cluster) -> Iterator[Place]:
    """A pod in a namespace of its own."""
    create(cluster, namespace(ELSEWHERE), listener("stranger", ELSEWHERE, {}, [8000], {}))
    yield Place(cluster, "stranger", ELSEWHERE)
    cluster.kubectl("delete", "namespace", ELSEWHERE, "--timeout=120s", timeout=140)


def _part(cluster: Cluster, part: str, container: str) -> Place:
    return Place(cluster, cluster.ready(part)[0], NAMESPACE, container)


def _listening(place: Place) -> dict[str, str]:
    """Where something listens in a pod, but for its own ears."""
    ports: list[int] = json.loads(place.runs(_LISTENS))
    return {str(port): f"{place.address}:{port}" for port in ports}


def _lasting(place: Place, before: dict[str, str]) -> set[str]:
    """Those where something still listens a moment later: Ray's processes come and go."""
    time.sleep(2)
    return set(before) & set(_listening(place))


def test_a_stranger_reaches_the_ingress_and_nothing_of_ray(
    cluster: Cluster, rest: Rest, stranger: Place, long_clip: bytes
) -> None:
    answer = rest.post(long_clip, "face=true", True)
    until(lambda: bool(cluster.ready("worker")), FIRST_REPLICA_S, "no worker is ready")
    head, worker = _part(cluster, "head", "ray-head"), _part(cluster, "worker", "ray-worker")
    operator = _part(cluster, "operator", "operator")
    of_head, of_worker = _listening(head), _listening(worker)
    assert {str(port) for port in RAY} <= set(of_head)
    assert len(of_worker) > 4, of_worker
    # From both sides: who has to reach them does, so that what a stranger does not reach is kept from him.
    assert _lasting(head, of_head) <= worker.opens(of_head)
    assert _lasting(worker, of_worker) <= head.opens(of_worker)
    assert {"8000", "8265"} <= operator.opens(of_head)
    assert stranger.opens(of_head) == {"8080"} & set(of_head), "metrics, which everybody may read, are all"
    assert stranger.opens(of_worker) == {"8080"} & set(of_worker)
    services = {name: f"{name}.{NAMESPACE}.svc.cluster.local" for name in ("velum-head-svc", "velum-serve-svc")}
    assert not stranger.opens({name: f"{host}:8000" for name, host in services.items()})
    assert stranger.opens({"rest": f"velum-ingress.{NAMESPACE}.svc.cluster.local:80"}) == {"rest"}
    assert rest.ended(answer.json()["id"])["status"] == "done"


def test_nobody_inside_reaches_what_they_have_no_business_with(cluster: Cluster, stranger: Place) -> None:
    own = {"stranger": f"{stranger.address}:8000", "api": "kubernetes.default.svc.cluster.local:443"}
    ingress, operator = _part(cluster, "ingress", "ingress"), _part(cluster, "operator", "operator")
    assert stranger.opens(own) == {"stranger", "api"}
    assert operator.opens(own) == {"stranger", "api"}, "webhooks to private addresses are allowed in this release"
    assert ingress.opens(own) == {"api"}
    assert not ingress.opens(_listening(_part(cluster, "head", "ray-head")))
