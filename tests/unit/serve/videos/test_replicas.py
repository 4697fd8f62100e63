"""One video, two replicas: two sets of tools in one process, where an offer of the one is a run of the other."""

import asyncio
import io
import json
import threading
from collections.abc import AsyncGenerator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from functools import partial
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from support.operatorkit import until
from support.redsquares import looking_for_red
from support.serving import order, times, tools, video_tools
from support.videoattempts import FRAMES, KEY, Detect, Hold, alike, keys, pages, see_red, succeeded
from velum.api.reasons import Reason
from velum.storage import Storage
from velum.tasks.order import Failed
from velum_pipeline.video.clip import anonymize
from velum_pipeline.video.encoder import Encoding
from velum_pipeline.video.probe import probe
from velum_pipeline.video.wishes import Wishes
from velum_serve.attempt import run_attempt
from velum_serve.options import pipeline_options
from velum_serve.videos.runs import PATIENCE_SECONDS, RunOrder

pytestmark = pytest.mark.usefixtures("posted")


class Two:
    """Two replicas of one model: what the first offers the second works on."""

    def __init__(self, stores: Storage, threads: ThreadPoolExecutor, here: Detect, elsewhere: Detect) -> None:
        self.other = video_tools(stores, threads, elsewhere)
        self.orders: list[RunOrder] = []
        self.die = False
        self.tools = tools(stores, threads, here, offer=self.offer, offers=1)

    async def offer(self, made: dict[str, Any]) -> AsyncGenerator[dict[str, Any], None]:
        run = RunOrder.model_validate(json.loads(json.dumps(made)))
        self.orders.append(run)
        async with aclosing(self.other.runs.events(run)) as events:
            async for event in events:
                if self.die and "frames" in event:
                    self.die = False
                    raise ConnectionError("the replica was killed")
                yield event


async def test_two_replicas_make_what_one_makes(stores: Storage, threads: ThreadPoolExecutor) -> None:
    alone = await succeeded(order(), tools(stores, threads, see_red))
    two = Two(stores, threads, see_red, see_red)
    together = await succeeded(order(2), two.tools)
    assert two.orders
    assert together.result.detections == alone.result.detections
    one, other = await pages(stores, alone), await pages(stores, together)
    assert [alike(page) for page in one] == [alike(page) for page in other]


async def test_parts_of_two_replicas_join_to_what_one_piece_gives(
    stores: Storage, threads: ThreadPoolExecutor, squares: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not a frame, a time or a track is different, though every second key frame is a border."""
    key = b"0123456789abcdef"  # of the covers' noise
    monkeypatch.setattr("velum_serve.videos.plan.secrets.token_hex", lambda size: key[:size].hex())
    source, target, metadata = (tmp_path / name for name in ("in.mp4", "out.mp4", "out.json"))
    source.write_bytes(squares)
    opener = partial(source.open, "rb")
    options = pipeline_options(order().spec)
    wishes = Wishes(options, Encoding(preset="ultrafast", quality=options.quality), "a.jpg", key)
    whole = anonymize(opener, probe(opener), wishes, looking_for_red, target, metadata=metadata)
    manifest = await succeeded(order(), Two(stores, threads, see_red, see_red).tools)
    assert manifest.result.detections == whole.counts == {"face": 2}
    joined = await pages(stores, manifest)
    assert [alike(page) for page in joined] == [alike(page) for page in json.loads(metadata.read_text())]
    assert manifest.result.anonymised is not None
    data = await stores.outputs.get(manifest.result.anonymised.key)
    assert times(data) == times(target.read_bytes())
    for one, other in zip(pictures(data), pictures(target.read_bytes()), strict=True):
        assert np.square(one.astype(float) - other).mean() < 5  # 41 dB: they were encoded in other pieces


def pictures(data: bytes) -> list[NDArray[np.uint8]]:
    with av.open(io.BytesIO(data)) as container:
        return [frame.to_ndarray(format="gray") for frame in container.decode(video=0)]


async def test_a_helper_that_dies_costs_only_what_it_had_in_hand(stores: Storage, threads: ThreadPoolExecutor) -> None:
    here = Hold(after=0)  # so that the helper gets its run
    two = Two(stores, threads, here, see_red)
    two.die = True
    running = asyncio.create_task(succeeded(order(), two.tools))
    await until(lambda: len(two.orders) > 1)
    here.go_on.set()
    manifest = await running
    assert len(await pages(stores, manifest)) == FRAMES


async def test_what_a_helper_cannot_do_ends_the_attempt(stores: Storage, threads: ThreadPoolExecutor) -> None:

    async def refuse(_: dict[str, Any]) -> AsyncGenerator[dict[str, Any], None]:
        yield {"begun": True}
        yield {"failed": {"reason": "CorruptMedia", "message": "frame 7"}}

    here = Hold(after=0)
    given = tools(stores, threads, here, offer=refuse, offers=1)
    assert await run_attempt(order(), given) == Failed(Reason.CORRUPT_MEDIA, "frame 7")
    assert await keys(stores) == set()


async def test_a_busy_replica_declines(
    stores: Storage, threads: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("velum_serve.videos.runs.PATIENCE_SECONDS", 0.01)
    runs = video_tools(stores, threads).runs
    made = RunOrder(
        task="t", uid="u", attempt=1, work="w/", plan="p", numbers=(0,), spec=order().spec,
        source={"store": "inputs", "key": KEY, "size": 1},
    )  # fmt: skip
    async with runs.turn:
        assert [event async for event in runs.events(made)] == [{"declined": True}]
    events = [event async for event in runs.events(made)]
    assert events[0] == {"begun": True}
    assert events[-1]["failed"]["reason"] == "PipelineFailed"  # there is no such plan any more
    assert not runs.turn.locked()
    assert PATIENCE_SECONDS < 10


async def test_a_run_whose_reader_hangs_up_ends(stores: Storage, threads: ThreadPoolExecutor) -> None:
    """The replica that offered the run has died, or has lost its order."""
    here, there = Hold(after=0), Hold(after=4)
    two = Two(stores, threads, here, there)
    running = asyncio.create_task(run_attempt(order(), two.tools))
    await there.waiting.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert not two.other.runs.turn.locked()
    assert not [each.name for each in threading.enumerate() if each.name in {"decode", "detect"}]
