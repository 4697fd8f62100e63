"""The shared watch and the back-pressure."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import pytest

from support.samples import ManualClock, task
from support.workshop import Shop, open_shop, picture
from velum.api import AnonymizationTask
from velum.errors import Unavailable
from velum.tasks.store import TaskEvent
from velum_ingress import waiting
from velum_ingress.backlog import Backlog
from velum_ingress.errors import QueueFull
from velum_ingress.waiting import Waiting


def named(name: str) -> AnonymizationTask:
    found = task()
    return found.model_copy(update={"metadata": found.metadata.model_copy(update={"name": name})})


def event(name: str) -> TaskEvent:
    return TaskEvent("present", named(name))


def always(_: TaskEvent) -> bool:
    return True


@dataclass
class Breaking:
    """A store whose watches end as scripted: each entry is one watch."""

    script: list[Callable[[], AsyncIterator[TaskEvent]]]
    watches: int = 0
    counts: list[int] = field(default_factory=list)

    def watch(self) -> AsyncIterator[TaskEvent]:
        self.watches += 1
        return self.script[min(self.watches, len(self.script)) - 1]()

    async def count_unfinished(self) -> int:
        return self.counts.pop(0)


async def test_each_gets_what_it_waits_for_and_the_first_of_it() -> None:
    room = Waiting(Breaking([]))
    with room.expect("a", always) as a, room.expect("a", always) as also_a, room.expect("b", always) as b:
        assert room.count == 3
        first, second = event("a"), event("a")
        room.tell(first)
        room.tell(second)
        room.tell(event("c"))
        assert await a is await also_a is first
        assert not b.done()
    assert room.count == 0


async def test_an_event_that_is_not_meant_is_passed_over() -> None:
    room = Waiting(Breaking([]))
    with room.expect("a", lambda each: each.kind == "gone") as a:
        room.tell(event("a"))
        assert not a.done()
        room.tell(TaskEvent("gone", named("a")))
        assert (await a).kind == "gone"


async def test_a_waiter_that_left_is_forgotten() -> None:
    room = Waiting(Breaking([]))
    with pytest.raises(RuntimeError), room.expect("a", always):
        raise RuntimeError
    room.tell(event("a"))
    assert room.count == 0


async def test_a_watch_that_breaks_is_taken_up_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(waiting, "RETRY_SECONDS", 0.0)

    async def away() -> AsyncIterator[TaskEvent]:
        raise Unavailable("store", "away")
        yield

    async def faulty() -> AsyncIterator[TaskEvent]:
        yield event("other")
        raise ZeroDivisionError

    async def ends() -> AsyncIterator[TaskEvent]:
        yield event("other")

    async def good() -> AsyncIterator[TaskEvent]:
        yield event("a")
        await asyncio.Event().wait()

    store = Breaking([away, faulty, ends, good])
    room = Waiting(store)
    running = asyncio.create_task(room.run())
    with room.expect("a", always) as found:
        assert (await found).task.name == "a"
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert store.watches == 4
    assert "store is unavailable" in caplog.text
    assert "ZeroDivisionError" in caplog.text


async def test_counts_are_believed_for_a_second() -> None:
    clock, store = ManualClock(), Breaking([], counts=[3, 7])
    backlog = Backlog(store, 10, clock)
    assert [await backlog.count() for _ in range(3)] == [3, 3, 3]
    clock.forward(seconds=0.99)
    assert await backlog.count() == 3
    clock.forward(seconds=0.02)
    assert await backlog.count() == 7


async def test_a_clock_that_is_set_back_does_not_freeze_the_count() -> None:
    clock, store = ManualClock(), Breaking([], counts=[3, 7])
    backlog = Backlog(store, 10, clock)
    assert await backlog.count() == 3
    clock.forward(hours=-1)
    assert await backlog.count() == 7


async def test_a_burst_does_not_pass_on_an_old_number() -> None:
    store = Breaking([], counts=[3])
    backlog = Backlog(store, 5, ManualClock())
    results = await asyncio.gather(*(backlog.admit() for _ in range(6)), return_exceptions=True)
    assert [type(each) for each in results] == [type(None)] * 2 + [QueueFull] * 4
    assert store.counts == []


async def test_two_servers_on_one_store(shop: Shop) -> None:
    async with open_shop(shop.folder, working=False) as other:
        name = (await other.post()).json()["id"]  # worked on by the first one's worker
        found = await shop.client.get(f"/v1/task/{name}")
        assert found.json()["status"] == "done"
        assert (await shop.client.get(f"/v1/file/{name}/anonymised")).status_code == 200
        assert (await shop.client.delete(f"/v1/task/{name}")).status_code == 200
        assert (await other.client.get(f"/v1/task/{name}")).status_code == 404


async def _disconnecting(shop: Shop, body: bytes, *, left: asyncio.Event | None) -> int:
    """Post as a raw ASGI client that sends `body` and, when `left` is set, is gone. Return the status sent."""
    statuses: list[int] = []
    sent = iter([{"type": "http.request", "body": body, "more_body": left is None}])

    async def receive() -> dict[str, object]:
        message = next(sent, None)
        if message is not None:
            return message
        if left is not None:
            await left.wait()
        return {"type": "http.disconnect"}

    async def send(message: dict[str, object]) -> None:
        if message["type"] == "http.response.start":
            statuses.append(int(str(message["status"])))

    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": "/v1/file",
        "raw_path": b"/v1/file",
        "root_path": "",
        "query_string": b"face=true",
        "headers": [(b"host", b"velum.test"), (b"content-type", b"multipart/form-data; boundary=b")],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 7000),
    }
    transport = shop.client._transport
    await transport.app(scope, receive, send)
    return statuses[0] if statuses else 0


def form(data: bytes) -> bytes:
    return b"--b\r\ncontent-disposition: form-data; name=fileobject\r\n\r\n" + data + b"\r\n--b--\r\n"


async def test_a_client_that_leaves_while_waiting_leaves_its_task(shop: Shop) -> None:
    shop.worker.may_finish.clear()
    left = asyncio.Event()
    request = asyncio.create_task(_disconnecting(shop, form(picture()), left=left))
    await shop.worker.started.wait()
    left.set()
    assert await request == 202  # to nobody; what counts is that it ended
    assert "velum_sync_requests_waiting 0.0" in (await shop.client.get("/metrics")).text
    shop.worker.may_finish.set()
    address = f"/v1/task/{shop.worker.seen[0]}"
    while (await shop.client.get(address)).json()["status"] != "done":
        pass


async def test_a_client_that_leaves_while_sending_leaves_nothing(idle_shop: Shop) -> None:
    half = form(picture())[:400]
    assert await _disconnecting(idle_shop, half, left=None) in {0, 400}
    assert idle_shop.files() == []
    assert (await idle_shop.store.list()).tasks == ()
    assert 'status="499"' in (await idle_shop.client.get("/metrics")).text
