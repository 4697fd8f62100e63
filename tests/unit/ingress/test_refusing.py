"""POST /v1/file: what is refused, by which name, and that nothing is left of it."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from support.workshop import VIDEOS, Shop, open_shop, picture
from velum.api import Phase


async def test_another_word_for_async_is_refused(idle_shop: Shop) -> None:
    answer = await idle_shop.post(headers={"x-is-async": "maybe"})
    assert answer.status_code == 400
    assert answer.json()["field"] == "x-is-async"


async def test_what_would_lose_is_refused_by_name_unless_no_picture_is_made(shop: Shop) -> None:
    pixels = cv2.imdecode(np.frombuffer(picture(".png"), np.uint8), cv2.IMREAD_COLOR)
    lossy = cv2.imencode(".webp", pixels, [cv2.IMWRITE_WEBP_QUALITY, 80])[1].tobytes()
    answer = await shop.post(lossy, "face=true&lossless=true")
    assert answer.status_code == 400
    assert answer.json()["field"] == "lossless"
    assert "WebP is lossy" in answer.json()["error"]
    assert await shop.storage.inputs.below("tasks/") == []
    assert (await shop.post(lossy, "face=true&lossless=true&method=detect")).status_code == 200
    assert (await shop.post(lossy, "face=true")).status_code == 200


@pytest.mark.parametrize("name", VIDEOS)
async def test_a_video_cannot_be_made_without_loss(idle_shop: Shop, name: str) -> None:
    answer = await idle_shop.post(VIDEOS[name], "face=true&lossless=true")
    assert answer.status_code == 400
    assert answer.json()["field"] == "lossless"
    assert "videos are always encoded anew" in answer.json()["error"]
    assert idle_shop.files() == []
    await idle_shop.post_async(VIDEOS[name], "face=true&lossless=true&method=detect")


@pytest.mark.parametrize(
    ("query", "field", "part"),
    [
        ("", "face", "at least one of face, license-plate, person, vehicle"),
        ("face=false", "face", "at least one"),
        ("face=true&facee=true", "facee", "did you mean 'face'"),
        ("face=true&lisense_plate=1", "lisense_plate", "did you mean 'license-plate'"),
        ("face=perhaps", "face", "true or false"),
        ("face=true&face=false", "face", "given twice"),
        ("license-plate=1&license_plate=0", "license-plate", "given twice"),
        ("face=true&mask-scale=0", "mask-scale", "1..100"),
        ("face=true&model=none-such", "model", "the models are: default"),
        ("face=true&model=../default", "model", "there is no model"),
        ("face=true&webhook=ftp://example.org/", "webhook", "only http and https"),
        ("face=true&webhook=http://127.0.0.1/x", "webhook", "not public"),
        ("face=true&webhook=http://[::1]/x", "webhook", "not public"),
        ("face=true&webhook=http://user:geheim@example.org/", "webhook", "credentials"),
        (f"face=true&webhook=http://{'a' * 70}.example/", "webhook", "is no host name"),
    ],
)
async def test_a_bad_parameter_is_refused_by_name(idle_shop: Shop, query: str, field: str, part: str) -> None:
    answer = await idle_shop.post(query=query)
    body = answer.json()
    assert answer.status_code == body["status_code"] == body["status"] == 400
    assert answer.headers["content-type"] == "application/problem+json"
    assert body["field"] == field
    assert body["error"].startswith(field)
    assert part in body["error"]
    assert "geheim" not in answer.text
    assert idle_shop.files() == []


async def test_a_class_that_the_server_was_not_started_with_is_refused(tmp_path: Path) -> None:
    async with open_shop(tmp_path, working=False, api={"classes": ("face",)}) as shop:
        answer = await shop.post(query="person=true")
        assert answer.status_code == 400
        assert answer.json()["field"] == "person"
        assert "started for face only" in answer.json()["error"]


async def test_a_missing_default_model_is_not_the_clients_fault(tmp_path: Path) -> None:
    async with open_shop(tmp_path, working=False, api={"model": "big"}) as shop:
        answer = await shop.post()
        assert answer.status_code == 503
        assert "retry-after" in answer.headers


@pytest.mark.parametrize(
    ("files", "status", "text"),
    [
        ({"fileobject": ("a.jpg", b"", "image/jpeg")}, 400, "empty"),
        ({"fileobject": ("a.jpg", picture()[:-40], "image/jpeg")}, 400, "truncated"),
        ({"fileobject": ("a.png", picture(".png")[:-20], "image/png")}, 400, "truncated"),
        ({"fileobject": ("a.jpg", b"hello, world", "image/jpeg")}, 415, "no JPEG"),
        ({"fileobject": ("a.gif", b"GIF89a" + bytes(9000), "image/gif")}, 415, "no JPEG"),
        ({"fileobject": ("a.mp4", b"hello, world", "video/mp4")}, 415, "no MP4, MOV, MKV, WebM, AVI or MPEG-TS"),
        ({"fileobject": ("a.mp4", b"", "video/mp4")}, 400, "empty"),
        ({"fileobject": ("a.mp4", picture()[:-40], "video/mp4")}, 400, "truncated"),
        ({"upload": ("a.jpg", picture(), "image/jpeg")}, 400, "upload: no such part"),
        ([("fileobject", picture()), ("fileobject", picture())], 400, "fileobject: is there twice"),
        ([("fileobject", picture()), ("file", picture())], 400, "file: is there twice"),
    ],
)
async def test_a_bad_file_is_refused_and_nothing_is_left(
    idle_shop: Shop, files: object, status: int, text: str
) -> None:
    for headers in ({}, {"x-is-async": "true"}):
        answer = await idle_shop.post(files=files, headers=headers)
        assert answer.status_code == status, answer.text
        assert text in answer.json()["error"]
    assert idle_shop.files() == []
    assert (await idle_shop.store.list()).tasks == ()


async def test_fields_beside_the_file_are_refused_by_name(idle_shop: Shop) -> None:
    answer = await idle_shop.client.post("/v1/file?face=1", files={"fileobject": picture()}, data={"method": "blacken"})
    assert answer.status_code == 400
    assert "parameters into the query" in answer.json()["error"]


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"", None),
        (picture(), "image/jpeg"),
        (b"{}", "application/json"),
        (b"--b--\r\n", "multipart/form-data; boundary=b"),
    ],
)
async def test_a_request_without_the_part_is_refused_by_its_name(
    idle_shop: Shop, content: bytes, kind: str | None
) -> None:
    headers = {"content-type": kind} if kind else {}
    answer = await idle_shop.client.post("/v1/file?face=true", content=content, headers=headers)
    assert answer.status_code == 400
    assert answer.json()["error"].startswith("fileobject: is missing")


async def test_the_size_limit_is_counted_while_streaming(tmp_path: Path) -> None:
    async with open_shop(tmp_path, working=False, limit={"upload_bytes": 100_000}) as shop:
        await shop.post_async(picture(".bmp", 100, 100))
        before = shop.files()
        answer = await shop.post(picture(".bmp", 200, 200))
        assert answer.status_code == 413
        assert "100000 bytes" in answer.json()["error"]
        assert shop.files() == before


async def test_too_long_by_its_own_word_is_refused_unread(tmp_path: Path) -> None:
    async def body():
        raise AssertionError("the body was read")
        yield b""

    async with open_shop(tmp_path, working=False, limit={"upload_bytes": 1000}) as shop:
        headers = {"content-type": "multipart/form-data; boundary=b", "content-length": str(1 << 30)}
        answer = await shop.client.post("/v1/file?face=1", content=body(), headers=headers)
        assert answer.status_code == 413


async def test_a_form_larger_than_file_and_overhead_is_refused(tmp_path: Path) -> None:
    async def body():
        yield b"--b\r\ncontent-disposition: form-data; name=fileobject\r\n\r\n" + picture() + b"\r\n--b--\r\n"
        for _ in range(40):
            yield bytes(65_536)

    async with open_shop(tmp_path, working=False, limit={"upload_bytes": 100_000}) as shop:
        headers = {"content-type": "multipart/form-data; boundary=b"}
        answer = await shop.client.post("/v1/file?face=1", content=body(), headers=headers)
        assert answer.status_code == 413
        assert shop.files() == []


async def test_the_pixel_limit_is_read_from_the_header(tmp_path: Path) -> None:
    async with open_shop(tmp_path, working=False, limit={"pixels": 1000}) as shop:
        answer = await shop.post(picture(width=64, height=48))
        assert answer.status_code == 413
        assert answer.json()["reason"] == "TooManyPixels"
        assert "64 x 48" in answer.json()["error"]
        assert shop.files() == []


async def test_a_full_queue_asks_to_come_back(tmp_path: Path) -> None:
    async with open_shop(tmp_path, working=False, limit={"queue": 2}) as shop:
        names = [await shop.post_async() for _ in range(2)]
        refused = await shop.post()
        assert refused.status_code == 503
        assert refused.json()["error"].startswith("the queue is full: 2 tasks of at most 2")
        assert int(refused.headers["retry-after"]) > 0
        task = await shop.store.get(names[0])
        await shop.store.write_status(task, task.status.model_copy(update={"phase": Phase.COMPLETE}))
        shop.clock.forward(seconds=2)
        await shop.post_async()


async def test_refused_uploads_leave_the_queue_as_it_was(tmp_path: Path) -> None:
    async with open_shop(tmp_path, working=False, limit={"queue": 2}) as shop:
        for _ in range(5):
            assert (await shop.post(b"no picture")).status_code == 415
        assert (await shop.client.get("/v1/status")).json()["queue"]["unfinished"] == 0
        await shop.post_async()
        assert (await shop.client.get("/v1/status")).json()["queue"]["unfinished"] == 1


async def test_storage_that_is_gone_is_told_without_its_place(idle_shop: Shop) -> None:
    folder = idle_shop.folder / "in"
    folder.rmdir()
    folder.write_text("no folder")
    answer = await idle_shop.post()
    assert answer.status_code == 503
    assert str(idle_shop.folder) not in answer.text
    assert "storage" in json.loads(answer.text)["error"]
    assert (await idle_shop.store.list()).tasks == ()
