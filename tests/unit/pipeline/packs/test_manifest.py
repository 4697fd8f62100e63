from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from support import prototypenet
from velum_pipeline.options import ObjectClass
from velum_pipeline.packs import ManifestInvalid, PackRegistry, parse_manifest, read_manifest


def test_shipped_packs() -> None:
    registry = PackRegistry()
    assert registry.get("centerface").classes == {ObjectClass.FACE}
    assert registry.get("street").classes == set(ObjectClass)


@pytest.mark.parametrize("name", ["centerface", "street"])
def test_every_shipped_file_can_be_had_from_a_pinned_place(name: str) -> None:
    for file in PackRegistry().get(name).files:
        assert file.wheel is not None or file.sources
        assert all("/main/" not in source and "/master/" not in source for source in file.sources)


def test_a_manifest_is_frozen(pack: Any) -> None:
    manifest = parse_manifest(pack.text(), "here")
    with pytest.raises(ValueError, match="frozen"):
        manifest.name = "other"


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ('name = "test"', 'name = "Test Pack"', "name"),
        ('version = "1"', "version = 1", "version"),
        ('licence = "none"\n\n[[files]]', "[[files]]", "licence"),
        ("size = ", "size = -", "files.0.size"),
        ('sha256 = "', 'sha256 = "x', "files.0.sha256"),
        ('name = "plate.onnx"', 'name = "../plate.onnx"', "files.0.name"),
        ('name = "plate.onnx"', 'name = ".plate.onnx"', "files.0.name"),
        ("[[components]]", 'sources = ["http://example.com/a"]\n[[components]]', "files.0.sources"),
        ("[[components]]", 'sources = ["file:///etc/passwd"]\n[[components]]', "files.0.sources"),
        ("[[components]]", 'wheel = {package="a", version="1"}\n[[components]]', "files.0.wheel.member"),
        ("[[components]]", 'wheel = {package="--help", version="1", member="a"}\n[[components]]', "wheel.package"),
        ('file = "plate.onnx"', 'file = "other.onnx"', "reads other.onnx, which is not among the files"),
        ("plate.onnx", "plate.pth", "components.0.file"),
        ('decoder = "yolov5face-plate"', 'decoder = "yolo"', "components.0.decoder"),
        ('decoder = "yolov5face-plate"', 'decoder = "prototype-masks"', "prototype-masks needs head, with layout and"),
        ("threshold = 0.5", "threshold = 0.5, labels = [0]", "yolov5face-plate knows its labels"),
        ("classes =", 'head = { layout = "yolov8", labels = 1 }\nclasses =', "yolov5face-plate knows its labels"),
        ("threshold = 0.5", "threshold = 5", "components.0.classes.license-plate.threshold"),
        ("threshold = 0.5", "treshold = 0.5", "treshold"),
        ("license-plate =", "person =", "yolov5face-plate does not find person"),
        ('colour = "bgr"', 'colour = "cmyk"', "colour"),
        ("width = 64", "width = 0", "width"),
        ('kind = "fixed"', 'kind = "round"', "components.0.input"),
        ("[[files]]", "[[files", "not TOML"),
    ],
)
def test_a_bad_manifest_names_the_file_and_the_field(pack: Any, old: str, new: str, problem: str) -> None:
    text = pack.text()
    assert old in text
    with pytest.raises(ManifestInvalid) as caught:
        parse_manifest(text.replace(old, new, 2 if old.endswith(".onnx") else 1), "packs/bad/pack.toml")
    assert str(caught.value).startswith("packs/bad/pack.toml: ")
    assert problem in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ('layout = "yolov8"', 'layout = "yolov9"', "head.layout 'yolov9' is none of end-to-end, yolov5, yolov8"),
        ("labels = 3", "labels = 0", "components.0.head.labels"),
        ("labels = 3", "labels = 2", "classes.vehicle.labels 2 is not below head.labels 2"),
        ("labels = 3", "count = 3", "components.0.head.count"),
        ("labels = [2]", "labels = [-1]", "components.0.classes.vehicle.labels.0"),
        ("labels = [2]", "labels = [2, 2]", "a label is listed twice"),
        ("labels = [2]", "labels = [1, 0]", "classes share the label 0"),
        (", labels = [2]", "", "classes.vehicle.labels must say which labels are this class"),
    ],
)
def test_a_bad_head_is_told(tmp_path: Path, old: str, new: str, problem: str) -> None:
    text = (prototypenet.write_pack(tmp_path / "discs", b"weights") / "pack.toml").read_text()
    parse_manifest(text, "here")
    assert old in text
    with pytest.raises(ManifestInvalid) as caught:
        parse_manifest(text.replace(old, new, 1), "packs/bad/pack.toml")
    assert problem in str(caught.value)


def test_doubles_are_refused(pack: Any) -> None:
    text = pack.text()
    component = text[text.index("[[components]]") :]
    with pytest.raises(ManifestInvalid, match="component plate is listed twice"):
        parse_manifest(text + component, "here")
    file = text[text.index("[[files]]") : text.index("[[components]]")]
    with pytest.raises(ManifestInvalid, match=r"file plate\.onnx is listed twice"):
        parse_manifest(text + file, "here")
    with pytest.raises(ManifestInvalid, match=r"no component reads other\.onnx"):
        parse_manifest(text + file.replace("plate.onnx", "other.onnx"), "here")


@pytest.mark.parametrize("content", [b"\xff\xfe", b"#" * (1 << 20) + b"##"])
def test_a_file_that_is_no_manifest(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "pack.toml").write_bytes(content)
    with pytest.raises(ManifestInvalid, match=r"pack\.toml"):
        read_manifest(tmp_path / "pack.toml")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ManifestInvalid, match="No such file"):
        read_manifest(tmp_path / "pack.toml")
