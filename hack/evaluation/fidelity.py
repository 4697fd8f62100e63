"""What a video keeps on its way through the house: every clip is worked on in segments and joined, and compared.

  hack/evaluate fidelity
  hack/evaluate fidelity --clips DIR --json out.json --parts 1

The detector finds nothing, so nothing is hidden, and whatever differs was changed by reading and writing. The clips are
those that the tests make, and the videos in the folders of --clips. A column per check: + the same, x not, . the source
says nothing of it.

  frames, pts       as many frames, and each shown at the same time
                    (all moved alike where the first is before 0, or a broadcast's clock told hours)
  start, duration   of the video stream, to 2 ms
  rotation          the display matrix, number by number
  format, bits      chroma format and depth (odd sizes of 4:2:0 become 4:4:4, more than 10 bits become 10)
  range … matrix    where the source tells them; RGB becomes YCbCr
  hdr               mastering display and light level
  fields            progressive, or which field is first
  chapters, tags    all of the source's
  packets           SHA-256 of every packet of audio, subtitles and data, in order, and their times to 2 ms; text
                    subtitles, which mp4 holds in another form, by number and times
  roles             languages and dispositions
  size              bytes of the video stream, at most 1.5 times the source's, or tiny
  picture           PSNR of luma, mean over frames, at least 35 dB

--json FILE gets [{"clip", "special", "check", "before", "after", "same"}]. Exit status 1: something differs.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from environment import ROOT
from evaluation.videochecks import CHECKS, Check, compared, passed
from evaluation.videofacts import by_ffprobe
from velum_pipeline.errors import PipelineError
from velum_pipeline.media.kinds import SNIFF_BYTES, sniff


def main(argv: Sequence[str]) -> int:
    """Compare and print. Returns the exit status."""
    arguments = _parser().parse_args(argv)
    rows: list[dict[str, object]] = []
    with TemporaryDirectory() as name:
        print(f"by {'ffprobe' if by_ffprobe() else 'PyAV, ffprobe is not installed'}\n\n{_head()}")
        for clip, special in (*_made(Path(name)), *_given(arguments.clips)):
            checks = _of_clip(clip, Path(name) / "after.mp4", arguments.parts)
            rows += [{"clip": clip.name, "special": special, **_row(check)} for check in checks]
            print(_line(clip.name, special, {check.name: check for check in checks}), flush=True)
    wrong = [row for row in rows if row["same"] is False]
    for row in wrong:
        print(f"\n{row['clip']}: {row['check']}: before {row['before']}, after {row['after']}")
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1, default=str) + "\n")
    return 1 if wrong or not rows else 0


def _row(check: Check) -> dict[str, object]:
    return {"check": check.name, "before": check.before, "after": check.after, "same": check.same}


def _of_clip(clip: Path, target: Path, parts: int) -> list[Check]:
    try:
        _, joined = passed(clip, target, parts)
        return compared(clip, target, joined)
    except PipelineError as error:
        return [Check("frames", None, f"{type(error).__name__}: {error}", False)]


def _parser() -> argparse.ArgumentParser:
    command = argparse.ArgumentParser(
        prog="hack/evaluate fidelity", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = command.add_argument
    add("--clips", action="append", type=Path, default=[], metavar="DIR", help="videos besides the made ones; repeat")
    add("--parts", type=int, default=3, metavar="N", help="segments that are written and joined (default: %(default)s)")
    add("--json", type=Path, metavar="FILE", help="write the rows here")
    return command


def _made(folder: Path) -> Iterator[tuple[Path, str]]:
    """The clips that the tests make, and what is special about each."""
    sys.path.insert(0, str(ROOT / "tests"))
    corpus = importlib.import_module("support.videos")
    for clip in corpus.CLIPS.values():
        yield corpus.made(clip, folder), clip.special


def _given(folders: Sequence[Path]) -> Iterator[tuple[Path, str]]:
    for folder in folders:
        for path in sorted(folder.iterdir()):
            with path.open("rb") as file:
                kind = sniff(file.read(SNIFF_BYTES))
            if kind is not None and kind.kind == "video":
                yield path, "given"


def _head() -> str:
    names = " | ".join((*CHECKS[:-2], "size", "dB"))
    return f"| clip | what is special | {names} |\n|---|---|{'---|' * len(CHECKS)}"


def _line(name: str, special: str, checks: Mapping[str, Check]) -> str:
    cells = []
    for check in (checks.get(name) for name in CHECKS):
        if check is None or check.same is None:
            cells.append(".")
        elif check.name == "size":
            cells.append(f"{'' if check.same else 'x '}{int(str(check.after)) / max(int(str(check.before)), 1):.2f}")
        elif check.name == "picture":
            cells.append(f"{'' if check.same else 'x '}{check.after}")
        else:
            cells.append("+" if check.same else "x")
    return f"| {name} | {special} | {' | '.join(cells)} |"
