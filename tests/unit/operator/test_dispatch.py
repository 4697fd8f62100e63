"""Work orders over real HTTP: what each way of going wrong is taken for."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from support.operatorkit import settings, storage_of, until
from support.playedray import PlayedRay, reply
from support.samples import UID, manifest, spec
from velum.api.reasons import Reason
from velum.settings import ServingSettings
from velum.tasks.order import Failed, NotStarted, Outcome, Succeeded, WorkOrder
from velum_operator.dispatch import ServeDispatcher, parse_outcome

ORDER = WorkOrder(task="a", uid=UID, attempt=1, folder=f"tasks/default/a/attempts/{UID}-1/", spec=spec())


@pytest.fixture
async def ray(tmp_path: Path) -> AsyncIterator[PlayedRay]:
    async with PlayedRay(storage_of(settings(tmp_path)).outputs) as ray:
        ray.applications = {"default": {}}
        yield ray


@pytest.fixture
async def dispatcher(ray: PlayedRay) -> AsyncIterator[ServeDispatcher]:
    async with ServeDispatcher(ServingSettings(url=ray.url)) as dispatcher:
        yield dispatcher


async def failed(dispatcher: ServeDispatcher) -> Failed:
    """What the order was answered with: an attempt that failed."""
    outcome = await dispatcher.run(ORDER)
    assert isinstance(outcome, Failed)
    return outcome


async def hanging(ray: PlayedRay, dispatcher: ServeDispatcher) -> asyncio.Task[Outcome]:
    """An order that a replica has taken and never answers."""

    async def hang(_: WorkOrder) -> web.Response:
        await asyncio.Event().wait()
        raise AssertionError

    ray.answers.append(hang)
    running = asyncio.create_task(dispatcher.run(ORDER))
    await until(lambda: ray.orders)
    return running


async def test_the_order_arrives_as_the_kernel_spells_it(ray: PlayedRay, dispatcher: ServeDispatcher) -> None:
    outcome = await dispatcher.run(ORDER)
    assert isinstance(outcome, Succeeded)
    assert outcome.manifest.uid == UID
    assert ray.orders == [ORDER]


async def test_a_named_failure_keeps_its_name(ray: PlayedRay, dispatcher: ServeDispatcher) -> None:
    ray.answers.append(reply(body={"outcome": "failed", "reason": "CorruptMedia", "message": "bad huffman table"}))
    outcome = await dispatcher.run(ORDER)
    assert outcome == Failed(Reason.CORRUPT_MEDIA, "bad huffman table")
    assert outcome.permanent


@pytest.mark.parametrize("status", [404, 503])
async def test_nothing_was_taken(ray: PlayedRay, dispatcher: ServeDispatcher, status: int) -> None:
    ray.answers.append(reply(status, text="no"))
    outcome = await dispatcher.run(ORDER)
    assert isinstance(outcome, NotStarted)
    assert str(status) in outcome.message
    assert "'default'" in outcome.message


async def test_nobody_listens(ray: PlayedRay, dispatcher: ServeDispatcher) -> None:
    await ray.stop()
    outcome = await dispatcher.run(ORDER)
    assert isinstance(outcome, NotStarted)
    assert ray.url in outcome.message


@pytest.mark.parametrize("status", [500, 502, 504])
async def test_a_proxy_that_lost_its_replica(ray: PlayedRay, dispatcher: ServeDispatcher, status: int) -> None:
    """What Ray's proxy says, word for word, when a replica is killed while it works."""
    ray.answers.append(reply(status, text="Internal Server Error"))
    outcome = await failed(dispatcher)
    assert outcome.reason is Reason.WORKER_LOST
    assert not outcome.permanent
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
    assert outcome.reason is Reason.WORKER_LOST


async def test_cancelling_closes_the_connection(ray: PlayedRay, dispatcher: ServeDispatcher) -> None:
    running = await hanging(ray, dispatcher)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await until(lambda: ray.closed == ["a"])


async def test_after_the_end_nothing_is_sent(ray: PlayedRay) -> None:
    async with ServeDispatcher(ServingSettings(url=ray.url)) as dispatcher:
        pass
    assert isinstance(await dispatcher.run(ORDER), NotStarted)
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


async def test_no_json_at_all(ray: PlayedRay, dispatcher: ServeDispatcher) -> None:
    ray.answers.append(reply(text="<html>proxy</html>"))
    await failed(dispatcher)


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_travels(reason: Reason) -> None:
    body = {"outcome": "failed", "reason": str(reason), "message": "m"}
    assert parse_outcome(ORDER, body) == Failed(reason, "m")
