"""Webhooks against a real receiver on this machine."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from standardwebhooks import Webhook, WebhookVerificationError

from support.samples import NOW, UID, ManualClock, result, spec, task
from velum.api import conditions as known
from velum.api.reasons import Reason
from velum.api.status import TaskStatus
from velum.api.task import AnonymizationTask
from velum.clock import SystemClock
from velum.errors import NotFound, Unavailable
from velum.settings import WebhookSettings
from velum.tasks.store import SecretHeader
from velum.tasks.transitions import end
from velum_operator.webhooks import WebhookDeliverer

SECRET = "whsec_" + "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0"
ENDPOINT = "https://velum.example/"


class Target:
    """A receiver of webhooks."""

    def __init__(self) -> None:
        self.calls: list[tuple[dict[str, str], bytes]] = []
        self.answer: Callable[[], Awaitable[web.StreamResponse]] | None = None
        self.url = ""

    async def take(self, request: web.Request) -> web.StreamResponse:
        self.calls.append((dict(request.headers), await request.read()))
        return await self.answer() if self.answer is not None else web.Response(status=204)


class Headers:
    """The one thing that a deliverer asks of the store."""

    def __init__(self, header: SecretHeader | Exception | None = None) -> None:
        self._header = header

    async def header(self, _: AnonymizationTask) -> SecretHeader | None:
        if isinstance(self._header, Exception):
            raise self._header
        return self._header


@pytest.fixture
async def target() -> AsyncIterator[Target]:
    found = Target()
    app = web.Application()
    app.add_routes([web.post("/hook", found.take), web.post("/elsewhere", found.take)])
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.01)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    found.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    yield found
    await runner.cleanup()


def finished(url: str) -> AnonymizationTask:
    base = task(TaskStatus(attempt=1, result=result(face=2), media_type="image/jpeg"), webhook={"url": url})
    status = end(base, base.status, known.COMPLETE, Reason.ANONYMIZED, "2 face", NOW)
    return base.model_copy(update={"status": status})


async def call(url: str, header: SecretHeader | Exception | None = None, clock: Any = None, **settings: Any) -> str:
    given = WebhookSettings.model_validate({"allow_private": True, **settings})
    async with WebhookDeliverer(Headers(header), given, ENDPOINT, clock or ManualClock()) as deliverer:  # type: ignore[arg-type]
        return await deliverer.deliver(finished(url))


async def test_the_body_is_the_task_as_rest_shows_it(target: Target) -> None:
    assert await call(target.url) == ""
    (headers, body), *more = target.calls
    assert more == []
    document = json.loads(body)
    assert document["id"] == "one"
    assert document["status"] == "done"
    assert document["anonymised_link"] == "https://velum.example/v1/file/one/anonymised"
    assert headers["Content-Type"] == "application/json"
    assert "webhook-signature" not in {name.lower() for name in headers}


async def test_the_signature_is_one_that_receivers_verify(target: Target) -> None:
    assert await call(target.url, clock=SystemClock(), secret=SECRET) == ""
    headers, body = target.calls[0]
    assert Webhook(SECRET).verify(body, headers)["id"] == "one"
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(body.replace(b"done", b"gone"), headers)


async def test_the_id_is_the_same_at_every_try_and_the_time_is_not(target: Target) -> None:
    clock = ManualClock()
    await call(target.url, clock=clock, secret=SECRET)
    clock.forward(seconds=30)
    await call(target.url, clock=clock, secret=SECRET)
    (first, _), (second, _) = target.calls
    assert first["webhook-id"] == second["webhook-id"] == f"msg_{UID}"
    assert int(second["webhook-timestamp"]) - int(first["webhook-timestamp"]) == 30
    assert int(first["webhook-timestamp"]) == int(NOW.timestamp())


async def test_the_secret_header_is_sent(target: Target) -> None:
    assert await call(target.url, SecretHeader("X-Token", "s3cr3t")) == ""
    assert target.calls[0][0]["X-Token"] == "s3cr3t"


@pytest.mark.parametrize(
    ("status", "error"), [(200, ""), (201, ""), (299, ""), (400, "400"), (410, "410"), (500, "500")]
)
async def test_2xx_is_success(target: Target, status: int, error: str) -> None:
    async def answer() -> web.Response:
        return web.Response(status=status, text="the receiver's words are not ours to repeat")

    target.answer = answer
    said = await call(target.url)
    assert said == (f"answered {error}" if error else "")


async def test_redirects_are_not_followed(target: Target) -> None:
    async def answer() -> web.Response:
        return web.Response(status=307, headers={"Location": target.url.replace("hook", "elsewhere")})

    target.answer = answer
    assert await call(target.url) == "answered 307; redirects are not followed"
    assert len(target.calls) == 1


async def test_a_slow_receiver_is_given_up(target: Target) -> None:
    async def answer() -> web.Response:
        await asyncio.Event().wait()
        raise AssertionError

    target.answer = answer
    assert await call(target.url, timeout_seconds=0.05) == "no answer within 0.05 s"


async def test_nobody_there(target: Target, unused_tcp_port: int) -> None:
    said = await call(f"http://127.0.0.1:{unused_tcp_port}/hook")
    assert said
    assert "Connect" in said


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "169.254.169.254", "10.0.0.1", "0.0.0.0"])
async def test_private_targets_are_refused_at_the_time_of_the_call(target: Target, host: str) -> None:
    port = target.url.split(":")[2].split("/")[0]
    said = await call(f"http://{host}:{port}/hook", allow_private=False)
    assert said.startswith("refused: ")
    assert target.calls == []


async def test_a_name_that_turns_private_between_check_and_call_is_refused(
    target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DNS rebinding: the early check sees nothing wrong, the socket does."""
    from velum_operator import webhooks

    async def fooled(_: str, *, allow_private: bool) -> None:
        return None

    monkeypatch.setattr(webhooks, "check_url", fooled)
    said = await call(target.url, allow_private=False)
    assert said
    assert target.calls == []


class TestSecrets:
    async def test_a_secret_that_is_gone_is_said(self, target: Target) -> None:
        assert "webhook" in await call(target.url, NotFound("secret", "one-webhook"))
        assert target.calls == []

    async def test_a_store_that_is_away_is_not_the_receivers_fault(self, target: Target) -> None:
        with pytest.raises(Unavailable):
            await call(target.url, Unavailable("API server", "away"))
        assert target.calls == []

    @pytest.mark.parametrize("value", ["a\r\nX-Injected: 1", "a\nb", "a\0b", "päss\u2028"])
    async def test_a_value_that_would_break_out_is_not_sent_and_not_shown(self, target: Target, value: str) -> None:
        said = await call(target.url, SecretHeader("X-Token", value))
        assert "`value`" in said
        assert value not in said
        assert target.calls == []

    @pytest.mark.parametrize("name", ["Host", "CONTENT-LENGTH", "webhook-signature", "", "a b", "x\r\n"])
    async def test_a_name_that_must_not_be_set_is_not_sent(self, target: Target, name: str) -> None:
        said = await call(target.url, SecretHeader(name, "s3cr3t"))
        assert said.startswith("the secret's `name` ")
        assert "s3cr3t" not in said
        assert target.calls == []

    async def test_no_error_shows_it_either(self, unused_tcp_port: int) -> None:
        said = await call(f"http://127.0.0.1:{unused_tcp_port}/", SecretHeader("X-Token", "s3cr3t"))
        assert said
        assert "s3cr3t" not in said


async def test_after_the_end_nothing_is_called(target: Target, tmp_path: Path) -> None:
    given = WebhookSettings(allow_private=True)
    async with WebhookDeliverer(Headers(), given, ENDPOINT, ManualClock()) as deliverer:  # type: ignore[arg-type]
        pass
    assert await deliverer.deliver(finished(target.url))
    assert target.calls == []


async def test_without_a_webhook_there_is_nothing_to_do() -> None:
    given = WebhookSettings()
    async with WebhookDeliverer(Headers(), given, ENDPOINT, ManualClock()) as deliverer:  # type: ignore[arg-type]
        assert await deliverer.deliver(task(source=spec().source.model_dump())) == ""
