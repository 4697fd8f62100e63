"""Memory stays flat however large an upload or a download is. Measured in a process of its own, on the real app."""

import subprocess
import sys
from pathlib import Path

MIB = 256
"""Size of the file. Were it kept anywhere, the peak would grow by that much."""

GROWTH_MIB = 48
"""What may be added to the process's peak: obstore's two 8 MiB buffers per direction, and slack. Measured: 4."""

SCRIPT = """
import asyncio, resource, struct, sys
from pathlib import Path

import httpx
from support.workshop import open_shop

MIB = int(sys.argv[2])
ROW = 16_384


def head(megabytes):
    # A bitmap of 4096 pixels' width and 32 bits: its header tells how long it is, and no codec has to hold it.
    rows = megabytes * 2**20 // ROW
    return struct.pack("<2sIIIIiiHHIIiiII", b"BM", 54 + rows * ROW, 0, 54, 40, ROW // 4, rows, 1, 32, 0, 0, 0, 0, 0, 0)


def peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


async def form(megabytes):
    yield b'--b\\r\\ncontent-disposition: form-data; name="fileobject"\\r\\n\\r\\n' + head(megabytes)
    chunk = bytes(range(256)) * 256
    for _ in range(megabytes * 16):
        yield chunk
    yield b"\\r\\n--b--\\r\\n"


async def post(shop, megabytes):
    headers = {"content-type": "multipart/form-data; boundary=b", "x-is-async": "1"}
    answer = await shop.client.post("/v1/file?face=1", content=form(megabytes), headers=headers)
    assert answer.status_code == 202, answer.text
    return answer.json()["id"]


async def download(app, path):
    size = 0

    async def receive():
        await asyncio.Event().wait()

    async def send(message):
        nonlocal size
        size += len(message.get("body", b""))

    scope = {"type": "http", "asgi": {"version": "3.0", "spec_version": "2.4"}, "http_version": "1.1", "method": "GET",
             "scheme": "http", "path": path, "raw_path": path.encode(), "root_path": "", "query_string": b"",
             "headers": [(b"host", b"x")], "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 1)}
    await app(scope, receive, send)
    return size


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

        from velum.api import Condition, Phase, ResultFile, TaskResult
        file = ResultFile(key=key, media_type="image/bmp", size=size, sha256="0" * 64)
        complete = Condition(type="Complete", status="True", reason="Anonymized", last_transition_time=shop.clock.now())
        update = {"phase": Phase.COMPLETE, "media_type": "image/bmp", "conditions": (complete,),
                  "result": TaskResult(attempt=1, anonymised=file)}
        await shop.store.write_status(task, task.status.model_copy(update=update))
        shop.storage.outputs.__dict__.update(shop.storage.inputs.__dict__)  # serve the upload itself
        assert await download(shop.client._transport.app, f"/v1/file/{name}/anonymised") == size
        print(before, received, peak())

asyncio.run(main())
"""


def test_a_large_file_passes_through_in_flat_memory(tmp_path: Path) -> None:
    tests = Path(__file__).parents[2]
    ended = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path), str(MIB)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={"PYTHONPATH": str(tests), "PATH": ""},
    )
    assert ended.returncode == 0, ended.stderr
    before, received, sent = map(int, ended.stdout.split())
    assert received - before < GROWTH_MIB, ended.stdout
    assert sent - before < GROWTH_MIB, ended.stdout
