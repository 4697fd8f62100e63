"""`velum anonymize` for videos: a clip from file to file, and what becomes of one that cannot be worked on."""

import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from support.streetclip import FACES, decoded, first_face, frames, sound_packets, street_clip
from support.videos import made
from support.videos.clip import Clip, Words
from velum.errors import InvalidInput
from velum_cli import clips
from velum_cli.main import app
from velum_cli.results import targets
from velum_cli.sample import sample_picture


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return street_clip(tmp_path_factory.mktemp("clips") / "street.mov", count=8, key_every=4)


def anonymize(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["anonymize", *map(str, arguments)])


def test_a_video_becomes_an_mp4_in_which_the_faces_are_hidden(clip: Path, tmp_path: Path) -> None:
    original = clip.read_bytes()
    done = anonymize(clip, "--output", tmp_path / "out", "-a", "face", "--every", "2")
    assert done.exit_code == 0, done.output
    assert f"{FACES} face; 8 frames -> " in done.output
    assert [each.name for each in (tmp_path / "out").iterdir()] == ["street.mp4"]
    result = tmp_path / "out" / "street.mp4"
    before, after = frames(8), decoded(result)
    assert len(after) == 8
    for number, (then, now) in enumerate(zip(before, after, strict=True)):
        change = np.abs(then.astype(int) - now.astype(int))
        assert change[first_face(number)].mean() > 8, number
        assert change[420:].mean() < 4, "nobody was looked for on the road"
    assert sound_packets(result) == sound_packets(clip)
    assert clip.read_bytes() == original


def test_what_is_converted_or_left_out_is_said(tmp_path: Path) -> None:
    drone = made(Clip("drone.mkv", "words and a cover", subtitles=(Words("subrip", "deu"),), cover=True), tmp_path)
    done = anonymize(drone, "--output", tmp_path / "out", "-a", "face")
    assert done.exit_code == 0, done.output
    said = " ".join(done.output.split())
    assert "to mov_text" in said
    assert "without " in said


def test_one_video_may_go_to_a_file_and_pictures_beside_videos_to_a_folder(clip: Path, tmp_path: Path) -> None:
    picture = tmp_path / "a.jpg"
    picture.write_bytes(sample_picture())
    assert targets([clip], tmp_path / "x.mp4") == [tmp_path / "x.mp4"]
    assert targets([clip, picture], tmp_path / "x.mp4") == [tmp_path / "x.mp4" / "street.mp4", tmp_path / "x.mp4/a.jpg"]
    assert targets([picture], tmp_path / "x.mp4") == [tmp_path / "x.mp4" / "a.jpg"]
    (tmp_path / "folder.mp4").mkdir()
    assert targets([clip], tmp_path / "folder.mp4") == [tmp_path / "folder.mp4" / "street.mp4"]


def test_names_are_compared_as_they_will_be(clip: Path, tmp_path: Path) -> None:
    other = tmp_path / "street.mkv"
    other.write_bytes(clip.read_bytes())
    with pytest.raises(InvalidInput, match=r"street\.mp4: is the name of two results"):
        targets([clip, other], tmp_path / "out")
    own = tmp_path / "own.mp4"
    own.write_bytes(clip.read_bytes())
    with pytest.raises(InvalidInput, match="is the original itself"):
        targets([own], own)
    with pytest.raises(InvalidInput, match="is the original itself"):
        targets([own], tmp_path)


def test_what_cannot_be_worked_on_leaves_nothing(clip: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.mov"
    broken.write_bytes(clip.read_bytes()[: clip.stat().st_size // 2])
    done = anonymize(broken, "--output", tmp_path / "new" / "out", "-a", "face")
    assert done.exit_code == 1
    assert done.output.startswith(f"{broken}: ")
    assert "->" not in done.output
    assert list(tmp_path.iterdir()) == [broken]


def test_a_result_that_is_there_outlives_a_failure(clip: Path, tmp_path: Path) -> None:
    broken, result = tmp_path / "broken.mov", tmp_path / "out.mp4"
    broken.write_bytes(clip.read_bytes()[: clip.stat().st_size // 2])
    result.write_bytes(b"of last time")
    assert anonymize(broken, "-o", result, "-a", "face").exit_code == 1
    assert result.read_bytes() == b"of last time"


@pytest.mark.parametrize(
    ("flags", "status", "said"),
    [
        (["--lossless"], 1, "lossless: videos are always encoded anew"),
        (["--codec", "wmv"], 2, "video.codec"),
        (["--preset", "warp"], 1, "video preset 'warp' is none of x264's"),
        (["--every", "11"], 2, "--every"),
    ],
)
def test_flags_that_no_video_can_be_made_with_are_named(
    clip: Path, tmp_path: Path, flags: list[str], status: int, said: str
) -> None:
    done = anonymize(clip, "--output", tmp_path / "out", "-a", "face", *flags)
    assert done.exit_code == status
    assert said in done.output
    assert not (tmp_path / "out").exists()


def test_a_bar_is_shown_to_who_looks_on_and_to_nobody_else(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for looked_at in (False, True):
        monkeypatch.setattr(sys.stderr, "isatty", lambda looked_at=looked_at: looked_at)
        with clips._bar("clip.mp4", 40) as progress:
            for done in (1, 20, 40):
                progress(done)
        assert ("clip.mp4" in capsys.readouterr().err) is looked_at
