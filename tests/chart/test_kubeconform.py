"""Every set of values makes objects that Kubernetes, KubeRay, Prometheus Operator and our own types know field by field
(kubeconform)."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from support import helmchart, kubeschemas
from support.helmchart import Json, of_kind, parsed, rayservice


class Kubeconform:
    """The program and its schemas."""

    def __init__(self, program: Path, location: str) -> None:
        self._program = program
        self._location = location

    def __call__(self, objects: list[Json]) -> subprocess.CompletedProcess[str]:
        argv = [self._program, "-strict", "-summary", "-schema-location", self._location]
        given = kubeschemas.yaml_of(objects)
        return subprocess.run(argv, input=given, capture_output=True, text=True, check=False, timeout=120)


@pytest.fixture(scope="session")
def kubeconform(helm: helmchart.Helm, tmp_path_factory: pytest.TempPathFactory) -> Kubeconform:
    try:
        location = kubeschemas.write(tmp_path_factory.mktemp("schemas"))
        return Kubeconform(helmchart.tool("kubeconform"), location)
    except (kubeschemas.NoSchemas, helmchart.NoHelm) as error:
        pytest.skip(str(error))


class TestKubeconform:
    def test_objects(self, rendered: list[Json], kubeconform: Kubeconform) -> None:
        done = kubeconform(rendered)
        assert done.returncode == 0, done.stdout
        assert f"Valid: {len(rendered)}, Invalid: 0, Errors: 0, Skipped: 0" in done.stdout

    def test_what_lies_in_config_maps(self, rendered: list[Json], kubeconform: Kubeconform) -> None:
        """The RayService and the models, which the operator's pod applies."""
        texts = [
            each["data"]["models.yaml"] for each in of_kind(rendered, "ConfigMap") if "models.yaml" in each["data"]
        ]
        models = [parsed(part) for text in texts for part in text.split("---\n")]
        service = rayservice(rendered)
        found = [each for each in [*models, service] if each]
        assert models
        done = kubeconform(found)
        assert done.returncode == 0, done.stdout
        assert f"Valid: {len(found)}, Invalid: 0, Errors: 0, Skipped: 0" in done.stdout

    @pytest.mark.parametrize(
        ("kind", "where", "named"),
        [
            ("Deployment", ["spec", "template", "spec", "containers", 0, "readinesProbe"], "readinesProbe"),
            ("NetworkPolicy", ["spec", "policyType"], "policyType"),
            ("RayService", ["spec", "rayClusterConfig", "headGroupSpec", "rayStartParam"], "rayStartParam"),
            ("AnonymizationModel", ["spec", "classez"], "classez"),
            ("ServiceMonitor", ["spec", "endpoints", 0, "intervall"], "intervall"),
            ("PrometheusRule", ["spec", "groups", 0, "rules", 0, "expression"], "expression"),
        ],
    )
    def test_it_would_see_a_mistyped_field(
        self, helm: helmchart.Helm, kubeconform: Kubeconform, kind: str, where: list[str | int], named: str
    ) -> None:
        objects = helm.objects("--values", helmchart.CHART / "ci" / "everything-values.yaml")
        service = rayservice(objects)
        assert service is not None
        model = {"apiVersion": "velum.dev/v1alpha1", "kind": "AnonymizationModel", "metadata": {"name": "a"}}
        model["spec"] = {"packs": ["velum-street"], "classes": ["face"]}
        broken = next(each for each in [*objects, service, model] if each["kind"] == kind)
        inside = broken
        for key in where[:-1]:
            inside = inside[key]
        inside[where[-1]] = {}
        done = kubeconform([broken])
        assert done.returncode != 0
        assert named in done.stdout
