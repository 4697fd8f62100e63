"""The SSRF guard: what is refused early, and that a connection to a private address is never made."""

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web

from velum.errors import ForbiddenTarget
from velum.net import check_url, guarded_session
from velum.net.guard import is_public

PRIVATE = [
    "127.0.0.1", "127.8.8.8", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1",
    "224.0.0.1", "255.255.255.255", "::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "ff02::1", "::ffff:127.0.0.1",
    "::ffff:10.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::", "2002:c0a8:0101::",
]  # fmt: skip
PUBLIC = ["1.1.1.1", "93.184.216.34", "2606:4700:4700::1111", "64:ff9b::101:101", "::ffff:1.1.1.1"]


@pytest.mark.parametrize("address", PRIVATE)
def test_private_addresses_are_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://127.0.0.1/x", "not public"),
        ("http://localhost:8080/x", "not public"),
        ("http://[::1]/x", "not public"),
        ("http://2130706433/x", "not public"),  # 127.0.0.1 as one number, as the resolver reads it
        ("http://0x7f.1/x", "not public"),
        ("http://169.254.169.254/latest/meta-data", "not public"),
        ("ftp://example.com/x", "only http and https"),
        ("file:///etc/passwd", "only http and https"),
        ("http:///x", "names no host"),
        ("http://user:secret@example.com/", "credentials"),
        ("http://example.com:99999/", "not a valid URL"),
        ("http://example.com:0/", "port 0"),
        (f"http://{'a' * 64}.example/", "no host name"),
    ],
)
async def test_refused_early_with_the_reason(url: str, why: str) -> None:
    with pytest.raises(ForbiddenTarget, match=why):
        await check_url(url, allow_private=False)


async def test_schemes_are_refused_even_when_private_is_allowed() -> None:
    await check_url("http://127.0.0.1:8080/x", allow_private=True)
    with pytest.raises(ForbiddenTarget):
        await check_url("file:///etc/passwd", allow_private=True)


async def test_a_name_that_does_not_resolve_is_decided_at_the_call() -> None:
    await check_url("http://no-such-host.invalid/x", allow_private=False)


@pytest.fixture
async def receiver() -> AsyncIterator[tuple[str, list[str]]]:
    hits: list[str] = []

    async def handle(request: web.Request) -> web.Response:
        hits.append(request.path)
        return web.Response(text="here")

    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    yield f"127.0.0.1:{port}", hits
    await runner.cleanup()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_no_connection_is_made_to_a_private_address(receiver: tuple[str, list[str]], host: str) -> None:
    address, hits = receiver
    url = f"http://{host}:{address.rsplit(':', 1)[1]}/x"
    async with guarded_session(allow_private=False, timeout_seconds=5) as session:
        with pytest.raises(aiohttp.ClientConnectorError):
            await session.get(url)
    assert hits == []
    async with guarded_session(allow_private=True, timeout_seconds=5) as session, session.get(url) as answer:
        assert await answer.text() == "here"
    assert hits == ["/x"]


async def test_a_proxy_from_the_environment_is_not_used(
    receiver: tuple[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    address, hits = receiver
    monkeypatch.setenv("HTTP_PROXY", f"http://{address}")
    async with guarded_session(allow_private=False, timeout_seconds=5) as session:
        with pytest.raises((aiohttp.ClientError, asyncio.TimeoutError)):
            await session.get("http://no-such-host.invalid/through-the-proxy")
    assert hits == []
