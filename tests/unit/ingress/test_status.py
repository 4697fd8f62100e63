"""/v1/status, /healthz, /readyz, /metrics."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from support.samples import model_spec
from support.workshop import Shop, open_shop
from velum.api import Condition, ModelStatus, Reason
from velum_ingress.schemas import Down, Running

SINCE = datetime(2026, 1, 1, tzinfo=UTC)


async def tell(shop: Shop, status: str, reason: Reason, model: str = "default") -> None:
    """Write a model's Ready condition, as the controller does."""
    condition = Condition(type="Ready", status=status, reason=reason, message="why", last_transition_time=SINCE)
    found = await shop.store.get_model(model)
    await shop.store.write_model_status(found, ModelStatus(conditions=(condition,), replicas=1))


async def test_a_server_that_works_is_running(shop: Shop) -> None:
    await tell(shop, "True", Reason.DEPLOYED)
    answer = await shop.client.get("/v1/status")
    assert answer.status_code == 200
    found = Running.model_validate(answer.json())
    assert found.models[0].ready == "True"
    assert found.models[0].replicas == 1
    assert found.queue.limit == 10_000
    assert (await shop.client.head("/v1/status")).status_code == 200


@pytest.mark.parametrize(
    ("status", "reason", "code"),
    [
        ("False", Reason.IDLE, 200),  # starts when a task comes
        ("False", Reason.DEPLOYING, 200),
        ("Unknown", Reason.DEPLOYING, 200),
        ("False", Reason.DEPLOY_FAILED, 500),
        ("False", Reason.INVALID_MODEL, 500),
        ("False", Reason.RAY_UNAVAILABLE, 500),
        ("Unknown", Reason.RAY_UNAVAILABLE, 500),
    ],
)
async def test_whether_a_worker_can_take_a_task(shop: Shop, status: str, reason: Reason, code: int) -> None:
    await tell(shop, status, reason)
    answer = await shop.client.get("/v1/status")
    assert answer.status_code == code
    if code == 500:
        found = Down.model_validate(answer.json())
        assert f"model default: {reason}: why" in found.reason


async def test_the_model_that_requests_use_is_judged_and_the_others_are_listed(shop: Shop) -> None:
    await shop.store.put_model("other", model_spec())
    await tell(shop, "False", Reason.DEPLOY_FAILED, "other")
    answer = await shop.client.get("/v1/status")
    assert answer.status_code == 200
    assert {each["name"]: each["reason"] for each in answer.json()["models"]} == {
        "default": "",
        "other": "DeployFailed",
    }
    await tell(shop, "True", Reason.DEPLOYED, "other")
    await tell(shop, "False", Reason.DEPLOY_FAILED)
    answer = await shop.client.get("/v1/status")
    assert answer.status_code == 500
    assert "model default: DeployFailed: why" in Down.model_validate(answer.json()).reason


async def test_the_model_that_requests_use_comes_first(shop: Shop) -> None:
    """The page offers the classes of the first: a pack whose name comes before `default` must not take them away."""
    await shop.store.put_model("centerface", model_spec(classes=["face"]))
    await tell(shop, "True", Reason.DEPLOYED)
    answer = await shop.client.get("/v1/status")
    assert [each["name"] for each in answer.json()["models"]] == ["default", "centerface"]


async def test_a_server_without_its_default_model_is_down(tmp_path: Path) -> None:
    async with open_shop(tmp_path, working=False, api={"model": "big"}) as shop:
        await tell(shop, "True", Reason.DEPLOYED)
        found = Down.model_validate((await shop.client.get("/v1/status")).json())
        assert found.reason == "the default model 'big' does not exist; the models are: default"
        await shop.store.put_model("big", model_spec())
        assert (await shop.client.get("/v1/status")).status_code == 200


async def test_the_queue_is_counted(idle_shop: Shop) -> None:
    await idle_shop.post_async()
    idle_shop.clock.forward(seconds=2)
    assert (await idle_shop.client.get("/v1/status")).json()["queue"]["unfinished"] == 1


@pytest.fixture
async def broken(tmp_path: Path) -> AsyncIterator[Shop]:
    """A server whose storage is gone."""
    async with open_shop(tmp_path, working=False) as shop:
        (tmp_path / "out").rmdir()
        (tmp_path / "out").write_text("no folder")
        yield shop


async def test_a_server_without_storage_is_down(broken: Shop) -> None:
    answer = await broken.client.get("/v1/status")
    assert answer.status_code == 500
    found = Down.model_validate(answer.json())
    assert found.reason == "storage is unavailable"
    ready = await broken.client.get("/readyz")
    assert ready.status_code == 503
    assert str(broken.folder) not in ready.text + answer.text


async def test_a_server_without_its_store_is_down(shop: Shop) -> None:
    await shop.store.aclose()
    answer = await shop.client.get("/v1/status")
    assert answer.status_code == 500
    assert answer.json()["reason"] == "task database is unavailable"
    assert (await shop.client.get("/readyz")).status_code == 503
    posted = await shop.post()
    assert posted.status_code == 503
    assert shop.files() == []
    assert (await shop.client.get("/v1/task/list")).status_code == 503


async def test_a_server_with_all_its_parts_is_ready(shop: Shop) -> None:
    assert (await shop.client.get("/readyz")).json() == {"status": "ok"}
    assert (await shop.client.head("/readyz")).status_code == 200


async def test_a_broken_server_is_still_alive(broken: Shop) -> None:
    assert (await broken.client.get("/healthz")).json() == {"status": "ok"}
    assert (await broken.client.head("/healthz")).status_code == 200


async def test_metrics_count_by_route_and_never_by_name(shop: Shop) -> None:
    name = (await shop.post()).json()["id"]
    await shop.client.get(f"/v1/task/{name}")
    await shop.client.get("/nothing/here")
    await shop.client.request("BREW", "/v1/task/list")
    text = (await shop.client.get("/metrics")).text
    assert 'velum_http_requests_total{method="POST",route="/v1/file",status="200"} 1.0' in text
    assert 'velum_http_requests_total{method="GET",route="/v1/task/{id}",status="200"} 1.0' in text
    assert 'velum_http_requests_total{method="GET",route="none",status="404"} 1.0' in text
    assert 'method="OTHER"' in text
    assert 'velum_uploads_total{outcome="accepted"} 1.0' in text
    assert "velum_sync_requests_waiting 0.0" in text
    assert name not in text
    assert "BREW" not in text


async def test_refused_uploads_and_bytes_are_counted(shop: Shop) -> None:
    await shop.post(b"no picture at all")
    text = (await shop.client.get("/metrics")).text
    assert 'velum_uploads_total{outcome="refused"} 1.0' in text
    received = next(line for line in text.splitlines() if line.startswith("velum_http_received_bytes_total"))
    assert float(received.split()[1]) > 17


async def test_metrics_with_a_port_of_their_own_are_not_beside_the_api(tmp_path: Path) -> None:
    async with open_shop(tmp_path, api={"metrics_port": 9090}) as shop:
        for method in ("GET", "HEAD"):
            assert (await shop.client.request(method, "/metrics")).status_code == 404
        document = (await shop.client.get("/openapi.json")).json()
        assert "/metrics" not in document["paths"]
        assert "/readyz" in document["paths"]
