"""Attempts at videos, with real folders, real videos and the whole real work; only the detector is told what to find.

Two replicas are two sets of tools in one process: an offer of the one is a run of the other.
"""

import asyncio
import io
import json
import re
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, suppress
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from numpy.typing import NDArray

from support.operatorkit import mount, unmount, until, until_async
from support.redsquares import Square, damaged, exposed, looking_for_red, made
from support.serving import find_face, order, picture, times, tools, video, video_tools
from velum.api.reasons import Reason
from velum.storage import Storage
from velum.tasks.order import Failed, Manifest, Progress, Succeeded, WorkOrder
from velum_pipeline.detections import Detections
from velum_pipeline.options import Options
from velum_pipeline.video.clip import anonymize
from velum_pipeline.video.encoder import Encoding
from velum_pipeline.video.probe import probe
from velum_pipeline.video.wishes import Wishes
from velum_serve.attempt import Tools, run_attempt
from velum_serve.options import pipeline_options
from velum_serve.videos.plan import OWNER, PLAN, load
from velum_serve.videos.runs import PATIENCE_SECONDS, RunOrder, VideoSettings

FRAMES = 48
SQUARES = (Square(4, 10, 0.6, 0.1), Square(150, 80, -0.5, -0.05, first=17, stop=40))
KEY = "in/a.jpg"  # what is in it decides, not its name
TASK = "tasks/default/t1/"
Pixels = NDArray[np.uint8]
Detect = Callable[[Pixels, Options], Awaitable[Detections]]


@pytest.fixture(scope="module")
def squares(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return made(tmp_path_factory.mktemp("red") / "squares.mp4", SQUARES, FRAMES, gop=8).read_bytes()


async def see_red(pixels: Pixels, options: Options) -> Detections:
    return looking_for_red([pixels], options)[0]


class Hold:
    """A detector that sees red, and after so many pictures waits until it is told to go on."""

    def __init__(self, after: int) -> None:
        self.after = after
        self.seen = 0
        self.waiting = asyncio.Event()
        self.go_on = asyncio.Event()

    async def __call__(self, pixels: Pixels, options: Options) -> Detections:
        self.seen += 1
        if self.seen > self.after:
            self.waiting.set()
            await self.go_on.wait()
        return await see_red(pixels, options)


async def keys(stores: Storage, below: str = TASK) -> set[str]:
    return {blob.key.removeprefix(below) for blob in await stores.outputs.below(below)}


async def parts_of(stores: Storage, made: WorkOrder) -> dict[str, str]:
    """Finished segments: name of the document → what it says."""
    found = {}
    for name in await keys(stores, made.work):
        if re.fullmatch(r"part-\d+[.]json", name):
            found[name] = (await stores.outputs.get(made.work + name)).decode()
    return found


async def succeeded(made: WorkOrder, given: Tools, told: Callable[[Progress], None] = lambda _: None) -> Manifest:
    async with asyncio.timeout(60):
        outcome = await run_attempt(made, given, told)
    assert isinstance(outcome, Succeeded), outcome
    return outcome.manifest


async def pages(stores: Storage, manifest: Manifest) -> Any:
    assert manifest.result.metadata is not None
    return json.loads(await stores.outputs.get(manifest.result.metadata.key))


def alike(page: dict[str, Any]) -> dict[str, Any]:
    """A frame's document without what differs from run to run."""
    return {key: value for key, value in page.items() if key != "duration"}


async def test_a_video_becomes_a_result(
    stores: Storage, threads: ThreadPoolExecutor, squares: bytes, tmp_path: Path
) -> None:
    await stores.inputs.put(KEY, squares)
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


async def test_the_files_are_what_the_manifest_says(
    stores: Storage, threads: ThreadPoolExecutor, squares: bytes
) -> None:
    await stores.inputs.put(KEY, squares)
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


async def test_detect_makes_metadata_only(stores: Storage, threads: ThreadPoolExecutor, squares: bytes) -> None:
    await stores.inputs.put(KEY, squares)
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


class Two:
    """Two replicas of one model: what the first offers the second works on."""

    def __init__(self, stores: Storage, threads: ThreadPoolExecutor, here: Detect, elsewhere: Detect) -> None:
        self.other = video_tools(stores, threads, elsewhere)
        self.orders: list[RunOrder] = []
        self.die = False
        videos = video_tools(stores, threads, here, offer=self.offer, offers=1)
        self.tools = replace(tools(stores, threads, here), videos=videos)

    async def offer(self, made: dict[str, Any]) -> AsyncGenerator[dict[str, Any], None]:
        run = RunOrder.model_validate(json.loads(json.dumps(made)))
        self.orders.append(run)
        async with aclosing(self.other.runs.events(run)) as events:
            async for event in events:
                if self.die and "frames" in event:
                    self.die = False
                    raise ConnectionError("the replica was killed")
                yield event


async def test_two_replicas_make_what_one_makes(stores: Storage, threads: ThreadPoolExecutor, squares: bytes) -> None:
    await stores.inputs.put(KEY, squares)
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
    await stores.inputs.put(KEY, squares)
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


async def test_a_helper_that_dies_costs_only_what_it_had_in_hand(
    stores: Storage, threads: ThreadPoolExecutor, squares: bytes
) -> None:
    await stores.inputs.put(KEY, squares)
    here = Hold(after=0)  # so that the helper gets its run
    two = Two(stores, threads, here, see_red)
    two.die = True
    running = asyncio.create_task(succeeded(order(), two.tools))
    await until(lambda: len(two.orders) > 1)
    here.go_on.set()
    manifest = await running
    assert len(await pages(stores, manifest)) == FRAMES


async def test_what_a_helper_cannot_do_ends_the_attempt(
    stores: Storage, threads: ThreadPoolExecutor, squares: bytes
) -> None:
    await stores.inputs.put(KEY, squares)

    async def refuse(_: dict[str, Any]) -> AsyncGenerator[dict[str, Any], None]:
        yield {"begun": True}
        yield {"failed": {"reason": "CorruptMedia", "message": "frame 7"}}

    here = Hold(after=0)
    videos = video_tools(stores, threads, here, offer=refuse, offers=1)
    given = replace(tools(stores, threads, here), videos=videos)
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


async def interrupted(stores: Storage, threads: ThreadPoolExecutor, made: WorkOrder, **more: Any) -> dict[str, str]:
    """Cancel an attempt when it has finished some segments; return what it left."""
    hold = Hold(after=FRAMES + 8)  # the first run looks at all frames, the next one is in hand
    videos = video_tools(stores, threads, hold, **more)
    given = replace(tools(stores, threads, hold), videos=videos)
    running = asyncio.create_task(run_attempt(made, given))
    await hold.waiting.wait()
    await until_async(lambda: parts_of(stores, made))
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    left = await parts_of(stores, made)
    assert 0 < len(left) < FRAMES // 8
    assert await keys(stores, made.folder) == set()
    return left


async def test_a_later_attempt_does_only_what_is_missing(
    stores: Storage, threads: ThreadPoolExecutor, squares: bytes
) -> None:
    await stores.inputs.put(KEY, squares)
    left = await interrupted(stores, threads, order(1))
    count = Hold(after=1000)
    heard: list[Progress] = []
    watched: dict[str, set[str]] = {}

    async def watch() -> None:
        while True:
            for name, text in (await parts_of(stores, order(2))).items():
                watched.setdefault(name, set()).add(text)
            await asyncio.sleep(0.005)

    watching = asyncio.create_task(watch())
    manifest = await succeeded(order(2), tools(stores, threads, count), heard.append)
    watching.cancel()
    with suppress(asyncio.CancelledError, Exception):
        await watching
    assert heard[0].frames == 8 * len(left)
    assert all(watched.get(name, {text}) == {text} for name, text in left.items())
    assert len(await pages(stores, manifest)) == FRAMES
    assert manifest.result.detections == {"face": 2}
    assert await keys(stores, order(2).work) == set()


@pytest.mark.parametrize("changed", ["source", "spec", "settings", "model"])
async def test_parts_of_other_wishes_are_not_used(
    changed: str, stores: Storage, threads: ThreadPoolExecutor, squares: bytes
) -> None:
    await stores.inputs.put(KEY, squares)
    await interrupted(stores, threads, order(1))
    known = await load(stores.outputs, order(1).work)
    assert known is not None
    made, given = order(2), tools(stores, threads, see_red)
    if changed == "source":
        await stores.inputs.put(KEY, squares)  # its time of change is a different one
    elif changed == "spec":
        made = order(2, method="blacken")
    elif changed == "settings":
        settings = VideoSettings(preset="superfast", batch=4)
        given = replace(given, videos=video_tools(stores, threads, see_red, settings=settings))
    else:
        given = replace(given, videos=replace(given.videos, model=["another"]))
    heard: list[Progress] = []
    await succeeded(made, given, heard.append)
    assert heard[0].frames == 0


async def test_suspending_changes_nothing_about_the_parts(
    stores: Storage, threads: ThreadPoolExecutor, squares: bytes
) -> None:
    await stores.inputs.put(KEY, squares)
    left = await interrupted(stores, threads, order(1, suspend=True))
    heard: list[Progress] = []
    await succeeded(order(2), tools(stores, threads, see_red), heard.append)
    assert heard[0].frames == 8 * len(left)


async def test_a_damaged_part_is_made_again(stores: Storage, threads: ThreadPoolExecutor, squares: bytes) -> None:
    await stores.inputs.put(KEY, squares)
    left = await interrupted(stores, threads, order(1))
    key = json.loads(next(iter(left.values())))["video"]["key"]
    data = bytearray(await stores.outputs.get(key))
    data[len(data) // 2] ^= 255
    await stores.outputs.put(key, bytes(data))
    manifest = await succeeded(order(2), tools(stores, threads, see_red))
    assert manifest.result.anonymised is not None
    assert times(await stores.outputs.get(manifest.result.anonymised.key)) == times(squares)


async def test_a_plan_that_makes_no_sense_is_replaced(
    stores: Storage, threads: ThreadPoolExecutor, squares: bytes
) -> None:
    await stores.inputs.put(KEY, squares)
    await stores.outputs.put(order().work + PLAN, b'{"id": 1}')
    await succeeded(order(), tools(stores, threads, see_red))


@pytest.mark.parametrize("twice", [False, True])
async def test_cancelled_nothing_moves_any_more(
    twice: bool, stores: Storage, threads: ThreadPoolExecutor, squares: bytes, tmp_path: Path
) -> None:
    await stores.inputs.put(KEY, squares)
    (tmp_path / "temporary").mkdir()
    settings = VideoSettings(preset="ultrafast", batch=4, folder=tmp_path / "temporary")
    hold = Hold(after=20)
    videos = video_tools(stores, threads, hold, settings=settings)
    running = asyncio.create_task(run_attempt(order(), replace(tools(stores, threads, hold), videos=videos)))
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


async def test_a_run_whose_reader_hangs_up_ends(stores: Storage, threads: ThreadPoolExecutor, squares: bytes) -> None:
    """The replica that offered the run has died, or has lost its order."""
    await stores.inputs.put(KEY, squares)
    here, there = Hold(after=0), Hold(after=4)
    two = Two(stores, threads, here, there)
    running = asyncio.create_task(run_attempt(order(), two.tools))
    await there.waiting.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert not two.other.runs.turn.locked()
    assert not [each.name for each in threading.enumerate() if each.name in {"decode", "detect"}]


@pytest.fixture
async def server(squares: bytes) -> Any:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=squares)

    application = web.Application()
    application.router.add_get("/film.mp4", answer)
    started = TestServer(application)
    await started.start_server()
    yield started
    await started.close()


async def test_a_video_behind_a_url_leaves_no_copy(
    stores: Storage, threads: ThreadPoolExecutor, server: TestServer
) -> None:
    made = order(source={"url": str(server.make_url("/film.mp4"))})
    hold = Hold(after=20)
    running = asyncio.create_task(run_attempt(made, tools(stores, threads, hold)))
    await hold.waiting.wait()
    assert "source-1/original" in await keys(stores, made.work)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    left = await keys(stores, made.work)
    assert not [name for name in left if name.startswith("source")]
    assert PLAN in left
    await stores.outputs.put(made.work + "source-1/original", b"of an attempt that was killed")
    again = order(2, source={"url": str(server.make_url("/film.mp4"))})
    manifest = await succeeded(again, tools(stores, threads, see_red))
    assert len(await pages(stores, manifest)) == FRAMES
    assert await keys(stores, made.work) == set()


async def test_an_attempt_that_does_not_know_it_was_replaced_disturbs_nothing(
    stores: Storage, threads: ThreadPoolExecutor, server: TestServer
) -> None:
    """Its controller is gone, and its connection hangs: it works on beside its successor, and ends after it began."""
    url = {"url": str(server.make_url("/film.mp4"))}
    first, second = Hold(after=FRAMES + 8), Hold(after=0)
    older = asyncio.create_task(run_attempt(order(1, source=url), tools(stores, threads, first)))
    await first.waiting.wait()
    newer = asyncio.create_task(run_attempt(order(2, source=url), tools(stores, threads, second)))
    await second.waiting.wait()
    first.go_on.set()
    outcome = await older
    assert isinstance(outcome, Failed)
    assert not outcome.permanent
    assert {OWNER, PLAN, "source-2/original"} <= await keys(stores, order().work)
    second.go_on.set()
    assert isinstance(await newer, Succeeded)
    assert await keys(stores, order().work) == set()
    assert await keys(stores, order(1).folder) == set()


@pytest.mark.parametrize("which", ["parts", "result"])
async def test_an_output_store_that_goes_away(
    which: str, stores: Storage, threads: ThreadPoolExecutor, squares: bytes, tmp_path: Path
) -> None:
    await stores.inputs.put(KEY, squares)
    (tmp_path / "temporary").mkdir()
    settings = VideoSettings(preset="ultrafast", batch=1, folder=tmp_path / "temporary")
    hold = Hold(after=20 if which == "parts" else 3 * FRAMES - 1)  # the last picture of the last run
    videos = video_tools(stores, threads, hold, settings=settings)
    running = asyncio.create_task(run_attempt(order(), replace(tools(stores, threads, hold), videos=videos)))
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


GOOD = video()
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
    given = tools(stores, threads)
    limits = replace(given.videos.limits, frame_pixels=1_000_000)
    outcome = await run_attempt(order(), replace(given, videos=replace(given.videos, limits=limits)))
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
    videos = video_tools(stores, threads, settings=settings)
    outcome = await run_attempt(order(), replace(tools(stores, threads), videos=videos))
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
    stores: Storage, threads: ThreadPoolExecutor, squares: bytes, tmp_path: Path
) -> None:
    """Blocks that cannot be read look like packets that do not decode; no frame may go missing by that."""
    await stores.inputs.put(KEY, squares)
    hold = Hold(after=12)
    videos = video_tools(stores, threads, hold, segment_frames=8)
    running = asyncio.create_task(run_attempt(order(), replace(tools(stores, threads, hold), videos=videos)))
    await hold.waiting.wait()
    unmount(tmp_path / "in")
    hold.go_on.set()
    outcome = await running
    mount(tmp_path / "in")
    assert isinstance(outcome, Failed)
    assert outcome.reason is Reason.STORAGE_UNAVAILABLE, outcome
    assert await keys(stores, order().folder) == set()


async def test_a_detector_that_fails_gives_no_video(
    stores: Storage, threads: ThreadPoolExecutor, squares: bytes
) -> None:
    async def fails(_: Pixels, __: Options) -> Detections:
        raise RuntimeError("pixels of somebody")

    await stores.inputs.put(KEY, squares)
    outcome = await run_attempt(order(), tools(stores, threads, fails))
    assert isinstance(outcome, Failed)
    assert not outcome.permanent
    assert "somebody" not in outcome.message
    assert await keys(stores, order().folder) == set()


async def test_pictures_and_videos_share_the_detector(stores: Storage, threads: ThreadPoolExecutor) -> None:
    await stores.inputs.put(KEY, GOOD)
    await stores.inputs.put("in/b.jpg", picture())
    given = tools(stores, threads, find_face)
    film, still = await asyncio.gather(
        run_attempt(order(), given), run_attempt(order(task="t2", source={"object": {"key": "in/b.jpg"}}), given)
    )
    assert isinstance(film, Succeeded)
    assert isinstance(still, Succeeded)
