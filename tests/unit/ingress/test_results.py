"""GET /v1/file/{id}/…: what is there, in whole and in part, and why something is not."""

import json
from collections.abc import AsyncIterator

import cv2
import numpy as np
import pytest

from support.workshop import VIDEOS, Shop, open_shop, picture
from velum.api import Reason
from velum.tasks.order import Failed
from velum_ingress.schemas import Metadata
from velum_pipeline import media


def decoded(data: bytes) -> np.ndarray:
    found = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    assert found is not None
    return found


async def done(shop: Shop, data: bytes | None = None, query: str = "face=true") -> str:
    answer = await shop.post(data, query)
    assert answer.status_code == 200, answer.text
    return f"/v1/file/{answer.json()['id']}"


async def video(shop: Shop, query: str = "face=true") -> str:
    return await done(shop, VIDEOS["mp4"], query)


@pytest.mark.parametrize("extension", [".jpg", ".png", ".webp", ".tiff", ".bmp"])
async def test_the_picture_comes_back_in_the_format_it_came_in(shop: Shop, extension: str) -> None:
    data = picture(extension)
    base = await done(shop, data)
    answer = await shop.client.get(f"{base}/anonymised")
    assert answer.status_code == 200
    expected = media.sniff(data)
    assert media.sniff(answer.content) == expected
    assert expected is not None
    assert answer.headers["content-type"] == expected.mime
    assert answer.headers["content-length"] == str(len(answer.content))
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert f'filename="street{expected.extension}"' in answer.headers["content-disposition"]


async def test_masks_and_metadata(shop: Shop) -> None:
    base = await done(shop)
    binary = await shop.client.get(f"{base}/binary-mask")
    assert binary.headers["content-type"] == "image/png"
    assert set(np.unique(decoded(binary.content))) == {0, 255}
    instance = await shop.client.get(f"{base}/instance-mask")
    assert decoded(instance.content)[0, 0].tolist() == [32, 1, 0]
    assert 'filename="street.instance-mask.png"' in instance.headers["content-disposition"]
    metadata = await shop.client.get(f"{base}/metadata")
    assert metadata.headers["content-type"] == "application/json"
    Metadata.model_validate_json(metadata.text)
    assert metadata.json()["id"] == metadata.json()["filename"] == "street.jpg"


@pytest.mark.parametrize("path", ["anonymised", "binary-mask", "instance-mask", "metadata"])
async def test_head_tells_what_get_would(shop: Shop, path: str) -> None:
    address = f"{await done(shop)}/{path}"
    get, head = await shop.client.get(address), await shop.client.head(address)
    assert head.status_code == 200
    assert head.content == b""
    for name in ("content-length", "content-type", "etag", "content-disposition", "accept-ranges"):
        assert head.headers[name] == get.headers[name]


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [("bytes=0-9", 0, 10), ("bytes=5-", 5, None), ("bytes=-7", -7, None), ("bytes=3-99999999", 3, None)],
)
async def test_a_range_is_answered_in_part(shop: Shop, text: str, start: int, end: int | None) -> None:
    address = f"{await done(shop, picture('.png'))}/anonymised"
    whole = (await shop.client.get(address)).content
    part = await shop.client.get(address, headers={"range": text})
    assert part.status_code == 206
    assert part.content == whole[start:end]
    first = start % len(whole)
    assert part.headers["content-range"] == f"bytes {first}-{first + len(part.content) - 1}/{len(whole)}"


@pytest.mark.parametrize(
    "text", ["bytes=0-1,4-5", "bytes=-", "bytes=9-3", "lines=1-2", "bytes=a-b", "bytes=0-1 2", "x"]
)
async def test_a_range_that_is_not_understood_gives_the_whole(shop: Shop, text: str) -> None:
    address = f"{await done(shop)}/anonymised"
    answer = await shop.client.get(address, headers={"range": text})
    assert answer.status_code == 200
    assert len(answer.content) == int(answer.headers["content-length"])


@pytest.mark.parametrize("text", ["bytes=99999999-", "bytes=-0"])
async def test_a_range_beyond_the_end(shop: Shop, text: str) -> None:
    address = f"{await done(shop)}/anonymised"
    size = (await shop.client.head(address)).headers["content-length"]
    answer = await shop.client.get(address, headers={"range": text})
    assert answer.status_code == 416
    assert answer.headers["content-range"] == f"bytes */{size}"


async def test_if_range_holds_the_parts_of_one_version_together(shop: Shop) -> None:
    address = f"{await done(shop)}/anonymised"
    tag = (await shop.client.head(address)).headers["etag"]
    same = await shop.client.get(address, headers={"range": "bytes=0-3", "if-range": tag})
    other = await shop.client.get(address, headers={"range": "bytes=0-3", "if-range": '"other"'})
    assert (same.status_code, other.status_code) == (206, 200)


@pytest.mark.parametrize("form", ["{}", "W/{}", '"other", {}', "*"])
async def test_what_the_client_has_is_not_sent_again(shop: Shop, form: str) -> None:
    address = f"{await done(shop)}/anonymised"
    tag = (await shop.client.head(address)).headers["etag"]
    answer = await shop.client.get(address, headers={"if-none-match": form.format(tag)})
    assert answer.status_code == 304
    assert answer.content == b""


async def test_quality_on_download_encodes_anew(shop: Shop) -> None:
    base = await done(shop, picture(".jpg", 400, 300))
    stored, small = [await shop.client.get(f"{base}/anonymised{query}") for query in ("", "?quality=10")]
    assert len(small.content) < len(stored.content)
    assert decoded(small.content).shape == decoded(stored.content).shape
    assert small.headers["etag"] != stored.headers["etag"]
    again = await shop.client.get(f"{base}/anonymised?quality=10", headers={"if-none-match": small.headers["etag"]})
    assert again.status_code == 304


@pytest.mark.parametrize("query", ["quality=0", "quality=", "quality=90", "compress-level=9", "compress_level=1"])
async def test_a_download_that_would_change_nothing_is_the_stored_file(shop: Shop, query: str) -> None:
    base = await done(shop)
    stored = await shop.client.get(f"{base}/anonymised")
    answer = await shop.client.get(f"{base}/anonymised?{query}")
    assert answer.content == stored.content
    assert answer.headers["etag"] == stored.headers["etag"]


async def test_any_quality_on_download_ends_lossless(shop: Shop) -> None:
    base = await done(shop, picture(".jpg", 400, 300), "face=true&lossless=true")
    stored, same, anew = [
        await shop.client.get(f"{base}/anonymised{query}") for query in ("", "?quality=0", "?quality=90")
    ]
    assert same.content == stored.content
    assert anew.headers["etag"] != stored.headers["etag"]


async def test_compress_level_on_download_changes_size_and_no_pixel(shop: Shop) -> None:
    base = await done(shop, picture(".png", 400, 300))
    stored, fast = [await shop.client.get(f"{base}/anonymised{query}") for query in ("", "?compress-level=0")]
    assert len(fast.content) > len(stored.content)
    assert np.array_equal(decoded(fast.content), decoded(stored.content))


@pytest.mark.parametrize("mask", ["binary-mask", "instance-mask"])
async def test_masks_are_scaled_without_new_values(shop: Shop, mask: str) -> None:
    base = await done(shop)
    whole = decoded((await shop.client.get(f"{base}/{mask}")).content)
    answer = await shop.client.get(f"{base}/{mask}?mask-scale=50")
    half = decoded(answer.content)
    assert half.shape[:2] == (24, 32)
    assert set(np.unique(half)) <= set(np.unique(whole))
    assert (await shop.client.head(f"{base}/{mask}?mask-scale=50")).headers["etag"] == answer.headers["etag"]


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("anonymised?quality=101", "quality"),
        ("anonymised?quality=x", "quality"),
        ("anonymised?compress-level=10", "compress-level"),
        ("anonymised?qualty=3", "qualty"),
        ("binary-mask?mask-scale=0", "mask-scale"),
        ("instance-mask?mask-scale=101", "mask-scale"),
        ("metadata?x=1", "x"),
        ("video/metadata?start=-1", "start"),
        ("video/metadata?start=5&end=4", "end"),
    ],
)
async def test_bad_parameters_are_refused_by_name(shop: Shop, path: str, field: str) -> None:
    answer = await shop.client.get(f"{await done(shop)}/{path}")
    assert answer.status_code == 400
    assert answer.json()["field"] == field


async def test_results_are_not_ready_before_the_end(shop: Shop) -> None:
    shop.worker.may_start.clear()
    name = await shop.post_async()
    for path in ("anonymised", "binary-mask", "instance-mask", "metadata", "video/anonymised", "video/metadata"):
        answer = await shop.client.get(f"/v1/file/{name}/{path}")
        assert answer.status_code == 409
        assert "is queued" in answer.json()["error"]
        assert "retry-after" in answer.headers
    shop.worker.may_finish.clear()
    shop.worker.may_start.set()
    await shop.worker.started.wait()
    assert "is processing" in (await shop.client.get(f"/v1/file/{name}/metadata")).json()["error"]


async def test_a_failed_task_has_no_results_and_says_why(shop: Shop) -> None:
    shop.worker.outcome = Failed(Reason.CORRUPT_MEDIA, "bits are missing")
    name = (await shop.post()).json()["task"]
    answer = await shop.client.get(f"/v1/file/{name}/anonymised")
    assert answer.status_code == 422
    assert answer.json()["reason"] == "CorruptMedia"
    assert "bits are missing" in answer.json()["error"]


@pytest.mark.parametrize(
    "name", ["nope", "01890000-0000-7000-8000-000000000000", "..", "%2e%2e", "a%20b", "A", "x" * 300]
)
@pytest.mark.parametrize("path", ["/v1/file/{}/anonymised", "/v1/file/{}/metadata", "/v1/task/{}"])
async def test_unknown_ids_are_not_found(shop: Shop, name: str, path: str) -> None:
    answer = await shop.client.get(path.format(name))
    assert answer.status_code == 404
    assert answer.json()["status_code"] == 404


@pytest.mark.parametrize(
    ("query", "missing", "there"),
    [
        ("save-mask=none", ["binary-mask", "instance-mask"], ["anonymised", "metadata"]),
        ("save-mask=binary", ["instance-mask"], ["binary-mask"]),
        ("save-mask=instance", ["binary-mask"], ["instance-mask"]),
        ("method=detect", ["anonymised"], ["binary-mask", "instance-mask", "metadata"]),
    ],
)
async def test_what_was_not_made_is_not_found(shop: Shop, query: str, missing: list[str], there: list[str]) -> None:
    answer = await shop.post(query=f"face=true&{query}")
    task = answer.json()
    for path in missing:
        found = await shop.client.get(f"/v1/file/{task['id']}/{path}")
        assert found.status_code == 404
        assert query.split("=")[1] in found.json()["error"]
        assert task[f"{path.replace('-', '_')}_link"] is None
    for path in there:
        assert (await shop.client.get(f"/v1/file/{task['id']}/{path}")).status_code == 200


async def test_of_a_video_that_was_only_looked_at_there_are_frames_and_no_video(shop: Shop) -> None:
    base = await video(shop, "face=true&method=detect")
    answer = await shop.client.get(f"{base}/video/anonymised")
    assert answer.status_code == 404
    assert "method detect makes" in answer.json()["error"]
    assert len((await shop.client.get(f"{base}/video/metadata")).json()) == 10


@pytest.mark.parametrize("text", ["bytes=0-99", "bytes=9000-", "bytes=-300"])
async def test_a_video_is_sent_in_parts_of_one_version(shop: Shop, text: str) -> None:
    shop.worker.video = bytes(range(256)) * 40
    address = f"{await video(shop)}/video/anonymised"
    head = await shop.client.head(address)
    assert (head.headers["content-type"], head.headers["accept-ranges"]) == ("video/mp4", "bytes")
    assert head.headers["content-length"] == str(len(shop.worker.video))
    part = await shop.client.get(address, headers={"range": text, "if-range": head.headers["etag"]})
    assert part.status_code == 206
    first, _, last = text.removeprefix("bytes=").partition("-")
    assert part.content == (
        shop.worker.video[int(first) :][: 100 if last else None] if first else shop.worker.video[-300:]
    )
    whole = await shop.client.get(address, headers={"range": text, "if-range": '"another"'})
    assert (whole.status_code, whole.content) == (200, shop.worker.video)


async def test_an_image_is_not_under_the_videos_address(shop: Shop) -> None:
    base = await done(shop)
    for path in ("anonymised", "metadata"):
        answer = await shop.client.get(f"{base}/video/{path}")
        assert answer.status_code == 404
        assert f"is an image; its address is {base}/{path}" in answer.json()["error"]


async def test_a_video_has_addresses_of_its_own(shop: Shop) -> None:
    shop.worker.video = bytes(range(256)) * 40
    base = await video(shop)
    task = (await shop.client.get(base.replace("/file/", "/task/"))).json()
    assert task["anonymised_link"].endswith(f"{base}/video/anonymised")
    assert task["metadata_link"].endswith(f"{base}/video/metadata")
    part = await shop.client.get(f"{base}/video/anonymised", headers={"range": "bytes=100-199"})
    assert (part.status_code, part.headers["content-type"]) == (206, "video/mp4")
    assert part.content == shop.worker.video[100:200]
    for path, text in (
        ("anonymised", "/video/anonymised"),
        ("metadata", "/video/metadata"),
        ("binary-mask", "no masks"),
    ):
        wrong = await shop.client.get(f"{base}/{path}")
        assert wrong.status_code == 404
        assert text in wrong.json()["error"]


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("", range(10)),
        ("?start=3", range(3, 10)),
        ("?end=2", range(3)),
        ("?start=4&end=4", range(4, 5)),
        ("?start-frame=2&end_frame=5", range(2, 6)),
        ("?start=8&end=100", range(8, 10)),
        ("?start=50", range(0)),
    ],
)
async def test_frames_are_cut_from_a_videos_metadata(shop: Shop, query: str, ids: range) -> None:
    frames = (await shop.client.get(f"{await video(shop)}/video/metadata{query}")).json()
    assert [frame["id"] for frame in frames] == list(ids)


FILES = ("anonymised", "anonymised?quality=5", "binary-mask", "binary-mask?mask-scale=9", "metadata")


async def test_a_file_that_vanished_is_our_fault_and_named(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    base = await done(shop)
    await shop.storage.outputs.remove("tasks/")
    for path in FILES:
        answer = await shop.client.get(f"{base}/{path}")
        assert answer.status_code == 500, path
        assert answer.json()["error"].startswith(f"the {path.partition('?')[0]} of task {base.rpartition('/')[2]} is")
    assert "missing in storage" in caplog.text


@pytest.mark.parametrize("record", [True, False])
async def test_a_file_whose_task_is_being_deleted_is_not_found(idle_shop: Shop, record: bool) -> None:
    """The task is read, then deleted, then its file is opened: nobody works here, so the deletion stays half done."""
    async with open_shop(idle_shop.folder) as worker:
        base = await done(worker)
    name = base.rpartition("/")[2]

    class Deleting(type(idle_shop.storage.outputs)):
        async def stream(self, key: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
            await (idle_shop.store.delete(name) if record else idle_shop.store.purge(name))
            await self.remove("tasks/")
            async for chunk in super().stream(key, start, end):
                yield chunk

    idle_shop.storage.outputs.__class__ = Deleting
    answer = await idle_shop.client.get(f"{base}/metadata")
    assert answer.status_code == 404
    assert "is being deleted" in answer.json()["error"]


@pytest.mark.parametrize("path", FILES)
async def test_storage_that_is_gone_is_no_deletion(shop: Shop, path: str) -> None:
    base = await done(shop)
    (shop.folder / "out").rename(shop.folder / "elsewhere")
    answer = await shop.client.get(f"{base}/{path}")
    assert answer.status_code == 503
    assert answer.json()["error"] == "storage is unavailable; try again later"
    (shop.folder / "elsewhere").rename(shop.folder / "out")
    assert (await shop.client.get(f"{base}/{path}")).status_code == 200


async def test_names_that_headers_cannot_hold(shop: Shop) -> None:
    answer = await shop.post(query="face=1&name=na%C3%AFve%20%22x%22%E2%98%82.jpg")
    found = await shop.client.get(f"/v1/file/{answer.json()['id']}/anonymised")
    assert found.headers["content-disposition"] == (
        "inline; filename=\"na_ve _x__.jpg\"; filename*=UTF-8''na%C3%AFve%20%22x%22%E2%98%82.jpg"
    )


async def test_metadata_is_json_of_the_contract(shop: Shop) -> None:
    found = json.loads((await shop.client.get(f"{await done(shop)}/metadata")).text)
    assert found["folder"] is None
    assert found["size"] == [48, 64]
    assert found["detections"][0]["type_label"] == "face"
