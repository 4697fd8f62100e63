"""Reading sources: objects, URLs, and everything that can be wrong with them. The web server is real, on loopback."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from velum.api.reasons import INPUT_REASONS, Reason
from velum.api.task import ObjectSource, Source
from velum.errors import Unavailable
from velum.storage import BlobStore
from velum_serve.errors import SourceFailed
from velum_serve.source import CHUNK, MAX_REDIRECTS, Kept, Place, SourceLimits, read_source

OPEN = SourceLimits(max_bytes=3_000_000, allow_private=True, timeout_seconds=5)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


VIDEO = b"\0\0\0\x18ftypmp42" + bytes(range(256)) * 4000
"""Begins as an mp4 does; what follows nobody looks at here."""


@pytest.fixture
def inputs(tmp_path: Path) -> BlobStore:
    return BlobStore((tmp_path / "in").as_uri())


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """Where a video goes that comes from a URL."""
    return Place(BlobStore((tmp_path / "out").as_uri()), "tasks/default/t/work/u/source/original")


@pytest.fixture
async def serve() -> AsyncIterator[Callable[[Handler], Awaitable[TestServer]]]:
    servers: list[TestServer] = []

    async def start(handler: Handler) -> TestServer:
        application = web.Application()
        application.router.add_get("/{tail:.*}", handler)
        server = TestServer(application)
        await server.start_server()
        servers.append(server)
        return server

    yield start
    for server in servers:
        await server.close()


def of_object(key: str) -> Source:
    return Source.model_validate({"object": {"key": key}})


def of_url(url: object) -> Source:
    return Source(url=str(url))


async def failed(source: Source, inputs: BlobStore, limits: SourceLimits = OPEN) -> SourceFailed:
    with pytest.raises(SourceFailed) as caught:
        await read_source(source, inputs, limits, Place(inputs, "kept/original"))
    assert await inputs.below("kept/") == []
    return caught.value


@pytest.mark.parametrize("size", [0, 1, 3012, 3013, 2_500_000, 3_000_000])
async def test_an_object_is_read_whole(size: int, inputs: BlobStore, place: Place) -> None:
    data = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    await inputs.put("a/b.jpg", data)
    assert await read_source(of_object("a/b.jpg"), inputs, OPEN, place) == data
    assert await place.store.below("tasks/") == []


async def test_an_object_that_is_not_there(inputs: BlobStore) -> None:
    error = await failed(of_object("nowhere/x.jpg"), inputs)
    assert error.reason is Reason.SOURCE_NOT_FOUND
    assert "nowhere/x.jpg" in str(error)


@pytest.mark.parametrize("key", ["../secret", "a/../../secret"])
async def test_a_key_cannot_leave_the_store(key: str, inputs: BlobStore, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    source = Source.model_construct(object=ObjectSource.model_construct(key=key), url=None)  # past the resource's rules
    assert (await failed(source, inputs)).reason in {Reason.INVALID_SPEC, Reason.SOURCE_NOT_FOUND}


async def test_an_object_over_the_limit_by_one_byte(inputs: BlobStore, place: Place) -> None:
    await inputs.put("big", b"x" * 1001)
    error = await failed(of_object("big"), inputs, SourceLimits(max_bytes=1000))
    assert error.reason is Reason.TOO_LARGE
    assert "1000 bytes" in str(error)
    assert (await read_source(of_object("big"), inputs, SourceLimits(max_bytes=1001), place)) == b"x" * 1001


async def test_a_store_that_is_gone_is_not_a_missing_object(inputs: BlobStore, place: Place, tmp_path: Path) -> None:
    (tmp_path / "in").rmdir()
    (tmp_path / "in").write_text("a file where the folder was")
    with pytest.raises(Unavailable):
        await read_source(of_object("a/b.jpg"), inputs, OPEN, place)


@pytest.mark.parametrize("size", [12, len(VIDEO)])
async def test_a_video_in_the_store_stays_there(size: int, inputs: BlobStore, place: Place) -> None:
    await inputs.put("a/film", VIDEO[:size])
    kept = await read_source(of_object("a/film"), inputs, OPEN, place)
    assert isinstance(kept, Kept)
    assert (kept.store, kept.key, kept.size, kept.copy) == (inputs, "a/film", size, False)
    assert await place.store.below("tasks/") == []
    again = await read_source(of_object("a/film"), inputs, OPEN, place)
    assert again == kept
    await inputs.put("a/film", VIDEO[:size] + b"x")
    other = await read_source(of_object("a/film"), inputs, OPEN, place)
    assert isinstance(other, Kept)
    assert other.identity != kept.identity


async def test_a_video_over_the_limit(inputs: BlobStore) -> None:
    await inputs.put("film", VIDEO)
    error = await failed(of_object("film"), inputs, SourceLimits(max_bytes=len(VIDEO) - 1))
    assert error.reason is Reason.TOO_LARGE


@pytest.mark.parametrize("size", [12, len(VIDEO)])
async def test_a_video_behind_a_url_goes_to_its_place(
    size: int, inputs: BlobStore, place: Place, serve: Callable[[Handler], Awaitable[TestServer]]
) -> None:
    async def handler(_: web.Request) -> web.StreamResponse:
        return web.Response(body=VIDEO[:size])

    url = of_url((await serve(handler)).make_url("/film?sig=1"))
    kept = await read_source(url, inputs, OPEN, place)
    digest = hashlib.sha256(VIDEO[:size]).hexdigest()
    assert kept == Kept(place.store, place.key, size, digest, copy=True)
    assert await place.store.get(place.key) == VIDEO[:size]


async def test_a_video_that_breaks_off_is_not_kept(
    inputs: BlobStore, place: Place, serve: Callable[[Handler], Awaitable[TestServer]]
) -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        response.content_length = 2 * len(VIDEO)
        await response.prepare(request)
        await response.write(VIDEO)
        assert request.transport is not None
        request.transport.close()
        return response

    with pytest.raises(SourceFailed) as caught:
        await read_source(of_url((await serve(handler)).make_url("/film")), inputs, OPEN, place)
    assert caught.value.reason is Reason.SOURCE_UNREACHABLE
    assert await place.store.below("tasks/") == []


async def test_a_url_is_read_whole(
    inputs: BlobStore, place: Place, serve: Callable[[Handler], Awaitable[TestServer]]
) -> None:
    data = bytes(range(256)) * 4000

    async def handler(request: web.Request) -> web.StreamResponse:
        assert request.headers["Accept-Encoding"] == "identity"
        return web.Response(body=data)

    server = await serve(handler)
    assert await read_source(of_url(server.make_url("/x.jpg?sig=1")), inputs, OPEN, place) == data


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (404, Reason.SOURCE_NOT_FOUND),
        (410, Reason.SOURCE_NOT_FOUND),
        (403, Reason.SOURCE_NOT_FOUND),
        (401, Reason.SOURCE_NOT_FOUND),
        (206, Reason.SOURCE_UNREACHABLE),
        (204, Reason.SOURCE_UNREACHABLE),
        (408, Reason.SOURCE_UNREACHABLE),
        (429, Reason.SOURCE_UNREACHABLE),
        (500, Reason.SOURCE_UNREACHABLE),
        (503, Reason.SOURCE_UNREACHABLE),
        (302, Reason.SOURCE_UNREACHABLE),  # a redirect that says not where to
    ],
)
async def test_answers_that_are_no_picture(
    status: int, reason: Reason, inputs: BlobStore, serve: Callable[[Handler], Awaitable[TestServer]]
) -> None:
    async def handler(_: web.Request) -> web.StreamResponse:
        return web.Response(status=status)

    error = await failed(of_url((await serve(handler)).make_url("/x.jpg?token=secret")), inputs)
    assert error.reason is reason
    assert str(status) in str(error)
    assert "secret" not in str(error)


async def test_only_lasting_failures_end_a_task() -> None:
    assert Reason.SOURCE_NOT_FOUND in INPUT_REASONS
    assert Reason.SOURCE_UNREACHABLE not in INPUT_REASONS


@pytest.mark.parametrize("announced", [True, False])
@pytest.mark.parametrize("first", [b"x", VIDEO])
async def test_size_is_counted_whatever_the_header_says(
    announced: bool, first: bytes, inputs: BlobStore, serve: Callable[[Handler], Awaitable[TestServer]]
) -> None:
    sent = 0

    async def handler(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        response = web.StreamResponse()
        if announced:
            response.content_length = 500 * CHUNK + len(first)
        await response.prepare(request)
        await response.write(first)
        try:
            for _ in range(500):
                await response.write(b"x" * CHUNK)
                sent += CHUNK
        except ConnectionError:
            pass  # what is wanted: the reader hung up
        return response

    error = await failed(of_url((await serve(handler)).make_url("/endless")), inputs)
    assert error.reason is Reason.TOO_LARGE
    assert sent < 250 * CHUNK


async def test_redirects_are_followed_as_far_as_allowed(
    inputs: BlobStore, place: Place, serve: Callable[[Handler], Awaitable[TestServer]]
) -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        left = int(request.path.strip("/"))
        if left == 0:
            return web.Response(body=b"arrived")
        return web.Response(status=302 if left % 2 else 307, headers={"Location": f"/{left - 1}"})

    server = await serve(handler)
    assert await read_source(of_url(server.make_url(f"/{MAX_REDIRECTS}")), inputs, OPEN, place) == b"arrived"
    error = await failed(of_url(server.make_url(f"/{MAX_REDIRECTS + 1}")), inputs)
    assert error.reason is Reason.SOURCE_UNREACHABLE
    assert "redirects" in str(error)


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://example.com/x", "http://user:pass@127.0.0.1/"])
async def test_redirects_cannot_change_the_rules(
    target: str, inputs: BlobStore, serve: Callable[[Handler], Awaitable[TestServer]]
) -> None:
    async def handler(_: web.Request) -> web.StreamResponse:
        return web.Response(status=301, headers={"Location": target})

    error = await failed(of_url((await serve(handler)).make_url("/")), inputs)
    assert error.reason is Reason.SOURCE_FORBIDDEN


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "169.254.169.254", "10.0.0.1", "0.0.0.0"])
async def test_private_addresses_are_refused(host: str, inputs: BlobStore) -> None:
    error = await failed(of_url(f"http://{host}:9/latest/meta-data?k=secret"), inputs, SourceLimits(timeout_seconds=2))
    assert error.reason is Reason.SOURCE_FORBIDDEN
    assert "secret" not in str(error)


async def test_the_connection_itself_is_checked_too(
    inputs: BlobStore, serve: Callable[[Handler], Awaitable[TestServer]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that resolved to a public address when asked, and to a private one when called (DNS rebinding)."""
    called = False

    async def handler(_: web.Request) -> web.StreamResponse:
        nonlocal called
        called = True
        return web.Response(body=b"internal")

    async def passed(url: str, *, allow_private: bool) -> None:
        del url, allow_private

    monkeypatch.setattr("velum_serve.source.check_url", passed)
    server = await serve(handler)
    for host in ("127.0.0.1", "localhost"):
        error = await failed(of_url(f"http://{host}:{server.port}/"), inputs, SourceLimits(timeout_seconds=2))
        assert error.reason is Reason.SOURCE_FORBIDDEN
    assert not called


async def test_nobody_listens(inputs: BlobStore, serve: Callable[[Handler], Awaitable[TestServer]]) -> None:
    async def handler(_: web.Request) -> web.StreamResponse:
        return web.Response()

    server = await serve(handler)
    url = server.make_url("/x.jpg")
    await server.close()
    assert (await failed(of_url(url), inputs)).reason is Reason.SOURCE_UNREACHABLE


async def test_a_download_that_stalls_or_breaks_off(
    inputs: BlobStore, serve: Callable[[Handler], Awaitable[TestServer]]
) -> None:
    done = asyncio.Event()

    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        response.content_length = 1000
        await response.prepare(request)
        await response.write(b"x" * 10)
        assert request.transport is not None
        if request.path == "/breaks":
            request.transport.abort()
        else:
            await done.wait()
        return response

    server = await serve(handler)
    broken = await failed(of_url(server.make_url("/breaks")), inputs)
    assert broken.reason is Reason.SOURCE_UNREACHABLE
    slow = SourceLimits(max_bytes=1000, allow_private=True, timeout_seconds=0.3)
    stalled = await failed(of_url(server.make_url("/stalls")), inputs, slow)
    assert stalled.reason is Reason.SOURCE_UNREACHABLE
    assert "0.3 s" in str(stalled)
    done.set()
