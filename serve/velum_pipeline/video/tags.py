"""Which of a file's tags its anonymized copy carries."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

from velum_pipeline.options import Gps

LONGEST_WORD = 1000
"""Characters without a space in a tag that is still text: covers and thumbnails, which may show people, are encoded as
one word."""
LONGEST = 2**20
"""Characters of a tag at all."""
PICTURES = re.compile(r"picture|thumb|cover|artwork|apic|preview|^covr$|snapshot", re.IGNORECASE)
"""Keys under which pictures are kept."""
PLACES = re.compile(r"location|gps|xyz|geo|latitude|longitude|coordinates", re.IGNORECASE)
"""Keys under which cameras and telephones write where a video was taken."""
COORDINATES = re.compile(r"\bgps\b|latitude|longitude|[-+]?\d{1,3}\.\d{3,}\W{1,4}[-+]?\d{1,3}\.\d{3,}", re.IGNORECASE)
"""What a drone writes into subtitles: the word, or two numbers of degrees to a hundred metres or closer."""
WRITERS = ("major_brand", "minor_version", "compatible_brands", "encoder", "vendor_id", "duration")
"""Keys that tell of the file they are in, and would not be true of another."""
PLAIN = frozenset(
    {
        "album", "album_artist", "artist", "comment", "composer", "copyright", "creation_time", "date", "description",
        "disc", "episode_id", "genre", "grouping", "keywords", "location", "lyrics", "network", "show", "synopsis",
        "title", "track",
    }
)  # fmt: skip
"""Keys that mp4 has a place of its own for, as FFmpeg writes it; any other needs a table of keys, as QuickTime has."""


def kept(tags: Mapping[str, str], gps: Gps) -> dict[str, str]:
    """The tags that are text, do not tell where it was (for gps ``strip``), and hold for the copy as well."""
    return {key: value for key, value in tags.items() if _carried(key, value, gps)}


def dropped(tags: Mapping[str, str], gps: Gps) -> list[str]:
    """The keys that are not kept though they say something, sorted."""
    return sorted(key for key, value in tags.items() if key.lower() not in WRITERS and not _carried(key, value, gps))


def tells_place(text: str) -> bool:
    """Whether a line of subtitles tells coordinates."""
    return COORDINATES.search(text) is not None


def chapters(found: Sequence[Any], gps: Gps, moved: Fraction) -> list[Any]:
    """Chapters as PyAV gives and takes them, with the tags that are kept. moved: seconds, added to their times."""
    told = []
    for chapter in found:
        by = round(moved / chapter["time_base"]) if chapter["time_base"] else 0
        times = {"start": chapter["start"] + by, "end": chapter["end"] + by}
        told.append(chapter | times | {"metadata": kept(chapter["metadata"], gps)})
    return told


def need_keys(tags: Mapping[str, str]) -> bool:
    """Whether mp4 has no place of its own for one of these."""
    return any(key.lower() not in PLAIN for key in tags)


def _carried(key: str, value: str, gps: Gps) -> bool:
    if key.lower() in WRITERS or PICTURES.search(key) or not _is_text(value):
        return False
    return gps is Gps.KEEP or not PLACES.search(key)


def _is_text(value: str) -> bool:
    return len(value) <= LONGEST and all(len(word) <= LONGEST_WORD for word in value.split())
