"""The serving document: as data, and as the installed Ray understands it."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given as each_of
from hypothesis import strategies as st

from support.operatorkit import settings
from support.samples import model_spec
from velum.api.meta import ObjectMeta
from velum.api.model import AnonymizationModel, ModelSpec, Scale
from velum.settings import Settings
from velum_operator.serving import build_serving_config, capacity, config_hash


def model(name: str = "default", **fields: Any) -> AnonymizationModel:
    return AnonymizationModel(metadata=ObjectMeta(name=name), spec=model_spec(**fields))


@pytest.fixture
def given(tmp_path: Path) -> Settings:
    serving = {"url": "http://10.1.2.3:8123", "packs": (Path("/packs"),), "cache": Path("/cache")}
    return settings(tmp_path, serving=serving)


def test_one_application_per_model(given: Settings, tmp_path: Path) -> None:
    config = build_serving_config([model()], given)
    assert config["http_options"] == {"host": "10.1.2.3", "port": 8123}
    (application,) = config["applications"]
    assert application["name"] == "default"
    assert application["route_prefix"] == "/default"
    assert application["import_path"] == "velum_serve.app:build"
    assert application["args"] == {
        "model": "default",
        "packs": ["centerface"],
        "classes": ["face"],
        "pack_folders": ["/packs"],
        "cache": "/cache",
        "input_url": f"file://{tmp_path}/in",
        "output_url": f"file://{tmp_path}/out",
        "max_pixels": 300_000_000,
        "upload_bytes": 2 << 30,
        "source_allow_private": False,
        "source_timeout_seconds": 300.0,
        "batch_size": 4,
        "batch_wait_seconds": 0.002,
        "threads": 1,
        "detect_every": 1,
        "frame_pixels": 36_000_000,
        "frame_rate": 1000,
        "codec": "x264",
        "preset": "",
    }
    (deployment,) = application["deployments"]
    assert deployment["name"] == "Anonymizer"
    assert deployment["ray_actor_options"] == {"num_cpus": 1.0, "num_gpus": 0.0}
    assert deployment["max_ongoing_requests"] == 8


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Ray's own, at import
def test_what_only_scales_replaces_no_replica(given: Settings) -> None:
    """Ray builds an application anew, with new replicas, when its code version changes (2.60)."""
    from ray.serve._private.deploy_utils import get_app_code_version
    from ray.serve.schema import ServeApplicationSchema

    def version(**fields: Any) -> str:
        (application,) = build_serving_config([model(**fields)], given)["applications"]
        found: str = get_app_code_version(ServeApplicationSchema.model_validate(application))
        return found

    before = version()
    scales = {"minReplicas": 1, "maxReplicas": 9, "targetOngoing": 5, "maxOngoing": 11, "idleSeconds": 7}
    for name, value in scales.items():
        scale = {"maxReplicas": 9, name: value}
        assert version(scale=scale) == before, name
        assert build_serving_config([model(scale=scale)], given) != build_serving_config([model()], given)
    assert version(threads=3) != before
    (application,) = build_serving_config([model(scale=scales)], given)["applications"]
    assert application["deployments"][0]["user_config"] == {"max_replicas": 9, "target_ongoing": 5}


@pytest.mark.parametrize(("percent", "gpus"), [(0, 0), (1, 0.01), (50, 0.5), (100, 1), (200, 2)])
def test_the_share_of_a_gpu(given: Settings, percent: int, gpus: float) -> None:
    config = build_serving_config([model(gpuPercent=percent)], given)
    assert config["applications"][0]["deployments"][0]["ray_actor_options"]["num_gpus"] == gpus


@pytest.mark.parametrize(("least", "most", "initial"), [(0, 1, 1), (0, 8, 1), (1, 1, 1), (3, 8, 3)])
def test_the_first_task_does_not_wait_for_the_autoscaler(given: Settings, least: int, most: int, initial: int) -> None:
    scale = {"minReplicas": least, "maxReplicas": most, "idleSeconds": 60}
    config = build_serving_config([model(scale=scale)], given)
    autoscaling = config["applications"][0]["deployments"][0]["autoscaling_config"]
    assert autoscaling["min_replicas"] == least
    assert autoscaling["max_replicas"] == most
    assert autoscaling["initial_replicas"] == initial
    assert autoscaling["downscale_delay_s"] == 60


@pytest.mark.parametrize(("least", "initial"), [(0, 0), (1, 1), (3, 3)])
def test_deployed_in_advance_it_takes_nothing_that_nobody_asked_for(tmp_path: Path, least: int, initial: int) -> None:
    given = settings(tmp_path, serving={"rayservice": "velum-ray"})
    config = build_serving_config([model(scale={"minReplicas": least, "maxReplicas": 4})], given)
    autoscaling = config["applications"][0]["deployments"][0]["autoscaling_config"]
    assert (autoscaling["min_replicas"], autoscaling["initial_replicas"]) == (least, initial)


@pytest.mark.parametrize(
    ("fields", "cpus"), [({}, 1.0), ({"cpuMillis": 0}, 0.001), ({"cpuMillis": 0, "gpuPercent": 50}, 0)]
)
def test_under_kuberay_no_replica_fits_on_the_head(tmp_path: Path, fields: dict[str, int], cpus: float) -> None:
    """It has no CPUs, no GPUs, and no storage."""
    config = build_serving_config([model(**fields)], settings(tmp_path, serving={"rayservice": "velum-ray"}))
    assert config["applications"][0]["deployments"][0]["ray_actor_options"]["num_cpus"] == cpus


def test_elsewhere_a_replica_may_take_nothing(given: Settings) -> None:
    (application,) = build_serving_config([model(cpuMillis=0)], given)["applications"]
    assert application["deployments"][0]["ray_actor_options"]["num_cpus"] == 0


@pytest.mark.parametrize(
    ("url", "port"), [("http://velum-serve-svc:8000", 8000), ("http://velum-serve-svc", 80), ("https://ray", 443)]
)
def test_under_kuberay_every_pod_listens_and_no_service(tmp_path: Path, url: str, port: int) -> None:
    config = build_serving_config([model()], settings(tmp_path, serving={"rayservice": "velum-ray", "url": url}))
    assert config["http_options"] == {"host": "0.0.0.0", "port": port}
    assert config["proxy_location"] == "EveryNode"  # the head has one without a single worker


def test_threads_follow_the_cpu_unless_set(given: Settings) -> None:
    def threads(**fields: Any) -> int:
        found: int = build_serving_config([model(**fields)], given)["applications"][0]["args"]["threads"]
        return found

    assert threads(cpuMillis=500) == 1
    assert threads(cpuMillis=4000) == 4
    assert threads(cpuMillis=4000, threads=2) == 2


def test_capacity_is_that_of_full_scale() -> None:
    assert capacity(model(scale={"maxReplicas": 3, "maxOngoing": 8})) == 24


def test_order_does_not_matter_and_changes_do(given: Settings) -> None:
    a, b = model("a"), model("b")
    one, other = build_serving_config([a, b], given), build_serving_config([b, a], given)
    assert one == other
    assert config_hash(one) == config_hash(other)
    assert config_hash(build_serving_config([a], given)) != config_hash(one)
    changed = build_serving_config([a, model("b", threads=2)], given)
    assert config_hash(changed) != config_hash(one)


def test_no_secret_gets_into_the_document(tmp_path: Path) -> None:
    given = settings(
        tmp_path, serving={"token": "ray-token"}, webhook={"secret": "whsec_c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0"}
    )
    text = repr(build_serving_config([model()], given))
    assert "ray-token" not in text
    assert "whsec_" not in text


SCALES = st.builds(
    lambda least, more, target, most, idle: Scale(
        min_replicas=least,
        max_replicas=max(1, least + more),
        target_ongoing=target,
        max_ongoing=most,
        idle_seconds=idle,
    ),
    st.integers(0, 20),
    st.integers(0, 20),
    st.integers(1, 50),
    st.integers(1, 50),
    st.integers(1, 86_400),
)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Ray's own, at import
@each_of(scale=SCALES, gpu=st.sampled_from([0, 25, 50, 100, 200]), cpu=st.integers(0, 256_000))
def test_ray_takes_every_document_that_a_valid_model_makes(scale: Scale, gpu: int, cpu: int) -> None:
    from ray.serve.schema import ServeDeploySchema

    spec = ModelSpec(packs=("street",), classes=("face", "person"), gpu_percent=gpu, cpu_millis=cpu, scale=scale)
    models = [AnonymizationModel(metadata=ObjectMeta(name=name), spec=spec) for name in ("default", "street.v2")]
    config = build_serving_config(models, settings(Path("/data")))
    parsed = ServeDeploySchema.model_validate(config)
    assert [application.name for application in parsed.applications] == ["default", "street.v2"]
    assert ServeDeploySchema.model_validate(build_serving_config([], settings(Path("/data")))).applications == []
