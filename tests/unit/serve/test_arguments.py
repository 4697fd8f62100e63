"""What the serving config may say, and what it is told when it may not."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from velum_pipeline.detect import ClassNotFound
from velum_pipeline.options import ObjectClass
from velum_pipeline.packs import PackNotFound, WeightsMissing
from velum_serve.arguments import ReplicaArguments, ReplicaScale
from velum_serve.errors import ArgumentInvalid

GOOD: dict[str, Any] = {
    "model": "default",
    "packs": ["centerface"],
    "classes": ["face"],
    "input_url": "file:///in",
    "output_url": "file:///out",
}


def test_defaults_and_json() -> None:
    parsed = ReplicaArguments.parse(json.loads(json.dumps(GOOD)))
    assert parsed.classes == (ObjectClass.FACE,)
    assert (parsed.pack_folders, parsed.cache, parsed.threads) == ((), None, 0)


def test_everything_that_the_controller_sends_is_known() -> None:
    sent = {
        "pack_folders": ["/packs"],
        "cache": "/cache",
        "max_pixels": 1,
        "upload_bytes": 2,
        "source_allow_private": True,
        "source_timeout_seconds": 3.5,
        "batch_size": 4,
        "batch_wait_seconds": 0.002,
        "threads": 2,
        "detect_every": 2,
        "frame_pixels": 4,
        "frame_rate": 5,
        "codec": "svtav1",
        "preset": "8",
    }
    parsed = ReplicaArguments.parse({**GOOD, **sent})
    assert set(ReplicaArguments.model_fields) - set(GOOD) - set(sent) == {"segment_frames", "run_frames"}
    assert parsed.pack_folders == (Path("/packs"),)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"classes": ["dog"]}, "classes.0"),
        ({"classes": []}, "classes"),
        ({"packs": []}, "packs"),
        ({"batch_size": 0}, "batch_size"),
        ({"batch_wait_seconds": -1}, "batch_wait_seconds"),
        ({"max_pixels": 0}, "max_pixels"),
        ({"source_timeout_seconds": 0}, "source_timeout_seconds"),
        ({"threads": "many"}, "threads"),
        ({"output_url": ""}, "output_url"),
        ({"from_the_future": 1}, "from_the_future"),
    ],
)
def test_errors_name_the_field(change: dict[str, Any], field: str) -> None:
    with pytest.raises(ArgumentInvalid) as caught:
        ReplicaArguments.parse({**GOOD, **change})
    assert caught.value.field == field
    assert str(caught.value).startswith(f"{field}: ")


@pytest.mark.parametrize("missing", sorted(GOOD))
def test_required_fields(missing: str) -> None:
    with pytest.raises(ArgumentInvalid) as caught:
        ReplicaArguments.parse({name: value for name, value in GOOD.items() if name != missing})
    assert caught.value.field == missing


@pytest.mark.parametrize("nonsense", [None, [], "text", 7])
def test_args_that_are_no_object(nonsense: object) -> None:
    with pytest.raises(ArgumentInvalid):
        ReplicaArguments.parse(nonsense)


def test_a_scale_that_makes_no_sense_is_named() -> None:
    assert ReplicaScale.parse({"max_replicas": 3, "target_ongoing": 4}).offers == 8
    for change, field in (
        ({"max_replicas": 0}, "max_replicas"),
        ({"target_ongoing": "few"}, "target_ongoing"),
        ({"from_the_future": 1}, "from_the_future"),
        (None, "user_config"),
    ):
        with pytest.raises(ArgumentInvalid) as caught:
            ReplicaScale.parse(change)
        assert caught.value.field == field


def pack(folder: Path, weights: bytes | None) -> None:
    """A pack that finds faces, with or without its weights."""
    folder.mkdir(parents=True)
    digest = hashlib.sha256(b"weights").hexdigest()
    (folder / "pack.toml").write_text(
        f"""
        name = "mine"
        version = "1"
        title = "Mine"
        description = "Faces."
        licence = "MIT"
        [[files]]
        name = "mine.onnx"
        sha256 = "{digest}"
        size = 7
        [[components]]
        name = "mine"
        file = "mine.onnx"
        licence = "MIT"
        decoder = "centerface"
        classes = {{ face = {{ threshold = 0.2 }} }}
        [components.input]
        kind = "dynamic"
        multiple = 32
        max_side = 640
        fit = "stretch"
        colour = "rgb"
        """
    )
    if weights is not None:
        (folder / "mine.onnx").write_bytes(weights)


def arguments(tmp_path: Path, **more: Any) -> ReplicaArguments:
    return ReplicaArguments.parse({**GOOD, "packs": ["mine"], "pack_folders": [str(tmp_path)], **more})


def test_packs_that_have_everything(tmp_path: Path) -> None:
    pack(tmp_path / "mine", b"weights")
    assert arguments(tmp_path).registry().classes(["mine"]) == {ObjectClass.FACE}


def test_a_class_that_no_pack_finds_is_told_before_weights_are_loaded(tmp_path: Path) -> None:
    pack(tmp_path / "mine", None)
    with pytest.raises(ClassNotFound, match=r"no detector for vehicle in mine; .*street"):
        arguments(tmp_path, classes=["face", "vehicle"]).registry()


def test_weights_that_are_missing_are_told_with_the_command(tmp_path: Path) -> None:
    pack(tmp_path / "mine", None)
    with pytest.raises(WeightsMissing, match="velum models fetch mine"):
        arguments(tmp_path).registry()


def test_a_pack_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(PackNotFound, match="no model pack named 'mine'"):
        arguments(tmp_path).registry()
