"""Results of `velum anonymize`: where each goes, and what is said of it."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from velum.errors import InvalidInput
from velum_pipeline import media

VIDEO_SUFFIX = ".mp4"
"""Of results of videos, whatever came in."""


@dataclass(frozen=True)
class Done:
    """One file: where its result is, or why there is none. notes: what else is to be said of the result."""

    source: Path
    target: Path | None
    found: dict[str, int]
    error: str = ""
    notes: tuple[str, ...] = ()

    def line(self) -> str:
        """Return it in a line for people."""
        found = ", ".join(f"{count} {name}" for name, count in self.found.items() if count) or "nothing found"
        told = self.error or "; ".join((found, *self.notes))
        return f"{self.source}: {told}" + (f" -> {self.target}" if self.target else "")


def is_video(path: Path) -> bool:
    """Whether a file is a video, by its bytes; one that cannot be read is left to whoever reads it next."""
    try:
        with path.open("rb") as file:
            kind = media.sniff(file.read(media.SNIFF_BYTES))
    except OSError:
        return False
    return kind is not None and kind.kind == "video"


def targets(sources: Sequence[Path], output: Path) -> list[Path]:
    """Return where each result goes: into the folder under the source's name, videos as mp4; one video into the file.

    Raises:
        InvalidInput: the folder is a file, two results would have one name, or one would overwrite a source.
    """
    if len(sources) == 1 and output.suffix.lower() == VIDEO_SUFFIX and not output.is_dir() and is_video(sources[0]):
        found = [output]
    elif output.exists() and not output.is_dir():
        raise InvalidInput("--output", f"{output} is a file; name a folder")
    else:
        found = [output / (path.with_suffix(VIDEO_SUFFIX) if is_video(path) else path).name for path in sources]
    twice = [path for path, count in Counter(found).items() if count > 1]
    if twice:
        raise InvalidInput(twice[0].name, "is the name of two results; anonymize them into different folders")
    originals = {path.resolve() for path in sources}
    over = [path for path in found if path.resolve() in originals]
    if over:
        raise InvalidInput("--output", f"{over[0]} is the original itself; name another folder")
    return found
