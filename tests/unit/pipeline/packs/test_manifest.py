from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from support import prototypenet, streetnet
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
    with pytest.raises(ManifestInvalid, match=r"no network reads other\.onnx"):
        parse_manifest(text + file.replace("plate.onnx", "other.onnx"), "here")


@pytest.fixture(scope="module")
def drawing(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The manifest of a pack with outlines and a torch twin."""
    folder = tmp_path_factory.mktemp("pack") / "street"
    streetnet.write_pack(folder, outline=b"weights", torch_files={"street": b"program"}, keys="grow = 0.04")
    return (folder / "pack.toml").read_text()


def test_a_pack_may_draw_what_it_finds(drawing: str) -> None:
    manifest = parse_manifest(drawing, "here")
    (outline,) = manifest.outlines
    assert outline.classes == {ObjectClass.PERSON, ObjectClass.VEHICLE}
    assert (outline.side, outline.margin, outline.threshold, outline.grow) == (64, 0.15, 0.5, 0.04)
    assert (outline.format, outline.resizes, outline.partial) == ("onnx", False, True)
    assert manifest.classes == set(ObjectClass)
    assert [network.files for network in manifest.networks] == [("street.onnx", "street.pt2"), ("outline.onnx",)]


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        (
            'classes = ["person", "vehicle"]',
            'classes = ["person", "face"]',
            "outlines.0.classes: face: faces and plates",
        ),
        ('classes = ["person", "vehicle"]', "classes = []", "outlines.0.classes"),
        ("person = { threshold = 0.4 }\n", "", "outlines draw person, which no component finds"),
        (
            'file = "outline.onnx"',
            'file = "gone.onnx"',
            "outlines outline reads gone.onnx, which is not among the files",
        ),
        ('torch = "street.pt2"', 'torch = "gone.pt2"', "component street reads gone.pt2, which is not among the files"),
        ('torch = "street.pt2"', "", "no network reads street.pt2"),
        ('torch = "street.pt2"', 'torch = "street.onnx"', "components.0.torch"),
        ("side = 64", "side = 8", "outlines.0.side"),
        ("side = 64", "", "outlines.0.side"),
        ("grow = 0.04", "grow = 4", "outlines.0.grow"),
        ("grow = 0.04", "margin = -0.1", "outlines.0.margin"),
        ("grow = 0.04", "threshold = 1", "outlines.0.threshold"),
        ("grow = 0.04", "dilation = 0.04", "outlines.0.dilation"),
    ],
)
def test_bad_outlines_are_told(drawing: str, old: str, new: str, problem: str) -> None:
    assert old in drawing
    with pytest.raises(ManifestInvalid) as caught:
        parse_manifest(drawing.replace(old, new, 1), "packs/bad/pack.toml")
    assert problem in str(caught.value)


def test_a_class_has_one_outline(drawing: str) -> None:
    entry = drawing[drawing.index("[[outlines]]") :]
    with pytest.raises(ManifestInvalid, match="outlines outline is listed twice"):
        parse_manifest(drawing + entry, "here")
    other = entry.replace('name = "outline"', 'name = "other"').replace('["person", "vehicle"]', '["vehicle"]')
    with pytest.raises(ManifestInvalid, match="class of outlines vehicle is listed twice"):
        parse_manifest(drawing + other, "here")


MEASURED = """
[[measured]]
set = "plates/romania"
cls = "license-plate"
iou = 0.5
recall = 0.95
precision = 0.86
format = "whole"
"""


def test_what_was_measured_is_kept(drawing: str) -> None:
    (measured,) = parse_manifest(drawing + MEASURED, "here").measured
    assert (measured.set, measured.cls, measured.iou) == ("plates/romania", ObjectClass.LICENSE_PLATE, 0.5)
    assert (measured.recall, measured.precision, measured.format) == (0.95, 0.86, "whole")


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("recall = 0.95", "recall = 95", "measured.0.recall"),
        ("iou = 0.5", "iou = 0", "measured.0.iou"),
        ('cls = "license-plate"', 'cls = "plate"', "measured.0.cls"),
        ('format = "whole"', 'format = "best"', "measured.0.format"),
        ("precision = 0.86", "", "measured.0.precision"),
    ],
)
def test_bad_measurements_are_told(drawing: str, old: str, new: str, problem: str) -> None:
    assert old in MEASURED
    with pytest.raises(ManifestInvalid) as caught:
        parse_manifest(drawing + MEASURED.replace(old, new), "here")
    assert problem in str(caught.value)


def test_a_class_that_is_not_found_was_not_measured(pack: Any) -> None:
    with pytest.raises(ManifestInvalid, match="measured names face, which no component finds"):
        parse_manifest(pack.text() + MEASURED.replace("license-plate", "face"), "here")


@pytest.mark.parametrize("content", [b"\xff\xfe", b"#" * (1 << 20) + b"##"])
def test_a_file_that_is_no_manifest(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "pack.toml").write_bytes(content)
    with pytest.raises(ManifestInvalid, match=r"pack\.toml"):
        read_manifest(tmp_path / "pack.toml")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ManifestInvalid, match="No such file"):
        read_manifest(tmp_path / "pack.toml")
