"""What a task is told of a video: what it is as soon as that is known, and at the end what became of its streams."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from support import videos
from support.serving import order, tools
from velum.storage import Storage
from velum.tasks.order import Manifest, Progress, Succeeded, WorkOrder
from velum_pipeline.detections import Detections
from velum_pipeline.options import Options
from velum_serve.attempt import run_attempt
from velum_serve.videos.result import MOST_WORDS, WORD_LENGTH, bounded

MKV = "video/x-matroska"


async def see_nothing(_: NDArray[np.uint8], __: Options) -> Detections:
    return Detections.empty()


async def test_what_it_is_comes_first_and_what_became_of_it_last(
    stores: Storage, threads: ThreadPoolExecutor, tmp_path: Path
) -> None:
    await stores.inputs.put("in/a.jpg", videos.made("tracks.mkv", tmp_path).read_bytes())
    heard: list[Progress] = []
    made = order()
    manifest = await _manifest(made, stores, threads, heard)
    assert {each.media_type for each in heard} == {MKV}
    assert heard[0].frames == 0
    assert manifest.result.left_out == ()
    assert manifest.result.converted == (
        "stream 4 (subtitle, subrip) to mov_text",
        "stream 5 (subtitle, ass) to mov_text",
    )
    again = Manifest.model_validate_json(await stores.outputs.get(made.manifest_key))
    assert again.result.converted == manifest.result.converted


async def test_frames_that_damage_took_out_of_the_file_are_skipped_ones(
    stores: Storage, threads: ThreadPoolExecutor, tmp_path: Path
) -> None:
    data = bytearray(videos.made("vp9.webm", tmp_path).read_bytes())
    middle = len(data) // 2
    data[middle : middle + 1500] = bytes(1500)
    await stores.inputs.put("in/a.jpg", bytes(data))
    made = order()
    result = (await _manifest(made, stores, threads, [])).result
    assert result.frames == videos.CLIPS["vp9.webm"].frames
    assert result.skipped_frames is not None
    assert 3 <= result.skipped_frames <= 20
    assert result.anonymised is not None
    (tmp_path / "result.mp4").write_bytes(await stores.outputs.get(result.anonymised.key))
    with av.open(str(tmp_path / "result.mp4")) as file:
        assert sum(1 for _ in file.decode(video=0)) == result.frames - result.skipped_frames


async def test_only_looking_converts_nothing(stores: Storage, threads: ThreadPoolExecutor, tmp_path: Path) -> None:
    await stores.inputs.put("in/a.jpg", videos.made("tracks.mkv", tmp_path).read_bytes())
    manifest = await _manifest(order(method="detect"), stores, threads, [])
    assert (manifest.result.left_out, manifest.result.converted) == ((), ())


def test_words_are_as_many_and_as_long_as_a_status_has_room_for() -> None:
    told = bounded([f"{number} " * 400 for number in range(100)])
    assert len(told) == MOST_WORDS
    assert told[-1] == "37 more"
    assert {len(each) for each in told[:-1]} == {WORD_LENGTH}


async def _manifest(made: WorkOrder, stores: Storage, threads: ThreadPoolExecutor, heard: list[Progress]) -> Manifest:
    outcome = await run_attempt(made, tools(stores, threads, see_nothing), heard.append)
    assert isinstance(outcome, Succeeded), outcome
    return outcome.manifest
