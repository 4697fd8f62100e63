"""A webhook's secret is in no log, no answer, no spec; an unexpected error tells a client nothing but its number."""

import logging

import pytest

from support.workshop import Shop
from velum.tasks.store import SecretHeader
from velum_ingress import submitting

SECRET = "zaubernuss"
HOOK = f"face=1&webhook=https://192.0.43.10/&web-auth-header-name=X-Key&web-auth-header-value={SECRET}"


async def test_a_secret_goes_to_the_store_and_nowhere_else(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    answer = await shop.post(query=HOOK)
    assert answer.status_code == 200
    name = answer.json()["id"]
    task = await shop.store.get(name)
    assert await shop.store.header(task) == SecretHeader("X-Key", SECRET)
    read = [
        await shop.client.get(path)
        for path in (f"/v1/task/{name}", "/v1/task/list", "/metrics", f"/v1/file/{name}/metadata")
    ]
    for text in (answer.text, *(each.text for each in read), str(answer.headers), task.model_dump_json(), repr(task)):
        assert SECRET not in text
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("velum")]
    assert any("POST /v1/file 200" in line for line in ours)
    assert not any(SECRET in line or "?" in line for line in ours)
    assert not any(
        SECRET.encode() in path.read_bytes() for side in ("in", "out") for path in (shop.folder / side).rglob("*.*")
    )


@pytest.mark.parametrize("more", ["&facee=1", "&mask-scale=0", "&web_auth_header_value=other", "&model=nope"])
async def test_a_refused_request_repeats_no_secret(shop: Shop, caplog: pytest.LogCaptureFixture, more: str) -> None:
    caplog.set_level(logging.DEBUG)
    answer = await shop.post(query=HOOK + more)
    assert answer.status_code == 400
    assert SECRET not in answer.text
    assert SECRET not in "".join(record.getMessage() for record in caplog.records if record.name.startswith("velum"))


async def test_the_secret_may_come_in_headers(idle_shop: Shop) -> None:
    headers = {"web-auth-header-name": "Authorization", "web-auth-header-value": f"Bearer {SECRET}", "x-is-async": "1"}
    answer = await idle_shop.post(query="face=1&webhook=https://192.0.43.10/", headers=headers)
    task = await idle_shop.store.get(answer.json()["id"])
    assert await idle_shop.store.header(task) == SecretHeader("Authorization", f"Bearer {SECRET}")


async def test_an_unexpected_error_is_a_number_for_the_client_and_a_trace_for_the_log(
    shop: Shop, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: object) -> None:
        raise ZeroDivisionError("inner matters")

    monkeypatch.setattr(submitting, "file_name", broken)
    answer = await shop.post(query=HOOK)
    body = answer.json()
    assert answer.status_code == body["status_code"] == 500
    assert "inner" not in answer.text
    found = [record for record in caplog.records if body["error_id"] in record.getMessage()]
    assert found[0].exc_info is not None
    assert found[0].levelno == logging.ERROR
    assert SECRET not in caplog.text
    assert shop.files() == []
    assert 'route="/v1/file",status="500"' in (await shop.client.get("/metrics")).text


async def test_a_path_cannot_forge_a_line_of_the_log(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    await shop.client.get("/v1/task/x%0A2026-01-01%20forged%20line")
    lines = [record.getMessage() for record in caplog.records if record.name == "velum_ingress.access"]
    assert len(lines) == 1
    assert "\n" not in lines[0]
    assert "%0A" in lines[0]


async def test_probes_do_not_fill_the_log(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    for path in ("/healthz", "/readyz", "/metrics"):
        await shop.client.get(path)
    assert [record for record in caplog.records if record.name == "velum_ingress.access"] == []


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404),
        ("GET", "/v1/file/", 404),
        ("POST", "/v1/file/", 404),
        ("GET", "/v1/file", 405),
        ("PUT", "/v1/task/x", 405),
        ("DELETE", "/v1/status", 405),
        ("POST", "/healthz", 405),
    ],
)
async def test_the_routers_errors_have_the_contracts_form(shop: Shop, method: str, path: str, status: int) -> None:
    answer = await shop.client.request(method, path)
    assert answer.status_code == answer.json()["status_code"] == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["error"] == answer.json()["detail"]
    assert ("allow" in answer.headers) == (status == 405)


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/v1/file", "POST"),
        ("/v1/task/x", "DELETE, GET, HEAD"),
        ("/v1/task/list", "DELETE, GET, HEAD"),
        ("/v1/file/x/anonymised", "GET, HEAD"),
        ("/healthz", "GET, HEAD"),
        ("/openapi.json", "GET, HEAD"),
        ("/", "GET, HEAD"),
    ],
)
async def test_a_wrong_method_is_told_all_the_right_ones(shop: Shop, path: str, allowed: str) -> None:
    answer = await shop.client.request("PUT", path)
    assert answer.status_code == 405
    assert answer.headers["allow"] == allowed
    assert answer.json()["error"] == f"PUT is not possible at this address; {allowed} are"
