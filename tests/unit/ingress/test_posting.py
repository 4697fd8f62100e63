"""POST /v1/file: what is accepted, how it is answered and waited for."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from support.samples import model_spec
from support.workshop import VIDEOS, Shop, open_shop, picture
from velum.api import Reason
from velum.tasks.order import Failed
from velum_ingress.schemas import Task
from velum_pipeline import media

TEST_URL = "http://velum.test"
ASYNC = {"x-is-async": "true"}


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


async def test_the_part_may_be_named_file(shop: Shop) -> None:
    assert (await shop.post(files={"file": ("a.png", picture(".png"), "text/plain")})).status_code == 200


@pytest.mark.parametrize("extension", [".jpg", ".png", ".webp", ".tiff", ".bmp"])
async def test_the_type_is_decided_by_the_bytes(shop: Shop, extension: str) -> None:
    wrong = {"fileobject": ("movie.mp4", picture(extension), "video/mp4")}
    answer = await shop.post(files=wrong)
    assert answer.status_code == 200
    assert answer.json()["media_type"].startswith("image/")


@pytest.mark.parametrize("kind", VIDEOS)
async def test_videos_are_taken_by_their_bytes(shop: Shop, kind: str) -> None:
    answer = await shop.post(files={"fileobject": ("street.jpg", VIDEOS[kind], "image/jpg")})
    assert answer.status_code == 200, answer.text
    task = answer.json()
    Task.model_validate(task)
    expected = media.sniff(VIDEOS[kind])
    assert expected is not None
    assert (task["media_type"], expected.extension) == (expected.mime, f".{kind}")
    base = f"{TEST_URL}/v1/file/{task['id']}/video"
    assert task["anonymised_link"] == f"{base}/anonymised"
    assert task["metadata_link"] == f"{base}/metadata"
    assert task["binary_mask_link"] is task["instance_mask_link"] is None
    assert (task["frames_done"], task["frames_total"], task["skipped_frames"]) == (10, 10, 0)
    assert (task["left_out"], task["finish_estimate"]) == ([], None)


async def test_a_video_s_parameters_reach_its_spec(idle_shop: Shop) -> None:
    query = "face=true&format=pano:8192&quality=70&compress-level=9&mask-scale=50&save-mask=binary&gps=strip"
    task = await idle_shop.store.get(await idle_shop.post_async(VIDEOS["mkv"], query))
    assert (task.spec.tiling.mode, task.spec.quality, task.spec.gps) == ("pano", 70, "strip")
    assert (await idle_shop.post(VIDEOS["mkv"], query="face=true&method=detect", headers=ASYNC)).status_code == 202


async def test_a_video_that_takes_longer_is_answered_with_its_task(tmp_path: Path) -> None:
    async with open_shop(tmp_path, working=False, limit={"sync_seconds": 0.05}) as shop:
        answer = await shop.post(VIDEOS["mp4"])
        assert answer.status_code == 202
        assert answer.json()["frames_total"] is None


@pytest.mark.parametrize("extension", [".jpg", ".png", ".webp", ".tiff", ".bmp"])
async def test_what_can_be_kept_without_loss_is_taken(shop: Shop, extension: str) -> None:
    answer = await shop.post(picture(extension), "face=true&lossless=true&gps=strip")
    assert answer.status_code == 200
    assert answer.json()["parameters"]["lossless"] is True
    assert answer.json()["parameters"]["gps"] == "strip"


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


async def test_default_classes_are_used_when_none_is_named(tmp_path: Path) -> None:
    async with open_shop(tmp_path, working=False, api={"default_classes": ("face", "person")}) as shop:
        for query, expected in (("", ("face", "person")), ("vehicle=true", ("vehicle",)), ("face=false", ("person",))):
            task = await shop.store.get(await shop.post_async(query=query))
            assert task.spec.classes.names() == expected


FAST = "object-detection-v2"


async def asked_of_the_fast_model(folder: Path, query: str, **api: Any) -> Any:
    async with open_shop(folder, api=api) as shop:
        await shop.store.put_model(FAST, model_spec(classes=["face", "license-plate"]))
        return (await shop.post(query=f"model={FAST}{query}")).json()


@pytest.mark.parametrize(
    ("query", "api", "wanted"),
    [
        ("", {}, {"face", "license_plate"}),
        ("&license-plate=false", {}, {"face"}),
        ("&face=true", {}, {"face"}),
        ("", {"default_classes": ("face", "person")}, {"face"}),
        ("", {"default_classes": ("person",)}, {"face", "license_plate"}),
        ("", {"classes": ("license-plate", "person")}, {"license_plate"}),
    ],
)
async def test_a_request_that_names_a_model_and_no_class_gets_the_model_s(
    tmp_path: Path, query: str, api: dict[str, Any], wanted: set[str]
) -> None:
    task = await asked_of_the_fast_model(tmp_path, query, **api)
    told = task["parameters"]
    assert {name for name in ("face", "license_plate", "person", "vehicle") if told[name]} == wanted
    assert told["model"] == FAST


@pytest.mark.parametrize(
    ("query", "field", "text"),
    [
        ("&person=true", "person", "serves face, license-plate only; use model=default"),
        ("&face=false&license-plate=0", "face", "at least one of face, license-plate must be true"),
    ],
)
async def test_what_the_named_model_does_not_find_is_refused(tmp_path: Path, query: str, field: str, text: str) -> None:
    answer = await asked_of_the_fast_model(tmp_path, query)
    assert (answer["status_code"], answer["field"]) == (400, field)
    assert text in answer["error"]


async def test_thresholds_of_classes_that_the_model_chooses_count(tmp_path: Path) -> None:
    task = await asked_of_the_fast_model(tmp_path, "&face-threshold=0.3")
    assert task["parameters"]["face_threshold"] == 0.3


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


async def _first_task(shop: Shop) -> str:
    await shop.worker.started.wait()
    return shop.worker.seen[0]
