"""A video over HTTP, as a client sees it: `velum up` with Ray and the shipped pack, from upload to every result."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from support.streetclip import FACES, decoded, first_face, frames, sound_packets, street_clip
from support.velumup import VelumUp
from velum_cli.sample import sample_picture
from velum_ingress.schemas import FrameMetadata, Task

COUNT = 24
FAST = "object-detection-v2"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VelumUp]:
    with VelumUp(tmp_path_factory.mktemp("up"), ["--no-self-check"]) as velum:
        yield velum


@pytest.fixture
def client(server: VelumUp) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=180, trust_env=False) as found:
        yield found


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return street_clip(tmp_path_factory.mktemp("clips") / "street.mkv", COUNT, key_every=8)


def post(client: httpx.Client, data: bytes, query: str = "face=true", **headers: str) -> httpx.Response:
    """Upload as the vendor's clients do, with a type and a name that say nothing."""
    return client.post(f"/v1/file?{query}", files={"fileobject": ("upload.bin", data, "image/jpg")}, headers=headers)


def until_ended(client: httpx.Client, name: str, seconds: float = 150) -> list[dict[str, Any]]:
    """Poll the task until it has ended; return all that it said."""
    said, end = [], time.monotonic() + seconds
    while time.monotonic() < end:
        said.append(client.get(f"/v1/task/{name}").json())
        if said[-1]["status"] in {"done", "failed", "deleted"}:
            return said
        time.sleep(0.1)
    raise AssertionError(f"the task has not ended: {said[-1]}")


@pytest.fixture(scope="module")
def done(server: VelumUp, clip: Path) -> dict[str, Any]:
    """A video's task that was waited for."""
    with httpx.Client(base_url=server.url, timeout=180, trust_env=False) as client:
        answer = post(client, clip.read_bytes(), "face=true&name=street.mkv&quality=80&gps=strip")
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def test_a_synchronous_request_is_answered_with_the_ended_task(server: VelumUp, done: dict[str, Any]) -> None:
    Task.model_validate(done)
    assert (done["status"], done["progress"], done["media_type"]) == ("done", 1, "video/x-matroska")
    assert (done["frames_done"], done["frames_total"], done["skipped_frames"]) == (COUNT, COUNT, 0)
    assert (done["left_out"], done["finish_estimate"], done["error"]) == ([], None, None)
    base = f"{server.url}/v1/file/{done['id']}/video"
    assert (done["anonymised_link"], done["metadata_link"]) == (f"{base}/anonymised", f"{base}/metadata")
    assert done["binary_mask_link"] is done["instance_mask_link"] is None


def test_faces_are_hidden_and_nothing_else_is_changed(
    client: httpx.Client, done: dict[str, Any], clip: Path, tmp_path: Path
) -> None:
    answer = client.get(done["anonymised_link"])
    assert (answer.headers["content-type"], answer.headers["accept-ranges"]) == ("video/mp4", "bytes")
    assert 'filename="street.mp4"' in answer.headers["content-disposition"]
    result = tmp_path / "street.mp4"
    result.write_bytes(answer.content)
    assert answer.content.index(b"moov") < answer.content.index(b"mdat"), "players can begin at once"
    before, after = frames(COUNT), decoded(result)
    assert len(after) == COUNT
    for number, (then, now) in enumerate(zip(before, after, strict=True)):
        change = np.abs(then.astype(int) - now.astype(int))
        assert change[420:].mean() < 4
        assert change[first_face(number)].mean() > 8, number
    assert sound_packets(result) == sound_packets(clip)


def test_parts_of_the_video_are_parts_of_the_file(client: httpx.Client, done: dict[str, Any]) -> None:
    address = done["anonymised_link"]
    whole = client.get(address).content
    head = client.head(address)
    assert (head.headers["content-length"], head.content) == (str(len(whole)), b"")
    for text, part in (("0-99", whole[:100]), ("500-", whole[500:]), ("-77", whole[-77:])):
        answer = client.get(address, headers={"range": f"bytes={text}", "if-range": head.headers["etag"]})
        assert (answer.status_code, answer.content) == (206, part)
    assert client.get(address, headers={"range": f"bytes={len(whole)}-"}).status_code == 416


def test_frames_are_told_by_their_numbers(client: httpx.Client, done: dict[str, Any]) -> None:
    address = done["metadata_link"]
    told = client.get(address).json()
    assert [each["id"] for each in told] == list(range(COUNT))
    for each in told:
        frame = FrameMetadata.model_validate(each)
        assert frame.size == (640, 960)
        assert frame.time == pytest.approx(frame.id / 10, abs=0.002)
    assert all(len(each["detections"]) >= 1 for each in told)
    tracks = {each["track_id"] for frame in told[:6] for each in frame["detections"]}
    assert len(tracks) == FACES, "one object has one number in all frames"
    for query, part in (
        ("start=3&end=5", told[3:6]),
        ("start-frame=20", told[20:]),
        ("end_frame=0", told[:1]),
        ("start=20&end=1000", told[20:]),
        ("start=1000", []),
    ):
        assert client.get(f"{address}?{query}").json() == part
    refused = client.get(f"{address}?start=5&end=4")
    assert (refused.status_code, refused.json()["field"]) == (400, "end")


def test_the_addresses_of_pictures_point_to_those_of_videos(client: httpx.Client, done: dict[str, Any]) -> None:
    base = f"/v1/file/{done['id']}"
    for path, text in (
        ("anonymised", f"{base}/video/anonymised"),
        ("metadata", f"{base}/video/metadata"),
        ("binary-mask", "no masks"),
        ("instance-mask", "no masks"),
    ):
        answer = client.get(f"{base}/{path}")
        assert answer.status_code == 404
        assert text in answer.json()["error"]


def test_the_vendor_s_model_is_there_by_its_name_and_tells_how_far_it_is(client: httpx.Client, clip: Path) -> None:
    answer = post(client, clip.read_bytes(), f"model={FAST}", **{"x-is-async": "true"})
    assert answer.status_code == 202, answer.text
    said = until_ended(client, answer.json()["id"])
    task = said[-1]
    assert task["status"] == "done", task
    told = task["parameters"]
    assert (told["face"], told["license_plate"], told["person"]) == (True, True, False)
    assert [each["progress"] for each in said] == sorted(each["progress"] for each in said)
    for each in said:
        assert each["frames_done"] is None or 0 <= each["frames_done"] <= each["frames_total"] == COUNT
    refused = post(client, clip.read_bytes(), f"model={FAST}&person=true")
    assert (refused.status_code, refused.json()["field"]) == (400, "person")


def test_only_looking_makes_metadata_and_no_video(client: httpx.Client, clip: Path) -> None:
    task = post(client, clip.read_bytes(), "face=true&method=detect").json()
    assert task["anonymised_link"] is None
    assert client.get(f"/v1/file/{task['id']}/video/anonymised").status_code == 404
    told = client.get(task["metadata_link"]).json()
    assert len(told) == COUNT
    assert not any(each["is_anonymised"] for frame in told for each in frame["detections"])


def test_what_cannot_be_worked_on_is_refused_with_the_reason(client: httpx.Client, clip: Path) -> None:
    data = clip.read_bytes()
    mov = street_clip(clip.with_name("cut.mov"), 4).read_bytes()
    for content, query, status, text in (
        (data, "face=true&lossless=true", 400, "lossless: videos are always encoded anew"),
        (mov[: len(mov) // 2], "face=true", 400, ""),
        (mov[:40] + bytes(4000), "face=true", 400, ""),
        (b"no video at all", "face=true", 415, "no MP4, MOV, MKV"),
        (b"", "face=true", 400, "empty"),
    ):
        answer = post(client, content, query)
        assert answer.status_code == answer.json()["status_code"] == status, answer.text
        assert text in answer.json()["error"]
        if task := answer.json().get("task"):  # found by the replica: there is a record, and nothing to download
            assert client.get(f"/v1/file/{task}/video/anonymised").status_code in {404, 422}


def test_a_picture_is_a_picture_whatever_its_name(client: httpx.Client) -> None:
    files = {"fileobject": ("movie.mp4", sample_picture(), "video/mp4")}
    task = client.post("/v1/file?face=true", files=files).json()
    assert (task["media_type"], task["frames_total"], task["left_out"]) == ("image/jpeg", None, None)


def test_a_video_may_be_deleted_while_it_is_worked_on(server: VelumUp, client: httpx.Client, tmp_path: Path) -> None:
    long = street_clip(tmp_path / "long.mp4", 150, key_every=50).read_bytes()
    name = post(client, long, "face=true", **{"x-is-async": "true"}).json()["id"]
    end = time.monotonic() + 120
    while client.get(f"/v1/task/{name}").json()["status"] == "queued":
        assert time.monotonic() < end
        time.sleep(0.1)
    deleted = client.delete(f"/v1/task/{name}")
    assert deleted.status_code == 200, deleted.text
    assert client.get(f"/v1/task/{name}").status_code == 404
    left = [path for path in server.data.rglob("*") if name in str(path) and path.is_file()]
    assert left == []
    assert json.loads(client.get("/v1/status").text)["status"] == "running"
