"""Thresholds are the least that reach a precision, and go into the manifest where they belong."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluation.sets import find_sets
from support.labelled import SIDE, bright_network, drawn, face, write_pack, write_set
from training.command import main
from training.errors import WeightsInvalid
from training.weights import looks
from training.weights.calibrate_step import FUSED_PRECISION, LEAST_OBJECTS, nearest, working_point
from training.weights.curve import Curve
from training.weights.manifest import with_threshold
from velum_pipeline.detect import Detector, Runtime
from velum_pipeline.detect.spec import ComponentSpec
from velum_pipeline.options import ClassOptions, Method, ObjectClass, Options, Tiling
from velum_pipeline.packs import PackRegistry
from velum_pipeline.packs.manifest import read_manifest

NONE = np.zeros((0, 4))


def boxes(*rows: tuple[float, float]) -> np.ndarray:
    """Squares of ten pixels at these places, far from each other."""
    return np.array([[x, y, x + 10, y + 10] for x, y in rows]).reshape(-1, 4)


def curve_of(*pictures: tuple[np.ndarray, list[float], np.ndarray]) -> Curve:
    curve = Curve()
    for found, scores, truth in pictures:
        curve.add(found, np.array(scores), truth, NONE, 0.5)
    return curve


def test_the_least_threshold_that_is_precise_enough() -> None:
    found = boxes((0, 0), (100, 0), (200, 0), (300, 0))
    curve = curve_of((found, [0.9, 0.8, 0.7, 0.6], boxes((0, 0), (100, 0), (300, 0), (500, 0))))
    point = curve.threshold(0.75)
    assert (point.threshold, point.recall, point.precision) == (0.6, 0.75, 0.75)
    assert curve.threshold(0.9).threshold == 0.8


def test_a_precision_out_of_reach_gives_the_best_balance() -> None:
    curve = curve_of((boxes((0, 0), (100, 0), (200, 0)), [0.9, 0.8, 0.1], boxes((100, 0))))
    point = curve.threshold(0.99)
    assert (point.threshold, point.recall, point.precision) == (0.8, 1.0, 0.5)


def test_detections_of_one_score_stand_or_fall_together() -> None:
    curve = curve_of((boxes((0, 0), (100, 0)), [0.5, 0.5], boxes((0, 0))))
    assert curve.threshold(1.0).precision == 0.5


def test_what_lies_on_ignored_objects_counts_as_nothing() -> None:
    curve = Curve()
    curve.add(boxes((0, 0), (100, 0)), np.array([0.9, 0.4]), boxes((100, 0)), boxes((0, 0)), 0.5)
    assert curve.threshold(1.0).recall == 1.0


def test_nothing_found_is_no_threshold_that_finds() -> None:
    assert curve_of((NONE, [], boxes((0, 0)))).threshold(0.5).recall == 0.0
    assert Curve().threshold(0.5).threshold == 1.0


SCORE = st.integers(10, 990).map(lambda thousandths: thousandths / 1000)
"""Apart or equal in single precision as in double: detectors' scores are of single."""


@given(st.lists(st.tuples(SCORE, st.booleans()), min_size=1, max_size=40), st.floats(0.05, 0.95))
def test_it_is_what_counting_again_gives(seen: list[tuple[float, bool]], precision: float) -> None:
    places = boxes(*((100 * n, 0) for n in range(len(seen))))
    truth = places[[right for _, right in seen]]
    scores = [score for score, _ in seen]
    point = curve_of((places, scores, truth)).threshold(precision)
    if not len(truth):
        assert point.recall == 0
        return
    assert curve_of((places, scores, truth)).at(point.threshold) == point
    above = [right for score, right in seen if score >= point.threshold]
    assert point.precision == pytest.approx(sum(above) / len(above))
    assert point.recall == pytest.approx(sum(above) / len(truth))
    lower = sorted({score for score in scores if score < point.threshold})
    if point.precision >= precision:
        for threshold in lower:
            kept = [right for score, right in seen if score >= threshold]
            assert sum(kept) / len(kept) < precision


MANIFEST = """# the words stay
[[components]]
name = "near"
classes = { face = { threshold = 0.5 } }

[[components]]
name = "far"   # not this one's name either

[[components]]
name = "far"

[components.classes]
face = { threshold = 0.3 }        # chosen
license-plate = { threshold = 0.25 }
"""


def test_one_number_is_with_threshold() -> None:
    text = with_threshold(MANIFEST, "far", ObjectClass.FACE, 0.4321)
    assert text == MANIFEST.replace("0.3 }        #", "0.432 }        #")
    assert tomllib.loads(text)["components"][2]["classes"]["face"]["threshold"] == 0.432


def test_a_number_that_is_not_there_is_said() -> None:
    with pytest.raises(WeightsInvalid, match="person in far"):
        with_threshold(MANIFEST, "far", ObjectClass.PERSON, 0.4)
    with pytest.raises(WeightsInvalid, match="face in wide"):
        with_threshold(MANIFEST, "wide", ObjectClass.FACE, 0.4)


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    """A pack of one look that sees a face, of a score of its own, around every cell that is not black."""
    folder = write_pack(tmp_path / "bright", bright_network())
    inline = "classes = { face = { threshold = 0.5 } }\n"
    text = (folder / "pack.toml").read_text()
    assert inline in text
    (folder / "pack.toml").write_text(text.replace(inline, "") + "\n[components.classes]\nface = { threshold = 0.5 }\n")
    return folder


def shades(folder: Path, count: int, labelled: int) -> Path:
    """A set of so many pictures, each with one bright cell (a face where ``labelled``) and a half as bright one."""
    folder.mkdir(parents=True)
    entries = []
    for number in range(count):
        picture = drawn((4, 4), (11, 11))
        picture[44:48, 44:48] = 128
        cv2.imwrite(str(folder / f"{number}.png"), picture)
        objects = [face(4, 4)] if number < labelled else []
        entries.append({"file": f"{number}.png", "width": SIDE, "height": SIDE, "objects": objects, "only": ["face"]})
    (folder / "annotations.json").write_text(json.dumps(entries))
    return folder


SECOND = """
[[components]]
name = "{name}"
file = "bright.onnx"
licence = "none"
decoder = "centerface"
input = {{ kind = "fixed", width = 64, height = 64, fit = "stretch", colour = "bgr"{input} }}

[components.classes]
face = {{ threshold = 0.3 }}
"""


def with_look(pack: Path, name: str, extra: str = "") -> Path:
    """The pack with another look of its network, of another threshold."""
    with (pack / "pack.toml").open("a") as manifest:
        manifest.write(SECOND.format(name=name, input=extra))
    return pack


def graded(folder: Path, shades: list[tuple[int, bool]]) -> Path:
    """A set of one picture per shade of grey: of a cell, and whether that is labelled as a face."""
    folder.mkdir(parents=True)
    entries = []
    for number, (shade, labelled) in enumerate(shades):
        picture = np.minimum(drawn((8, 8)), shade).astype(np.uint8)
        cv2.imwrite(str(folder / f"{number}.png"), picture)
        objects = [face(8, 8)] if labelled else []
        entries.append({"file": f"{number}.png", "width": SIDE, "height": SIDE, "objects": objects, "only": ["face"]})
    (folder / "annotations.json").write_text(json.dumps(entries))
    return folder


BRIGHTER_IS_SURER = [(60 + 3 * number, number >= 30 or number % 3 == 0) for number in range(60)]
"""All of the thirty brightest are faces, every third of the others."""


def loaded(pack: Path) -> Detector:
    return PackRegistry([pack]).load(["bright"], Runtime(threads=1))


def calibrate(pack: Path, work: Path, *more: str) -> int:
    return main(["calibrate", "--pack", str(pack), "--work", str(work), "--threads", "1", *more])


def thresholds(pack: Path) -> list[float]:
    return [each.classes[ObjectClass.FACE].threshold for each in read_manifest(pack / "pack.toml").components]


def found_as_auto(pack: Path, sets: Path) -> list[bool]:
    """Whether each detection of `format` `auto`, at default thresholds, is a face of the set's, by rising shade."""
    options = Options(Method.BLUR, {ObjectClass.FACE: ClassOptions.default(ObjectClass.FACE)}, tiling=Tiling("auto"))
    (labelled,), detector = find_sets(sets), loaded(pack)
    pixels = [labelled.pixels(picture) for picture in labelled.pictures]
    seen = zip(labelled.pictures, detector.detect(pixels, options), strict=True)
    return [bool(picture.objects) for picture, found in seen if len(found.boxes)]


def test_scores_are_kept_as_the_network_said_them(pack: Path, tmp_path: Path) -> None:
    graded(tmp_path / "sets" / "grey", [(51, True), (204, True)])
    pictures = looks.scenes(loaded(with_look(pack, "again")).components, find_sets(tmp_path / "sets"))
    for name in ("bright", "again"):
        scores = [one.seen[name].found[0][ObjectClass.FACE].scores.max() for one in pictures]
        assert scores == pytest.approx([0.2, 0.8], abs=1e-4)


def test_looks_as_one_are_what_the_detector_says(pack: Path, tmp_path: Path) -> None:
    """Also where one of them is so little sure that its word is left out."""
    graded(tmp_path / "sets" / "grey", BRIGHTER_IS_SURER)
    with_look(pack, "again")
    pictures = looks.scenes(loaded(pack).components, find_sets(tmp_path / "sets"))
    face_class, tried = ObjectClass.FACE, {"bright": 0.9, "again": 0.3}
    reached = looks.together(pictures, face_class, tried).at(0.5)
    text = (pack / "pack.toml").read_text()
    for name, threshold in tried.items():
        text = with_threshold(text, name, face_class, threshold)
    (pack / "pack.toml").write_text(text)
    right = found_as_auto(pack, tmp_path / "sets")
    assert 0 < len(right) < 60
    assert reached.precision == pytest.approx(sum(right) / len(right))
    assert reached.recall == pytest.approx(sum(right) / 40)


def test_a_look_is_held_against_what_is_labelled(pack: Path, tmp_path: Path) -> None:
    """Half of what it finds is a face, and tells itself by its score from what is none."""
    shades(tmp_path / "sets" / "shades", 4, 4)
    pictures = looks.scenes(loaded(pack).components, find_sets(tmp_path / "sets"))
    point, objects = working_point(pictures, ObjectClass.FACE, "bright")
    assert (objects, point.recall, point.precision) == (4, 1.0, 1.0)
    assert point.threshold > 128 / 255


def test_the_manifest_gets_what_the_kept_back_pictures_say(
    pack: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shades(tmp_path / "work" / "validation" / "shades", 30, 30)
    before = (pack / "pack.toml").read_text()
    assert calibrate(pack, tmp_path / "work", "--dry") == 0
    assert (pack / "pack.toml").read_text() == before
    assert capsys.readouterr().out.count("recall 1.000, precision 1.000 of 30 objects") == 2
    assert calibrate(pack, tmp_path / "work") == 0
    assert thresholds(pack)[0] > 0.9
    assert len((pack / "pack.toml").read_text().splitlines()) == len(before.splitlines())


def test_all_looks_as_one_reach_their_precision_and_no_more(
    pack: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two looks that agree are surer than one, so that both have to be stricter than by themselves."""
    graded(tmp_path / "work" / "validation" / "grey", BRIGHTER_IS_SURER)
    assert calibrate(with_look(pack, "again"), tmp_path / "work") == 0
    lines = capsys.readouterr().out.splitlines()
    right = found_as_auto(pack, tmp_path / "work")
    wanted, following = (
        FUSED_PRECISION[ObjectClass.FACE],
        [labelled for _, labelled in BRIGHTER_IS_SURER][-len(right) - 3],
    )
    assert sum(right) / len(right) >= wanted
    assert (sum(right) + following) / (len(right) + 3) < wanted
    said = f"recall {sum(right) / 40:.3f}, precision {sum(right) / len(right):.3f} of 40 objects"
    assert said in lines[-1]
    alone = float(lines[0].split("threshold ")[1].split(",")[0])
    assert min(thresholds(pack)) > alone


def test_it_says_the_same_again(pack: Path, tmp_path: Path) -> None:
    graded(tmp_path / "work" / "validation" / "grey", BRIGHTER_IS_SURER)
    assert calibrate(with_look(pack, "again"), tmp_path / "work") == 0
    once = (pack / "pack.toml").read_text()
    assert calibrate(pack, tmp_path / "work") == 0
    assert (pack / "pack.toml").read_text() == once


def test_a_look_for_larger_pictures_follows_one_of_its_network(
    pack: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    graded(tmp_path / "work" / "validation" / "grey", BRIGHTER_IS_SURER)
    with_look(pack, "large", ", above = 100")
    assert calibrate(pack, tmp_path / "work") == 0
    assert "as bright: no picture is so large" in capsys.readouterr().out.splitlines()[1]
    own, large = thresholds(pack)
    assert large == own != 0.5


def test_of_several_looks_the_nearest_in_size_is_followed() -> None:
    specs = {spec.name: spec for spec in map(sized, (256, 320, 640, 1280))}
    specs["other"] = sized(512).model_copy(update={"name": "other", "file": "other.onnx"})
    known = frozenset(specs) - {"look-1280"}
    assert nearest(specs["look-1280"], specs.values(), known) == "look-640"
    assert nearest(specs["look-256"], specs.values(), known - {"look-256"}) == "look-320"
    assert nearest(specs["other"], specs.values(), known - {"other"}) is None


def sized(side: int) -> ComponentSpec:
    taken = {"kind": "dynamic", "multiple": 32, "max_side": side, "fit": "pad", "colour": "rgb"}
    face = {"face": {"threshold": 0.5}}
    fields = {"name": f"look-{side}", "file": "one.onnx", "licence": "none", "decoder": "street"}
    return ComponentSpec.model_validate({**fields, "classes": face, "input": taken})


@pytest.mark.parametrize(
    ("cell", "count", "said"),
    [((4, 4), LEAST_OBJECTS - 1, "29 objects are too few"), ((11, 4), LEAST_OBJECTS, "found none")],
)
def test_where_little_is_known_the_threshold_stays(
    pack: Path, tmp_path: Path, cell: tuple[int, int], count: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write_set(tmp_path / "work" / "validation" / "few", [([(4, 4)], [face(*cell)])] * count)
    assert calibrate(pack, tmp_path / "work") == 0
    assert f"threshold 0.500 stays: {said}" in capsys.readouterr().out
    assert thresholds(pack) == [0.5]


def test_without_kept_back_pictures_it_names_the_step(
    pack: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert calibrate(pack, tmp_path / "work") == 2
    assert "hack/train label" in capsys.readouterr().err
