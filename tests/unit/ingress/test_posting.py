"""POST /v1/file: what is accepted, what is refused, and that nothing is left of what was refused."""

import asyncio
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from support.workshop import Shop, open_shop, picture
from velum.api import Phase, Reason
from velum.tasks.order import Failed
from velum_ingress.schemas import Task

TEST_URL = "http://velum.test"


async def test_a_synchronous_upload_is_answered_when_it_is_done(shop: Shop) -> None:
    answer = await shop.post()
    assert answer.status_code == 200
    task = answer.json()
    Task.model_validate(task)
    assert task["status"] == "done"
    assert task["progress"] == 1
    assert task["filename"] == "street.jpg"
    assert task["media_type"] == "image/jpeg"
    assert task["error"] is None
    base = f"{TEST_URL}/v1/file/{task['id']}"
    assert task["anonymised_link"] == f"{base}/anonymised"
    assert task["binary_mask_link"] == f"{base}/binary-mask"
    assert task["instance_mask_link"] == f"{base}/instance-mask"
    assert task["metadata_link"] == f"{base}/metadata"


@pytest.mark.parametrize("word", ["true", "True", "1", "yes", "ON"])
async def test_an_asynchronous_upload_is_answered_at_once(idle_shop: Shop, word: str) -> None:
    answer = await idle_shop.post(headers={"x-is-async": word})
    assert answer.status_code == 202
    task = answer.json()
    assert task["status"] == "queued"
    assert answer.headers["location"] == f"{TEST_URL}/v1/task/{task['id']}"
    assert task["anonymised_link"] is task["metadata_link"] is None


@pytest.mark.parametrize("word", ["false", "0", "no", "off", ""])
async def test_false_words_mean_synchronous(shop: Shop, word: str) -> None:
    assert (await shop.post(headers={"x-is-async": word})).status_code == 200


async def test_another_word_for_async_is_refused(idle_shop: Shop) -> None:
    answer = await idle_shop.post(headers={"x-is-async": "maybe"})
    assert answer.status_code == 400
    assert answer.json()["field"] == "x-is-async"


async def test_the_part_may_be_named_file(shop: Shop) -> None:
    assert (await shop.post(files={"file": ("a.png", picture(".png"), "text/plain")})).status_code == 200


@pytest.mark.parametrize("extension", [".jpg", ".png", ".webp", ".tiff", ".bmp"])
async def test_the_type_is_decided_by_the_bytes(shop: Shop, extension: str) -> None:
    wrong = {"fileobject": ("movie.mp4", picture(extension), "video/mp4")}
    answer = await shop.post(files=wrong)
    assert answer.status_code == 200
    assert answer.json()["media_type"].startswith("image/")


@pytest.mark.parametrize("extension", [".jpg", ".png", ".webp", ".tiff", ".bmp"])
async def test_what_can_be_kept_without_loss_is_taken(shop: Shop, extension: str) -> None:
    answer = await shop.post(picture(extension), "face=true&lossless=true&gps=strip")
    assert answer.status_code == 200
    assert answer.json()["parameters"]["lossless"] is True
    assert answer.json()["parameters"]["gps"] == "strip"


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


async def test_the_upload_reaches_the_store_unchanged(idle_shop: Shop) -> None:
    data = picture(".png", 300, 200)
    name = await idle_shop.post_async(data)
    task = await idle_shop.store.get(name)
    assert task.spec.source.object is not None
    assert await idle_shop.storage.inputs.get(task.spec.source.object.key) == data
    assert task.spec.source.object.key == f"{task.folder}input"
    assert task.metadata.labels == {"velum.dev/created-by": "rest"}


async def test_parameters_reach_the_spec_and_come_back(shop: Shop) -> None:
    query = (
        "face=True&license_plate=1&method=pixelate&quality=0&face-threshold=0.29&kernel-size-license-plate=0.75"
        "&ignores=[{'topLeftX':1,'topLeftY':2,'width':3,'height':4}]&format=pano:8192&mask-scale=50&bbox=yes&name=x.png"
    )
    answer = await shop.post(query=query)
    assert answer.status_code == 200, answer.text
    echo = answer.json()["parameters"]
    assert echo["face"] is echo["license_plate"] is echo["bbox"] is True
    assert echo["person"] is False
    assert echo["method"] == "pixelate"
    assert echo["quality"] == 90
    assert echo["face_threshold"] == 0.29
    assert echo["kernel_size_license_plate"] == 0.75
    assert echo["ignores"] == [{"topLeftX": 1, "topLeftY": 2, "width": 3, "height": 4}]
    assert echo["format"] == "pano:8192"
    assert echo["mask_scale"] == 50
    assert echo["name"] == answer.json()["filename"] == "x.png"


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


async def test_default_classes_are_used_when_none_is_named(tmp_path: Path) -> None:
    async with open_shop(tmp_path, working=False, api={"default_classes": ("face", "person")}) as shop:
        for query, expected in (("", ("face", "person")), ("vehicle=true", ("vehicle",)), ("face=false", ("person",))):
            task = await shop.store.get(await shop.post_async(query=query))
            assert task.spec.classes.names() == expected


async def test_a_missing_default_model_is_not_the_clients_fault(tmp_path: Path) -> None:
    async with open_shop(tmp_path, working=False, api={"model": "big"}) as shop:
        answer = await shop.post()
        assert answer.status_code == 503
        assert "retry-after" in answer.headers


@pytest.mark.parametrize(
    ("files", "status", "text"),
    [
        ({"fileobject": ("a.mp4", b"\0\0\0\x18ftypisom" + bytes(5000), "video/mp4")}, 415, "not supported yet"),
        ({"fileobject": ("a.jpg", b"\0\0\0\x18ftypisom", "image/jpeg")}, 415, "not supported yet"),
        ({"fileobject": ("a.webm", b"\x1a\x45\xdf\xa3\x42\x82\x84webm", "video/webm")}, 415, "not supported yet"),
        ({"fileobject": ("a.jpg", b"", "image/jpeg")}, 400, "empty"),
        ({"fileobject": ("a.jpg", picture()[:-40], "image/jpeg")}, 400, "truncated"),
        ({"fileobject": ("a.png", picture(".png")[:-20], "image/png")}, 400, "truncated"),
        ({"fileobject": ("a.jpg", b"hello, world", "image/jpeg")}, 415, "no JPEG"),
        ({"fileobject": ("a.gif", b"GIF89a" + bytes(9000), "image/gif")}, 415, "no JPEG"),
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


@pytest.mark.parametrize(
    ("reason", "status"),
    [
        (Reason.CORRUPT_MEDIA, 400),
        (Reason.TRUNCATED_MEDIA, 400),
        (Reason.EMPTY_MEDIA, 400),
        (Reason.CLASS_NOT_SERVED, 400),
        (Reason.UNSUPPORTED_MEDIA, 415),
        (Reason.TOO_MANY_PIXELS, 413),
        (Reason.TOO_LARGE, 413),
        (Reason.SOURCE_NOT_FOUND, 500),
        (Reason.PIPELINE_FAILED, 500),
        (Reason.WORKER_LOST, 500),
    ],
)
async def test_a_failed_task_answers_its_upload_with_the_reason(shop: Shop, reason: Reason, status: int) -> None:
    shop.worker.outcome = Failed(reason, "the picture is no good")
    answer = await shop.post()
    body = answer.json()
    assert answer.status_code == body["status_code"] == status
    assert "the picture is no good" in body["error"]
    task = await shop.store.get(body["task"])
    assert task.status.failed


async def test_a_picture_that_only_the_decoder_refuses(shop: Shop) -> None:
    data = bytearray(picture(".png", 200, 200))
    data[len(data) // 2] ^= 0xFF
    answer = await shop.post(bytes(data))
    assert answer.status_code == 400
    assert answer.json()["reason"] == "CorruptMedia"


async def test_a_request_that_waited_long_enough_gets_its_task(tmp_path: Path) -> None:
    async with open_shop(tmp_path, working=False, limit={"sync_seconds": 0.05}) as shop:
        answer = await shop.post()
        assert answer.status_code == 202
        assert answer.headers["location"].endswith(answer.json()["id"])
        assert answer.json()["status"] == "queued"


async def test_a_store_that_goes_away_meanwhile_does_not_hide_the_task(tmp_path: Path) -> None:
    async with open_shop(tmp_path, working=False, limit={"sync_seconds": 0.2}) as shop:
        request = asyncio.create_task(shop.post())
        while not (await shop.store.list()).tasks:
            pass
        await shop.store.aclose()
        answer = await request
        assert answer.status_code == 202
        assert answer.json()["id"]


async def test_a_task_deleted_while_it_is_waited_for_is_not_found(shop: Shop) -> None:
    shop.worker.may_finish.clear()
    request = asyncio.create_task(shop.post())
    name = await _first_task(shop)
    await shop.store.delete(name)
    answer = await request
    assert answer.status_code == 404
    assert name in answer.json()["error"]


async def test_many_requests_wait_on_one_watch(shop: Shop) -> None:
    answers = await asyncio.gather(*(shop.post(query=f"face=1&name=n{index}.jpg") for index in range(20)))
    assert [answer.status_code for answer in answers] == [200] * 20
    assert [answer.json()["filename"] for answer in answers] == [f"n{index}.jpg" for index in range(20)]


async def test_a_webhook_is_noted(shop: Shop) -> None:
    answer = await shop.post(query="face=1&webhook=https://192.0.43.10/hook")
    assert answer.status_code == 200
    assert answer.json()["parameters"]["webhook"] == "https://192.0.43.10/hook"
    assert answer.json()["webhook_status"] in {"set", "sent"}


async def test_private_webhooks_are_taken_when_allowed(tmp_path: Path) -> None:
    async with open_shop(tmp_path, working=False, webhook={"allow_private": True}) as shop:
        await shop.post_async(query="face=1&webhook=http://127.0.0.1:9/hook")


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\photos\\street.jpg", "street.jpg"),
        ("naïve ☂.jpg", "naïve ☂.jpg"),
        ("x" * 400 + ".jpeg", "x" * 250 + ".jpeg"),
    ],
)
async def test_a_clients_file_name_is_only_a_name(idle_shop: Shop, given: str, kept: str) -> None:
    answer = await idle_shop.post(files={"fileobject": (given, picture())}, headers={"x-is-async": "1"})
    assert answer.json()["filename"] == kept
    assert all(path.endswith("/input") for path in idle_shop.files())


async def test_a_file_without_a_name_is_named_after_its_task(idle_shop: Shop) -> None:
    body = b"--b\r\ncontent-disposition: form-data; name=fileobject\r\n\r\n" + picture() + b"\r\n--b--\r\n"
    headers = {"content-type": "multipart/form-data; boundary=b", "x-is-async": "1"}
    answer = await idle_shop.client.post("/v1/file?face=1", content=body, headers=headers)
    assert answer.json()["filename"] == f"{answer.json()['id']}.jpg"


async def test_storage_that_is_gone_is_told_without_its_place(idle_shop: Shop) -> None:
    folder = idle_shop.folder / "in"
    folder.rmdir()
    folder.write_text("no folder")
    answer = await idle_shop.post()
    assert answer.status_code == 503
    assert str(idle_shop.folder) not in answer.text
    assert "storage" in json.loads(answer.text)["error"]
    assert (await idle_shop.store.list()).tasks == ()


async def _first_task(shop: Shop) -> str:
    await shop.worker.started.wait()
    return shop.worker.seen[0]
