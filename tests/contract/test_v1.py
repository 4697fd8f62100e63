"""The v1 contract against the real thing: `velum up` with Ray and a real pack, spoken to as official clients do."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import cv2
import httpx
import numpy as np
import pytest

from support.corpus import ENTRIES, heifs
from support.corpus.shown import shown
from support.velumup import VelumUp
from velum_cli.sample import sample_picture
from velum_ingress.schemas import Metadata, Running, Task

FACES = 3
"""Painted into the sample picture."""


def decoded(data: bytes) -> np.ndarray:
    found = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    assert found is not None
    return found


def post(client: httpx.Client, data: bytes | None = None, query: str = "face=true", **headers: str) -> httpx.Response:
    """Upload as the vendor's sample clients do: requests' multipart, with a MIME type that does not exist."""
    files = {"fileobject": ("street.jpg", sample_picture() if data is None else data, "image/jpg")}
    return client.post(f"/v1/file?{query}", files=files, headers=headers)


def ended(client: httpx.Client, name: str) -> dict[str, Any]:
    """Poll as the vendor's sample clients do, until the task has ended."""
    for _ in range(600):
        task = client.get(f"/v1/task/{name}").json()
        if task["status"] in {"done", "failed", "deleted"}:
            return dict(task)
        time.sleep(0.1)
    raise AssertionError(f"the task has not ended: {task}")


@pytest.fixture(scope="module")
def done(server: VelumUp) -> dict[str, Any]:
    """A finished task that tests may read."""
    with httpx.Client(base_url=server.url, timeout=120, trust_env=False) as client:
        answer = post(client, query="face=True&license_plate=False&quality=0&method=blur")
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def test_the_server_is_running(client: httpx.Client) -> None:
    answer = client.get("/v1/status")
    assert answer.status_code == 200
    found = Running.model_validate(answer.json())
    assert "face" in found.models[0].classes
    assert client.get("/healthz").status_code == client.get("/readyz").status_code == 200


def test_a_synchronous_request_is_answered_with_its_task(server: VelumUp, done: dict[str, Any]) -> None:
    Task.model_validate(done)
    assert done["status"] == "done"
    assert done["media_type"] == "image/jpeg"
    assert done["parameters"]["quality"] == 90
    for role in ("anonymised", "binary_mask", "instance_mask", "metadata"):
        assert done[f"{role}_link"] == f"{server.url}/v1/file/{done['id']}/{role.replace('_', '-')}"


def test_pictures_masks_and_metadata_agree(client: httpx.Client, done: dict[str, Any]) -> None:
    source = decoded(sample_picture()).astype(int)
    picture = decoded(client.get(done["anonymised_link"]).content).astype(int)
    binary = decoded(client.get(done["binary_mask_link"]).content)
    instance = decoded(client.get(done["instance_mask_link"]).content)
    metadata = Metadata.model_validate_json(client.get(done["metadata_link"]).text)
    assert picture.shape == source.shape
    assert binary.shape == source.shape[:2] == instance.shape[:2] == metadata.size
    assert len(metadata.detections) >= FACES
    assert set(np.unique(binary)) == {0, 255}
    changed = np.abs(picture - source).mean(axis=2)
    assert changed[binary == 0].mean() < 3  # one more JPEG generation
    for each in metadata.detections:
        left, top, right, bottom = each.bbox
        middle = ((top + bottom) // 2, (left + right) // 2)
        assert (each.type, each.type_label, each.is_anonymised) == (103, "face", True)
        assert binary[middle] == 255
        assert instance[middle][::-1].tolist() == list(each.color)
        assert changed[top:bottom, left:right].mean() > 8


def test_an_asynchronous_request_is_followed_to_its_end(client: httpx.Client) -> None:
    answer = post(client, **{"x-is-async": "1"})
    assert answer.status_code == 202
    location = answer.headers["location"]
    assert location.endswith(f"/v1/task/{answer.json()['id']}")
    task = ended(client, answer.json()["id"])
    assert task["status"] == "done"
    assert client.get(location).json() == task
    assert client.get(task["anonymised_link"]).status_code == 200


def test_detect_makes_masks_and_metadata_only(client: httpx.Client) -> None:
    task = post(client, query="face=true&method=detect").json()
    assert task["anonymised_link"] is None
    assert client.get(f"/v1/file/{task['id']}/anonymised").status_code == 404
    assert len(client.get(task["metadata_link"]).json()["detections"]) >= FACES


@pytest.mark.parametrize("method", ["blur", "pixelate", "blacken"])
def test_every_method_changes_the_faces(client: httpx.Client, method: str) -> None:
    task = post(client, query=f"face=true&method={method}&save-mask=none").json()
    assert task["binary_mask_link"] is task["instance_mask_link"] is None
    assert client.get(f"/v1/file/{task['id']}/binary-mask").status_code == 404
    assert client.get(task["anonymised_link"]).content != sample_picture()


@pytest.mark.parametrize("extension", [".jpg", ".png", ".webp", ".tiff", ".bmp"])
def test_every_format_comes_back_as_itself(client: httpx.Client, extension: str) -> None:
    data = cv2.imencode(extension, decoded(sample_picture()))[1].tobytes()
    task = post(client, data).json()
    answer = client.get(task["anonymised_link"])
    assert answer.headers["content-type"] == task["media_type"]
    assert decoded(answer.content).shape == (640, 960, 3)


@pytest.mark.parametrize("extension", ["heic", "avif"])
def test_pictures_of_telephones_come_back_as_themselves(client: httpx.Client, extension: str) -> None:
    make = heifs.heic if extension == "heic" else heifs.avif
    task = post(client, make(decoded(sample_picture()))).json()
    assert task["media_type"] == f"image/{extension}"
    answer = client.get(task["anonymised_link"])
    assert answer.headers["content-type"] == f"image/{extension}"
    assert f'.{extension}"' in answer.headers["content-disposition"]
    assert shown(answer.content, extension).pixels.shape == (640, 960, 3)
    smaller = client.get(f"{task['anonymised_link']}?quality=20").content
    assert shown(smaller, extension).pixels.shape == (640, 960, 3)
    assert len(smaller) < len(answer.content) / 2


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("jpeg truncated", 400),
        ("jpeg scan cut out", 400),
        ("jpeg lying header", 400),
        ("jpeg of 12 bits", 415),
        ("png bomb", 413),
        ("png too few rows", 400),
        ("png animated", 415),
        ("tiff of two pages", 415),
        ("tiff truncated", 400),
        ("webp bomb", 413),
        ("bmp lying header", 400),
        ("heic truncated", 400),
        ("heic bomb", 413),
        ("heic of two pictures", 415),
        ("avif of 10 bits", 415),
    ],
)
def test_files_that_must_not_be_worked_on(server: VelumUp, client: httpx.Client, name: str, status: int) -> None:
    entry = ENTRIES[name]
    assert entry.refused is not None
    answer = post(client, entry.make(), "face=true")
    assert answer.status_code == answer.json()["status_code"] == status, answer.text
    assert answer.json()["reason"] == entry.refused.reason
    assert entry.because in answer.json()["error"] or status == 413
    if task := answer.json().get("task"):  # found by the decoder: there is a record, and nothing to download
        assert client.get(f"/v1/file/{task}/anonymised").status_code == 422


def test_what_is_ignored_stays(client: httpx.Client) -> None:
    everything = [{"topLeftX": 0, "topLeftY": 0, "width": 960, "height": 640}]
    data = cv2.imencode(".png", decoded(sample_picture()))[1].tobytes()
    task = post(client, data, f"face=true&ignores={everything}").json()
    assert np.array_equal(decoded(client.get(task["anonymised_link"]).content), decoded(data))
    assert not decoded(client.get(task["binary_mask_link"]).content).any()


def test_downloads_in_part_and_anew(client: httpx.Client, done: dict[str, Any]) -> None:
    whole = client.get(done["anonymised_link"])
    part = client.get(done["anonymised_link"], headers={"range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, whole.content[10:20])
    assert client.get(done["anonymised_link"], headers={"if-none-match": whole.headers["etag"]}).status_code == 304
    assert client.head(done["anonymised_link"]).headers["content-length"] == str(len(whole.content))
    assert len(client.get(f"{done['anonymised_link']}?quality=10").content) < len(whole.content)
    assert decoded(client.get(f"{done['instance_mask_link']}?mask-scale=50").content).shape[:2] == (320, 480)


@pytest.mark.parametrize(
    ("data", "query", "status", "text"),
    [
        (None, "", 400, "at least one of"),
        (None, "face=true&fase=true", 400, "did you mean 'face'"),
        (None, "face=true&mask-scale=0", 400, "mask-scale"),
        (None, "face=true&model=none-such", 400, "model"),
        (b"", "face=true", 400, "empty"),
        (sample_picture()[:5000], "face=true", 400, "truncated"),
        (b"not a picture", "face=true", 415, "fileobject"),
    ],
)
def test_errors_have_the_contracts_form(
    client: httpx.Client, data: bytes | None, query: str, status: int, text: str
) -> None:
    answer = post(client, data, query)
    assert answer.status_code == answer.json()["status_code"] == status
    assert text in answer.json()["error"]


def test_a_picture_that_only_the_decoder_refuses(client: httpx.Client) -> None:
    data = bytearray(cv2.imencode(".png", decoded(sample_picture()))[1].tobytes())
    data[len(data) // 2] ^= 0xFF
    answer = post(client, bytes(data))
    assert answer.status_code == 400
    assert answer.json()["reason"] == "CorruptMedia"
    assert client.get(f"/v1/file/{answer.json()['task']}/anonymised").status_code == 422


def test_a_large_refused_upload_hears_why(client: httpx.Client) -> None:
    """The answer is given before the body is read; a client that goes on sending must still get to see it."""
    answer = post(client, bytes(64 << 20), "face=true&fase=true")
    assert answer.status_code == 400
    assert "did you mean" in answer.json()["error"]
    answer = post(client, b"GIF89a" + bytes(64 << 20))
    assert answer.status_code == 415


def test_unknown_ids(client: httpx.Client) -> None:
    for path in ("/v1/task/none-such", "/v1/file/none-such/anonymised", "/v1/file/none-such/video/metadata"):
        assert client.get(path).status_code == 404
    assert client.delete("/v1/task/none-such").status_code == 404


def test_tasks_are_listed_page_by_page(client: httpx.Client) -> None:
    names = [post(client, **{"x-is-async": "true"}).json()["id"] for _ in range(3)]
    for name in names:
        ended(client, name)
    found, address = [], "/v1/task/list?status=done&limit=2"
    while address:
        page = client.get(address)
        found += [each["id"] for each in page.json()]
        address = page.links.get("next", {}).get("url", "")
    assert [name for name in found if name in names] == names


def test_deletion_leaves_nothing(server: VelumUp, client: httpx.Client) -> None:
    name = post(client).json()["id"]
    assert [path for path in server.data.rglob("*") if name in str(path) and path.is_file()]
    assert client.delete(f"/v1/task/{name}").status_code == 200
    assert client.get(f"/v1/task/{name}").status_code == 404
    assert not [path for path in server.data.rglob("*") if name in str(path)]


def test_deletion_of_the_files_alone(server: VelumUp, client: httpx.Client) -> None:
    name = post(client).json()["id"]
    assert client.delete(f"/v1/task/{name}?record=false").status_code == 200
    assert client.get(f"/v1/task/{name}").json()["status"] == "deleted"
    assert not [path for path in server.data.rglob("*") if name in str(path) and path.is_file()]


def test_many_clients_at_a_time(client: httpx.Client) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda index: post(client, query=f"face=true&name={index}.jpg"), range(16)))
    assert [answer.status_code for answer in answers] == [200] * 16
    assert [answer.json()["filename"] for answer in answers] == [f"{index}.jpg" for index in range(16)]
    assert len({json.dumps(client.get(answer.json()["metadata_link"]).json()["size"]) for answer in answers}) == 1


def test_the_documentation_stands_alone(client: httpx.Client) -> None:
    page = client.get("/docs")
    assert page.status_code == client.get("/").status_code == 200
    assert "/v1/file/{id}/anonymised" in page.text
    assert client.get("/openapi.json").json()["info"]["title"] == "Velum"
    assert 'route="/docs"' in client.get("/metrics").text
