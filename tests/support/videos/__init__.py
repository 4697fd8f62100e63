"""Videos as cameras, phones and editors write them, all made by code.

`CLIPS` is the table: names are file names, `special` says what is unusual. `made` writes a clip once per folder.
"""

from pathlib import Path

from support.videos.clip import Clip
from support.videos.table import CLIPS
from support.videos.writing import write

__all__ = ["CLIPS", "Clip", "made"]


def made(clip: Clip | str, folder: Path) -> Path:
    """The clip's file in the folder, written if it is not there."""
    clip = CLIPS[clip] if isinstance(clip, str) else clip
    path = folder / clip.name
    return path if path.exists() else write(clip, path)
