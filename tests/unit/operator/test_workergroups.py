"""Room in the worker groups, as KubeRay and Ray will see it."""

from typing import Any

import pytest

from support.kuberay import group, template
from velum_operator.workergroups import WorkerGroup, shortfalls, worker_groups


def read(**changes: Any) -> WorkerGroup:
    (found,) = worker_groups(template(workerGroupSpecs=[group(**changes)]))
    return found


def application(name: str = "default", most: int = 1, cpus: float = 1, gpus: float = 0) -> dict[str, Any]:
    options = {"num_cpus": cpus, "num_gpus": gpus}
    return {
        "name": name,
        "deployments": [{"ray_actor_options": options, "autoscaling_config": {"max_replicas": most}}],
    }


class TestReading:
    def test_limits(self) -> None:
        limits = {"cpu": "8", "memory": "16Gi", "nvidia.com/gpu": 2}
        assert read(name="gpu", most=3, resources={"limits": limits}) == WorkerGroup("gpu", 3, 8, 2)

    @pytest.mark.parametrize(("cpu", "seen"), [("500m", 1), ("2500m", 3), (4, 4), ("1k", 1000), ("many", 0)])
    def test_quantities(self, cpu: Any, seen: float) -> None:
        assert read(resources={"limits": {"cpu": cpu}}).cpus == seen

    def test_requests_count_for_cpus_alone(self) -> None:
        assert read(resources={"requests": {"cpu": "3", "nvidia.com/gpu": 1}}) == WorkerGroup("cpu", 2, 3, 0)

    @pytest.mark.parametrize("key", ["nvidia.com/gpu", "amd.com/gpu", "nvidia.com/mig-1g.5gb"])
    def test_all_kinds_of_gpus(self, key: str) -> None:
        assert read(resources={"limits": {key: "1"}}).gpus == 1

    @pytest.mark.parametrize("key", ["nvidia.com/mig-1g.5gb.me", "nvidia.com/gpu.shared", "ephemeral-storage"])
    def test_other_resources_are_none(self, key: str) -> None:
        assert read(resources={"limits": {key: "1"}}).gpus == 0

    def test_what_is_written_for_ray_goes_first(self) -> None:
        given = group(resources={"limits": {"cpu": "8", "nvidia.com/gpu": 1}}, rayStartParams={"num-cpus": "6"})
        (found,) = worker_groups(template(workerGroupSpecs=[given]))
        assert (found.cpus, found.gpus) == (6, 1)
        given["resources"] = {"CPU": "7", "GPU": "4"}
        (found,) = worker_groups(template(workerGroupSpecs=[given]))
        assert (found.cpus, found.gpus) == (7, 4)

    def test_a_replica_of_several_hosts_is_several_pods(self) -> None:
        assert read(numOfHosts=4).most == 8

    def test_there_may_be_none(self) -> None:
        assert worker_groups(template(workerGroupSpecs=None)) == ()


class TestRoom:
    @pytest.mark.parametrize(
        ("cpus", "gpus", "room"),
        [
            (4, 0, 6),
            (8, 0, 3),
            (9, 0, 0),
            (1, 1, 6),
            (1, 0.5, 12),
            (1, 0.6, 6),
            (1, 0.3, 18),
            (1, 0.1, 24),
            (1, 2, 3),
            (1, 4, 0),
            (0, 0.1, 60),
            (0, 0, 3_000_000),
        ],
    )
    def test_replicas_fit_into_pods(self, cpus: float, gpus: float, room: int) -> None:
        assert WorkerGroup("gpu", 3, 8, 2).replicas(cpus, gpus) == room

    def test_enough_is_not_mentioned(self) -> None:
        assert shortfalls([WorkerGroup("cpu", 2, 4, 0)], [application(most=8)]) == {}

    def test_more_replicas_than_pods_have_room_for(self) -> None:
        notes = shortfalls([WorkerGroup("cpu", 2, 4, 0)], [application(most=9), application("other")])
        assert notes == {"default": "maxReplicas is 9, but the worker groups have room for 8 at their most"}

    def test_a_replica_that_fits_nowhere(self) -> None:
        groups = [WorkerGroup("cpu", 2, 64, 0), WorkerGroup("gpu", 2, 4, 1)]
        notes = shortfalls(groups, [application(cpus=8, gpus=1), application("other", gpus=1)])
        assert notes == {"default": "no worker group has pods with 8 CPUs and 1 GPUs, as a replica takes"}

    def test_gpus_that_models_have_to_share(self) -> None:
        groups = [WorkerGroup("gpu", 4, 8, 1)]
        both = [application("one", most=4, gpus=1), application("two", most=3, gpus=0.5), application("cpu")]
        words = "at their maxReplicas all models take 5.5 GPUs, the worker groups have 4 at their most"
        assert shortfalls(groups, both) == {"one": words, "two": words}
