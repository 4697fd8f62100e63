"""A thousand tasks over a hundred GPU nodes, which no machine of ours has.

Real are: the API server, kube-scheduler, kube-controller-manager, KubeRay's operator, helm and the chart with
charts/velum/ci/fleet-values.yaml, our operator as a process with the rights that the chart gives it, and Ray's own
arithmetic: Serve's autoscaling policy, the autoscaler's scheduler, and the code by which it reads and patches a
RayCluster. kwok makes nodes Ready and pods Running.

Not real is what would run in pods, because nothing runs in them: no Ray, no replica. A test's process answers in the
place of Ray's dashboard and proxies (`support.fleet.heldray`), and a test tells the autoscaler what the GCS would: how
many replicas find no room, and which pods idle. How Ray itself starts, scales and ends replicas is shown on a real node
(`hack/cluster e2e`), with one machine's worth of them.

Each test finds the fleet as the last one left it.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

if "VELUM_FLEET" not in os.environ:
    pytest.skip("needs kube-scheduler, kwok, KubeRay …: hack/cluster fleet", allow_module_level=True)

from support.fleet.machines import SLICE, WHOLE, ZONES, decoys
from support.fleet.release import MODELS, Release, installed
from support.fleet.scaling import Autoscaler, wanted_replicas
from support.fleet.servers import control_plane, until

TASKS = 1000
AWAY = 5
"""GPU nodes that are cordoned for a while."""

STREET_ROOM = 800
"""200 replicas (two on each of 100 GPUs), each of which takes four orders."""

pytestmark = pytest.mark.timeout(240)


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Release]:
    state = tmp_path_factory.mktemp("fleet")
    with control_plane(Path(os.environ["VELUM_FLEET"]), state) as fleet, installed(fleet) as release:
        yield release


@pytest.fixture
def autoscaler(release: Release) -> Iterator[Autoscaler]:
    with release.autoscaler() as autoscaler:
        yield autoscaler


def names(model: str, *numbers: int) -> list[str]:
    return [f"{model}-{number:04}" for number in numbers]


def zones(release: Release, nodes: Counter[str]) -> Counter[str]:
    """How many pods each zone has."""
    zone_of = {
        node["metadata"]["name"]: node["metadata"]["labels"]["topology.kubernetes.io/zone"]
        for node in release.fleet.get("nodes")["items"]
    }
    found: Counter[str] = Counter()
    for node, count in nodes.items():
        found[zone_of[node]] += count
    return found


def test_a_release_asks_for_no_gpu(release: Release) -> None:
    until(lambda: release.cluster("pending"), "KubeRay makes no RayCluster")
    until(lambda: release.told() == list(MODELS), lambda: f"KubeRay told Serve of {release.told()}")
    (head,) = release.fleet.get("pods", "-l", "ray.io/node-type=head")["items"]
    assert head["spec"]["nodeName"].startswith("cpu-")
    ours = release.fleet.get("pods", "-l", "app.kubernetes.io/name=velum")["items"]
    assert {pod["spec"]["nodeName"].partition("-")[0] for pod in ours} == {"cpu"}
    assert not release.pods("l4") + release.pods("mig")


def test_of_a_thousand_tasks_as_many_are_handed_out_as_the_gpus_take(release: Release) -> None:
    release.submit("street", range(TASKS))
    assert not release.ray.orders
    for model in MODELS:
        release.ray.say(model, "RUNNING")
    until(lambda: len(release.ray.working("street")) >= STREET_ROOM, lambda: f"{len(release.ray.orders)} orders")
    until(lambda: release.phases() == {"Running": STREET_ROOM, "Pending": TASKS - STREET_ROOM}, "phases")
    assert release.ray.most == STREET_ROOM
    assert sorted(order.task for order in release.ray.working("street")) == names("street", *range(STREET_ROOM))
    release.ray.let_go(*names("street", *range(10)))
    until(lambda: len(release.ray.orders) >= STREET_ROOM + 10, "nobody came after those that were done")
    came = sorted(order.task for order in release.ray.orders[STREET_ROOM:])
    assert came == names("street", *range(STREET_ROOM, STREET_ROOM + 10))
    assert release.ray.most == STREET_ROOM


def test_the_model_has_room_for_what_it_may_ask(release: Release) -> None:
    """Else its status would say so: the groups are large enough for all replicas of both models."""
    ready = dict.fromkeys(MODELS, ("True", "takes tasks"))
    until(lambda: release.ready() == ready, lambda: f"{release.ready()}")


def test_a_little_load_takes_a_few_gpus_over_all_zones(release: Release, autoscaler: Autoscaler) -> None:
    street = release.document("street")
    replicas = wanted_replicas(street, orders=60)
    assert replicas == 30  # targetOngoing 2
    assert autoscaler.scale((street, replicas)) == {"l4": 15}  # gpuPercent 50
    nodes = release.settled("l4", 15)
    assert set(nodes.values()) == {1}
    shares = zones(release, nodes)
    assert set(shares) == set(ZONES)
    assert max(shares.values()) - min(shares.values()) <= 1  # maxSkew


def test_all_orders_take_all_gpus_and_what_has_no_node_waits(release: Release, autoscaler: Autoscaler) -> None:
    had = release.nodes("l4")
    away = [node for node in names_of_nodes(*range(WHOLE)) if node not in had][:AWAY]
    release.fleet.kubectl("cordon", *away)
    street = release.document("street")
    replicas = wanted_replicas(street, orders=len(release.ray.working("street")), running=30)
    assert replicas == 2 * WHOLE
    assert autoscaler.scale((street, replicas)) == {"l4": WHOLE - 15}
    nodes = release.settled("l4", WHOLE, waiting=AWAY)
    assert {count for node, count in nodes.items() if node} == {1}
    # Decoys have six GPUs to spare meanwhile.
    until(lambda: len(why_waiting(release)) == AWAY, lambda: f"the scheduler says {why_waiting(release)}")
    for text in why_waiting(release):
        assert "Insufficient nvidia.com/gpu" in text, text
        assert "node(s) were unschedulable" in text, text
        assert "untolerated taint" in text, text
        assert "didn't match Pod's node affinity/selector" in text, text
    assert autoscaler.scale((street, replicas)) == {}  # those that wait are counted, not asked for again
    release.fleet.kubectl("uncordon", *away)
    nodes = release.settled("l4", WHOLE)
    assert sorted(nodes) == names_of_nodes(*range(WHOLE))
    assert set(nodes.values()) == {1}


def test_slices_are_taken_beside_them(release: Release, autoscaler: Autoscaler) -> None:
    release.submit("slices", range(40))
    until(lambda: len(release.ray.working("slices")) == 40, "the other model's tasks wait behind these")
    slices, street = release.document("slices"), release.document("street")
    replicas = wanted_replicas(slices, orders=40)
    assert replicas == 14
    # Those of `street` are asked for too: nothing is free on whole GPUs.
    assert autoscaler.scale((street, 2 * WHOLE), (slices, replicas)) == {"mig": 14}
    assert release.settled("mig", 14) == {"mig-a": 7, "mig-b": 7}
    for pod in release.pods("mig"):
        limits = pod["spec"]["containers"][0]["resources"]["limits"]
        assert limits[SLICE] == "1"
        assert "nvidia.com/gpu" not in limits


def test_nothing_is_where_it_should_not_be(release: Release) -> None:
    taken = release.nodes("l4") + release.nodes("mig")
    assert taken.total() == WHOLE + 14
    assert not [node for node in taken if node.startswith("cpu-")]
    assert not [each for each in decoys() if each["metadata"]["name"] in taken]
    for pod in release.pods("l4") + release.pods("mig"):
        assert pod["spec"]["runtimeClassName"] == "nvidia"


def test_all_tasks_are_done_and_no_gpu_is_kept(release: Release, autoscaler: Autoscaler) -> None:
    def done() -> bool:
        release.ray.let_go()
        return release.phases() == {"Complete": TASKS + 40}

    until(done, lambda: f"{release.phases()}")
    assert release.ray.most <= STREET_ROOM + 40
    assert len(release.ray.orders) == TASKS + 40  # each once
    for model, running in (("street", 2 * WHOLE), ("slices", 14)):
        assert wanted_replicas(release.document(model), orders=0, running=running) == 0
    assert autoscaler.scale(idle_seconds=60) == {}  # ray.autoscaler.idleTimeoutSeconds is 120
    assert autoscaler.scale(idle_seconds=121) == {"l4": -WHOLE, "mig": -14}
    release.settled("l4", 0)
    release.settled("mig", 0)
    assert release.cluster()


def names_of_nodes(*numbers: int) -> list[str]:
    return [f"l4-{number:03}" for number in numbers]


def why_waiting(release: Release) -> list[str]:
    """The scheduler's words about pods that have no node, as far as it has spoken."""
    waiting = [pod for pod in release.pods("l4") if "nodeName" not in pod["spec"]]
    told = [each for pod in waiting for each in pod["status"].get("conditions", []) if each["type"] == "PodScheduled"]
    return [each["message"] for each in told if (each["status"], each["reason"]) == ("False", "Unschedulable")]
