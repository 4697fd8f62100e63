"""A replica holds the size of sources that say much in few bits, in all segments alike."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from support.serving import order, tools
from support.videoattempts import KEY, see_red, succeeded
from support.videos.rich import coded
from velum.storage import Storage
from velum_serve.videos.runs import VideoSettings

SAME_SIZE = 1.5
FRAMES_PER_SEGMENT = 30


@pytest.mark.parametrize(("quality", "held"), [(None, True), (100, False)])
async def test_a_source_of_few_bits_stays_small(
    stores: Storage, threads: ThreadPoolExecutor, tmp_path: Path, quality: int | None, held: bool
) -> None:
    source = coded(tmp_path / "source.mkv", "libsvtav1", 56).read_bytes()
    await stores.inputs.put(KEY, source)
    more = {} if quality is None else {"quality": quality}
    given = tools(stores, threads, see_red, settings=VideoSettings(), segment_frames=FRAMES_PER_SEGMENT)
    manifest = await succeeded(order(**more), given)
    assert manifest.result.anonymised is not None
    assert (manifest.result.anonymised.size <= SAME_SIZE * len(source)) == held
