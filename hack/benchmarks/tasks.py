"""What a task costs outside the pipeline: `hack/bench tasks --json FILE`.

Everything is real but the pipeline: kube-apiserver and etcd, `velum operator` and `velum ingress` as processes of their
own, work orders over HTTP. In Ray's place stands a server that answers each order with a manifest that it wrote.

* overhead: from sending a picture to `POST /v1/file` until its answer, one client, one picture at a time. That is
  upload, create, watch, decide, status writes, work order, manifest, watch, answer.
* patches_per_task: status PATCHes that the API server counted, by its own metrics.
* tasks_per_second: tasks that lie ready are drained, from the first start to the last end in their statuses.
"""

import argparse
import asyncio
import contextlib
import io
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
from PIL import Image

from velum.api.model import ModelSpec, Scale
from velum.api.task import TaskSpec
from velum.tasks.kubernetes import KubernetesStore, load_client

ROOT = Path(__file__).resolve().parents[2]
CONTROLPLANE = [sys.executable, str(ROOT / "hack" / "controlplane")]
VELUM = str(Path(sys.executable).with_name("velum"))

READY_SECONDS = 60
"""How long a process may take until it answers."""

WARM_UP = 10
"""Pictures sent before anything is measured: connections are made and modules loaded in them."""

CREATORS = 16
"""Tasks created at a time for the drain; it is not what is measured."""


IN_FLIGHT = 32
"""Attempts at a time: enough that the drain waits for the controller, not for room in the model."""


def main(argv: list[str]) -> int:
    """Run the benchmark. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="hack/bench tasks", description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="write the numbers here")
    parser.add_argument("--kubeconfig", type=Path, help="a cluster to use; by default hack/controlplane starts one")
    parser.add_argument("--samples", type=int, default=200, help="pictures sent one by one")
    parser.add_argument("--tasks", type=int, default=1000, help="tasks drained")
    arguments = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="velum-bench-") as folder, _cluster(arguments, Path(folder)) as kubeconfig:
        numbers = asyncio.run(_measure(kubeconfig, Path(folder), arguments))
    for name, value in numbers.items():
        print(f"{name:20} {value:10.2f}   goal {_GOALS[name]}")
    if arguments.json:
        arguments.json.write_text(json.dumps(numbers, indent=2) + "\n")
    return 0


_GOALS = {"overhead_p50_ms": "<= 50", "overhead_p99_ms": "-", "patches_per_task": "<= 3", "tasks_per_second": ">= 100"}


@contextlib.contextmanager
def _cluster(arguments: argparse.Namespace, folder: Path) -> Iterator[Path]:
    if arguments.kubeconfig is not None:
        yield arguments.kubeconfig
        return
    state, kubeconfig = folder / "plane", folder / "kubeconfig"
    subprocess.run([*CONTROLPLANE, "up", "--state", state, "--kubeconfig", kubeconfig], check=True)
    try:
        yield kubeconfig
    finally:
        subprocess.run([*CONTROLPLANE, "down", "--state", state], check=True)


async def _measure(kubeconfig: Path, folder: Path, arguments: argparse.Namespace) -> dict[str, float]:
    namespace = f"bench-{uuid.uuid4().hex[:8]}"
    _prepare(kubeconfig, namespace)
    ray, ingress = _free_port(), _free_port()
    environment = _environment(folder, namespace, ray)
    played = [sys.executable, "-m", "support.playedray", str(ray), environment["VELUM_STORAGE_OUTPUT"]]
    operator = [VELUM, "operator", "--kubeconfig", str(kubeconfig), "--log-level", "warning"]
    front = [VELUM, "ingress", "--kubeconfig", str(kubeconfig), "--port", str(ingress), "--log-level", "warning"]
    async with KubernetesStore(await load_client(kubeconfig), namespace) as store, _process(played, environment):
        scale = Scale(max_replicas=IN_FLIGHT // 8, max_ongoing=8)
        await store.put_model("default", ModelSpec(packs=("none",), classes=("face",), scale=scale))
        await _served(f"http://127.0.0.1:{ray}/api/serve/applications/")
        async with _process(front, environment):
            await _served(f"http://127.0.0.1:{ingress}/readyz")
            async with _process(operator, environment):
                before = await _patches(kubeconfig)
                latencies = await _latencies(f"http://127.0.0.1:{ingress}", arguments.samples)
                patches = (await _patches(kubeconfig) - before) / (arguments.samples + WARM_UP)
        rate = await _drain(store, operator, environment, arguments.tasks)
    return {
        "overhead_p50_ms": quantile_ms(latencies, 0.5),
        "overhead_p99_ms": quantile_ms(latencies, 0.99),
        "patches_per_task": patches,
        "tasks_per_second": rate,
    }


def quantile_ms(seconds: Sequence[float], share: float) -> float:
    """A quantile in milliseconds, at place share * (n + 1) among n in order; of few the largest."""
    return float(np.quantile(seconds, share, method="weibull")) * 1000


def _prepare(kubeconfig: Path, namespace: str) -> None:
    files = [part for file in sorted((ROOT / "crds").glob("*.yaml")) for part in ("-f", str(file))]
    _kubectl(kubeconfig, "apply", "--server-side", *files)
    _kubectl(kubeconfig, "wait", "--for=condition=Established", "--timeout=30s", *files)
    _kubectl(kubeconfig, "create", "namespace", namespace)


def _kubectl(kubeconfig: Path, *arguments: str) -> str:
    assets = subprocess.run([*CONTROLPLANE, "assets"], check=True, capture_output=True, text=True).stdout.strip()
    argv = [f"{assets}/kubectl", "--kubeconfig", str(kubeconfig), *arguments]
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


def _environment(folder: Path, namespace: str, ray: int) -> dict[str, str]:
    url = f"http://127.0.0.1:{ray}"
    return {
        **os.environ,
        "PYTHONPATH": str(ROOT / "tests"),
        "OMP_NUM_THREADS": "1",
        "VELUM_STORAGE_INPUT": f"file://{folder}/in",
        "VELUM_STORAGE_OUTPUT": f"file://{folder}/out",
        "VELUM_SERVING_DASHBOARD": url,
        "VELUM_SERVING_URL": url,
        "VELUM_CONTROLLER_NAMESPACE": namespace,
        "VELUM_CONTROLLER_METRICS_PORT": "0",
    }


@contextlib.asynccontextmanager
async def _process(argv: list[str], environment: dict[str, str]) -> AsyncIterator[None]:
    process = await asyncio.create_subprocess_exec(*argv, env=environment, stdout=subprocess.DEVNULL)
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


async def _served(url: str) -> None:
    async with asyncio.timeout(READY_SECONDS), aiohttp.ClientSession() as http:
        while True:
            with contextlib.suppress(aiohttp.ClientError):
                async with http.get(url) as answer:
                    if answer.status == 200:
                        return
            await asyncio.sleep(0.05)


async def _latencies(url: str, samples: int) -> list[float]:
    picture = io.BytesIO()
    Image.new("RGB", (64, 64), (90, 120, 60)).save(picture, "JPEG")
    found = []
    async with aiohttp.ClientSession() as http:
        for _ in range(samples + WARM_UP):
            form = aiohttp.FormData()
            form.add_field("fileobject", picture.getvalue(), filename="street.jpg", content_type="image/jpeg")
            started = time.perf_counter()
            async with http.post(f"{url}/v1/file?face=true", data=form) as answer:
                body = await answer.text()
                if answer.status != 200:
                    raise SystemExit(f"hack/bench tasks: the ingress answered {answer.status}: {body}")
            found.append(time.perf_counter() - started)
    return found[WARM_UP:]


async def _patches(kubeconfig: Path) -> float:
    """Return how many PATCHes of tasks' statuses the API server has answered in its life."""
    text = await asyncio.to_thread(_kubectl, kubeconfig, "get", "--raw", "/metrics")
    lines = re.findall(r"^apiserver_request_total\{(.*)\} (\S+)$", text, re.MULTILINE)
    wanted = ('resource="anonymizationtasks"', 'subresource="status"', 'verb="PATCH"')
    return sum(float(value) for labels, value in lines if all(each in labels for each in wanted))


async def _drain(store: KubernetesStore, operator: list[str], environment: dict[str, str], count: int) -> float:
    spec = TaskSpec.model_validate({"source": {"object": {"key": "none"}}, "classes": {"face": {}}})
    names = [f"drain-{i:06}" for i in range(count)]
    queue = iter(names)

    async def create() -> None:
        for name in queue:
            await store.create(name, spec, labels={})

    await asyncio.gather(*(create() for _ in range(CREATORS)))
    async with _process(operator, environment):
        left, started, ended = set(names), [], []
        async for event in store.watch():
            status = event.task.status
            if event.task.name not in left or not status.finished:
                continue
            if not status.complete:
                raise SystemExit(f"hack/bench tasks: {event.task.name} failed: {status.message}")
            left.discard(event.task.name)
            started.append(status.started_at)
            ended.append(status.finished_at)
            if not left:
                break
    seconds: float = (max(_known(ended)) - min(_known(started))).total_seconds()
    return count / seconds


def _known(moments: list[Any]) -> list[Any]:
    return [moment for moment in moments if moment is not None]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
