"""A whole server in one process, with the pipeline played: real store, real folders, real app.

`Worker` stands where the controller and the replicas do. It drives tasks with the real `decide`, so their states are
the real ones, and writes real pictures and masks; only what it paints is not anonymization.
"""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Iterable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np

from support.samples import ManualClock, model_spec
from velum.api import AnonymizationTask, Reason, ResultFile, TaskResult
from velum.api.v1 import filename
from velum.errors import Conflict, NotFound
from velum.settings import Settings
from velum.storage import Storage
from velum.tasks.decision import AddFinalizer, Deliver, Facts, Release, RemoveFiles, Start
from velum.tasks.lifecycle import decide
from velum.tasks.order import Failed, Manifest, Outcome, Succeeded
from velum.tasks.sqlite import SqliteStore
from velum_ingress.app import create_app
from velum_pipeline import media
from velum_pipeline.errors import MediaError
from velum_pipeline.options import Limits

CLASSES = ["face", "license-plate", "person", "vehicle"]


VIDEO_FRAMES = 10
"""Of what `Worker` makes of a video."""


def picture(extension: str = ".jpg", width: int = 64, height: int = 48) -> bytes:
    """A picture with some structure in it."""
    ramp = np.add.outer(np.arange(height) * 3, np.arange(width) * 2).astype(np.uint8)
    pixels = np.dstack([ramp, np.flipud(ramp), np.fliplr(ramp)])
    done, coded = cv2.imencode(extension, np.ascontiguousarray(pixels))
    assert done
    return coded.tobytes()


VIDEOS = {
    "mp4": b"\0\0\0\x18ftypisom" + bytes(5000),
    "mov": b"\0\0\0\x14ftypqt  " + bytes(5000),
    "mkv": b"\x1a\x45\xdf\xa3\x42\x82\x88matroska" + bytes(5000),
    "webm": b"\x1a\x45\xdf\xa3\x42\x82\x84webm" + bytes(5000),
    "avi": b"RIFF\0\0\0\0AVI " + bytes(5000),
    "ts": (b"\x47" + bytes(187)) * 30,
}
"""Beginnings of videos: all that the ingress looks at. By the extension of `media.MediaType`."""


def png_of(pixels: Any) -> bytes:
    return cv2.imencode(".png", pixels)[1].tobytes()


@dataclass
class Worker:
    """Ends every task it sees. `may_start` holds tasks in `queued`, `may_finish` in `processing`."""

    store: SqliteStore
    storage: Storage
    clock: ManualClock
    outcome: Outcome | None = None
    video: bytes = b"a video"
    may_start: asyncio.Event = field(default_factory=asyncio.Event)
    may_finish: asyncio.Event = field(default_factory=asyncio.Event)
    started: asyncio.Event = field(default_factory=asyncio.Event)
    seen: list[str] = field(default_factory=list)
    jobs: dict[str, asyncio.Task[None]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.may_start.set()
        self.may_finish.set()

    async def run(self) -> None:
        async with aclosing(self.store.watch()) as events:
            async for event in events:
                job = self.jobs.get(event.task.name)
                if event.kind == "present" and (job is None or job.done() or event.task.deleting):
                    if job is not None:
                        job.cancel()
                    self.jobs[event.task.name] = asyncio.create_task(self._drive(event.task.name))

    async def stop(self) -> None:
        for job in self.jobs.values():
            job.cancel()
        await asyncio.gather(*self.jobs.values(), return_exceptions=True)

    async def _drive(self, name: str) -> None:
        facts = Facts(slot=True)
        while True:
            try:
                task = await self.store.get(name)
                if not task.deleting and not task.purges_files:
                    await self.may_start.wait()
                if (facts := await self._step(task, facts)) is None:
                    return
            except Conflict:
                continue
            except NotFound:
                return

    async def _step(self, task: AnonymizationTask, facts: Facts) -> Facts | None:
        decision = decide(task, facts, self.clock.now())
        changed = decision.status != task.status
        if changed:
            task = await self.store.write_status(task, decision.status)
        following = Facts(slot=True)
        for action in decision.actions:
            match action:
                case AddFinalizer():
                    await self.store.add_finalizer(task)
                case Start(attempt):
                    outcome = await self._work(task, attempt)
                    following = Facts(slot=True, outcome=outcome, outcome_attempt=attempt)
                case RemoveFiles():
                    await self.storage.remove(task.folder)
                    following = Facts(slot=True, files_removed=True)
                case Release():
                    await self.store.release(task)
                    return None
                case Deliver():
                    following = Facts(slot=True, delivered="")
        if not changed and not decision.actions:
            if decision.wake is None or task.status.finished:
                return None
            self.clock.time = max(self.clock.time, decision.wake)
        return following

    async def _work(self, task: AnonymizationTask, attempt: int) -> Outcome:
        self.seen.append(task.name)
        self.started.set()
        await self.may_finish.wait()
        if self.outcome is not None:
            return self.outcome
        assert task.spec.source.object is not None
        try:
            data = await self.storage.inputs.get(task.spec.source.object.key)
            is_video = media.sniff(data).kind == "video"
            files = self._video(task) if is_video else self._picture(task, data)
        except NotFound:
            return Failed(Reason.SOURCE_NOT_FOUND, "the upload is gone")
        except MediaError as error:
            return Failed(Reason(error.reason), str(error))
        folder, results = task.attempt_folder(attempt), {}
        for role, (end, kind, content) in files.items():
            await self.storage.outputs.put(folder + end, content)
            digest = hashlib.sha256(content).hexdigest()
            results[role] = ResultFile(key=folder + end, media_type=kind, size=len(content), sha256=digest)
        if is_video:
            results |= {"frames": VIDEO_FRAMES, "skipped_frames": 0}
        result = TaskResult(attempt=attempt, detections={"face": 1}, **results)
        kind = media.sniff(data).mime
        return Succeeded(Manifest(uid=task.metadata.uid, media_type=kind, result=result, seconds=0.1))

    def _picture(self, task: AnonymizationTask, data: bytes) -> dict[str, tuple[str, str, bytes]]:
        found = media.decode(data, Limits())
        found.native[: found.height // 2] = 0
        size = (found.height, found.width)
        binary = np.zeros(size, np.uint8)
        binary[: found.height // 2] = 255
        instance = np.zeros((*size, 3), np.uint8)
        instance[: found.height // 2] = (32, 1, 0)
        document = {
            "detections": [_detection(filename(task.spec))],
            **_about(task),
            "size": list(size),
            "duration": 0.1,
        }
        files = {"metadata": ("metadata.json", "application/json", json.dumps(document).encode())}
        if task.spec.method != "detect":
            kind = found.media_type
            files["anonymised"] = ("anonymised" + kind.extension, kind.mime, media.encode(found))
        if task.spec.save_mask in {"all", "binary"}:
            files["binary_mask"] = ("binary-mask.png", "image/png", png_of(binary))
        if task.spec.save_mask in {"all", "instance"}:
            files["instance_mask"] = ("instance-mask.png", "image/png", png_of(instance))
        return files

    def _video(self, task: AnonymizationTask) -> dict[str, tuple[str, str, bytes]]:
        about = {**_about(task), "size": [48, 64], "duration": 0.1, "detections": []}
        document, index = frames_document(
            {**about, "id": number, "time": number / 10} for number in range(VIDEO_FRAMES)
        )
        files = {
            "metadata": ("metadata.json", "application/json", document),
            "metadata_index": ("metadata.index", "application/octet-stream", index),
        }
        if task.spec.method != "detect":
            files["anonymised"] = ("anonymised.mp4", "video/mp4", self.video)
        return files


def frames_document(pages: Iterable[dict[str, Any]]) -> tuple[bytes, bytes]:
    """The metadata of a video's frames, and the index beside it."""
    lines = [json.dumps(page, separators=(",", ":")).encode() for page in pages]
    begins = accumulate((len(line) + 2 for line in lines), initial=2)
    return b"[\n" + b",\n".join(lines) + b"\n]\n", b"".join(at.to_bytes(8, "little") for at in begins)


def _about(task: AnonymizationTask) -> dict[str, Any]:
    return {"id": filename(task.spec), "filename": filename(task.spec), "folder": None}


def _detection(name: str) -> dict[str, Any]:
    return {
        "id": 0,
        "parent_image": name,
        "offset": [0, 0],
        "bbox": [0, 0, 64, 24],
        "type": 103,
        "type_label": "face",
        "score": 0.9,
        "is_anonymised": True,
        "color": [0, 1, 32],
    }


@dataclass
class Shop:
    """The running server, and what stands behind it."""

    folder: Path
    store: SqliteStore
    storage: Storage
    settings: Settings
    clock: ManualClock
    worker: Worker
    client: httpx.AsyncClient

    def files(self) -> list[str]:
        """Every file in storage, below its store's folder."""
        return sorted(
            str(path.relative_to(self.folder))
            for side in ("in", "out")
            for path in (self.folder / side).rglob("*")
            if path.is_file()
        )

    async def post(self, data: bytes | None = None, query: str = "face=true", **more: Any) -> httpx.Response:
        """Upload a picture as an official client does."""
        content = picture() if data is None else data
        files = more.pop("files", {"fileobject": ("street.jpg", content, "image/jpg")})
        return await self.client.post(f"/v1/file?{query}", files=files, **more)

    async def post_async(self, data: bytes | None = None, query: str = "face=true") -> str:
        """Upload without waiting; return the task's id."""
        answer = await self.post(data, query, headers={"x-is-async": "true"})
        assert answer.status_code == 202, answer.text
        return str(answer.json()["id"])


def settings_for(folder: Path, **groups: dict[str, Any]) -> Settings:
    storage = {"input": (folder / "in").as_uri(), "output": (folder / "out").as_uri()}
    return Settings.load(flags={"storage": storage, **groups})


@asynccontextmanager
async def open_shop(
    folder: Path, *, working: bool = True, classes: list[str] | None = None, **groups: Any
) -> AsyncIterator[Shop]:
    """Run a server on this folder. `groups` are settings; several servers may share a folder."""
    settings, clock = settings_for(folder, **groups), ManualClock()
    storage = Storage.open(settings.storage.input, settings.storage.output)
    async with SqliteStore(folder / "tasks.db", clock) as store:
        await store.put_model("default", model_spec(classes=CLASSES if classes is None else classes))
        app = create_app(store, storage, settings, clock)
        worker = Worker(store, storage, clock)
        running = asyncio.create_task(worker.run()) if working else None
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://velum.test") as client,
        ):
            yield Shop(folder, store, storage, settings, clock, worker, client)
        if running is not None:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
        await worker.stop()
