"""Whether the worker groups of a RayService have room for what its models may ask for. Pure.

Sizes are read as KubeRay 1.5 does for `ray start` (`generateRayStartCommand`, controllers/ray/common/pod.go):
`rayStartParams`, then the Ray container's limits, for CPUs its requests; a fraction of a CPU counts as a whole one. A
group's `resources` go before all of these.
"""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]

GPU_KEY = re.compile(r"gpu$|nvidia\.com/mig-\d+g\.\d+gb$")
"""Kubernetes resources that are GPUs to Ray, MIG slices among them (`IsGPUResourceKey`)."""

QUANTITY = re.compile(r"([0-9.]+)(m|k|)")
"""A quantity of CPUs or GPUs: others of Kubernetes' suffixes make no sense for them."""

ANY = 1_000_000
"""Room for replicas that take nothing."""

SCALES = {"m": 0.001, "": 1.0, "k": 1000.0}


@dataclass(frozen=True)
class WorkerGroup:
    """Pods of one kind: how many there may be, and what Ray finds in each."""

    name: str
    most: int
    cpus: float
    gpus: float

    def replicas(self, cpus: float, gpus: float) -> int:
        """Return how many replicas of this size the group has room for, when it has nothing else to do."""
        fits = []
        if cpus > 0:
            fits.append(_times(self.cpus, cpus))
        if gpus > 0:  # Ray shares one GPU among several, it does not put a replica on parts of two
            fits.append(math.floor(self.gpus) * _times(1, gpus) if gpus < 1 else _times(self.gpus, gpus))
        return self.most * min(fits, default=ANY)


def worker_groups(template: Json) -> tuple[WorkerGroup, ...]:
    """Return the worker groups of a RayService."""
    return tuple(_group(each) for each in template["spec"]["rayClusterConfig"].get("workerGroupSpecs") or ())


def shortfalls(groups: Iterable[WorkerGroup], applications: Iterable[Json]) -> dict[str, str]:
    """Return what the groups have no room for, in words by application: first for one alone, then for all together.

    Whoever asks for more gets what there is, so these are notes and no errors.
    """
    groups, notes = tuple(groups), dict[str, str]()
    takes, total = 0.0, sum(group.most * group.gpus for group in groups)
    sharing: list[str] = []
    for each in applications:
        (deployment,) = each["deployments"]
        options, most = deployment["ray_actor_options"], int(deployment["autoscaling_config"]["max_replicas"])
        cpus, gpus = float(options["num_cpus"]), float(options["num_gpus"])
        room = sum(group.replicas(cpus, gpus) for group in groups)
        if room == 0:
            notes[each["name"]] = f"no worker group has pods with {cpus:g} CPUs and {gpus:g} GPUs, as a replica takes"
        elif room < most:
            notes[each["name"]] = f"maxReplicas is {most}, but the worker groups have room for {room} at their most"
        elif gpus:
            sharing.append(each["name"])
        takes += most * gpus
    if takes > total > 0:
        words = f"at their maxReplicas all models take {takes:g} GPUs, the worker groups have {total:g} at their most"
        notes.update(dict.fromkeys(sharing, words))
    return notes


def _group(spec: Json) -> WorkerGroup:
    params, own = spec.get("rayStartParams") or {}, _lower(spec.get("resources") or {})
    containers = spec["template"]["spec"].get("containers") or [{}]
    resources = containers[0].get("resources") or {}
    limits, requests = _lower(resources.get("limits") or {}), _lower(resources.get("requests") or {})
    cpus = _first(own.get("cpu"), params.get("num-cpus"), limits.get("cpu"), requests.get("cpu"))
    gpus = _first(_gpus(own), params.get("num-gpus"), _gpus(limits))
    # maxReplicas counts groups of hosts where a replica is several.
    hosts = int(spec.get("numOfHosts") or 1)
    return WorkerGroup(str(spec["groupName"]), int(spec.get("maxReplicas") or 0) * hosts, math.ceil(cpus), gpus)


def _times(have: float, need: float) -> int:
    return math.floor(have / need + 1e-9)  # 0.3 goes into 0.9 three times, whatever floats say


def _lower(resources: Mapping[str, Any]) -> dict[str, Any]:
    return {name.lower(): value for name, value in resources.items()}


def _gpus(resources: Mapping[str, Any]) -> Any:
    return next((resources[name] for name in sorted(resources) if GPU_KEY.search(name)), None)


def _first(*values: Any) -> float:
    """Return the first quantity that is given, as a number; 0 when none is or it makes no sense."""
    given = next((value for value in values if value is not None), 0)
    match = QUANTITY.fullmatch(str(given))
    return float(match[1]) * SCALES[match[2]] if match else 0.0
