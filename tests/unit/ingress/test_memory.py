"""Memory stays flat however large an upload or a download is. Measured in a process of its own, on the real app."""

import subprocess
import sys
from pathlib import Path

MIB = 256
"""Size of the file. Were it kept anywhere, the peak would grow by that much."""

GROWTH_MIB = 48
"""What may be added to the process's peak: obstore's two 8 MiB buffers per direction, and slack. Measured: 4."""

PRELUDE = r"""
import asyncio, resource, struct, sys
from pathlib import Path

import httpx
from support.workshop import open_shop
from velum.api import Condition, Phase, ResultFile, TaskResult

MIB = int(sys.argv[2])


def peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def file(key, kind, size):
    return ResultFile(key=key, media_type=kind, size=size, sha256="0" * 64)


async def complete(shop, task, kind, **files):
    ended = Condition(type="Complete", status="True", reason="Anonymized", last_transition_time=shop.clock.now())
    update = {"phase": Phase.COMPLETE, "media_type": kind, "conditions": (ended,),
              "result": TaskResult(attempt=1, **files)}
    await shop.store.write_status(task, task.status.model_copy(update=update))


async def download(app, path, query=b"", range_=b"bytes=0-"):
    size = 0

    async def receive():
        await asyncio.Event().wait()

    async def send(message):
        nonlocal size
        assert message.get("status", 200) in (200, 206), message
        size += len(message.get("body", b""))

    scope = {"type": "http", "asgi": {"version": "3.0", "spec_version": "2.4"}, "http_version": "1.1", "method": "GET",
             "scheme": "http", "path": path, "raw_path": path.encode(), "root_path": "", "query_string": query,
             "headers": [(b"host", b"x"), (b"range", range_)], "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 1)}
    await app(scope, receive, send)
    return size
"""

UPLOAD = r"""
ROW = 16_384


def head(megabytes):
    # A bitmap of 4096 pixels' width and 32 bits: its header tells how long it is, and no codec has to hold it.
    rows = megabytes * 2**20 // ROW
    return struct.pack("<2sIIIIiiHHIIiiII", b"BM", 54 + rows * ROW, 0, 54, 40, ROW // 4, rows, 1, 32, 0, 0, 0, 0, 0, 0)


async def form(megabytes):
    yield b'--b\r\ncontent-disposition: form-data; name="fileobject"\r\n\r\n' + head(megabytes)
    chunk = bytes(range(256)) * 256
    for _ in range(megabytes * 16):
        yield chunk
    yield b"\r\n--b--\r\n"


async def post(shop, megabytes):
    headers = {"content-type": "multipart/form-data; boundary=b", "x-is-async": "1"}
    answer = await shop.client.post("/v1/file?face=1", content=form(megabytes), headers=headers)
    assert answer.status_code == 202, answer.text
    return answer.json()["id"]


async def main():
    async with open_shop(Path(sys.argv[1]), working=False) as shop:
        await post(shop, 32)
        before = peak()
        name = await post(shop, MIB)
        task = await shop.store.get(name)
        key = task.spec.source.object.key
        size = (await shop.storage.inputs.head(key)).size
        assert size == MIB * 2**20 + len(head(MIB)), size
        received = peak()

        await complete(shop, task, "image/bmp", anonymised=file(key, "image/bmp", size))
        shop.storage.outputs.__dict__.update(shop.storage.inputs.__dict__)  # serve the upload itself
        assert await download(shop.client._transport.app, f"/v1/file/{name}/anonymised") == size
        print(before, received, peak())

asyncio.run(main())
"""

VIDEO = r"""
from support.samples import spec

FRAMES = 200_000


async def main():
    out = Path(sys.argv[1]) / "out"
    async with open_shop(Path(sys.argv[1]), working=False) as shop:
        app, line = shop.client._transport.app, b'{"id":0,"detections":[' + b" " * 300 + b"]}"
        with (out / "m.json").open("wb") as document, (out / "m.index").open("wb") as index:
            document.write(b"[\n")
            for number in range(FRAMES):
                document.write(b",\n" if number else b"")
                index.write(document.tell().to_bytes(8, "little"))
                document.write(line)
            index.write((document.tell() + 2).to_bytes(8, "little"))
            document.write(b"\n]\n")
        with (out / "v.mp4").open("wb") as video:
            video.truncate(MIB << 20)
        task = await shop.store.create("clip", spec(), labels={})
        await complete(
            shop, task, "video/mp4", frames=FRAMES, anonymised=file("v.mp4", "video/mp4", MIB << 20),
            metadata=file("m.json", "application/json", (out / "m.json").stat().st_size),
            metadata_index=file("m.index", "application/octet-stream", 8 * (FRAMES + 1)),
        )
        base = "/v1/file/clip/video/"
        assert await download(app, base + "metadata", b"start=7&end=7") == len(line) + 5
        assert await download(app, base + "anonymised", range_=b"bytes=1000-2000") == 1001
        before = peak()
        for query, frames in ((b"start=1", FRAMES - 1), (b"end=199000", 199_001), (b"", FRAMES)):
            assert await download(app, base + "metadata", query) == frames * (len(line) + 2) + 3
        told = peak()
        for range_, size in ((b"bytes=5-", (MIB << 20) - 5), (b"bytes=-200000000", 200_000_000)):
            assert await download(app, base + "anonymised", range_=range_) == size
        print(before, told, peak())

asyncio.run(main())
"""


def measured(folder: Path, script: str) -> list[int]:
    """Peak memory in MiB, as the script prints it."""
    ended = subprocess.run(
        [sys.executable, "-c", PRELUDE + script, str(folder), str(MIB)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={"PYTHONPATH": str(Path(__file__).parents[2]), "PATH": ""},
    )
    assert ended.returncode == 0, ended.stderr
    return [int(each) for each in ended.stdout.split()]


def test_a_large_file_passes_through_in_flat_memory(tmp_path: Path) -> None:
    before, received, sent = measured(tmp_path, UPLOAD)
    assert received - before < GROWTH_MIB
    assert sent - before < GROWTH_MIB


def test_a_long_video_and_its_frames_are_sent_in_flat_memory(tmp_path: Path) -> None:
    before, told, sent = measured(tmp_path, VIDEO)
    assert told - before < GROWTH_MIB
    assert sent - before < GROWTH_MIB
