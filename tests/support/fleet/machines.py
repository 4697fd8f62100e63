"""The nodes of the fleet: what a cloud's GPU nodes look like to the scheduler, without the machines.

Labels and resource names are those of NVIDIA's GPU operator (feature discovery, device plugin, MIG manager).
"""

from collections.abc import Iterator
from typing import Any

Json = dict[str, Any]

ZONES = ("a", "b", "c")
WHOLE = 100
"""Nodes with one GPU that the group `l4` may use: the hundred of "1,000 tasks over 100 GPU nodes"."""

SLICE, OTHER_SLICE = "nvidia.com/mig-1g.10gb", "nvidia.com/mig-3g.40gb"
SLICES = 7
"""Of the smaller kind on one GPU."""

GPU = {"nvidia.com/gpu.present": "true", "nvidia.com/gpu.deploy.container-toolkit": "true"}
TAINT = {"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}


def fleet() -> list[Json]:
    """Every node. Those of `decoys` look nearly like the ones that are right for a worker group."""
    cpus = [_node(f"cpu-{zone}", zone) for zone in ZONES]
    whole = [_node(f"l4-{number:03}", ZONES[number % 3], **_l4()) for number in range(WHOLE)]
    mig = [_node(f"mig-{zone}", zone, **_mig(SLICE, SLICES)) for zone in ZONES[:2]]
    return [*cpus, *whole, *mig, *decoys()]


def decoys() -> Iterator[Json]:
    """Nodes with room on which nothing of ours may land, each for a reason of its own."""
    yield _node("t4", "a", labels={**GPU, "nvidia.com/gpu.product": "Tesla-T4"}, devices={"nvidia.com/gpu": 4})
    team = {"key": "team", "value": "research", "effect": "NoSchedule"}
    yield _node("l4-of-another-team", "b", **{**_l4(), "taints": [TAINT, team]})
    yield _node("l4-without-runtime", "c", **{**_l4(), "labels": {"nvidia.com/gpu.product": "NVIDIA-L4"}})
    yield _node("mig-of-another-size", "c", **_mig(OTHER_SLICE, 2))


def runtime_class() -> Json:
    """The handler of the nodes that have NVIDIA's container toolkit."""
    toolkit = {"nvidia.com/gpu.deploy.container-toolkit": "true"}
    return {
        "apiVersion": "node.k8s.io/v1",
        "kind": "RuntimeClass",
        "metadata": {"name": "nvidia"},
        "handler": "nvidia",
        "scheduling": {"nodeSelector": toolkit},
    }


def _l4() -> Json:
    labels = {**GPU, "nvidia.com/gpu.product": "NVIDIA-L4"}
    return {"labels": labels, "taints": [TAINT], "devices": {"nvidia.com/gpu": 1}}


def _mig(slice_: str, count: int) -> Json:
    product = f"NVIDIA-H100-80GB-HBM3-MIG-{slice_.partition('mig-')[2]}"
    labels = {**GPU, "nvidia.com/gpu.product": product, "nvidia.com/mig.strategy": "mixed"}
    return {"labels": labels, "taints": [TAINT], "devices": {slice_: count}}


def _node(
    name: str,
    zone: str,
    labels: dict[str, str] | None = None,
    taints: list[Json] | None = None,
    devices: dict[str, int] | None = None,
) -> Json:
    room = {"cpu": "16", "memory": "64Gi", "ephemeral-storage": "500Gi", "pods": "110"}
    room |= {key: str(count) for key, count in (devices or {}).items()}
    known = {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "topology.kubernetes.io/zone": zone}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": {**known, **(labels or {})}},
        "spec": {"taints": taints or []},
        "status": {"capacity": room, "allocatable": room},
    }
