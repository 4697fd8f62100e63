"""The document that tells Ray Serve what to run: one application per model, rendered as plain data.

The document is Ray's multi-application config (`ray.serve.schema.ServeDeploySchema`, checked in a test against the
installed Ray). It is the whole truth about the cluster: Ray removes applications that it does not list. Equal models
give equal bytes, so a hash tells whether anything changed.
"""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from velum.api.model import AnonymizationModel, ModelSpec, Scale
from velum.settings import ServingSettings, Settings

IMPORT_PATH = "velum_serve.app:build"
DEPLOYMENT = "Anonymizer"

ALL_ADDRESSES = "0.0.0.0"  # noqa: S104 - in a pod; who may come there is for the NetworkPolicy to say

LEAST_CPU = 0.001
"""Little enough to be nothing, and enough that it needs a node which has any."""

UPSCALE_SECONDS = 1.0
"""How long load must last before a replica is added. A cold replica takes many times longer to start anyway."""

REPORT_SECONDS = 1.0
"""How often load is reported. With Ray's default of 10 s a picture that finds no replica waits 9 to 15 s for one, with
this 3.5 s (measured, Ray 2.60). Ray calls the field deprecated, but reads its replacements nowhere yet."""

LOOK_BACK_SECONDS = 3.0
"""Window over which load is averaged; it must be longer than the reports are apart. Ray's default of 30 s would hold
back a burst of pictures for half a minute."""


def build_serving_config(models: Iterable[AnonymizationModel], settings: Settings) -> dict[str, Any]:
    """Return the config that serves these models. Pure, and the same for any order of them."""
    return {
        # On the head, and on every node that has a replica: where KubeRay asks for one before it calls a pod ready.
        "proxy_location": "EveryNode",
        "http_options": _listening(settings.serving),
        # One line per picture in Ray's own log would cost more than it tells: the task's status has it all.
        "logging_config": {"enable_access_log": False},
        "applications": [_application(model, settings) for model in sorted(models, key=lambda model: model.name)],
    }


def _listening(serving: ServingSettings) -> dict[str, Any]:
    """Return where Serve's proxies listen: under KubeRay `url` names a Service, which stands for all of them."""
    url = urlsplit(serving.url)
    port = url.port or (443 if url.scheme == "https" else 80)
    return {"host": ALL_ADDRESSES if serving.rayservice else url.hostname or "127.0.0.1", "port": port}


def config_hash(config: dict[str, Any]) -> str:
    """Return a hash that differs when the config does."""
    return hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()


def capacity(model: AnonymizationModel) -> int:
    """Return how many attempts this model takes at a time when it has scaled up fully.

    All of it is handed out at once although replicas come one by one: Ray holds what its replicas have no room for,
    and sees by it that more replicas are needed.
    """
    return model.spec.scale.max_replicas * model.spec.scale.max_ongoing


def _application(model: AnonymizationModel, settings: Settings) -> dict[str, Any]:
    spec = model.spec
    return {
        "name": model.name,
        "route_prefix": f"/{model.name}",
        "import_path": IMPORT_PATH,
        "args": _args(model, settings),
        "deployments": [
            {
                "name": DEPLOYMENT,
                "ray_actor_options": _takes(spec, off_the_head=bool(settings.serving.rayservice)),
                "max_ongoing_requests": spec.scale.max_ongoing,
                # Not among `args`: any change of those replaces all replicas, with the videos that they work on. Serve
                # hands a change of this, and of what is beside it but the actor's options, to the replicas that run
                # (https://docs.ray.io/en/latest/serve/advanced-guides/inplace-updates.html#lightweight-config-updates).
                "user_config": {"max_replicas": spec.scale.max_replicas, "target_ongoing": spec.scale.target_ongoing},
                "autoscaling_config": _autoscaling(spec.scale, in_advance=bool(settings.serving.rayservice)),
            }
        ],
    }


def _takes(spec: ModelSpec, *, off_the_head: bool) -> dict[str, float]:
    """Return what a replica takes of its node. On the head of our own clusters, which has no storage, none may fit."""
    cpus, gpus = spec.cpu_millis / 1000, spec.gpu_percent / 100
    return {"num_cpus": cpus if cpus or gpus or not off_the_head else LEAST_CPU, "num_gpus": gpus}


def _autoscaling(scale: Scale, *, in_advance: bool) -> dict[str, Any]:
    return {
        "min_replicas": scale.min_replicas,
        # Where a model is deployed because a task waits for it, its first replica need not wait for the autoscaler to
        # notice, and a pack that cannot be loaded shows at once, before work is handed to it. Deployed in advance it
        # must not take a GPU that nobody asked for, nor make a new Ray cluster wait for one that the old one has.
        "initial_replicas": scale.min_replicas if in_advance else max(1, scale.min_replicas),
        "max_replicas": scale.max_replicas,
        "target_ongoing_requests": scale.target_ongoing,
        "upscale_delay_s": UPSCALE_SECONDS,
        "downscale_delay_s": scale.idle_seconds,
        "look_back_period_s": LOOK_BACK_SECONDS,
        "metrics_interval_s": REPORT_SECONDS,
    }


def _args(model: AnonymizationModel, settings: Settings) -> dict[str, Any]:
    spec = model.spec
    return {
        "model": model.name,
        "packs": list(spec.packs),
        "classes": list(spec.classes),
        "pack_folders": [_path(folder) for folder in settings.serving.packs],
        "cache": _path(settings.serving.cache) if settings.serving.cache is not None else None,
        "input_url": settings.storage.input,
        "output_url": settings.storage.output,
        "max_pixels": settings.limit.pixels,
        "upload_bytes": settings.limit.upload_bytes,
        "source_allow_private": settings.source.allow_private,
        "source_timeout_seconds": settings.source.timeout_seconds,
        "batch_size": spec.batch.max_size,
        "batch_wait_seconds": spec.batch.wait_millis / 1000,
        "threads": spec.threads or max(1, spec.cpu_millis // 1000),
        "detect_every": spec.video.detect_every,
        "frame_pixels": settings.video.frame_pixels,
        "frame_rate": settings.video.frame_rate,
        "codec": settings.video.codec,
        "preset": settings.video.preset,
    }


def _path(path: Path) -> str:
    # As given: it is a path of the replicas, which in a cluster are on other machines.
    return str(path)
