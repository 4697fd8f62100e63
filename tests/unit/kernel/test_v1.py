"""The REST form of a task: the contract's keys, absolute links, and never a secret."""

from datetime import UTC, datetime, timedelta

import pytest

from velum.api import (
    AnonymizationTask,
    Condition,
    ObjectMeta,
    Phase,
    ResultFile,
    TaskResult,
    TaskStatus,
    WebhookState,
    WebhookStatus,
)
from velum.api.meta import new_name
from velum.api.status import FrameCount
from velum.api.v1 import filename, parameters, task_document

MOMENT = datetime(2026, 1, 2, 3, 4, 5, 678900, UTC)
KEYS = {
    "id", "status", "filename", "media_type", "progress", "created_at", "started_at", "finished_at", "error",
    "parameters", "webhook_status", "anonymised_link", "binary_mask_link", "instance_mask_link", "metadata_link",
    "frames_done", "frames_total", "skipped_frames", "finish_estimate", "left_out", "converted",
}  # fmt: skip


def task(status: TaskStatus | None = None, **spec: object) -> AnonymizationTask:
    return AnonymizationTask.model_validate(
        {
            "metadata": ObjectMeta(name="t1", creation_timestamp=MOMENT),
            "spec": {"source": {"object": {"key": "tasks/d/t1/input"}}, "classes": {"face": {}}, **spec},
            "status": status or TaskStatus(),
        }
    )


def file(name: str, kind: str = "image/png") -> ResultFile:
    return ResultFile(key=name, media_type=kind, size=1, sha256="0" * 64)


def done(kind: str = "image/jpeg") -> TaskStatus:
    result = TaskResult(attempt=1, anonymised=file("a.jpg", kind), metadata=file("m.json"))
    return TaskStatus(phase=Phase.COMPLETE, result=result, media_type=kind, progress_percent=100, finished_at=MOMENT)


def test_a_new_task_has_every_key_and_no_link() -> None:
    document = task_document(task(filename="street.jpg"), "http://h:7000")
    assert set(document) == KEYS
    assert document["status"] == "queued"
    assert document["filename"] == "street.jpg"
    assert document["created_at"] == "2026-01-02T03:04:05.678900Z"
    assert [key for key in KEYS if key.endswith("_link") and document[key] is not None] == []
    assert document["webhook_status"] == "empty"
    assert document["error"] is None


def test_links_are_absolute_and_only_for_files_that_exist() -> None:
    document = task_document(task(done()), "https://velum.example")
    assert document["anonymised_link"] == "https://velum.example/v1/file/t1/anonymised"
    assert document["metadata_link"] == "https://velum.example/v1/file/t1/metadata"
    assert document["binary_mask_link"] is None
    assert document["progress"] == 1.0


def test_video_links() -> None:
    document = task_document(task(done("video/mp4")), "http://h")
    assert document["anonymised_link"] == "http://h/v1/file/t1/video/anonymised"
    assert document["metadata_link"] == "http://h/v1/file/t1/video/metadata"


OF_VIDEOS = ("frames_done", "frames_total", "skipped_frames", "finish_estimate", "left_out", "converted")


def test_of_pictures_nothing_is_told_that_only_videos_have() -> None:
    document = task_document(task(done()), "http://h")
    assert {document[key] for key in OF_VIDEOS} == {None}


def test_a_video_s_progress_is_told_in_frames_and_time() -> None:
    running = TaskStatus(
        phase=Phase.RUNNING,
        progress_percent=25,
        frames=FrameCount(done=450, of=1800),
        estimated_finish_at=MOMENT + timedelta(seconds=30),
    )
    document = task_document(task(running), "http://h")
    assert (document["status"], document["progress"]) == ("processing", 0.25)
    assert (document["frames_done"], document["frames_total"]) == (450, 1800)
    assert document["finish_estimate"] == "2026-01-02T03:04:35.678900Z"
    assert document["skipped_frames"] is None
    assert document["left_out"] is document["converted"] is None


def test_a_video_s_result_tells_what_it_lacks() -> None:
    result = TaskResult(
        attempt=2,
        anonymised=file("a.mp4", "video/mp4"),
        metadata=file("m.json", "application/json"),
        metadata_index=file("m.index", "application/octet-stream"),
        frames=1800,
        skipped_frames=3,
        left_out=("a second video stream",),
        converted=("stream 2 (subtitle, subrip) to mov_text",),
    )
    status = done("video/x-matroska").model_copy(
        update={"result": result, "frames": FrameCount(done=1790, of=1800), "estimated_finish_at": MOMENT}
    )
    finished = status.model_copy(
        update={"conditions": (Condition(type="Complete", status="True", reason="R", last_transition_time=MOMENT),)}
    )
    document = task_document(task(finished), "http://h")
    assert [document[key] for key in OF_VIDEOS] == [1800, 1800, 3, None, [*result.left_out], [*result.converted]]
    assert "m.index" not in str(document)


@pytest.mark.parametrize(
    ("phase", "word"),
    [("Pending", "queued"), ("Suspended", "queued"), ("Running", "processing"), ("Complete", "done"),
     ("Failed", "failed"), ("Deleted", "deleted")],
)  # fmt: skip
def test_status_words(phase: str, word: str) -> None:
    assert task_document(task(TaskStatus(phase=Phase(phase))), "")["status"] == word


@pytest.mark.parametrize(
    ("status", "word"),
    [(None, "set"), (WebhookState.PENDING, "set"), (WebhookState.SENT, "sent"), (WebhookState.FAILED, "failed")],
)
def test_webhook_words_and_no_secret(status: WebhookState | None, word: str) -> None:
    state = TaskStatus(webhook=WebhookStatus(state=status) if status else None)
    hooked = task(state, webhook={"url": "https://r.example/x", "headerSecretRef": {"name": "t1-webhook"}})
    document = task_document(hooked, "")
    assert document["webhook_status"] == word
    assert document["parameters"]["webhook"] == "https://r.example/x"
    assert "t1-webhook" not in str(document)


def test_parameters_echo_what_was_accepted() -> None:
    echoed = parameters(
        task(
            classes={"face": {"thresholdPercent": 33}, "vehicle": {"kernelPixels": 99}},
            tiling={"mode": "grid", "columns": 2, "rows": 3, "overlapX": 10, "overlapY": 20},
            ignores=[{"left": 1, "top": 2, "width": 3, "height": 4}],
        ).spec
    )
    assert (echoed["face"], echoed["license_plate"], echoed["vehicle"]) == (True, False, True)
    assert echoed["face_threshold"] == 0.33
    assert echoed["kernel_size_vehicle"] == 99
    assert "person_threshold" not in echoed
    assert echoed["format"] == {"number": [2, 3], "overlap": [10, 20]}
    assert echoed["ignores"] == [{"topLeftX": 1, "topLeftY": 2, "width": 3, "height": 4}]


@pytest.mark.parametrize(
    ("source", "name"),
    [({"object": {"key": "a/b/street.jpg"}}, "street.jpg"), ({"url": "https://x.example/p/c.png?sig=1"}, "c.png"),
     ({"url": "https://x.example/"}, "x.example")],
)  # fmt: skip
def test_filename_falls_back_to_the_source(source: dict[str, object], name: str) -> None:
    assert filename(task(source=source).spec) == name


def test_ids_sort_by_time_and_are_unique() -> None:
    ids = [new_name() for _ in range(1000)]
    assert len(set(ids)) == 1000
    assert [i[:13] for i in ids] == sorted(i[:13] for i in ids)
    assert all(i[14] == "7" and i[19] in "89ab" for i in ids)
