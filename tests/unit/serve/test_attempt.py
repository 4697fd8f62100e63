"""One attempt with real folders, real pictures and the real pipeline; only the detector is told what to find."""

import asyncio
import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from support.serving import FACE_BOX, detections, find_face, order, picture, tools
from velum.api.reasons import INPUT_REASONS, Reason
from velum.storage import Storage
from velum.tasks.order import Failed, Manifest, Succeeded, WorkOrder
from velum_pipeline.detect import DetectionFailed
from velum_pipeline.detections import Detections
from velum_pipeline.options import ObjectClass, Options
from velum_serve.attempt import Detect, run_attempt

Pixels = NDArray[np.uint8]
LEFT, TOP, RIGHT, BOTTOM = (int(each) for each in FACE_BOX)


async def failing(
    stores: Storage, threads: ThreadPoolExecutor, data: bytes, detect: Detect = find_face, **more: Any
) -> Failed:
    """Run an attempt that must fail, and leave nothing behind."""
    await stores.inputs.put("in/a.jpg", data)
    outcome = await run_attempt(order(**more), tools(stores, threads, detect))
    assert isinstance(outcome, Failed)
    assert await stores.outputs.below("tasks/") == []
    return outcome


@pytest.mark.parametrize(
    ("extension", "mime"),
    [(".jpg", "image/jpeg"), (".png", "image/png"), (".webp", "image/webp"), (".bmp", "image/bmp")],
)
async def test_a_picture_becomes_a_result(
    extension: str, mime: str, stores: Storage, threads: ThreadPoolExecutor
) -> None:
    data = picture(extension)
    await stores.inputs.put("in/a.jpg", data)
    made = order(3, filename="street" + extension)
    outcome = await run_attempt(made, tools(stores, threads))
    assert isinstance(outcome, Succeeded)
    manifest = outcome.manifest
    assert (manifest.uid, manifest.result.attempt, manifest.media_type) == ("u", 3, mime)
    assert manifest.result.detections == {"face": 1}
    assert 0 < manifest.seconds < 60
    names = {role: file.key.removeprefix(made.folder) for role, file in manifest.result.files().items()}
    assert names == {
        "anonymised": f"anonymised{extension}",
        "binary-mask": "binary-mask.png",
        "instance-mask": "instance-mask.png",
        "metadata": "metadata.json",
    }
    for file in manifest.result.files().values():
        stored = await stores.outputs.get(file.key)
        assert (file.size, file.sha256) == (len(stored), hashlib.sha256(stored).hexdigest())
    assert manifest.result.anonymised is not None
    assert manifest.result.anonymised.media_type == mime
    assert Manifest.model_validate_json(await stores.outputs.get(made.manifest_key)) == manifest
    assert {blob.key for blob in await stores.outputs.below("tasks/")} == {
        *(file.key for file in manifest.result.files().values()),
        made.manifest_key,
    }
    assert await stores.inputs.get("in/a.jpg") == data


async def test_lossless_keeps_every_pixel_away_from_the_face(stores: Storage, threads: ThreadPoolExecutor) -> None:
    data = picture(".jpg", 240, 200)
    await stores.inputs.put("in/a.jpg", data)
    outcome = await run_attempt(order(lossless=True, method="blacken"), tools(stores, threads))
    assert isinstance(outcome, Succeeded)
    assert outcome.manifest.result.anonymised is not None
    made = await stores.outputs.get(outcome.manifest.result.anonymised.key)
    before, after = (cv2.imdecode(np.frombuffer(each, np.uint8), cv2.IMREAD_COLOR) for each in (data, made))
    assert np.array_equal(before[:, 100:], after[:, 100:])
    assert after[24:56, 28:52].max() <= 16


async def test_lossless_of_what_always_loses_is_an_invalid_spec(stores: Storage, threads: ThreadPoolExecutor) -> None:
    """A source by URL reaches the replica without having passed the ingress."""
    pixels = cv2.imdecode(np.frombuffer(picture(".png"), np.uint8), cv2.IMREAD_COLOR)
    lossy = cv2.imencode(".webp", pixels, [cv2.IMWRITE_WEBP_QUALITY, 80])[1].tobytes()
    outcome = await failing(stores, threads, lossy, lossless=True)
    assert outcome.reason is Reason.INVALID_SPEC
    assert outcome.message.startswith("lossless: ")


async def test_the_face_is_gone_and_the_rest_is_there(stores: Storage, threads: ThreadPoolExecutor) -> None:
    data = picture(".png")
    await stores.inputs.put("in/a.jpg", data)
    await run_attempt(order(), tools(stores, threads))
    before = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR).astype(int)
    coded = await stores.outputs.get(order().folder + "anonymised.png")
    after = cv2.imdecode(np.frombuffer(coded, np.uint8), cv2.IMREAD_COLOR).astype(int)
    middle = np.s_[TOP + 12 : BOTTOM - 12, LEFT + 10 : RIGHT - 10]
    assert np.abs(before - after)[middle].mean() > 10
    assert (before == after)[:, RIGHT + 20 :].all()


async def test_metadata_is_the_contracts(stores: Storage, threads: ThreadPoolExecutor) -> None:
    await stores.inputs.put("in/a.jpg", picture())
    await run_attempt(order(filename="street.jpg"), tools(stores, threads))
    document = json.loads(await stores.outputs.get(order().folder + "metadata.json"))
    assert document["id"] == document["filename"] == "street.jpg"
    (found,) = document["detections"]
    assert (found["type"], found["type_label"], found["bbox"]) == (103, "face", [LEFT, TOP, RIGHT, BOTTOM])


async def test_without_a_filename_the_key_names_it(stores: Storage, threads: ThreadPoolExecutor) -> None:
    await stores.inputs.put("in/a.jpg", picture())
    await run_attempt(order(), tools(stores, threads))
    assert json.loads(await stores.outputs.get(order().folder + "metadata.json"))["id"] == "a.jpg"


@pytest.mark.parametrize(
    ("more", "roles"),
    [
        ({"method": "detect"}, {"binary-mask", "instance-mask", "metadata"}),
        ({"saveMask": "none"}, {"anonymised", "metadata"}),
        ({"saveMask": "binary"}, {"anonymised", "binary-mask", "metadata"}),
        ({"method": "detect", "saveMask": "none"}, {"metadata"}),
    ],
)
async def test_only_what_was_asked_for_is_written(
    more: dict[str, Any], roles: set[str], stores: Storage, threads: ThreadPoolExecutor
) -> None:
    await stores.inputs.put("in/a.jpg", picture())
    outcome = await run_attempt(order(**more), tools(stores, threads))
    assert isinstance(outcome, Succeeded)
    assert set(outcome.manifest.result.files()) == roles
    assert len(await stores.outputs.below("tasks/")) == len(roles) + 1


async def test_detection_gets_the_upright_pixels_and_the_options(stores: Storage, threads: ThreadPoolExecutor) -> None:
    seen: list[tuple[tuple[int, ...], Options]] = []

    async def detect(pixels: Pixels, options: Options) -> Detections:
        seen.append((pixels.shape, options))
        return detections()

    await stores.inputs.put("in/a.jpg", picture(width=64, height=48))
    outcome = await run_attempt(order(classes={"face": {"thresholdPercent": 12}}), tools(stores, threads, detect))
    assert isinstance(outcome, Succeeded)
    ((shape, options),) = seen
    assert shape == (48, 64, 3)
    assert options.thresholds == {ObjectClass.FACE: 0.12}
    assert outcome.manifest.result.detections == {}


JPEG = picture()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", Reason.EMPTY_MEDIA),
        (b"hello, world" * 500, Reason.UNSUPPORTED_MEDIA),
        (b"GIF89a" + bytes(100), Reason.UNSUPPORTED_MEDIA),
        (JPEG[: len(JPEG) // 2], Reason.TRUNCATED_MEDIA),
        (JPEG[:-2], Reason.TRUNCATED_MEDIA),
        (picture(".png")[:-20], Reason.TRUNCATED_MEDIA),
        (picture(".jpg", width=1250, height=801, seed=0), Reason.TOO_MANY_PIXELS),
        (JPEG + bytes(2 << 20), Reason.TOO_LARGE),
    ],
    ids=["empty", "text", "gif", "half", "without-end", "png-cut", "pixels", "bytes"],
)
async def test_bad_pictures_have_their_own_reasons(
    data: bytes, reason: Reason, stores: Storage, threads: ThreadPoolExecutor
) -> None:
    outcome = await failing(stores, threads, data)
    assert outcome.reason is reason
    assert outcome.permanent
    assert outcome.message


async def test_a_source_that_is_not_there(stores: Storage, threads: ThreadPoolExecutor) -> None:
    outcome = await run_attempt(order(), tools(stores, threads))
    assert outcome == Failed(Reason.SOURCE_NOT_FOUND, "object 'in/a.jpg' is not in the input store")


async def test_a_class_that_the_model_does_not_find(stores: Storage, threads: ThreadPoolExecutor) -> None:
    outcome = await failing(stores, threads, JPEG, classes={"face": {}, "person": {}, "vehicle": {}})
    assert outcome.reason is Reason.CLASS_NOT_SERVED
    assert outcome.message == "the model finds face; it does not find person, vehicle"


async def test_a_spec_that_the_pipeline_cannot_honour(stores: Storage, threads: ThreadPoolExecutor) -> None:
    made = order()
    wrong = made.model_copy(update={"spec": made.spec.model_copy(update={"mask_scale_percent": 0})})
    outcome = await run_attempt(wrong, tools(stores, threads))
    assert isinstance(outcome, Failed)
    assert outcome.reason is Reason.INVALID_SPEC
    assert "mask-scale" in outcome.message


SECRET = "pixels-of-somebody"


@pytest.mark.parametrize("error", [RuntimeError(SECRET), MemoryError(SECRET), KeyError(SECRET), OSError(SECRET)])
async def test_unforeseen_errors_name_the_stage_and_tell_nothing(
    error: Exception, stores: Storage, threads: ThreadPoolExecutor, caplog: pytest.LogCaptureFixture
) -> None:
    async def detect(_pixels: Pixels, _options: Options) -> Detections:
        raise error

    outcome = await failing(stores, threads, JPEG, detect)
    assert outcome.reason is Reason.PIPELINE_FAILED
    assert outcome.message.startswith("detection failed unexpectedly")
    assert type(error).__name__ in outcome.message
    assert SECRET not in outcome.message
    assert "detection failed" in caplog.text


async def test_a_detector_that_answers_nonsense_gives_no_picture(stores: Storage, threads: ThreadPoolExecutor) -> None:
    async def detect(_pixels: Pixels, _options: Options) -> Any:
        return None

    outcome = await failing(stores, threads, JPEG, detect)
    assert outcome.reason is Reason.PIPELINE_FAILED
    assert outcome.message.startswith("anonymization failed unexpectedly")
    assert outcome.reason not in INPUT_REASONS  # it may work the next time


async def test_a_detector_that_knows_why_is_quoted(stores: Storage, threads: ThreadPoolExecutor) -> None:
    async def detect(_pixels: Pixels, _options: Options) -> Detections:
        raise DetectionFailed("centerface: output heat holds no finite number")

    outcome = await failing(stores, threads, JPEG, detect)
    assert outcome == Failed(Reason.PIPELINE_FAILED, "centerface: output heat holds no finite number")


async def test_an_output_store_that_is_gone(stores: Storage, threads: ThreadPoolExecutor, tmp_path: Path) -> None:
    await stores.inputs.put("in/a.jpg", JPEG)
    (tmp_path / "out").rmdir()
    (tmp_path / "out").write_text("a file where the folder was")
    outcome = await run_attempt(order(), tools(stores, threads))
    assert isinstance(outcome, Failed)
    assert outcome.reason is Reason.STORAGE_UNAVAILABLE
    assert not outcome.permanent


async def cancelled_during(stage: str, made: WorkOrder, stores: Storage, threads: ThreadPoolExecutor) -> None:
    """Cancel an attempt while the detector looks at it or while its picture waits for a thread."""
    waiting, hold = asyncio.Event(), asyncio.Event()

    async def detect(_pixels: Pixels, _options: Options) -> Detections:
        if stage == "detection":
            waiting.set()
            await hold.wait()
        return detections(FACE_BOX)

    task = asyncio.create_task(run_attempt(made, tools(stores, threads, detect)))
    if stage == "detection":
        await waiting.wait()
    else:
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    hold.set()


@pytest.mark.parametrize("stage", ["reading", "detection"])
async def test_a_cancelled_attempt_writes_nothing(stage: str, stores: Storage, threads: ThreadPoolExecutor) -> None:
    await stores.inputs.put("in/a.jpg", JPEG)
    await cancelled_during(stage, order(), stores, threads)
    assert await stores.outputs.below("tasks/") == []


async def test_attempts_do_not_share_a_folder(stores: Storage, threads: ThreadPoolExecutor) -> None:
    await stores.inputs.put("in/a.jpg", JPEG)
    made = [order(number) for number in (1, 2, 3)]
    outcomes = await asyncio.gather(*(run_attempt(each, tools(stores, threads)) for each in made))
    folders = {
        outcome.manifest.result.files()["metadata"].key for outcome in outcomes if isinstance(outcome, Succeeded)
    }
    assert folders == {each.folder + "metadata.json" for each in made}
