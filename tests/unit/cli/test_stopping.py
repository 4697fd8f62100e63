"""A server that is told to stop: real signals, a real uvicorn, real sockets."""

import asyncio
import json
import logging
import os
import signal
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from support.workshop import Shop, open_shop, picture
from velum_cli import listen
from velum_cli.signals import Signals

LIMIT = 20.0
"""Seconds in which anything here has to have happened."""


@dataclass
class Running:
    """A server in the test's own process, and what it is told."""

    shop: Shop
    server: listen.Server
    port: int
    serving: "asyncio.Task[None]"

    def told(self, sign: int = signal.SIGTERM) -> None:
        os.kill(os.getpid(), sign)

    async def until(self, true: Callable[[], bool]) -> None:
        async with asyncio.timeout(LIMIT):
            while not true():  # noqa: ASYNC110 - uvicorn sets no events
                await asyncio.sleep(0.01)

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port)


@asynccontextmanager
async def running(folder: Path, grace_seconds: float, **more: Any) -> AsyncIterator[Running]:
    """Serve as `velum ingress` does, until the test sends a signal."""
    signals = Signals()
    loop = asyncio.get_running_loop()
    async with open_shop(folder, api={"port": 0, "grace_seconds": grace_seconds}, **more) as shop:
        settings = shop.settings.api
        server = listen.server(shop.client._transport.app, settings)  # type: ignore[attr-defined]
        server.config.lifespan = "off"  # the shop runs it
        signals.listen()
        listener = listen.bind(settings)
        port = listener.getsockname()[1]
        serving = asyncio.create_task(server.serve_until(listener, settings.grace_seconds, signals))
        found = Running(shop, server, port, serving)
        await found.until(lambda: server.started)
        try:
            yield found
        finally:
            if not serving.done():
                signals.told()
                signals.told()
                await asyncio.wait_for(serving, LIMIT)
            for each in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(each)


def upload(data: bytes) -> tuple[bytes, bytes]:
    """A request's head and body."""
    body = b"--b\r\nContent-Disposition: form-data; name=fileobject; filename=a.jpg\r\n\r\n" + data + b"\r\n--b--\r\n"
    head = (
        b"POST /v1/file?face=true HTTP/1.1\r\nHost: velum\r\nx-is-async: true\r\n"
        b"Content-Type: multipart/form-data; boundary=b\r\nContent-Length: %d\r\n\r\n"
    )
    return head % len(body), body


async def answer(reader: asyncio.StreamReader) -> tuple[int, Any]:
    """The status and JSON of an answer after which the server closes."""
    head, _, body = (await asyncio.wait_for(reader.read(), LIMIT)).partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)


async def test_a_slow_upload_goes_on_after_the_signal_and_new_ones_are_refused(tmp_path: Path) -> None:
    async with running(tmp_path, 60.0) as here:
        head, body = upload(picture(width=400, height=300))
        reader, writer = await here.connect()
        writer.write(head + body[:200])
        await here.until(lambda: len(here.server.server_state.tasks) == 1)
        here.told()
        await here.until(lambda: here.server.should_exit)
        await here.until(lambda: not here.server.servers[0].is_serving())
        with pytest.raises(ConnectionRefusedError):
            await here.connect()
        for start in range(200, len(body), 2000):
            await asyncio.sleep(0.05)
            writer.write(body[start : start + 2000])
            await writer.drain()
        status, task = await answer(reader)
        assert status == 202
        assert (await here.shop.store.get(task["id"])).name == task["id"]
        await asyncio.wait_for(here.serving, LIMIT)
        writer.close()


async def test_who_waits_for_a_task_gets_its_result_from_a_server_that_drains(tmp_path: Path) -> None:
    async with running(tmp_path, 60.0) as here:
        here.shop.worker.may_finish.clear()
        head, body = upload(picture())
        reader, writer = await here.connect()
        writer.write(head.replace(b"x-is-async: true\r\n", b"") + body)
        await asyncio.wait_for(here.shop.worker.started.wait(), LIMIT)
        here.told()
        await here.until(lambda: here.server.should_exit)
        here.shop.worker.may_finish.set()
        status, task = await answer(reader)
        assert (status, task["status"]) == (200, "done")
        await asyncio.wait_for(here.serving, LIMIT)
        writer.close()


async def test_when_the_grace_is_over_who_waits_gets_the_task_and_an_upload_is_told_why(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with running(tmp_path, 0.3, working=False) as here:
        head, body = upload(picture())
        slow, sending = await here.connect()
        sending.write(head + body[:200])
        waiting, posting = await here.connect()
        posting.write(head.replace(b"x-is-async: true\r\n", b"") + body)
        async with asyncio.timeout(LIMIT):
            while not (tasks := (await here.shop.store.list()).tasks):
                await here.shop.store.check()  # runs in a thread: lets the request on
        await here.until(lambda: len(here.server.server_state.tasks) == 2)
        here.told()
        status, task = await answer(waiting)
        assert (status, task["id"]) == (202, tasks[0].name)
        status, problem = await answer(slow)
        assert (status, problem["error"]) == (503, "the server is stopping; try again")
        await asyncio.wait_for(here.serving, LIMIT)
        for each in (sending, posting):
            each.close()
        assert here.shop.files() == [f"in/{tasks[0].folder}input"], "nothing is left of the upload that was cut off"
    said = [record.getMessage() for record in caplog.records if record.name == "velum_cli.listen"]
    assert said == [
        "stopping; 2 requests may go on for 0.3 s; another signal ends them",
        "1 requests did not end in time and are cut off",
    ]
    assert all(record.exc_info is None for record in caplog.records)


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
async def test_a_second_signal_ends_at_once(tmp_path: Path, sign: int) -> None:
    async with running(tmp_path, 600.0, working=False) as here:
        head, body = upload(picture())
        reader, writer = await here.connect()
        writer.write(head + body[:200])
        await here.until(lambda: len(here.server.server_state.tasks) == 1)
        here.told(sign)
        await here.until(lambda: here.server.should_exit)
        began = time.monotonic()
        here.told(sign)
        await asyncio.wait_for(here.serving, LIMIT)
        assert time.monotonic() - began < 10
        assert (await answer(reader))[0] == 503
        writer.close()


async def test_a_client_that_no_longer_reads_holds_no_server(tmp_path: Path) -> None:
    async with running(tmp_path, 0.2) as here:
        here.shop.worker.video = bytes(64 << 20)
        task = await here.shop.post(b"\0\0\0\x18ftypisom" + bytes(5000))
        assert task.json()["status"] == "done"
        with socket.create_connection(("127.0.0.1", here.port)) as client:
            client.sendall(b"GET /v1/file/%s/video/anonymised HTTP/1.1\r\nHost: v\r\n\r\n" % task.json()["id"].encode())
            await here.until(lambda: len(here.server.server_state.tasks) == 1)
            here.told()
            await asyncio.wait_for(here.serving, LIMIT)


async def test_with_nothing_under_way_it_ends_at_once(tmp_path: Path) -> None:
    async with running(tmp_path, 600.0) as here:
        _, writer = await here.connect()  # a connection that asks nothing
        await here.until(lambda: len(here.server.server_state.connections) == 1)
        began = time.monotonic()
        here.told()
        await asyncio.wait_for(here.serving, LIMIT)
        assert time.monotonic() - began < 3
        writer.close()
