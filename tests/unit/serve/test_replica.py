"""A replica without Ray, with the real detectors of the pack that ships."""

import asyncio
import json
import os
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from support.serving import order, picture, storage
from support.videos import made
from velum_pipeline.errors import CorruptMedia
from velum_serve import replica as replica_module
from velum_serve.arguments import ReplicaArguments, ReplicaScale
from velum_serve.batching import Item
from velum_serve.errors import WorkStuck
from velum_serve.replica import Batch, BatchedCall, Replica
from velum_serve.videos import attempt


def one_by_one(batch: Batch) -> BatchedCall:
    async def call(item: Item) -> Any:
        (answer,) = await batch([item])
        return answer

    return call


@pytest.fixture
def replica(tmp_path: Path) -> Replica:
    arguments = ReplicaArguments.parse(
        {
            "model": "default",
            "packs": ["velum-street"],
            "classes": ["face"],
            "input_url": (tmp_path / "in").as_uri(),
            "output_url": (tmp_path / "out").as_uri(),
        }
    )
    return Replica(arguments, one_by_one, cpus=1)


def body(text: str | bytes) -> Callable[[], Awaitable[bytes]]:
    async def read() -> bytes:
        return text if isinstance(text, bytes) else text.encode()

    return read


async def test_health_tells_what_is_served(replica: Replica) -> None:
    assert await replica.answer("GET", "/healthz", body("")) == (
        200,
        {
            "model": "default",
            "classes": ["face"],
            "packs": ["velum-street"],
            "pid": os.getpid(),
            "ongoing": 0,
            "running": False,
            "offers": 0,
            "batches": {},
        },
    )
    replica.check()


async def test_a_codec_that_hangs_has_the_replica_replaced(
    replica: Replica, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """x265 was seen to wait for its own threads for ever; it cannot be made to, so that here reading hangs."""
    begun, ended = threading.Event(), threading.Event()

    def hang(*_: object) -> None:
        begun.set()
        ended.wait(20)
        raise CorruptMedia("it ended after all")

    monkeypatch.setattr(attempt, "probe", hang)
    stores = storage(tmp_path)
    await stores.inputs.put("in/a.jpg", made("h264.mp4", tmp_path).read_bytes())
    answer = asyncio.create_task(replica.answer("POST", "/attempts", body(json.dumps(order().wire()))))
    assert await asyncio.to_thread(begun.wait, 20)
    replica.check()
    monkeypatch.setattr(replica_module, "STUCK_SECONDS", 0.0)
    with pytest.raises(WorkStuck, match="nothing was heard of the work on a video for"):
        replica.check()
    ended.set()
    assert (await answer)[0] == 200
    replica.check()


async def test_it_hears_how_many_others_there_may_be(replica: Replica) -> None:
    for scale, offers in ((ReplicaScale(max_replicas=4, target_ongoing=3), 9), (ReplicaScale(), 0)):
        replica.scale(scale)
        health = (await replica.answer("GET", "/healthz", body("")))[1]
        assert isinstance(health, dict)
        assert health["offers"] == offers


async def test_an_attempt_over_the_wire(replica: Replica, tmp_path: Path) -> None:
    stores = storage(tmp_path)
    await stores.inputs.put("in/a.jpg", picture())
    status, document = await replica.answer("POST", "/attempts", body(json.dumps(order().wire())))
    assert (status, document["outcome"]) == (200, "succeeded")
    assert json.loads(await stores.outputs.get(order().manifest_key)) == document["manifest"]
    _, health = await replica.answer("GET", "/healthz", body(""))
    assert health["batches"] == {"1": 1}


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("", "body"),
        ("[]", "body"),
        ("{}", "task"),
        (b"\xff\xfe", "body"),
        (json.dumps({**order().wire(), "attempt": 0}), "attempt"),
        (json.dumps({**order().wire(), "spec": {"source": {}, "classes": {"face": {}}}}), "spec.source"),
    ],
)
async def test_an_order_that_makes_no_sense_is_an_invalid_spec(text: str | bytes, field: str, replica: Replica) -> None:
    status, document = await replica.answer("POST", "/attempts", body(text))
    assert (status, document["outcome"], document["reason"]) == (200, "failed", "InvalidSpec")
    assert f"work order: {field}: " in document["message"]


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/attempts"), ("POST", "/healthz"), ("GET", "/"), ("PUT", "/attempts/1")]
)
async def test_other_requests_are_told_what_there_is(method: str, path: str, replica: Replica) -> None:
    status, document = await replica.answer(method, path, body(""))
    assert status == 404
    assert "POST /attempts" in document["error"]
