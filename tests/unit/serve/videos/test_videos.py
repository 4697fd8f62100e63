"""Attempts at videos with real folders, real videos and all of the real work; but the detector is told what to find."""

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from support.redsquares import damaged, exposed
from support.serving import find_face, order, picture, times, tools, video
from support.videoattempts import FRAMES, KEY, SQUARES, TASK, keys, pages, see_red, succeeded
from velum.storage import Storage
from velum.tasks.order import Progress, Succeeded
from velum_serve.attempt import run_attempt

pytestmark = pytest.mark.usefixtures("posted")


async def test_a_video_becomes_a_result(
    stores: Storage, threads: ThreadPoolExecutor, squares: bytes, tmp_path: Path
) -> None:
    heard: list[Progress] = []
    made = order(3, filename="street.mp4")
    manifest = await succeeded(made, tools(stores, threads, see_red), heard.append)
    result = manifest.result
    assert (manifest.uid, result.attempt, manifest.media_type) == ("u", 3, "video/mp4")
    assert (result.frames, result.skipped_frames, result.left_out) == (FRAMES, 0, ())
    assert result.detections == {"face": 2}
    assert heard[0] == Progress(0, FRAMES, None, media_type="video/mp4")
    assert await keys(stores, made.folder) == {
        "anonymised.mp4",
        "metadata.json",
        "metadata.index",
        "manifest.json",
    }
    assert await keys(stores) == {made.folder.removeprefix(TASK) + name for name in await keys(stores, made.folder)}
    assert result.anonymised is not None
    assert result.anonymised.media_type == "video/mp4"
    data = await stores.outputs.get(result.anonymised.key)
    assert times(data) == times(squares)
    (tmp_path / "result.mp4").write_bytes(data)
    assert exposed(tmp_path / "result.mp4", SQUARES) == []
    (tmp_path / "source.mp4").write_bytes(squares)
    assert len(exposed(tmp_path / "source.mp4", SQUARES)) > FRAMES


async def test_the_files_are_what_the_manifest_says(stores: Storage, threads: ThreadPoolExecutor) -> None:
    manifest = await succeeded(order(), tools(stores, threads, see_red))
    result = manifest.result
    for file in (result.anonymised, result.metadata, result.metadata_index):
        assert file is not None
        data = await stores.outputs.get(file.key)
        assert file.size == len(data)
    assert result.metadata is not None
    assert result.metadata_index is not None
    text = await stores.outputs.get(result.metadata.key)
    offsets = np.frombuffer(await stores.outputs.get(result.metadata_index.key), "<u8").tolist()
    assert len(offsets) == FRAMES + 1
    cut = [json.loads(text[start : stop - 2]) for start, stop in pairwise(offsets)]
    assert cut == json.loads(text)
    assert [page["id"] for page in cut] == list(range(FRAMES))


async def test_detect_makes_metadata_only(stores: Storage, threads: ThreadPoolExecutor) -> None:
    manifest = await succeeded(order(method="detect"), tools(stores, threads, see_red))
    assert set(manifest.result.files()) == {"metadata"}
    assert len(await pages(stores, manifest)) == FRAMES


async def test_broken_frames_are_left_out_and_counted(
    stores: Storage, threads: ThreadPoolExecutor, squares: bytes, tmp_path: Path
) -> None:
    whole, broken, result = (tmp_path / name for name in ("whole.mp4", "broken.mp4", "result.mp4"))
    whole.write_bytes(squares)
    await stores.inputs.put(KEY, damaged(whole, broken, [13, 30]).read_bytes())
    manifest = await succeeded(order(), tools(stores, threads, see_red))
    told = manifest.result
    assert told.frames == FRAMES
    assert told.skipped_frames is not None
    assert 2 <= told.skipped_frames <= 16
    assert told.anonymised is not None
    result.write_bytes(await stores.outputs.get(told.anonymised.key))
    assert len(times(result.read_bytes())) == len(await pages(stores, manifest)) == FRAMES - told.skipped_frames
    assert exposed(result, SQUARES) == []


async def test_pictures_and_videos_share_the_detector(stores: Storage, threads: ThreadPoolExecutor) -> None:
    await stores.inputs.put(KEY, video())
    await stores.inputs.put("in/b.jpg", picture())
    given = tools(stores, threads, find_face)
    film, still = await asyncio.gather(
        run_attempt(order(), given), run_attempt(order(task="t2", source={"object": {"key": "in/b.jpg"}}), given)
    )
    assert isinstance(film, Succeeded)
    assert isinstance(still, Succeeded)
