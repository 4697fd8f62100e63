"""Pods of every set of values: restricted, read-only, and with what they need and no more."""

from __future__ import annotations

import json
import re
import tomllib
from typing import Any

import pytest
from ray._private import ray_constants

from support import helmchart
from support.helmchart import Helm, Json, named, of_kind, pods, rayservice
from velum.api.model import AnonymizationModel
from velum.settings import Settings
from velum_cli import listen
from velum_operator.serving import build_serving_config
from velum_operator.workergroups import shortfalls, worker_groups

MINIMAL = helmchart.CHART / "ci" / "minimal-values.yaml"
EVERYTHING = helmchart.CHART / "ci" / "everything-values.yaml"
GPU, MIG = helmchart.CHART / "ci" / "gpu-values.yaml", helmchart.CHART / "ci" / "mig-values.yaml"


def containers(pod: Json) -> list[Json]:
    return [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]


class TestSecurity:
    def test_every_pod_is_restricted(self, rendered: list[Json]) -> None:
        """The Pod Security Standard `restricted`, and a root that nobody writes to."""
        found = dict(pods(rendered))
        assert len(found) >= 3
        for name, pod in found.items():
            security = pod["spec"]["securityContext"]
            assert security["runAsNonRoot"] is True, name
            assert security["runAsUser"] == 65532, name
            assert security["seccompProfile"] == {"type": "RuntimeDefault"}, name
            assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod["spec"]), name
            assert not [each for each in pod["spec"].get("volumes", []) if "hostPath" in each], name
            for each in containers(pod):
                assert_restricted(each, name)

    def test_the_autoscaler_beside_the_head_too(self, rendered: list[Json]) -> None:
        service = rayservice(rendered)
        if service is not None:
            options = service["spec"]["rayClusterConfig"]["autoscalerOptions"]
            assert_restricted({"name": "autoscaler", **options}, "head")

    def test_no_pod_gets_addresses_of_services_as_variables(self, rendered: list[Json]) -> None:
        """A Service `velum-api` would make a variable VELUM_API_PORT, which is a setting."""
        assert [name for name, pod in pods(rendered) if pod["spec"].get("enableServiceLinks") is not False] == []

    def test_tokens_are_mounted_where_they_are_used(self, rendered: list[Json]) -> None:
        assert not [each for each in of_kind(rendered, "ServiceAccount") if each["automountServiceAccountToken"]]
        mounted = {name for name, pod in pods(rendered) if pod["spec"].get("automountServiceAccountToken")}
        assert {re.sub(r"^(velum|anonymizer)-", "", name) for name in mounted} <= {
            "operator",
            "ingress",
            "pre-delete",
            "post-delete",
        }
        workers = [pod for name, pod in pods(rendered) if name.startswith("worker ")]
        assert all(pod["spec"]["automountServiceAccountToken"] is False for pod in workers)

    def test_accounts_are_separate(self, rendered: list[Json]) -> None:
        own = [pod for name, pod in pods(rendered) if pod["spec"].get("automountServiceAccountToken")]
        used = [pod["spec"]["serviceAccountName"] for pod in own]
        assert len(set(used)) == len(used)

    def test_secrets_are_given_to_who_uses_them(self, helm: Helm) -> None:
        values = helmchart.CHART / "ci" / "s3-values.yaml"
        found = {
            f"{name}/{each['name']}": {
                one["valueFrom"]["secretKeyRef"]["name"] for one in each.get("env", []) if "valueFrom" in one
            }
            for name, pod in pods(helm.objects("--values", values, "--set=modelPacks.fetch={centerface}"))
            for each in containers(pod)
        }
        bucket = {"velum-ingress/ingress", "worker cpu/ray-worker"}
        assert {name for name, secrets in found.items() if secrets == {"velum-bucket"}} == bucket
        assert found.pop("velum-operator/operator") == {"velum-bucket", "velum-webhook"}
        assert {name for name, secrets in found.items() if secrets} == bucket

    def test_what_has_limits_has_one_for_memory(self, rendered: list[Json]) -> None:
        lacking = [
            f"{name}/{each['name']}"
            for name, pod in pods(rendered)
            for each in containers(pod)
            if "memory" not in each["resources"].get("limits", {}) and "gpu" not in name
        ]
        assert lacking == []


class TestPods:
    def test_volumes_and_mounts_fit(self, rendered: list[Json]) -> None:
        for name, pod in pods(rendered):
            volumes = {each["name"] for each in pod["spec"].get("volumes", [])}
            mounts = {mount["name"] for each in containers(pod) for mount in each.get("volumeMounts", [])}
            assert mounts == volumes, name

    def test_probes_ask_ports_that_exist(self, rendered: list[Json]) -> None:
        for each in of_kind(rendered, "Deployment"):
            for one in each["spec"]["template"]["spec"]["containers"]:
                ports = {port["name"] for port in one["ports"]}
                kinds = ("startupProbe", "livenessProbe", "readinessProbe")
                assert {one[kind]["httpGet"]["port"] for kind in kinds} <= ports

    def test_selectors_find_the_pods(self, rendered: list[Json]) -> None:
        for each in of_kind(rendered, "Deployment"):
            wanted = each["spec"]["selector"]["matchLabels"]
            assert wanted.items() <= each["spec"]["template"]["metadata"]["labels"].items()
        for service in of_kind(rendered, "Service"):
            wanted = service["spec"]["selector"]
            assert [name for name, pod in pods(rendered) if wanted.items() <= _labels(pod).items()]

    def test_a_new_version_of_the_chart_alone_replaces_no_pod(self, rendered: list[Json]) -> None:
        for name, pod in pods(rendered):
            if not name.endswith("-test"):
                assert not {"helm.sh/chart", "app.kubernetes.io/version"} & set(_labels(pod)), name

    def test_settings_and_models_restart_the_operator(self, helm: Helm) -> None:
        def sums(*flags: str) -> tuple[str, str]:
            pod = named(helm.objects("--values", MINIMAL, *flags), "Deployment", "velum-operator")["spec"]["template"]
            notes = pod["metadata"]["annotations"]
            return notes["checksum/settings"], notes["checksum/models"]

        before, settings, models = sums(), sums("--set=settings.limit.queue=7"), sums("--set=models.default.threads=2")
        assert before[0] != settings[0]
        assert before[1] == settings[1]
        assert before[0] == models[0]
        assert before[1] != models[1]

    def test_files_are_where_the_settings_say(self, rendered: list[Json]) -> None:
        claimed = "file:///var/lib/velum/" in str(of_kind(rendered, "ConfigMap"))
        for name, pod in pods(rendered):
            if name.endswith(("-operator", "-ingress")) or name.startswith("worker "):
                paths = {mount["mountPath"] for mount in pod["spec"]["containers"][0]["volumeMounts"]}
                assert ("/var/lib/velum" in paths) is claimed, name


class TestIngress:
    def test_pods_are_spread_and_scaled(self, helm: Helm) -> None:
        rendered = helm.objects("--values", MINIMAL)
        deployment = named(rendered, "Deployment", "velum-ingress")
        assert "replicas" not in deployment["spec"]  # the autoscaler's number would be reset at each upgrade
        spread = deployment["spec"]["template"]["spec"]["topologySpreadConstraints"]
        assert [each["topologyKey"] for each in spread] == ["topology.kubernetes.io/zone", "kubernetes.io/hostname"]
        scaler = named(rendered, "HorizontalPodAutoscaler", "velum-ingress")
        assert scaler["spec"]["scaleTargetRef"]["name"] == "velum-ingress"
        budget = named(rendered, "PodDisruptionBudget", "velum-ingress")
        assert budget["spec"]["selector"]["matchLabels"].items() <= _labels(deployment["spec"]["template"]).items()

    def test_without_autoscaling_there_are_as_many_as_asked_for(self, helm: Helm) -> None:
        flags = ["--set=ingress.autoscaling.enabled=false", "--set=ingress.replicas=3"]
        rendered = helm.objects("--values", MINIMAL, *flags)
        assert named(rendered, "Deployment", "velum-ingress")["spec"]["replicas"] == 3
        assert not of_kind(rendered, "HorizontalPodAutoscaler")

    def test_what_is_under_way_may_end_before_a_pod_is_killed(self, helm: Helm) -> None:
        rendered = helm.objects("--values", MINIMAL, "--set=ingress.graceSeconds=90")
        pod = named(rendered, "Deployment", "velum-ingress")["spec"]["template"]["spec"]
        config = tomllib.loads(named(rendered, "ConfigMap", "velum-config")["data"]["config.toml"])
        before = pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
        assert config["api"]["grace_seconds"] == 90
        assert pod["terminationGracePeriodSeconds"] >= before + 90 + 2 * listen.ANSWER_SECONDS

    def test_by_default_a_video_can_be_sent_to_its_end(self, helm: Helm) -> None:
        rendered = helm.objects("--values", MINIMAL)
        config = tomllib.loads(named(rendered, "ConfigMap", "velum-config")["data"]["config.toml"])
        assert config["api"]["grace_seconds"] >= (1 << 30) * 8 / 20e6

    def test_the_operator_is_one(self, rendered: list[Json]) -> None:
        operator = next(
            each for each in of_kind(rendered, "Deployment") if each["metadata"]["name"].endswith("-operator")
        )
        assert operator["spec"]["replicas"] == 1
        assert operator["spec"]["strategy"] == {"type": "Recreate"}


class TestRay:
    @pytest.fixture
    def groups(self, helm: Helm, request: pytest.FixtureRequest) -> dict[str, Json]:
        service = rayservice(helm.objects("--values", request.param))
        assert service is not None
        return {each["groupName"]: each for each in service["spec"]["rayClusterConfig"]["workerGroupSpecs"]}

    def test_the_operator_gets_a_manifest_without_a_serve_config(self, rendered: list[Json]) -> None:
        service = rayservice(rendered)
        if service is None:
            assert "rayservice =" not in str(of_kind(rendered, "ConfigMap"))
            return
        cluster = service["spec"]["rayClusterConfig"]
        assert "serveConfigV2" not in service["spec"]
        assert cluster["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
        assert cluster["enableInTreeAutoscaling"] is True
        assert cluster["authOptions"] == {"mode": "token"}
        assert len(service["metadata"]["name"]) <= 47

    @pytest.mark.parametrize(
        ("given", "wanted"),
        [
            ({}, [("kubernetes.io/hostname", 1, "ScheduleAnyway")]),
            ({"topologySpread": False}, []),
            (
                {
                    "topologySpread": [
                        {"topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"},
                        {"topologyKey": "h"},
                    ]
                },
                [("zone", 1, "DoNotSchedule"), ("h", 1, "ScheduleAnyway")],
            ),
        ],
    )
    def test_a_group_is_spread_over_what_it_says(self, helm: Helm, given: Json, wanted: list[Any]) -> None:
        group = json.dumps([{"name": "cpu", **given}])
        service = rayservice(helm.objects("--values", MINIMAL, f"--set-json=ray.workerGroups={group}"))
        assert service is not None
        (found,) = service["spec"]["rayClusterConfig"]["workerGroupSpecs"]
        spread = found["template"]["spec"].get("topologySpreadConstraints", [])
        assert [(each["topologyKey"], each["maxSkew"], each["whenUnsatisfiable"]) for each in spread] == wanted
        assert all(each["labelSelector"]["matchLabels"]["ray.io/group"] == "cpu" for each in spread)

    def test_ray_pods_leave_kuberays_name_alone(self, rendered: list[Json]) -> None:
        """The Service of the head selects by it."""
        for name, pod in pods(rendered):
            if _is_ray(name, pod):
                assert "app.kubernetes.io/name" not in _labels(pod), name

    @pytest.mark.parametrize("groups", [GPU], indirect=True)
    def test_gpus(self, groups: dict[str, Json]) -> None:
        group = groups["a100"]
        spec = group["template"]["spec"]
        worker = spec["containers"][0]
        assert worker["image"] == "velum/worker:0.2.0-cuda"
        assert worker["resources"]["limits"]["nvidia.com/gpu"] == 1
        assert worker["resources"]["requests"]["nvidia.com/gpu"] == 1
        assert group["rayStartParams"]["num-gpus"] == "1"
        assert (group["minReplicas"], group["maxReplicas"], group["idleTimeoutSeconds"]) == (0, 4, 600)
        assert spec["runtimeClassName"] == "nvidia"
        assert spec["nodeSelector"] == {"nvidia.com/gpu.product": "NVIDIA-A100-SXM4-40GB"}
        assert spec["tolerations"][0]["key"] == "nvidia.com/gpu"
        room = {each["name"]: each["emptyDir"] for each in spec["volumes"] if "emptyDir" in each}
        assert room["shared-mem"] == {"medium": "Memory", "sizeLimit": "8Gi"}
        assert room["scratch"] == {"sizeLimit": "100Gi"}

    def test_the_object_store_lies_in_shared_memory(self, rendered: list[Json]) -> None:
        """Ray would size it by the pod's memory, and put it onto the disk where /dev/shm is smaller."""
        service = rayservice(rendered)
        if service is not None:
            cluster = service["spec"]["rayClusterConfig"]
            for group in [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]:
                volumes = {each["name"]: each for each in group["template"]["spec"]["volumes"]}
                shared = _bytes(volumes["shared-mem"]["emptyDir"]["sizeLimit"])
                store = int(group["rayStartParams"]["object-store-memory"])
                assert ray_constants.OBJECT_STORE_MINIMUM_MEMORY_BYTES <= store == shared * 9 // 10

    def test_a_size_that_makes_no_sense_is_refused(self, helm: Helm) -> None:
        done = helm.try_run("template", "x", helmchart.CHART, "--values", MINIMAL, "--set=ray.head.shmSize=500m")
        assert done.returncode != 0
        assert "shmSize 500m" in done.stderr

    @pytest.mark.parametrize("groups", [MIG], indirect=True)
    def test_slices_of_gpus(self, groups: dict[str, Json]) -> None:
        worker = groups["mig"]["template"]["spec"]["containers"][0]
        assert worker["resources"]["limits"]["nvidia.com/mig-1g.5gb"] == 1
        assert groups["mig"]["rayStartParams"]["num-gpus"] == "1"  # Ray itself knows only names that end with gpu
        assert groups["cpu"]["rayStartParams"]["num-gpus"] == "0"
        assert "nvidia" not in str(groups["cpu"])

    @pytest.mark.parametrize("groups", [EVERYTHING], indirect=True)
    def test_a_gpu_of_which_nothing_is_said_is_a_whole_one(self, groups: dict[str, Json]) -> None:
        worker = groups["gpu"]["template"]["spec"]["containers"][0]
        assert worker["resources"]["limits"] == {"nvidia.com/gpu": 1}
        assert worker["image"].endswith("-cuda")
        assert groups["gpu"]["rayStartParams"]["num-gpus"] == "1"

    @pytest.mark.parametrize("groups", [EVERYTHING], indirect=True)
    def test_packs_are_fetched_before_a_replica_starts(self, groups: dict[str, Json]) -> None:
        for group in groups.values():
            spec = group["template"]["spec"]
            init = next(each for each in spec["initContainers"] if each["name"] == "model-packs")
            assert init["command"] == ["velum", "models", "fetch"]
            assert {"centerface", "my-faces", "--mirror=https://mirror.example.org/packs"} <= set(init["args"])
            assert init["image"] == spec["containers"][0]["image"]
            kept = {each["name"]: each.get("readOnly") for each in spec["containers"][0]["volumeMounts"]}
            assert kept["weights"] is True

    def test_other_manifests_want_other_pods(self, helm: Helm) -> None:
        def notes(text: str) -> list[Json]:
            objects = helm.objects("--values", EVERYTHING, f"--set=modelPacks.manifests.my-faces={text}")
            rays = [pod for name, pod in pods(objects) if _is_ray(name, pod)]
            return [pod["metadata"]["annotations"] for pod in rays]

        before, after = notes("one"), notes("two")
        assert len(before) == 3
        assert all(old["checksum/packs"] != new["checksum/packs"] for old, new in zip(before, after, strict=True))
        assert [each.get("note") for each in before] == ["head", "worker", None]

    @pytest.mark.parametrize("groups", [EVERYTHING], indirect=True)
    def test_temporary_files_have_room_of_their_own(self, groups: dict[str, Json]) -> None:
        worker = groups["cpu"]["template"]["spec"]["containers"][0]
        variables = {each["name"]: each.get("value") for each in worker["env"]}
        mounts = {each["name"]: each["mountPath"] for each in worker["volumeMounts"]}
        assert variables["TMPDIR"] == mounts["scratch"]
        assert variables["RAY_TMPDIR"] == mounts["tmp"] == "/tmp"

    def test_workers_have_room_for_the_models(self, rendered: list[Json], helm: Helm) -> None:
        """In the operator's own count: what it would tell in the models' statuses."""
        service = rayservice(rendered)
        if service is not None:
            texts = [each["data"].get("models.yaml") for each in of_kind(rendered, "ConfigMap")]
            documents = [helmchart.parsed(part) for text in texts if text for part in text.split("---\n")]
            models = [AnonymizationModel.model_validate(each) for each in documents if each]
            config = build_serving_config(models, Settings.load())
            assert config["applications"]
            assert shortfalls(worker_groups(service), config["applications"]) == {}

    def test_a_worker_hands_over_until_shortly_before_it_is_killed(self, helm: Helm) -> None:
        for grace, drain in ((60, 50.0), (600, 590.0), (5, 0.0)):
            objects = helm.objects("--values", MINIMAL, f"--set=ray.terminationGracePeriodSeconds={grace}")
            spec = dict(pods(objects))["worker cpu"]["spec"]
            variables = {each["name"]: each.get("value") for each in spec["containers"][0]["env"]}
            assert spec["terminationGracePeriodSeconds"] == grace
            assert float(variables["RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S"]) == drain
        assert hasattr(ray_constants, "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S")  # the installed Ray knows it

    def test_a_cluster_that_was_replaced_may_end_its_videos(self, helm: Helm) -> None:
        service = rayservice(helm.objects("--values", MINIMAL))
        assert service is not None
        assert service["spec"]["rayClusterDeletionDelaySeconds"] == 600  # KubeRay's own 60 s would break what runs
        at_once = rayservice(helm.objects("--values", MINIMAL, "--set=ray.deletionDelaySeconds=0"))
        assert at_once is not None
        assert at_once["spec"]["rayClusterDeletionDelaySeconds"] == 0

    def test_the_state_can_be_kept_in_redis(self, helm: Helm) -> None:
        service = rayservice(helm.objects("--values", helmchart.CHART / "ci" / "kuberay-values.yaml"))
        assert service is not None
        options = service["spec"]["rayClusterConfig"]["gcsFaultToleranceOptions"]
        assert options["redisAddress"] == "redis.data:6379"
        assert options["redisPassword"]["valueFrom"]["secretKeyRef"] == {"name": "redis", "key": "redis-password"}


class TestUninstalling:
    def phases(self, helm: Helm, *flags: str) -> dict[str, list[str]]:
        jobs = of_kind(helm.objects("--values", MINIMAL, *flags), "Job")
        found = {each["metadata"]["annotations"]["helm.sh/hook"]: each for each in jobs}
        return {phase: job["spec"]["template"]["spec"]["containers"][0]["args"] for phase, job in found.items()}

    def test_tasks_stay_unless_told_otherwise(self, helm: Helm) -> None:
        phases = self.phases(helm)
        assert set(phases) == {"pre-delete"}
        assert {"--tasks=keep", "--deadline=120", "--rayservice=velum"} <= set(phases["pre-delete"])

    @pytest.mark.parametrize("flag", ["--set=crds.keep=false", "--set=uninstall.tasks=delete"])
    def test_where_all_go_it_is_looked_once_more_afterwards(self, helm: Helm, flag: str) -> None:
        """An upload may have come in while the ingress still ran; nobody would take its finalizer off."""
        phases = self.phases(helm, flag)
        assert set(phases) == {"pre-delete", "post-delete"}
        assert "--tasks=delete" in phases["pre-delete"]
        assert {"--tasks=delete", "--deadline=5"} <= set(phases["post-delete"])

    def test_types_that_somebody_else_installed_are_left_alone(self, helm: Helm) -> None:
        assert "--tasks=keep" in self.phases(helm, "--set=crds.install=false", "--set=crds.keep=false")["pre-delete"]

    def test_it_can_be_left_out(self, helm: Helm) -> None:
        assert self.phases(helm, "--set=uninstall.hook=false") == {}


def assert_restricted(container: Json, pod: str) -> None:
    security: Any = container["securityContext"]
    where = f"{pod}/{container['name']}"
    assert security["allowPrivilegeEscalation"] is False, where
    assert security["readOnlyRootFilesystem"] is True, where
    assert security["runAsNonRoot"] is True, where
    assert security["capabilities"] == {"drop": ["ALL"]}, where
    assert not security.get("privileged"), where


def _labels(pod: Json) -> dict[str, str]:
    labels: dict[str, str] = pod["metadata"]["labels"]
    return labels


def _bytes(size: str) -> int:
    return int(size[:-2]) * {"Mi": 1 << 20, "Gi": 1 << 30}[size[-2:]]


def _is_ray(name: str, pod: Json) -> bool:
    return "velum.dev/ray" in _labels(pod)
