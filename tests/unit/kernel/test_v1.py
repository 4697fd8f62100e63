"""The REST form of a task: the contract's keys, absolute links, and never a secret."""

from datetime import UTC, datetime

import pytest

from velum.api import (
    AnonymizationTask,
    ObjectMeta,
    Phase,
    ResultFile,
    TaskResult,
    TaskStatus,
    WebhookState,
    WebhookStatus,
)
from velum.api.meta import new_name
from velum.api.v1 import filename, parameters, task_document

MOMENT = datetime(2026, 1, 2, 3, 4, 5, 678900, UTC)
KEYS = {
    "id", "status", "filename", "media_type", "progress", "created_at", "started_at", "finished_at", "error",
    "parameters", "webhook_status", "anonymised_link", "binary_mask_link", "instance_mask_link", "metadata_link",
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
