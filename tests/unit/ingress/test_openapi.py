"""The OpenAPI document and the pages made from it."""

import base64
import hashlib
import json
import re
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import pytest

from support.workshop import Shop
from velum_ingress.downloads import result_name
from velum_ingress.openapi import document
from velum_ingress.parameters import ROWS
from velum_ingress.schemas import Problem, Task
from velum_pipeline.media.decode import CODECS

CHECKED_IN = Path(__file__).parents[3] / "docs" / "openapi.json"


def test_the_checked_in_document_is_the_present_one() -> None:
    assert json.loads(CHECKED_IN.read_text()) == document(), "run: hack/generate"


async def test_a_server_serves_the_same(shop: Shop) -> None:
    assert (await shop.client.get("/openapi.json")).json() == document()


def test_every_address_of_the_contract_is_described() -> None:
    expected = {
        "/v1/file": {"post"},
        "/v1/file/{id}/anonymised": {"get"},
        "/v1/file/{id}/video/anonymised": {"get"},
        "/v1/file/{id}/binary-mask": {"get"},
        "/v1/file/{id}/instance-mask": {"get"},
        "/v1/file/{id}/metadata": {"get"},
        "/v1/file/{id}/video/metadata": {"get"},
        "/v1/status": {"get"},
        "/v1/task/list": {"get", "delete"},
        "/v1/task/{id}": {"get", "delete"},
        "/healthz": {"get"},
        "/readyz": {"get"},
        "/metrics": {"get"},
    }
    assert {path: set(methods) for path, methods in document()["paths"].items()} == expected


def test_the_uploads_parameters_are_the_tables() -> None:
    described = document()["paths"]["/v1/file"]["post"]["parameters"]
    assert [each["name"] for each in described if each["in"] == "query"] == [row.name for row in ROWS]
    assert all(each["description"] for each in described)


def test_every_reference_leads_somewhere() -> None:
    found = document()
    names = set(re.findall(r'"#/components/schemas/(\w+)"', json.dumps(found)))
    assert names <= set(found["components"]["schemas"])
    assert {"Task", "Problem", "Metadata", "Running", "Down"} <= names


def operations() -> list[tuple[str, dict[str, Any]]]:
    return [
        (f"{method} {path}", each) for path, methods in document()["paths"].items() for method, each in methods.items()
    ]


@pytest.mark.parametrize(("operation", "described"), operations())
def test_every_parameter_is_there_once_and_those_of_the_path_all(operation: str, described: dict[str, Any]) -> None:
    places = [(each["name"], each["in"]) for each in described.get("parameters", [])]
    assert len(places) == len(set(places))
    assert {name for name, where in places if where == "path"} == set(re.findall(r"{(\w+)}", operation))
    assert all(each["required"] for each in described.get("parameters", []) if each["in"] == "path")


def test_no_answer_is_described_that_is_never_given() -> None:
    assert "ValidationError" not in json.dumps(document())
    with_422 = {operation for operation, each in operations() if "422" in each["responses"]}
    assert with_422 == {operation for operation, _ in operations() if operation.startswith("get /v1/file/{id}/")}
    for _, each in operations():
        for status, answer in each["responses"].items():
            assert (
                int(status) < 400
                or "application/problem+json" in answer.get("content", ())
                or status == "416"
                or each["tags"] == ["server"]
            )


def test_operations_have_ids_of_their_own() -> None:
    ids = [each["operationId"] for methods in document()["paths"].values() for each in methods.values()]
    assert len(ids) == len(set(ids))


async def test_answers_are_of_the_described_shape(shop: Shop) -> None:
    Task.model_validate((await shop.post()).json())
    Problem.model_validate((await shop.post(query="face=maybe")).json())


class Page(HTMLParser):
    """Collects what a page would load from elsewhere, and checks that its tags close."""

    VOID = frozenset({"meta", "link", "input", "img", "br", "!doctype"})

    def __init__(self) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.loads += [value or "" for name, value in attrs if name in {"src", "href", "action"}]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.parametrize("path", ["/docs", "/"])
async def test_pages_stand_alone(shop: Shop, path: str) -> None:
    answer = await shop.client.get(path)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    page = Page()
    page.feed(answer.text)
    assert page.open == []
    assert not [each for each in page.loads if urlsplit(each).netloc], "from this server only"
    for each in page.loads:
        assert (await shop.client.get(urljoin(path, each))).status_code == 200
    assert (await shop.client.head(path)).content == b""


async def test_the_reference_tells_every_parameter_with_examples_for_this_server(shop: Shop) -> None:
    text = unescape((await shop.client.get("/docs")).text)
    for row in ROWS:
        assert f"<code>{row.name}</code>" in text
    assert "curl -F fileobject=@street.jpg 'http://velum.test/v1/file?face=true&license-plate=true'" in text


async def test_a_hosts_name_cannot_become_markup(shop: Shop) -> None:
    answer = await shop.client.get("/docs", headers={"host": "x<script>alert(1)</script>"})
    assert "<script>" not in answer.text


async def test_the_pages_policy_names_exactly_its_script(shop: Shop) -> None:
    answer = await shop.client.get("/")
    script = re.findall(r"<script>(.*?)</script>", answer.text, re.DOTALL)
    assert len(script) == 1
    digest = base64.b64encode(hashlib.sha256(script[0].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}';" in answer.headers["content-security-policy"]
    assert "media-src 'self';" in answer.headers["content-security-policy"], "the page plays videos"
    assert not re.search(r"\son\w+=|innerHTML|https?://", answer.text)


def test_every_picture_that_comes_out_is_described_and_has_its_name() -> None:
    answers = document()["paths"]["/v1/file/{id}/anonymised"]["get"]["responses"]["200"]["content"]
    assert {name for name in answers if name.startswith("image/")} == {each.mime for each in CODECS}
    assert all(result_name("a.x", "anonymised", each.mime) == "a" + each.extension for each in CODECS)
