"""Ray's own arithmetic, called as a library: how many replicas Serve wants, and how many pods that takes.

Of the autoscaler everything is Ray's but its eyes. In a cluster it reads from the GCS which replicas found no room and
which nodes idle; here a test tells it. What it decides with (`ResourceDemandScheduler`), how it reads the RayCluster
(`_derive_autoscaling_config_from_ray_cr`) and how it changes it (`KubeRayProvider`) is the code that runs in the head.
"""

import math
import re
import uuid
import warnings
from collections import Counter
from typing import Any

import httpx

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # Ray's own, at import
    from ray.autoscaler._private.kuberay.autoscaling_config import _derive_autoscaling_config_from_ray_cr
    from ray.autoscaler._private.kuberay.node_provider import IKubernetesHttpApiClient
    from ray.autoscaler.v2.instance_manager.cloud_providers.kuberay.cloud_provider import KubeRayProvider
    from ray.autoscaler.v2.instance_manager.config import AutoscalingConfig as ClusterConfig
    from ray.autoscaler.v2.scheduler import ResourceDemandScheduler, SchedulingReply, SchedulingRequest
    from ray.autoscaler.v2.schema import AutoscalerInstance
    from ray.autoscaler.v2.utils import ResourceRequestUtil
    from ray.core.generated.autoscaler_pb2 import NodeState, NodeStatus, ResourceRequestByCount
    from ray.core.generated.instance_manager_pb2 import Instance
    from ray.serve.autoscaling_policy import _apply_autoscaling_config, default_autoscaling_policy
    from ray.serve.config import AutoscalingConfig, AutoscalingContext

Json = dict[str, Any]

LOOKS = 100
"""Of Serve's controller, at most, until its wish must have settled."""

NAMES = {"pods": "/api/v1", "rayclusters": "/apis/ray.io/v1"}


def wanted_replicas(deployment: Json, orders: int, running: int = 0) -> int:
    """Return how many replicas Serve comes to want of a deployment of the document with so many open orders.

    `running` there are to begin with. Each look finds running what the last one wanted. What only says when Serve acts
    on a wish is left out.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # velum_operator.serving says why we go on with that field
        config = AutoscalingConfig(**{**deployment["autoscaling_config"], "upscale_delay_s": 0, "downscale_delay_s": 0})
    policy = _apply_autoscaling_config(default_autoscaling_policy)
    state: Json = {}
    for _ in range(LOOKS):
        wish, state = policy(_context(config, running, orders, state))
        wanted = max(config.min_replicas, min(config.max_replicas, math.ceil(wish)))
        if wanted == running:
            return running
        running = wanted
    raise AssertionError(f"Serve wants now this, now that: {running}")


def _context(config: AutoscalingConfig, running: int, orders: int, state: Json) -> AutoscalingContext:
    return AutoscalingContext(
        deployment_id=None,
        deployment_name="Anonymizer",
        app_name="",
        current_num_replicas=running,
        target_num_replicas=running,
        running_replicas=[],
        total_num_requests=orders,
        total_queued_requests=0,
        aggregated_metrics=None,
        raw_metrics=None,
        capacity_adjusted_min_replicas=config.min_replicas,
        capacity_adjusted_max_replicas=config.max_replicas,
        policy_state=state,
        last_scale_up_time=None,
        last_scale_down_time=None,
        current_time=None,
        config=config,
    )


class ClusterApi(IKubernetesHttpApiClient):
    """Ray's client of the API server, with the rights that a test has instead of the head's."""

    def __init__(self, http: httpx.Client, namespace: str) -> None:
        self._http = http
        self._namespace = namespace

    def get(self, path: str) -> Json:
        return self._told(self._http.get(self._url(path)))

    def patch(self, path: str, payload: Any, content_type: str = "application/json-patch+json") -> Json:
        return self._told(self._http.patch(self._url(path), json=payload, headers={"Content-Type": content_type}))

    def delete(self, path: str) -> Json:
        return self._told(self._http.delete(self._url(path)))

    def _url(self, path: str) -> str:
        kind = re.split(r"[/?]", path)[0]
        return f"{NAMES[kind]}/namespaces/{self._namespace}/{path}"

    @staticmethod
    def _told(answer: httpx.Response) -> Json:
        answer.raise_for_status()
        found: Json = answer.json()
        return found


class Autoscaler:
    """Ray's autoscaler of one RayCluster. Pods are its instances, as in the head; each has a Ray node once it runs."""

    def __init__(self, http: httpx.Client, namespace: str, cluster: str) -> None:
        self._api = ClusterApi(http, namespace)
        self._path = f"rayclusters/{cluster}"
        self._provider = KubeRayProvider(cluster, {"namespace": namespace}, None, self._api)
        self._scheduler = ResourceDemandScheduler()

    def scale(self, *deployments: tuple[Json, int], idle_seconds: float = 0.0) -> dict[str, int]:
        """Ask for pods with room for so many replicas of each deployment, and take idle ones away.

        Pods that run already are free, as far as these replicas find none better: a test asks for all there should be.
        Returns how many pods each group gains (or loses, below zero). Raises AssertionError where Ray finds no room.
        """
        demands = [
            ResourceRequestByCount(request=ResourceRequestUtil.make(_bundle(deployment)), count=count)
            for deployment, count in deployments
            if count
        ]
        reply = self._decide(demands, idle_seconds)
        assert not reply.infeasible_resource_requests, f"{len(reply.infeasible_resource_requests)} find no room"
        gains = Counter({each.instance_type: each.count for each in reply.to_launch})
        if gains:
            self._provider.launch(dict(gains), request_id=str(uuid.uuid4()))
        losing = [each.instance_id for each in reply.to_terminate]
        if losing:
            self._provider.terminate(losing, request_id=str(uuid.uuid4()))
        assert not (errors := self._provider.poll_errors()), errors
        gains.subtract(Counter(each.instance_type for each in reply.to_terminate))
        return {group: count for group, count in gains.items() if count}

    def _decide(self, demands: list[ResourceRequestByCount], idle_seconds: float) -> SchedulingReply:
        pods = self._provider.get_non_terminated()
        raw = _derive_autoscaling_config_from_ray_cr(self._api.get(self._path))
        config = ClusterConfig(raw, skip_content_hash=True)
        types = config.get_node_type_configs()
        request = SchedulingRequest(
            disable_launch_config_check=config.disable_launch_config_check(),
            node_type_configs=types,
            max_num_nodes=config.get_max_num_nodes(),
            idle_timeout_s=config.get_idle_timeout_s(),
            pending_idle_timeout_s=config.get_pending_idle_timeout_s(),
            resource_requests=demands,
            current_instances=[_instance(pod, types[pod.node_type], idle_seconds) for pod in pods.values()],
        )
        return self._scheduler.schedule(request)


def _bundle(deployment: Json) -> dict[str, float]:
    options = deployment["ray_actor_options"]
    return {name: options[key] for name, key in (("CPU", "num_cpus"), ("GPU", "num_gpus")) if options[key]}


def _instance(pod: Any, kind: Any, idle_seconds: float) -> AutoscalerInstance:
    """Return what the autoscaler knows of a pod: one that waits for a node has no Ray yet."""
    known = Instance(
        instance_id=pod.cloud_instance_id,
        cloud_instance_id=pod.cloud_instance_id,
        instance_type=pod.node_type,
        node_kind=pod.node_kind,
        status=Instance.RAY_RUNNING if pod.is_running else Instance.ALLOCATED,
        launch_config_hash=kind.launch_config_hash,
    )
    ray = NodeState(
        node_id=pod.cloud_instance_id.encode(),
        instance_id=pod.cloud_instance_id,
        ray_node_type_name=pod.node_type,
        total_resources=kind.resources,
        available_resources=kind.resources,
        status=NodeStatus.IDLE,
        idle_duration_ms=int(idle_seconds * 1000),
    )
    return AutoscalerInstance(pod.cloud_instance_id, ray if pod.is_running else None, known)
