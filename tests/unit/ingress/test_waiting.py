"""The shared watch and the back-pressure."""

import asyncio
import json
import logging
import socket
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any, cast

import httpx
import pytest
import uvicorn

from support.samples import ManualClock, task
from support.workshop import Shop, open_shop, picture
from velum.api import AnonymizationTask
from velum.errors import Unavailable
from velum.tasks.store import TaskEvent
from velum_ingress import waiting
from velum_ingress.backlog import Backlog
from velum_ingress.errors import QueueFull, UploadTooLarge
from velum_ingress.services import Services
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
    may_end = asyncio.Event()

    async def upload() -> None:
        async with backlog.place():
            await may_end.wait()

    uploads = [asyncio.create_task(upload()) for _ in range(6)]
    done, _ = await asyncio.wait(uploads, return_when=asyncio.FIRST_COMPLETED)
    while len(done) < 4:
        done, _ = await asyncio.wait(uploads, timeout=0)
    assert ["5 tasks of at most 5" in str(each.exception()) for each in done] == [True] * 4
    assert await backlog.count() == 3  # what is still being sent has not become a task
    may_end.set()
    results = await asyncio.gather(*uploads, return_exceptions=True)
    assert sorted(type(each).__name__ for each in results) == ["NoneType"] * 2 + ["QueueFull"] * 4
    assert await backlog.count() == 5
    assert store.counts == []


async def test_a_refused_upload_gives_its_place_back() -> None:
    backlog = Backlog(Breaking([], counts=[0]), 1, ManualClock())
    for error in (UploadTooLarge(5), asyncio.CancelledError()):
        with pytest.raises(type(error)):
            async with backlog.place():
                raise error
        assert await backlog.count() == 0
    async with backlog.place():
        pass
    with pytest.raises(QueueFull, match="1 tasks of at most 1 have"):
        async with backlog.place():
            raise AssertionError("there was a place")


async def test_a_full_queue_tells_how_full_it_is() -> None:
    with pytest.raises(QueueFull, match="17 tasks of at most 10 have"):
        async with Backlog(Breaking([], counts=[17]), 10, ManualClock()).place():
            raise AssertionError("there was a place")


async def test_two_servers_on_one_store(shop: Shop) -> None:
    async with open_shop(shop.folder, working=False) as other:
        name = (await other.post()).json()["id"]  # worked on by the first one's worker
        found = await shop.client.get(f"/v1/task/{name}")
        assert found.json()["status"] == "done"
        assert (await shop.client.get(f"/v1/file/{name}/anonymised")).status_code == 200
        assert (await shop.client.delete(f"/v1/task/{name}")).status_code == 200
        assert (await other.client.get(f"/v1/task/{name}")).status_code == 404


def posting() -> dict[str, Any]:
    """The scope of an upload to the bare app."""
    return {
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

    transport = shop.client._transport
    await transport.app(posting(), receive, send)
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


def services(shop: Shop) -> Services:
    return cast(Services, shop.client._transport.app.state.services)


async def until_created(shop: Shop) -> str:
    while not (found := (await shop.store.list()).tasks):
        pass
    return found[0].name


async def test_a_server_that_stops_lets_those_who_wait_go_with_their_tasks(idle_shop: Shop) -> None:
    requests = [asyncio.create_task(idle_shop.post()) for _ in range(3)]
    while "velum_sync_requests_waiting 3.0" not in (await idle_shop.client.get("/metrics")).text:
        await idle_shop.store.check()  # runs in a thread: lets the requests on
    services(idle_shop).stop()
    answers = await asyncio.wait_for(asyncio.gather(*requests), 5)
    tasks = {task.name for task in (await idle_shop.store.list()).tasks}
    assert {answer.status_code for answer in answers} == {202}
    assert {answer.json()["id"] for answer in answers} == tasks
    assert {answer.headers["location"].rpartition("/")[2] for answer in answers} == tasks
    assert {answer.json()["status"] for answer in answers} == {"queued"}
    # One whose last byte comes now does not begin to wait.
    late = await asyncio.wait_for(idle_shop.post(), 5)
    assert late.status_code == 202


async def test_a_server_that_stops_waits_for_no_deletion(idle_shop: Shop) -> None:
    async with open_shop(idle_shop.folder) as worker:
        name = (await worker.post()).json()["id"]
    request = asyncio.create_task(idle_shop.client.delete(f"/v1/task/{name}"))
    while not (await idle_shop.store.get(name)).deleting:
        pass
    services(idle_shop).stop()
    answer = await asyncio.wait_for(request, 5)
    assert answer.status_code == 202
    assert answer.json() == {"id": name, "status": "deleted"}


@dataclass
class Slow:
    """A client of the bare app that sends the beginning of its form and then nothing more."""

    app: Any
    began: asyncio.Event = field(default_factory=asyncio.Event)
    sent: list[dict[str, Any]] = field(default_factory=list)

    async def run(self) -> None:
        await self.app(posting(), self.receive, self.send)

    async def receive(self) -> dict[str, Any]:
        if self.began.is_set():
            await asyncio.Event().wait()
        self.began.set()
        return {"type": "http.request", "body": form(picture())[:400], "more_body": True}

    async def send(self, message: dict[str, Any]) -> None:
        self.sent.append(message)


async def test_what_a_stopping_server_cancels_has_a_line_and_no_traceback(
    idle_shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    client = Slow(idle_shop.client._transport.app)
    request = asyncio.create_task(client.run())
    await client.began.wait()
    services(idle_shop).stop()
    request.cancel()
    await request  # ends well: a server would log anything else as an error, with a traceback
    assert client.sent[0]["status"] == 503
    assert json.loads(client.sent[1]["body"])["error"] == "the server is stopping; try again"
    lines = [record for record in caplog.records if record.name == "velum_ingress.access"]
    assert [record.getMessage().rsplit(" ", 2)[0] for record in lines] == ["POST /v1/file 503"]
    assert all(record.exc_info is None for record in caplog.records)
    assert idle_shop.files() == []
    assert (await idle_shop.store.list()).tasks == ()


async def test_a_request_that_somebody_else_cancels_is_cancelled(idle_shop: Shop) -> None:
    client = Slow(idle_shop.client._transport.app)
    request = asyncio.create_task(client.run())
    await client.began.wait()
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request
    assert client.sent == []
    assert idle_shop.files() == []


async def test_over_a_real_socket_ctrl_c_is_answered_at_once(idle_shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    config = uvicorn.Config(
        idle_shop.client._transport.app, port=0, log_config=None, lifespan="off", timeout_graceful_shutdown=60
    )
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        serving = asyncio.create_task(server._serve(sockets=[listener]))
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1/file?face=true"
        async with httpx.AsyncClient(trust_env=False) as client:
            request = asyncio.create_task(client.post(url, files={"fileobject": picture()}))
            name = await until_created(idle_shop)
            services(idle_shop).stop()
            server.should_exit = True
            answer = await asyncio.wait_for(request, 10)
            await asyncio.wait_for(serving, 10)
    assert answer.status_code == 202
    assert answer.headers["location"] == url.replace("/v1/file?face=true", f"/v1/task/{name}")
    assert all(record.exc_info is None for record in caplog.records)
