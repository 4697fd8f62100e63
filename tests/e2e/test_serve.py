"""Ray Serve for real: a private Ray, the built-in pack, work orders over HTTP, and processes that get killed.

The tests of the first part share one Ray and run in the order of the file; the last of them ends it.
"""
# ruff: noqa: ASYNC220, ASYNC240 -- a test may look at a file and start a process

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import grpc
import psutil
import pytest
import pytest_asyncio

from support.raycluster import Cluster, until
from support.serving import order, picture
from velum.settings import ServingSettings
from velum.tasks.order import Manifest, WorkOrder
from velum_operator.rayapi import RayClient
from velum_serve.head import LOCK, LocalRay
from velum_serve.processes import session_members

pytestmark = [
    pytest.mark.ray,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(sys.platform != "linux", reason="sessions and sockets are read from /proc"),
]

SLOW = {"tiling": {"mode": "grid", "columns": 4, "rows": 4}}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cluster(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cluster]:
    folder = tmp_path_factory.mktemp("serve")
    ray = LocalRay(folder / "ray", num_cpus=2)
    started = time.monotonic()
    await ray.start()
    try:
        head = time.monotonic() - started
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            made = Cluster(ray, folder, session)
            await made.deploy(made.application("default"))
            await until(made.running, "the application")
            print(f"head {head:.1f} s, first replica {time.monotonic() - started:.1f} s")  # noqa: T201 -- a measurement
            await made.stores.inputs.put("in/a.jpg", picture(width=640, height=480))
            await made.stores.inputs.put("in/big.jpg", picture(width=4000, height=3000))
            yield made
    finally:
        await ray.stop()


async def test_the_dashboard_wants_the_token(cluster: Cluster) -> None:
    url = f"{cluster.ray.dashboard}/api/serve/applications/"
    seen = []
    for headers in ({}, {"Authorization": "Bearer wrong"}, cluster.ray.headers):
        async with cluster.session.get(url, headers=headers) as response:
            seen.append(response.status)
    assert seen == [401, 403, 200]
    assert oct(Path(cluster.ray.env["RAY_AUTH_TOKEN_PATH"]).stat().st_mode & 0o777) == "0o600"


async def test_replicas_take_work_orders_with_the_token_only(cluster: Cluster) -> None:
    """A work order names files of the storage: whoever has one taken has them read."""
    attempts, health = f"{cluster.ray.url}/default/attempts", f"{cluster.ray.url}/default/healthz"
    made, wrong = order(task="unasked"), {"Authorization": f"Bearer {'0' * 64}"}
    for headers in ({}, wrong, {"Authorization": cluster.ray.token}):
        async with cluster.session.post(attempts, json=made.wire(), headers=headers) as response:
            text = await response.text()
            assert (response.status, response.headers["WWW-Authenticate"]) == (401, "Bearer"), text
            assert ("is not this cluster's" if headers else "is missing") in text
            assert cluster.ray.token not in text
        async with cluster.session.get(health, headers=headers) as response:
            assert response.status == 401
    assert await cluster.stores.outputs.below(made.folder) == []
    assert (await cluster.post(made))[0] == 200
    for path in ("/-/healthz", "/-/routes"):  # Serve's own tell names of models and that it lives; probes ask for them
        async with cluster.session.get(cluster.ray.url + path) as response:
            assert response.status == 200


async def test_the_token_is_in_no_log_and_no_document(cluster: Cluster) -> None:
    token, temp = cluster.ray.token.encode(), Path(cluster.ray.env["RAY_AUTH_TOKEN_PATH"]).parent
    logs = [file for file in (*temp.glob("session_*/logs/**/*"), cluster.ray.log) if file.is_file()]
    assert any(file.stat().st_size for file in logs)
    assert [file for file in logs if token in file.read_bytes()] == []
    assert cluster.ray.token not in str(await cluster.status("default"))


async def test_only_the_replicas_guarded_port_is_open_outwards(cluster: Cluster) -> None:
    (replica,) = await cluster.replicas()
    members = set(session_members(cluster.ray.session))
    open_ports = [
        (each.pid, each.laddr.port)
        for each in psutil.net_connections("tcp")
        if each.status == psutil.CONN_LISTEN
        and each.pid in members
        and each.laddr.ip.removeprefix("::ffff:") not in {"127.0.0.1", "::1"}
    ]
    ((owner, port),) = open_ports
    assert owner == replica

    def call() -> grpc.StatusCode:
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            request = channel.unary_unary("/ray.serve.ASGIService/HandleRequest")
            with pytest.raises(grpc.RpcError) as caught:
                request(b"", timeout=10)
            code: grpc.StatusCode = caught.value.code()
            return code

    assert await asyncio.to_thread(call) is grpc.StatusCode.UNAUTHENTICATED


async def test_orders_at_the_same_time_are_batched_and_all_answered(cluster: Cluster) -> None:
    before = await cluster.looked_at()
    orders = [order(task=f"many-{number}", model="default") for number in range(8)]
    answers = await asyncio.gather(*(cluster.post(each) for each in orders))
    for made, (status, document) in zip(orders, answers, strict=True):
        assert (status, document["outcome"]) == (200, "succeeded"), document
        manifest = Manifest.model_validate(document["manifest"])
        stored = Manifest.model_validate_json(await cluster.stores.outputs.get(made.manifest_key))
        assert manifest == stored
        for file in manifest.result.files().values():
            assert (await cluster.stores.outputs.head(file.key)).size == file.size
    assert await cluster.looked_at() - before == len(orders)
    assert max(map(int, (await cluster.health())["batches"])) > 1


async def test_a_bad_picture_and_a_missing_one_are_outcomes(cluster: Cluster) -> None:
    await cluster.stores.inputs.put("in/bad.jpg", picture()[:300])
    status, document = await cluster.post(order(task="bad", source={"object": {"key": "in/bad.jpg"}}))
    assert (status, document["outcome"], document["reason"]) == (200, "failed", "TruncatedMedia")
    status, document = await cluster.post(order(task="none", source={"object": {"key": "in/none.jpg"}}))
    assert (status, document["reason"]) == (200, "SourceNotFound")


async def test_unknown_paths_and_models(cluster: Cluster) -> None:
    for path in ("/default/other", "/nobody/attempts"):
        async with cluster.session.post(cluster.ray.url + path, json={}, headers=cluster.ray.headers) as response:
            assert response.status == 404


def slow(task: str) -> WorkOrder:
    """An order that takes seconds."""
    return order(task=task, source={"object": {"key": "in/big.jpg"}}, **SLOW)


async def test_hanging_up_cancels_the_attempt(cluster: Cluster) -> None:
    made = slow("hung-up")
    call = await cluster.begin(made)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await until(lambda: cluster.ongoing(0), "the order was dropped")
    assert await cluster.stores.outputs.below(made.folder) == []
    # The replica goes on: whatever a thread still did for the cancelled order is over when this one is answered.
    status, document = await cluster.post(order(task="after"))
    assert (status, document["outcome"]) == (200, "succeeded")
    assert await cluster.stores.outputs.below(made.folder) == []


async def test_another_scale_leaves_replicas_and_their_work_alone(cluster: Cluster) -> None:
    """The process goes on, and so does what it works on; it knows of the others that there may be now."""
    (replica,) = await cluster.replicas()
    call = await cluster.begin(slow("rescaled"))
    changed = cluster.application("default")
    (deployment,) = changed["deployments"]
    deployment["autoscaling_config"] |= {"max_replicas": 2, "target_ongoing_requests": 5, "downscale_delay_s": 200.0}
    deployment |= {"max_ongoing_requests": 6, "user_config": {"max_replicas": 2, "target_ongoing": 5}}
    await cluster.deploy(changed)

    async def told() -> bool:
        return bool((await cluster.health())["offers"] == 5)

    await until(told, "the replica knows of the new scale")
    assert (await cluster.health())["pid"] == replica
    assert not call.done() or call.result()[0] == 200
    status, document = await call
    assert (status, document["outcome"]) == (200, "succeeded")
    assert await cluster.replicas() == [replica]
    await cluster.deploy(cluster.application("default"))
    await until(cluster.running, "the application as it was")
    assert await cluster.replicas() == [replica]


async def test_a_killed_replica_is_seen_and_replaced(cluster: Cluster) -> None:
    made = slow("killed")
    call = await cluster.begin(made)
    (victim,) = await cluster.replicas()
    os.kill(victim, signal.SIGKILL)
    try:
        status, text = await call
        assert status == 500, text
    except aiohttp.ClientError:
        pass  # a lost connection tells the same
    assert await cluster.stores.outputs.below(made.folder) == []

    async def recovered() -> bool:
        status, document = await cluster.post(order(task="recovered"))
        return status == 200 and document["outcome"] == "succeeded"

    await until(recovered, "another replica answers")
    assert victim not in await cluster.replicas()


async def test_an_idle_model_has_no_replica_and_comes_back(cluster: Cluster) -> None:
    await cluster.deploy(cluster.application("default", idle_seconds=1.0))

    async def idle() -> bool:
        return not await cluster.replicas()

    await until(idle, "the idle replica goes")
    started = time.monotonic()
    status, document = await cluster.post(order(task="woken"))
    assert (status, document["outcome"]) == (200, "succeeded")
    print(f"from zero replicas to a result: {time.monotonic() - started:.1f} s")  # noqa: T201 -- a measurement


async def test_a_model_that_cannot_work_says_why_and_leaves_others_alone(cluster: Cluster) -> None:
    """What is said is the error, not Ray's way to it: found when the model is deployed, or when a replica starts."""
    broken = {
        "lacks": cluster.application("lacks", packs=["centerface"], classes=["face", "vehicle"]),
        "weightless": cluster.application("weightless", packs=["centerface"], cache=str(cluster.folder / "empty")),
        "storeless": cluster.application("storeless", output_url="nonsense://x"),
    }
    await cluster.deploy(cluster.application("default", idle_seconds=1.0), *broken.values())
    given = ServingSettings(dashboard=cluster.ray.dashboard, token=cluster.ray.token)
    async with RayClient(given) as client:

        async def refused() -> bool:
            found = (await client.deployed()).applications
            return {found[name].status for name in broken} == {"DEPLOY_FAILED"}

        await until(refused, "the broken applications")
        said = {name: each.message for name, each in (await client.deployed()).applications.items()}
    assert said["lacks"].startswith("no detector for vehicle in centerface")
    assert said["weightless"].startswith("weights centerface.onnx of model pack centerface not found in ")
    assert said["storeless"].startswith("storage: nonsense://x: Generic URL error: ")
    assert (await cluster.post(order(task="beside")))[0] == 200


async def test_stop_leaves_nothing(cluster: Cluster) -> None:
    temp = Path(cluster.ray.env["RAY_AUTH_TOKEN_PATH"]).parent
    members = session_members(cluster.ray.session)
    assert len(members) > 5
    started = time.monotonic()
    await cluster.ray.stop()
    print(f"stopped in {time.monotonic() - started:.1f} s")  # noqa: T201 -- a measurement
    assert session_members(cluster.ray.session, dead=True) == []
    assert not [each for each in members if psutil.pid_exists(each)]
    assert not temp.exists()


class OtherRay(LocalRay):
    """A Ray that somebody else has started, whose processes have this environment."""

    def __init__(self, folder: Path, **environment: str) -> None:
        super().__init__(folder, num_cpus=1)
        self._environment = environment

    @property
    def env(self) -> dict[str, str]:
        rest = {name: value for name, value in super().env.items() if not name.startswith("RAY_AUTH")}
        return {**rest, **self._environment}

    def _write_token(self) -> None:
        self.token = self._environment.get("RAY_AUTH_TOKEN", "")


@pytest.mark.parametrize(
    ("environment", "bare"),
    [({"RAY_AUTH_MODE": "disabled"}, 200), ({"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "of-a-secret"}, 401)],
    ids=["without token", "KubeRay's"],
)
async def test_what_another_ray_wants_is_what_replicas_want(
    environment: dict[str, str], bare: int, tmp_path: Path
) -> None:
    async with OtherRay(tmp_path / "ray", **environment) as ray, aiohttp.ClientSession() as session:
        made = Cluster(ray, tmp_path, session)
        await made.deploy(made.application("default"))
        await until(made.running, "the application")
        await made.stores.inputs.put("in/a.jpg", picture())
        async with session.post(f"{ray.url}/default/attempts", json=order(task="bare").wire()) as response:
            assert response.status == bare, await response.text()
        status, document = await made.post(order(task="told"))
        assert (status, document["outcome"]) == (200, "succeeded")


PARENT = """
import asyncio, sys
from pathlib import Path
from velum_serve.head import LocalRay

async def main():
    ray = LocalRay(Path(sys.argv[1]), num_cpus=1)
    await ray.start()
    print(ray.session, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.mark.parametrize("during", ["start", "life"])
async def test_a_parent_that_is_killed_takes_its_ray_along(during: str, tmp_path: Path) -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(tmp_path)], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    if during == "life":
        session = int(await asyncio.to_thread(parent.stdout.readline))
    else:

        async def launched() -> bool:
            return len(psutil.Process(parent.pid).children()) > 0

        await until(launched, "the head process")
        session = psutil.Process(parent.pid).children()[0].pid
    temp = Path((tmp_path / LOCK).read_text())
    assert temp.is_dir()
    parent.kill()
    parent.wait()
    parent.stdout.close()

    async def gone() -> bool:
        return not session_members(session) and not temp.exists()

    await until(gone, "the orphaned Ray")
