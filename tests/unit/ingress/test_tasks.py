"""/v1/task/…: listing, reading and deleting."""

import httpx
import pytest

from support.workshop import Shop, picture
from velum.api import Reason
from velum.tasks.order import Failed
from velum_ingress.routes import tasks as routes
from velum_ingress.schemas import Deleted, Task


async def listed(shop: Shop, query: str = "") -> list[str]:
    answer = await shop.client.get(f"/v1/task/list{query}")
    assert answer.status_code == 200, answer.text
    return [Task.model_validate(each).id for each in answer.json()]


async def test_a_task_is_read_as_it_was_answered(shop: Shop) -> None:
    posted = (await shop.post()).json()
    assert (await shop.client.get(f"/v1/task/{posted['id']}")).json() == posted
    head = await shop.client.head(f"/v1/task/{posted['id']}")
    assert (head.status_code, head.content) == (200, b"")


@pytest.mark.parametrize("address", ["/v1/task/list", "/v1/task/lists"])
async def test_tasks_are_listed_in_order_of_creation(shop: Shop, address: str) -> None:
    names = [(await shop.post()).json()["id"] for _ in range(3)]
    answer = await shop.client.get(address)
    assert [each["id"] for each in answer.json()] == names
    assert "link" not in answer.headers


async def test_pages_follow_each_other(shop: Shop) -> None:
    names = [await shop.post_async() for _ in range(5)]
    found, address = [], "/v1/task/list?limit=2"
    for expected in (2, 2, 1):
        answer = await shop.client.get(address)
        assert len(answer.json()) == expected
        found += [each["id"] for each in answer.json()]
        address = answer.links.get("next", {}).get("url", "")
        assert ("x-next-cursor" in answer.headers) == bool(address)
        if address:
            assert httpx.URL(address).params["cursor"] == answer.headers["x-next-cursor"]
            assert address.startswith("http://velum.test/v1/task/list?limit=2&cursor=")
    assert found == names
    assert address == ""


async def test_the_list_is_filtered_by_status(shop: Shop) -> None:
    good = (await shop.post()).json()["id"]
    shop.worker.outcome = Failed(Reason.CORRUPT_MEDIA, "broken")
    bad = (await shop.post()).json()["task"]
    shop.worker.may_start.clear()
    waiting = await shop.post_async()
    purged = good
    assert await listed(shop, "?status=done") == [good]
    assert await listed(shop, "?status=failed") == [bad]
    assert await listed(shop, "?status=QUEUED") == [waiting]
    assert await listed(shop, "?status=processing") == await listed(shop, "?status=deleted") == []
    await shop.client.delete(f"/v1/task/{purged}?record=false")
    assert await listed(shop, "?status=deleted") == [purged]
    assert await listed(shop, "?status=done") == []


async def test_a_task_that_is_being_deleted_shows_as_deleted(idle_shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routes, "DELETION_SECONDS", 0.01)
    name = await idle_shop.post_async()
    answer = await idle_shop.client.delete(f"/v1/task/{name}")
    assert answer.status_code == 202  # nobody is there who could remove the files
    assert (await idle_shop.client.get(f"/v1/task/{name}")).json()["status"] == "deleted"
    assert await listed(idle_shop, "?status=deleted") == [name]
    assert await listed(idle_shop, "?status=queued") == []
    assert (await idle_shop.client.get(f"/v1/file/{name}/anonymised")).status_code == 404


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("?limit=0", "limit"),
        ("?limit=1001", "limit"),
        ("?limit=many", "limit"),
        ("?status=finished", "status"),
        ("?cursor=%00", "cursor"),
        ("?cursor=not-a-cursor", "cursor"),
        ("?sort=up", "sort"),
    ],
)
async def test_a_bad_list_is_refused_by_name(shop: Shop, query: str, field: str) -> None:
    answer = await shop.client.get(f"/v1/task/list{query}")
    assert answer.status_code == 400
    assert answer.json()["field"] == field


async def test_deletion_removes_record_and_files(shop: Shop) -> None:
    name = (await shop.post()).json()["id"]
    assert shop.files()
    answer = await shop.client.delete(f"/v1/task/{name}")
    assert answer.status_code == 200
    Deleted.model_validate(answer.json())
    assert shop.files() == []
    assert (await shop.client.get(f"/v1/task/{name}")).status_code == 404
    assert (await shop.client.delete(f"/v1/task/{name}")).status_code == 404


async def test_deletion_of_the_record_alone_leaves_the_files(shop: Shop) -> None:
    name = (await shop.post()).json()["id"]
    before = shop.files()
    assert (await shop.client.delete(f"/v1/task/{name}?files=False")).status_code == 200
    assert shop.files() == before
    assert (await shop.client.get(f"/v1/task/{name}")).status_code == 404


async def test_deletion_of_the_files_alone_leaves_the_record(shop: Shop) -> None:
    name = (await shop.post()).json()["id"]
    for _ in range(2):  # the second time there is nothing left to do
        answer = await shop.client.delete(f"/v1/task/{name}?record=false")
        assert answer.status_code == 200
    assert shop.files() == []
    task = (await shop.client.get(f"/v1/task/{name}")).json()
    assert task["status"] == "deleted"
    assert task["anonymised_link"] is task["metadata_link"] is None
    answer = await shop.client.get(f"/v1/file/{name}/anonymised")
    assert answer.status_code == 404
    assert "were deleted" in answer.json()["error"]
    assert (await shop.client.delete(f"/v1/task/{name}")).status_code == 200
    assert (await shop.client.get(f"/v1/task/{name}")).status_code == 404


async def test_a_running_task_is_cancelled_by_its_deletion(shop: Shop) -> None:
    shop.worker.may_finish.clear()
    name = await shop.post_async()
    await shop.worker.started.wait()
    assert (await shop.client.delete(f"/v1/task/{name}")).status_code == 200
    assert shop.files() == []


@pytest.mark.parametrize("address", ["/v1/task/{}", "/v1/task/list"])
async def test_deleting_nothing_is_refused(shop: Shop, address: str) -> None:
    name = (await shop.post()).json()["id"]
    answer = await shop.client.delete(f"{address.format(name)}?record=0&files=no")
    assert answer.status_code == 400
    assert "nothing to delete" in answer.json()["error"]
    assert (await shop.client.get(f"/v1/task/{name}")).status_code == 200


@pytest.mark.parametrize("query", ["record=perhaps", "recrod=true"])
async def test_a_misspelt_deletion_deletes_nothing(shop: Shop, query: str) -> None:
    name = (await shop.post()).json()["id"]
    assert (await shop.client.delete(f"/v1/task/{name}?{query}")).status_code == 400
    assert (await shop.client.delete(f"/v1/task/list?{query}")).status_code == 400
    assert await listed(shop) == [name]


async def test_deleting_an_unknown_task(shop: Shop) -> None:
    assert (await shop.client.delete("/v1/task/nope?record=false")).status_code == 404


async def gone(shop: Shop, names: list[str]) -> None:
    for name in names:
        while (await shop.client.get(f"/v1/task/{name}")).status_code != 404:
            pass


@pytest.mark.parametrize("address", ["/v1/task/list", "/v1/task/lists"])
async def test_all_tasks_are_deleted(shop: Shop, address: str) -> None:
    names = [(await shop.post()).json()["id"] for _ in range(3)]
    assert (await shop.client.delete(address)).json() == {"deleted": 3}
    await gone(shop, names)
    assert shop.files() == []
    assert (await shop.client.delete(address)).json() == {"deleted": 0}


async def test_only_tasks_with_the_status_are_deleted(shop: Shop) -> None:
    good = (await shop.post()).json()["id"]
    shop.worker.outcome = Failed(Reason.CORRUPT_MEDIA, "broken")
    bad = (await shop.post()).json()["task"]
    assert (await shop.client.delete("/v1/task/list?status=failed")).json() == {"deleted": 1}
    await gone(shop, [bad])
    assert await listed(shop) == [good]


async def test_the_files_of_all_tasks_are_deleted(shop: Shop) -> None:
    names = [(await shop.post(picture(".png"))).json()["id"] for _ in range(2)]
    assert (await shop.client.delete("/v1/task/list?record=false")).json() == {"deleted": 2}
    while await listed(shop, "?status=deleted") != names:
        pass
    assert shop.files() == []
    assert (await shop.client.delete("/v1/task/list?record=false")).json() == {"deleted": 0}
