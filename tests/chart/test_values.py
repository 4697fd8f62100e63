"""values.yaml and its schema: what is wrong is refused by name, what is said is what is."""

from __future__ import annotations

import json
import re
import tomllib
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement

from support import helmchart
from support.helmchart import CHART, Helm
from velum.settings import Settings

OK = helmchart.CHART / "ci" / "minimal-values.yaml"


class TestLint:
    @pytest.mark.parametrize("values", helmchart.VALUES, ids=lambda file: file.name)
    def test_every_set_of_values_is_clean(self, helm: Helm, values: Path) -> None:
        said = helm.run("lint", "--strict", CHART, "--values", values)
        assert "0 chart(s) failed" in said
        assert "[WARNING]" not in said

    def test_the_defaults_alone_make_a_release(self, helm: Helm) -> None:
        assert helmchart.of_kind(helm.objects(), "PersistentVolumeClaim")


WRONG = [
    ("ingres.replicas=2", "ingres"),
    ("ingress.replica=2", "replica"),
    ("storage.type=nfs", "storage/type"),
    ("storage.s3.input=bucket", "storage/s3/input"),
    ("ingress.replicas=two", "ingress/replicas"),
    ("ingress.service.ipFamilyPolicy=DualStack", "ipFamilyPolicy"),
    ("ingress.service.ipFamilies={IPv5}", "ipFamilies"),
    ("settings.limit.uploadBytes=5", "uploadBytes"),
    ("settings.limit.queue=-1", "settings/limit/queue"),
    ("settings.serving.url=x", "serving"),
    ("settings.api.grace_seconds=5", "grace_seconds"),
    ("settings.video.codec=divx", "settings/video/codec"),
    ("models.default.gpuPercnt=5", "gpuPercnt"),
    ("models.default.scale.maxReplicas=0", "maxReplicas"),
    ("models.Bad_Name.packs={velum-street}", "Bad_Name"),
    ("ray.mode=rayjob", "ray/mode"),
    ("ray.workerGroups[0].name=cpu,ray.workerGroups[0].gpus=1", "gpus"),
    ("ray.workerGroups[0].name=cpu,ray.workerGroups[0].gpu.resource=gpu", "gpu/resource"),
    ("ray.workerGroups[0].minReplicas=1", "name"),
    ("ray.workerGroups[0].name=cpu,ray.workerGroups[0].topologySpread[0].maxSkew=1", "topologyKey"),
    ("ray.scratchSize=big", "scratchSize"),
    ("networkPolicy.apiServerPorts={https}", "apiServerPorts"),
    ("uninstall.tasks=drop", "uninstall/tasks"),
    ("expose.httpRoute.timeouts.requests=0s", "requests"),
    ("operator.resources.limit.cpu=1", "limit"),
]


class TestSchema:
    @pytest.mark.parametrize(("given", "named"), WRONG, ids=[given for given, _ in WRONG])
    def test_what_is_wrong_is_refused_by_name(self, helm: Helm, given: str, named: str) -> None:
        done = helm.try_run("template", "x", CHART, "--values", OK, "--set", given)
        assert done.returncode != 0
        assert named in done.stderr

    @pytest.mark.parametrize(
        ("given", "words"),
        [
            ("storage.type=s3", "storage.s3.input"),
            ("ray.mode=external", "ray.external.dashboard"),
            ("ray.gcsFaultTolerance.enabled=true", "ray.gcsFaultTolerance.redisAddress"),
            ("ray.workerGroups[0].name=cpu,ray.workerGroups[0].minReplicas=9", "minReplicas 9"),
            ("expose.httpRoute.enabled=true", "expose.httpRoute.parentRefs"),
        ],
    )
    def test_what_is_lacking_is_asked_for(self, helm: Helm, given: str, words: str) -> None:
        done = helm.try_run("template", "x", CHART, "--values", OK, "--set", given)
        assert done.returncode != 0
        assert words in done.stderr

    def test_every_object_of_the_schema_is_closed(self) -> None:
        schema = json.loads((CHART / "values.schema.json").read_text())
        open_ones = [path for path, each in _objects(schema, ()) if "additionalProperties" not in each]
        # Handed on as they are: to Kubernetes, which knows their fields, or to another chart.
        allowed = ("affinity", "valueFrom", "global", "kuberay", "items")
        assert [path for path in open_ones if path[-1] not in allowed] == []


class TestComments:
    def test_every_value_is_described(self) -> None:
        from chartfiles import values

        entries = list(values.entries((CHART / "values.yaml").read_text()))
        assert [each.dotted for each in entries if each.leaf and not each.comment] == []

    def test_the_table_has_every_value(self) -> None:
        from chartfiles import values

        readme = (CHART / "README.md").read_text()
        entries = values.entries((CHART / "values.yaml").read_text())
        assert [each.dotted for each in entries if each.leaf and f"| `{each.dotted}` |" not in readme] == []

    def test_a_comment_further_up_is_not_a_keys_own(self) -> None:
        from chartfiles import values

        text = "# About a.\na:\n  # About b,\n  # in two lines.\n  b: 1\n\n# Of nobody.\n\nc: {d: 2}\n"
        found = {each.dotted: (each.comment, each.leaf) for each in values.entries(text)}
        assert found == {"a": ("About a.", False), "a.b": ("About b, in two lines.", True), "c": ("", True)}


class TestVersions:
    def test_the_ray_of_the_values_is_the_one_that_is_tested(self) -> None:
        ray = yaml.safe_load((CHART / "values.yaml").read_text())["ray"]["version"]
        assert ray == version("ray")
        project = tomllib.loads((helmchart.ROOT / "pyproject.toml").read_text())["project"]
        wanted = next(each for each in project["optional-dependencies"]["serve"] if each.startswith("ray["))
        assert Requirement(wanted.partition("#")[0]).specifier.contains(ray)

    def test_the_apps_version_is_the_projects(self) -> None:
        chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
        assert chart["appVersion"] == version("velum")

    def test_kuberay_is_the_pinned_one(self) -> None:
        chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
        module = (helmchart.ROOT / "hack/gotools/kuberay/go.mod").read_text()
        pinned = re.search(r"ray-project/kuberay/ray-operator v(\S+)", module)
        assert pinned is not None
        assert [each["version"] for each in chart["dependencies"]] == [pinned[1]]


class TestSettings:
    def test_the_program_takes_them(self, rendered: list[helmchart.Json], tmp_path: Path) -> None:
        text = helmchart.named(rendered, "ConfigMap", _name(rendered, "-config"))["data"]["config.toml"]
        file = tmp_path / "config.toml"
        file.write_text(text)
        settings = Settings.load(file)
        assert (settings.api.host, settings.api.port) == ("::", 7000)
        assert settings.controller.namespace == helmchart.NAMESPACE
        assert settings.storage.input
        kuberay = helmchart.rayservice(rendered) is not None
        assert bool(settings.serving.rayservice) is kuberay

    def test_numbers_stay_what_they_are(self, helm: Helm, tmp_path: Path) -> None:
        given = {"limit": {"upload_bytes": 2147483648, "sync_seconds": 1.5}, "api": {"endpoint": 'http://a/"b"\\'}}
        file = tmp_path / "values.yaml"
        file.write_text(yaml.safe_dump({"settings": given}))
        tables = _config(helm, "--values", str(file))
        assert tables["limit"] == {"upload_bytes": 2147483648, "sync_seconds": 1.5}
        assert isinstance(tables["limit"]["upload_bytes"], int)
        assert tables["api"]["endpoint"] == 'http://a/"b"\\'

    @pytest.mark.parametrize(
        ("given", "endpoint"),
        [
            ({"hosts": ["a.example"], "tls": [{"hosts": ["a.example"]}]}, "https://a.example"),
            ({"hosts": ["a.example"], "tls": [{"hosts": ["a.example"]}], "path": "/hide/"}, "https://a.example/hide"),
            ({"hosts": ["a.example"]}, None),
            ({"hosts": ["a.example", "b.example"], "tls": [{"hosts": ["a.example", "b.example"]}]}, None),
            ({"hosts": ["a.example"], "tls": [{"hosts": ["b.example"]}]}, None),
            ({"hosts": ["a.example"], "tls": [{"secretName": "any"}]}, None),
        ],
    )
    def test_links_begin_with_the_only_address_that_there_is(
        self, helm: Helm, given: helmchart.Json, endpoint: str | None
    ) -> None:
        exposed = f"--set-json=expose.ingress={json.dumps({'enabled': True, **given})}"
        assert _config(helm, exposed)["api"].get("endpoint") == endpoint
        own = _config(helm, exposed, "--set=settings.api.endpoint=https://own.example")
        assert own["api"]["endpoint"] == "https://own.example"


def _config(helm: Helm, *flags: str) -> dict[str, Any]:
    rendered = helm.objects("--values", OK, *flags)
    return tomllib.loads(helmchart.named(rendered, "ConfigMap", "velum-config")["data"]["config.toml"])


def _objects(schema: Any, path: tuple[str, ...]) -> list[tuple[tuple[str, ...], Any]]:
    found = []
    if isinstance(schema, dict):
        if schema.get("type") == "object" and path[-1:] != ("properties",):
            found.append((path, schema))
        for key, value in schema.items():
            found += _objects(value, path if key == "properties" else (*path, key))
    return found


def _name(objects: list[helmchart.Json], suffix: str) -> str:
    return next(
        str(each["metadata"]["name"])
        for each in helmchart.of_kind(objects, "ConfigMap")
        if each["metadata"]["name"].endswith(suffix)
    )
