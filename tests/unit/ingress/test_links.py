"""Where links in answers lead: to the configured endpoint, or to where the client asked."""

from html import unescape
from pathlib import Path

import pytest

from support.workshop import Shop, open_shop


async def test_the_configured_endpoint_is_in_every_link(tmp_path: Path) -> None:
    async with open_shop(tmp_path, api={"endpoint": "https://pictures.example/velum/"}) as shop:
        answer = await shop.post()
        links = [value for key, value in answer.json().items() if key.endswith("_link")]
        assert all(link.startswith("https://pictures.example/velum/v1/file/") for link in links)
        assert answer.headers["location"].startswith("https://pictures.example/velum/v1/task/")


@pytest.mark.parametrize("host", ["pictures.example", "10.0.0.7:7000", "[::1]:7000"])
async def test_without_an_endpoint_links_lead_where_the_client_asked(shop: Shop, host: str) -> None:
    asking = {"host": host}
    answer = await shop.post(headers=asking)
    base, task = f"http://{host}", answer.json()
    assert answer.headers["location"] == f"{base}/v1/task/{task['id']}"
    await shop.post()
    page = await shop.client.get("/v1/task/list?limit=1", headers=asking)
    assert page.headers["link"].startswith(f"<{base}/v1/task/list?limit=1&cursor=")
    again = await shop.client.get(f"/v1/task/{task['id']}", headers=asking)
    assert page.json() == [again.json()] == [task]
    assert {value.removeprefix(base)[:9] for key, value in task.items() if key.endswith("_link")} == {"/v1/file/"}
    assert f"curl '{base}/v1/status'" in unescape((await shop.client.get("/docs", headers=asking)).text)
