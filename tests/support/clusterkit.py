"""The release in the local cluster as these tests use it: kubectl, helm, the REST API, files in its storage."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

NAMESPACE = "velum"
RELEASE = "velum"
PARTS = {
    "operator": "app.kubernetes.io/component=operator",
    "ingress": "app.kubernetes.io/component=ingress",
    "worker": "ray.io/node-type=worker",
    "head": "ray.io/node-type=head",
    "kuberay": "app.kubernetes.io/component=kuberay-operator",
}
"""Each kind of pod of the release, and the label that finds it."""


@dataclass(frozen=True)
class Cluster:
    """`kubeconfig` is the admin's; `volume` the folder behind the release's claim, as the machine sees it."""

    kubeconfig: Path
    programs: Path
    helm_program: Path
    volume: Path

    def kubectl(self, *words: str | Path, given: str | None = None, timeout: float = 120) -> str:
        """Run kubectl in the release's namespace; its standard output. Raises AssertionError with what it said."""
        return self._run([self.programs / "kubectl", f"--namespace={NAMESPACE}", *words], given, timeout)

    def helm(self, *words: str | Path, timeout: float = 1200) -> str:
        """Run helm in the release's namespace; its standard output."""
        return self._run([self.helm_program, f"--namespace={NAMESPACE}", *words], None, timeout)

    def get(self, *words: str) -> dict[str, Any]:
        """An object, or a list of them, as the API server has it."""
        found: dict[str, Any] = json.loads(self.kubectl("get", *words, "-o", "json"))
        return found

    def pods(self, part: str) -> list[str]:
        """Names of the pods of one kind that are not on their way out."""
        items = self.get("pods", "-l", PARTS[part])["items"]
        return [pod["metadata"]["name"] for pod in items if "deletionTimestamp" not in pod["metadata"]]

    def ready(self, part: str) -> list[str]:
        """Names of those of them that are ready. A worker without replicas is not, and goes after a while."""
        items = {pod["metadata"]["name"]: pod["status"].get("conditions", ()) for pod in self.get("pods")["items"]}
        return [
            name
            for name in self.pods(part)
            if any((each["type"], each["status"]) == ("Ready", "True") for each in items.get(name, ()))
        ]

    def phases(self) -> dict[str, str]:
        """The phase of every task, by name."""
        items = self.get("anontasks")["items"]
        return {task["metadata"]["name"]: task.get("status", {}).get("phase", "") for task in items}

    def _run(self, argv: Sequence[str | Path], given: str | None, timeout: float) -> str:
        words = [str(word) for word in argv]
        # Without a proxy of the caller's: the cluster is on this machine.
        environment = {"KUBECONFIG": str(self.kubeconfig), "HOME": str(self.kubeconfig.parent), "PATH": "/usr/bin:/bin"}
        done = subprocess.run(
            words, env=environment, input=given, capture_output=True, text=True, timeout=timeout, check=False
        )
        assert done.returncode == 0, f"{' '.join(words)}\n{done.stdout}\n{done.stderr}"
        return done.stdout


class Rest:
    """The REST API behind the Service's address. Lost connections are tried again, as a client of a cluster does."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.http = httpx.Client(base_url=url, timeout=900, trust_env=False)

    def post(self, data: bytes, query: str = "face=true", asynchronous: bool = False, **headers: str) -> httpx.Response:
        """Upload a file; until the answer, or until it is accepted."""
        sent = {**headers, **({"x-is-async": "true"} if asynchronous else {})}
        files = {"fileobject": ("street", data, "application/octet-stream")}
        return self._persistently(lambda: self.http.post(f"/v1/file?{query}", files=files, headers=sent))

    def task(self, name: str) -> dict[str, Any]:
        """A task's document."""
        answer = self._persistently(lambda: self.http.get(f"/v1/task/{name}"))
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def download(self, link: str) -> httpx.Response:
        """What a link of a task's document leads to."""
        return self._persistently(lambda: self.http.get(link))

    def ended(self, name: str, seconds: float = 600) -> dict[str, Any]:
        """Wait until a task has ended; its document."""
        found: dict[str, Any] = {}

        def has_ended() -> bool:
            found.update(self.task(name))
            return found["status"] in {"done", "failed", "deleted"}

        until(has_ended, seconds, lambda: f"task {name} has not ended: {found}")
        return found

    @staticmethod
    def _persistently(ask: Callable[[], httpx.Response], seconds: float = 120) -> httpx.Response:
        deadline = time.monotonic() + seconds
        while True:
            try:
                answer = ask()
                if answer.status_code != 503 or time.monotonic() > deadline:
                    return answer
            except httpx.TransportError:
                if time.monotonic() > deadline:
                    raise
            time.sleep(0.5)


def until(is_so: Callable[[], bool], seconds: float, otherwise: Callable[[], str] | str) -> None:
    """Look again and again until it is so. Raises AssertionError with `otherwise` when time is up."""
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, otherwise if isinstance(otherwise, str) else otherwise()
        time.sleep(0.5)
