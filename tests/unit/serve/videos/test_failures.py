"""Attempts at videos that give no result: cancelled, without a store, at videos and with settings that will not do."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from support.operatorkit import mount, unmount
from support.serving import order, picture, tools, video
from support.videoattempts import FRAMES, KEY, Hold, Pixels, keys, pages, see_red, succeeded
from velum.api.reasons import Reason
from velum.storage import Storage
from velum.tasks.order import Failed
from velum_pipeline.detections import Detections
from velum_pipeline.options import Options
from velum_pipeline.video.probe import VideoLimits
from velum_serve.attempt import run_attempt
from velum_serve.videos.plan import OWNER
from velum_serve.videos.runs import VideoSettings

pytestmark = pytest.mark.usefixtures("posted")


GOOD = video()


@pytest.mark.parametrize("twice", [False, True])
async def test_cancelled_nothing_moves_any_more(
    twice: bool, stores: Storage, threads: ThreadPoolExecutor, tmp_path: Path
) -> None:
    (tmp_path / "temporary").mkdir()
    settings = VideoSettings(preset="ultrafast", batch=4, folder=tmp_path / "temporary")
    hold = Hold(after=20)
    running = asyncio.create_task(run_attempt(order(), tools(stores, threads, hold, settings=settings)))
    await hold.waiting.wait()
    assert list((tmp_path / "temporary").iterdir())
    running.cancel()
    if twice:
        await asyncio.sleep(0.05)
        running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert list((tmp_path / "temporary").iterdir()) == []
    assert not [each.name for each in threading.enumerate() if each.name in {"decode", "detect"}]
    before = await keys(stores)
    hold.go_on.set()
    await asyncio.sleep(0.2)
    assert await keys(stores) == before


@pytest.mark.parametrize("which", ["parts", "result"])
async def test_an_output_store_that_goes_away(
    which: str, stores: Storage, threads: ThreadPoolExecutor, tmp_path: Path
) -> None:
    (tmp_path / "temporary").mkdir()
    settings = VideoSettings(preset="ultrafast", batch=1, folder=tmp_path / "temporary")
    hold = Hold(after=20 if which == "parts" else 3 * FRAMES - 1)  # the last picture of the last run
    running = asyncio.create_task(run_attempt(order(), tools(stores, threads, hold, settings=settings)))
    await hold.waiting.wait()
    unmount(tmp_path / "out")
    hold.go_on.set()
    outcome = await running
    mount(tmp_path / "out")
    assert isinstance(outcome, Failed)
    assert outcome.reason is Reason.STORAGE_UNAVAILABLE, outcome
    assert list((tmp_path / "temporary").iterdir()) == []
    manifest = await succeeded(order(2), tools(stores, threads, see_red))
    assert len(await pages(stores, manifest)) == FRAMES
    assert await keys(stores, order().work) == set()


CUT = b"\0\0\0\x18ftypmp42"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (GOOD[: len(GOOD) // 2], Reason.TRUNCATED_MEDIA),
        (CUT + bytes(5000), None),
        (CUT + picture(), None),
        (video(width=1600, height=800, frames=2), Reason.TOO_MANY_PIXELS),
    ],
    ids=["half", "zeros", "picture", "pixels"],
)
async def test_bad_videos_have_their_own_reasons_and_leave_nothing(
    data: bytes, reason: Reason | None, stores: Storage, threads: ThreadPoolExecutor
) -> None:
    await stores.inputs.put(KEY, data)
    given = tools(stores, threads, limits=VideoLimits(frame_pixels=1_000_000))
    outcome = await run_attempt(order(), given)
    assert isinstance(outcome, Failed)
    assert outcome.permanent, outcome
    assert reason in (None, outcome.reason)
    assert await keys(stores) == set()


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        (VideoSettings(codec="x263"), "x263"),
        (VideoSettings(preset="warp"), "warp"),
        (VideoSettings(codec="h264_nvenc"), "nvenc"),
    ],
)
async def test_an_encoder_that_there_is_not_is_said_before_any_work(
    settings: VideoSettings, names: str, stores: Storage, threads: ThreadPoolExecutor
) -> None:
    await stores.inputs.put(KEY, GOOD)
    outcome = await run_attempt(order(), tools(stores, threads, settings=settings))
    assert isinstance(outcome, Failed)
    assert outcome.reason is Reason.PIPELINE_FAILED
    assert names in outcome.message
    assert await keys(stores) == {"work/u/" + OWNER}  # for an attempt on a machine that has it


async def test_without_loss_there_are_no_videos(stores: Storage, threads: ThreadPoolExecutor) -> None:
    await stores.inputs.put(KEY, GOOD)
    outcome = await run_attempt(order(lossless=True), tools(stores, threads))
    assert isinstance(outcome, Failed)
    assert outcome.reason is Reason.INVALID_SPEC
    assert "lossless" in outcome.message


async def test_a_source_that_is_away_is_not_a_broken_video(
    stores: Storage, threads: ThreadPoolExecutor, tmp_path: Path
) -> None:
    """Blocks that cannot be read look like packets that do not decode; no frame may go missing by that."""
    hold = Hold(after=12)
    running = asyncio.create_task(run_attempt(order(), tools(stores, threads, hold, segment_frames=8)))
    await hold.waiting.wait()
    unmount(tmp_path / "in")
    hold.go_on.set()
    outcome = await running
    mount(tmp_path / "in")
    assert isinstance(outcome, Failed)
    assert outcome.reason is Reason.STORAGE_UNAVAILABLE, outcome
    assert await keys(stores, order().folder) == set()


async def test_a_detector_that_fails_gives_no_video(stores: Storage, threads: ThreadPoolExecutor) -> None:
    async def fails(_: Pixels, __: Options) -> Detections:
        raise RuntimeError("pixels of somebody")

    outcome = await run_attempt(order(), tools(stores, threads, fails))
    assert isinstance(outcome, Failed)
    assert not outcome.permanent
    assert "somebody" not in outcome.message
    assert await keys(stores, order().folder) == set()
