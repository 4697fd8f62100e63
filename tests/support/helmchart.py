"""charts/velum as the tests use it: helm, built once per machine, and what it renders."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "charts" / "velum"
VALUES = sorted((CHART / "ci").glob("*-values.yaml"))
RELEASE, NAMESPACE = "velum", "privacy"

Json = dict[str, Any]


class NoHelm(Exception):
    """helm or what the chart depends on cannot be had here; the text says why."""


class HelmError(AssertionError):
    """helm ended with another status than 0; the text is what it said."""


@dataclass(frozen=True)
class Helm:
    """One helm program."""

    program: Path

    def try_run(self, *words: str | Path, **more: Any) -> subprocess.CompletedProcess[str]:
        """Run it and give its outcome, whatever it is."""
        argv = [str(self.program), *map(str, words)]
        return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=240, **more)

    def run(self, *words: str | Path, **more: Any) -> str:
        """Run it; its standard output. Raises HelmError."""
        done = self.try_run(*words, **more)
        if done.returncode:
            raise HelmError(f"helm {' '.join(map(str, words))}:\n{done.stdout}\n{done.stderr}")
        return done.stdout

    def text(self, *flags: str | Path) -> str:
        """What the chart renders, as YAML documents."""
        return self.run("template", RELEASE, CHART, f"--namespace={NAMESPACE}", *flags)

    def objects(self, *flags: str | Path) -> list[Json]:
        """What the chart renders, without what it depends on, and without what a subchart brings."""
        documents = self.text(*flags).split("\n---\n")
        ours = [parsed(each) for each in documents if "# Source: velum/charts/" not in each]
        return [each for each in ours if each]


def parsed(text: str) -> Any:
    """YAML, read by libyaml: the resource types are long."""
    return yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))


def tool(name: str) -> Path:
    """Where a tool of hack/gotools is, built if need be. Raises NoHelm."""
    argv = [sys.executable, str(ROOT / "hack" / "controlplane"), "tool", name]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NoHelm(done.stderr.strip())
    return Path(done.stdout.strip())


def helm() -> Helm:
    """Return helm, with the chart's dependencies in place. Raises NoHelm."""
    from localplane import kuberaychart
    from localplane.errors import LocalPlaneError

    found = Helm(tool("helm"))
    try:
        kuberaychart.package(CHART / "charts", os.environ)
    except LocalPlaneError as error:
        raise NoHelm(str(error)) from error
    return found


def of_kind(objects: list[Json], kind: str) -> list[Json]:
    """The objects of one kind."""
    return [each for each in objects if each["kind"] == kind]


def named(objects: list[Json], kind: str, name: str) -> Json:
    """The one object of this kind and name."""
    return next(each for each in of_kind(objects, kind) if each["metadata"]["name"] == name)


def rayservice(objects: list[Json]) -> Json | None:
    """The RayService that lies in the release's ConfigMap, None when it has none."""
    for each in of_kind(objects, "ConfigMap"):
        if "rayservice.yaml" in each["data"]:
            service: Json = parsed(each["data"]["rayservice.yaml"])
            return service
    return None


def pods(objects: list[Json]) -> Iterator[tuple[str, Json]]:
    """Yield a name and the template of every pod that comes of these objects, Ray's among them."""
    for each in objects:
        if each["kind"] in {"Deployment", "Job"}:
            yield each["metadata"]["name"], each["spec"]["template"]
        elif each["kind"] == "Pod":
            yield each["metadata"]["name"], each
    if (service := rayservice(objects)) is not None:
        cluster = service["spec"]["rayClusterConfig"]
        yield "head", cluster["headGroupSpec"]["template"]
        for group in cluster["workerGroupSpecs"]:
            yield f"worker {group['groupName']}", group["template"]
