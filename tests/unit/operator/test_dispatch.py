"""Work orders over real HTTP: what each way of going wrong is taken for."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from support.operatorkit import settings, storage_of, until
from support.playedray import PlayedRay, lines, reply
from support.samples import UID, manifest, spec
from velum.api.reasons import Reason
from velum.errors import Unavailable
from velum.settings import ServingSettings
from velum.tasks.order import Failed, NotStarted, Outcome, Progress, Succeeded, WorkOrder
from velum_operator.dispatch import ServeDispatcher, parse_outcome, parse_progress
from velum_operator.rayapi import RayClient
from velum_operator.raytoken import AGAIN_SECONDS, OrderTokens

ORDER = WorkOrder(
    task="a",
    uid=UID,
    attempt=1,
    folder=f"tasks/default/a/attempts/{UID}-1/",
    work=f"tasks/default/a/work/{UID}/",
    spec=spec(),
)


def forget(_: Progress) -> None:
    """Nobody listens."""


@pytest.fixture
async def ray(tmp_path: Path) -> AsyncIterator[PlayedRay]:
    async with PlayedRay(storage_of(settings(tmp_path)).outputs) as ray:
        ray.applications = {"default": {}}
        yield ray


def to(ray: PlayedRay, token: str | None = None) -> ServeDispatcher:
    """A dispatcher as the settings of this address and token make it."""
    given = ServingSettings(url=ray.url, token=token)
    return ServeDispatcher(given, RayClient(given).token)


@pytest.fixture
async def dispatcher(ray: PlayedRay) -> AsyncIterator[ServeDispatcher]:
    async with to(ray) as dispatcher:
        yield dispatcher


async def failed(dispatcher: ServeDispatcher) -> Failed:
    """What the order was answered with: an attempt that failed."""
    outcome = await dispatcher.run(ORDER, forget)
    assert isinstance(outcome, Failed)
    return outcome


async def hanging(ray: PlayedRay, dispatcher: ServeDispatcher) -> asyncio.Task[Outcome]:
    """An order that a replica has taken and never answers."""

    async def hang(_: WorkOrder) -> web.Response:
        await asyncio.Event().wait()
        raise AssertionError

    ray.answers.append(hang)
    running = asyncio.create_task(dispatcher.run(ORDER, forget))
    await until(lambda: ray.orders)
    return running


async def test_the_order_arrives_as_the_kernel_spells_it(ray: PlayedRay, dispatcher: ServeDispatcher) -> None:
    outcome = await dispatcher.run(ORDER, forget)
    assert isinstance(outcome, Succeeded)
    assert outcome.manifest.uid == UID
    assert ray.orders == [ORDER]


async def test_a_named_failure_keeps_its_name(ray: PlayedRay, dispatcher: ServeDispatcher) -> None:
    ray.answers.append(reply(body={"outcome": "failed", "reason": "CorruptMedia", "message": "bad huffman table"}))
    outcome = await dispatcher.run(ORDER, forget)
    assert outcome == Failed(Reason.CORRUPT_MEDIA, "bad huffman table")
    assert outcome.permanent


@pytest.mark.parametrize("status", [404, 503])
async def test_nothing_was_taken(ray: PlayedRay, dispatcher: ServeDispatcher, status: int) -> None:
    ray.answers.append(reply(status, text="no"))
    outcome = await dispatcher.run(ORDER, forget)
    assert isinstance(outcome, NotStarted)
    assert str(status) in outcome.message
    assert "'default'" in outcome.message


async def test_nobody_listens(ray: PlayedRay, dispatcher: ServeDispatcher) -> None:
    await ray.stop()
    outcome = await dispatcher.run(ORDER, forget)
    assert isinstance(outcome, NotStarted)
    assert ray.url in outcome.message


class TestToken:
    """Ray guards its replicas by the token that is in front of its dashboard, too."""

    async def test_orders_carry_it(self, ray: PlayedRay) -> None:
        ray.token = "of-ray"
        async with to(ray, "of-ray") as dispatcher:
            assert isinstance(await dispatcher.run(ORDER, forget), Succeeded)
        assert ray.headers[0]["Authorization"] == "Bearer of-ray"

    async def test_without_one_no_header_is_sent(self, ray: PlayedRay, dispatcher: ServeDispatcher) -> None:
        await dispatcher.run(ORDER, forget)
        assert "Authorization" not in ray.headers[0]

    @pytest.mark.parametrize("given", [None, "of-somebody"])
    async def test_a_refused_one_is_no_failure_of_the_picture(self, ray: PlayedRay, given: str | None) -> None:
        ray.token = "of-ray"
        async with to(ray, given) as dispatcher:
            outcome = await dispatcher.run(ORDER, forget)
        assert isinstance(outcome, NotStarted)
        assert "does not take our token; serving.token must be Ray's" in outcome.message
        assert "of-" not in outcome.message
        assert ray.orders == []

    async def test_another_ray_behind_the_address_gets_its_own(self, ray: PlayedRay) -> None:
        """KubeRay has switched to a second cluster."""
        asked: list[str | None] = []

        async def token(refused: str | None) -> str:
            asked.append(refused)
            return "new" if refused == "old" else "old"

        ray.token = "new"
        async with ServeDispatcher(ServingSettings(url=ray.url), token) as dispatcher:
            assert isinstance(await dispatcher.run(ORDER, forget), Succeeded)
        assert asked == [None, "old"]

    async def test_one_that_cannot_be_had_is_waited_for(self, ray: PlayedRay) -> None:
        async def token(_: str | None) -> str:
            raise Unavailable("Ray Serve", "no Ray cluster serves yet")

        async with ServeDispatcher(ServingSettings(url=ray.url), token) as dispatcher:
            outcome = await dispatcher.run(ORDER, forget)
        assert isinstance(outcome, NotStarted)
        assert "no Ray cluster serves yet" in outcome.message

    async def test_it_is_kept_until_it_is_refused_and_then_looked_for_once(self) -> None:
        found = ["old", "new"]

        async def read() -> str:
            return found.pop(0)

        tokens = OrderTokens(read)
        assert [await tokens.get(None), await tokens.get(None)] == ["old", "old"]
        tokens._looked -= AGAIN_SECONDS
        assert await asyncio.gather(*(tokens.get("old") for _ in range(9))) == ["new"] * 9
        assert await tokens.get("new") == "new"  # read a moment ago: not again for each order that is refused
        assert found == []


@pytest.mark.parametrize("status", [500, 502, 504])
async def test_a_proxy_that_lost_its_replica(ray: PlayedRay, dispatcher: ServeDispatcher, status: int) -> None:
    """What Ray's proxy says, word for word, when a replica is killed while it works."""
    ray.answers.append(reply(status, text="Internal Server Error"))
    outcome = await failed(dispatcher)
    assert outcome.reason is Reason.WORKER_LOST
    assert not outcome.permanent
    assert not outcome.broke_off
    assert f"{status}: Internal Server Error" in outcome.message


@pytest.mark.parametrize("status", [302, 400, 418])
async def test_any_other_answer_is_a_failed_attempt(ray: PlayedRay, dispatcher: ServeDispatcher, status: int) -> None:
    ray.answers.append(reply(status, text="Traceback: it broke"))
    outcome = await failed(dispatcher)
    assert outcome.reason is Reason.PIPELINE_FAILED
    assert not outcome.permanent
    assert f"{status}: Traceback: it broke" in outcome.message


async def test_a_connection_that_breaks_is_a_lost_worker(ray: PlayedRay, dispatcher: ServeDispatcher) -> None:
    running = await hanging(ray, dispatcher)
    await ray.stop()
    outcome = await running
    assert isinstance(outcome, Failed)
    assert (outcome.reason, outcome.broke_off) == (Reason.WORKER_LOST, True)


async def test_cancelling_closes_the_connection(ray: PlayedRay, dispatcher: ServeDispatcher) -> None:
    running = await hanging(ray, dispatcher)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await until(lambda: ray.closed == ["a"])


async def test_after_the_end_nothing_is_sent(ray: PlayedRay) -> None:
    async with to(ray) as dispatcher:
        pass
    assert isinstance(await dispatcher.run(ORDER, forget), NotStarted)
    assert ray.orders == []


GOOD = manifest().wire()


@pytest.mark.parametrize(
    "body",
    [
        None,
        [],
        "ok",
        {},
        {"outcome": "maybe"},
        {"outcome": "failed", "reason": "NoSuchReason", "message": ""},
        {"outcome": "failed", "message": ""},
        {"outcome": "succeeded"},
        {"outcome": "succeeded", "manifest": {}},
        {"outcome": "succeeded", "manifest": {**GOOD, "uid": "somebody-else"}},
        {"outcome": "succeeded", "manifest": {**GOOD, "result": {**GOOD["result"], "attempt": 2}}},
    ],
)
async def test_nonsense_is_a_failed_attempt(ray: PlayedRay, dispatcher: ServeDispatcher, body: Any) -> None:
    """Above all, a manifest of another task or attempt is never taken for this one's."""
    ray.answers.append(reply(body=body))
    assert "makes no sense" in (await failed(dispatcher)).message


def told(frames: int, of: int = 1800, seconds: float = 41.5, **more: Any) -> dict[str, Any]:
    return {"progress": {"frames": frames, "of": of, "seconds_left": seconds, **more}}


DONE = {"outcome": "succeeded", "manifest": GOOD}


async def test_progress_comes_before_the_outcome(ray: PlayedRay, dispatcher: ServeDispatcher) -> None:
    ray.answers.append(lines(told(0), told(120, media_type="video/mp4"), DONE))
    heard: list[Progress] = []
    assert isinstance(await dispatcher.run(ORDER, heard.append), Succeeded)
    assert heard == [Progress(0, 1800, 41.5), Progress(120, 1800, 41.5, media_type="video/mp4")]
    assert [each.percent for each in heard] == [0, 6]


async def test_progress_is_told_as_it_comes(ray: PlayedRay, dispatcher: ServeDispatcher) -> None:
    more = asyncio.Event()
    ray.answers.append(lines(told(120), more, DONE))
    heard: list[Progress] = []
    running = asyncio.create_task(dispatcher.run(ORDER, heard.append))
    await until(lambda: heard)
    assert not running.done()
    more.set()
    assert isinstance(await running, Succeeded)


async def test_an_outcome_of_any_length_is_one_line(ray: PlayedRay, dispatcher: ServeDispatcher) -> None:
    ray.answers.append(lines(told(1), {"outcome": "failed", "reason": "CorruptMedia", "message": "x" * (1 << 20)}))
    assert len((await failed(dispatcher)).message) == 1 << 20


async def test_an_answer_without_an_outcome_is_a_lost_worker(ray: PlayedRay, dispatcher: ServeDispatcher) -> None:
    ray.answers.append(lines(told(120)))
    outcome = await failed(dispatcher)
    assert (outcome.reason, outcome.broke_off) == (Reason.WORKER_LOST, True)


@pytest.mark.parametrize("cut", [5, 30])
async def test_a_connection_that_breaks_mid_line_is_a_lost_worker(
    ray: PlayedRay, dispatcher: ServeDispatcher, cut: int
) -> None:
    """Also when the proxy ends the body as if it were whole."""
    ray.answers.append(lines(told(120), json.dumps(DONE).encode()[:cut]))
    outcome = await failed(dispatcher)
    assert (outcome.reason, outcome.broke_off) == (Reason.WORKER_LOST, True)


@pytest.mark.parametrize(
    "body",
    [
        None,
        {},
        {"frames": 1, "of": 2, "seconds_left": 1, "kept": 2},
        {"frames": 1, "of": 0, "seconds_left": 1},
        {"frames": -1, "of": 2, "seconds_left": 1},
        *({"frames": 1, "of": 2, "seconds_left": 1, "media_type": kind} for kind in ("", "v" * 128, 7, ["video/mp4"])),
        told(1),
    ],
)
async def test_progress_that_makes_no_sense(ray: PlayedRay, dispatcher: ServeDispatcher, body: Any) -> None:
    ray.answers.append(lines({"progress": body}, DONE))
    assert "makes no sense" in (await failed(dispatcher)).message


@pytest.mark.parametrize(("seconds", "believed"), [(None, None), (-1.0, 0.0), (1e30, 365 * 86_400.0)])
def test_an_estimate_can_be_added_to_a_date(seconds: float | None, believed: float | None) -> None:
    assert parse_progress({"frames": 1, "of": 2, "seconds_left": seconds}).seconds_left == believed


@pytest.mark.parametrize("seconds", [float("nan"), float("inf")])
def test_an_estimate_is_a_number(seconds: float) -> None:
    with pytest.raises(ValueError, match="progress"):
        parse_progress({"frames": 1, "of": 2, "seconds_left": seconds})


async def test_no_json_at_all(ray: PlayedRay, dispatcher: ServeDispatcher) -> None:
    ray.answers.append(reply(text="<html>proxy</html>"))
    await failed(dispatcher)


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_travels(reason: Reason) -> None:
    body = {"outcome": "failed", "reason": str(reason), "message": "m"}
    assert parse_outcome(ORDER, body) == Failed(reason, "m")
