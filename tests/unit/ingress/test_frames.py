"""GET /v1/file/{id}/video/metadata: frames by their numbers, found by the index and never by reading the whole."""

from collections.abc import AsyncIterator

import pytest

from support.workshop import Shop, frames_document
from velum.api import Condition, Phase, ResultFile, TaskResult
from velum.api.task import BoxedClass, Classes, ObjectSource, Source, TaskSpec
from velum_ingress.schemas import FrameMetadata

FRAMES = 7
ADDRESS = "/v1/file/clip/video/metadata"


def pages(count: int) -> list[dict[str, object]]:
    about = {"filename": "clip.mp4", "folder": None, "size": [48, 64], "duration": 0.04}
    return [{"id": each, "time": each / 25, **about, "detections": []} for each in range(count)]


async def publish(shop: Shop, count: int, *, indexed: bool = True) -> bytes:
    """Make a task of a video with these many frames as if it had been worked on; return its metadata."""
    document, index = frames_document(pages(count))
    await shop.storage.outputs.put("m.json", document)
    await shop.storage.outputs.put("m.index", index)
    spec = TaskSpec(source=Source(object=ObjectSource(key="clip.mp4")), classes=Classes(face=BoxedClass()))
    task = await shop.store.create("clip", spec, labels={})
    files = {"metadata": ("m.json", "application/json", document)}
    if indexed:
        files["metadata_index"] = ("m.index", "application/octet-stream", index)
    named = {
        role: ResultFile(key=key, media_type=kind, size=len(data), sha256="7" * 64)
        for role, (key, kind, data) in files.items()
    }
    complete = Condition(type="Complete", status="True", reason="Anonymized", last_transition_time=shop.clock.now())
    update = {
        "phase": Phase.COMPLETE,
        "media_type": "video/mp4",
        "conditions": (complete,),
        "result": TaskResult(attempt=1, frames=count, **named),
    }
    await shop.store.write_status(task, task.status.model_copy(update=update))
    return document


class Counted:
    """How many bytes of each object were read."""

    def __init__(self, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
        self.read: dict[str, int] = {}
        stream = shop.storage.outputs.stream

        async def counting(key: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
            async for chunk in stream(key, start, end):
                self.read[key] = self.read.get(key, 0) + len(chunk)
                yield chunk

        monkeypatch.setattr(shop.storage.outputs, "stream", counting)


@pytest.mark.parametrize("start", range(FRAMES + 2))
@pytest.mark.parametrize("end", [*range(FRAMES + 2), None])
async def test_every_range_is_what_it_says(idle_shop: Shop, start: int, end: int | None) -> None:
    await publish(idle_shop, FRAMES)
    query = f"start={start}" if end is None else f"start={start}&end={end}"
    answer = await idle_shop.client.get(f"{ADDRESS}?{query}")
    if end is not None and end < start:
        assert answer.status_code == 400
        assert answer.json()["field"] == "end"
        return
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["content-length"] == str(len(answer.content))
    assert 'filename="clip.metadata.json"' in answer.headers["content-disposition"]
    stop = FRAMES if end is None else end + 1
    assert answer.json() == pages(FRAMES)[start:stop]


async def test_frames_have_the_documented_shape(idle_shop: Shop) -> None:
    await publish(idle_shop, FRAMES)
    for each in (await idle_shop.client.get(f"{ADDRESS}?start=1&end=3")).json():
        FrameMetadata.model_validate(each)


async def test_all_frames_by_number_are_the_stored_document(idle_shop: Shop) -> None:
    document = await publish(idle_shop, FRAMES)
    for query in ("", "?start=0", f"?end={FRAMES - 1}", "?start=0&end=2147483647"):
        answer = await idle_shop.client.get(f"{ADDRESS}{query}")
        assert answer.content == document
        assert answer.headers["etag"] == f'"{"7" * 64}"'
        assert answer.headers["accept-ranges"] == "bytes"


async def test_tags_name_the_frames_and_not_how_they_were_asked_for(idle_shop: Shop) -> None:
    await publish(idle_shop, FRAMES)
    tags = [
        (await idle_shop.client.get(f"{ADDRESS}?{query}")).headers["etag"]
        for query in ("start=2", "start-frame=2&end_frame=99", "start=2&end=5", "start=99", "start=1000")
    ]
    assert tags[0] == tags[1] != tags[2]
    assert tags[3] == tags[4]
    again = await idle_shop.client.get(f"{ADDRESS}?start=2", headers={"if-none-match": tags[0]})
    assert (again.status_code, again.content) == (304, b"")


async def test_head_tells_what_get_would(idle_shop: Shop) -> None:
    await publish(idle_shop, FRAMES)
    for query in ("start=2&end=4", "start=50", "start=0"):
        get, head = [await idle_shop.client.request(each, f"{ADDRESS}?{query}") for each in ("GET", "HEAD")]
        assert (head.status_code, head.content) == (200, b"")
        for name in ("content-length", "content-type", "etag", "accept-ranges"):
            assert head.headers[name] == get.headers[name]


async def test_of_a_long_video_no_more_is_read_than_was_asked_for(
    idle_shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = await publish(idle_shop, 200_000)
    counted = Counted(idle_shop, monkeypatch)
    answer = await idle_shop.client.get(f"{ADDRESS}?start=150000&end=150002")
    assert [each["id"] for each in answer.json()] == [150_000, 150_001, 150_002]
    assert counted.read["m.index"] == 16
    assert counted.read["m.json"] < 1000 < len(document)


@pytest.mark.parametrize("gone", ["m.json", "m.index"])
async def test_what_storage_lost_is_our_fault_and_named(idle_shop: Shop, gone: str) -> None:
    await publish(idle_shop, FRAMES)
    (idle_shop.folder / "out" / gone).unlink()
    answer = await idle_shop.client.get(f"{ADDRESS}?start=1&end=2")
    assert answer.status_code == 500
    assert "the metadata of task clip is missing" in answer.json()["error"]


async def test_an_index_that_was_cut_off_is_no_answer(idle_shop: Shop) -> None:
    await publish(idle_shop, FRAMES)
    (idle_shop.folder / "out" / "m.index").write_bytes(bytes(12))
    assert (await idle_shop.client.get(f"{ADDRESS}?start=1&end=2")).status_code in {500, 503}


async def test_a_result_without_an_index_is_given_in_whole_only(idle_shop: Shop) -> None:
    document = await publish(idle_shop, FRAMES, indexed=False)
    assert (await idle_shop.client.get(ADDRESS)).content == document
    answer = await idle_shop.client.get(f"{ADDRESS}?start=1")
    assert answer.status_code == 500
    assert "index of the metadata" in answer.json()["error"]
