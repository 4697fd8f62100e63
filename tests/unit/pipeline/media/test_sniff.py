"""Types are decided by bytes, whatever a file calls itself."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from velum_pipeline import media

TS = (b"\x47" + bytes(187)) * 4

CASES = {
    b"\xff\xd8\xff\xe0": "jpeg",
    b"\x89PNG\r\n\x1a\n": "png",
    b"RIFF\0\0\0\0WEBPVP8 ": "webp",
    b"II*\0\x08\0\0\0": "tiff",
    b"MM\0*\0\0\0\x08": "tiff",
    b"MM\0+\0\x08\0\0": None,
    b"BM\x10\0\0\0\0\0\0\0": "bmp",
    b"RIFF\0\0\0\0AVI LIST": "avi",
    b"\0\0\0\x20ftypisom": "mp4",
    b"\0\0\0\x14ftypqt  ": "mov",
    b"\0\0\0\x08wide\0\0\0\0mdat": "mov",
    b"\x1a\x45\xdf\xa3\x9fB\x86\x81\x01B\x82\x84webm": "webm",
    b"\x1a\x45\xdf\xa3\x9fB\x86\x81\x01B\x82\x88matroska": "mkv",
    TS: "ts",
    bytes(4) + (b"\x47" + bytes(191)) * 4: "ts",
    b"": None,
    b"GIF89a": None,
    b"%PDF-1.7": None,
    b"BMW is a car": None,
    b"\0\0\0\x18ftypheic": "heic",
    b"\0\0\0\x18ftypheix": "heic",
    b"\0\0\0\x18ftyphevc": "heic",
    b"\0\0\0\x18ftypavif": "avif",
    b"\0\0\0\x18ftypavis": "avif",
    b"\0\0\0\x1cftypmif1\0\0\0\0mif1miafheic": "heic",
    b"\0\0\0\x1cftypmif1\0\0\0\0mif1avifheic": "avif",
    b"\0\0\0\x18ftypmif1\0\0\0\0mif1miafheic": None,
    b"\0\0\0\x18ftypmif1\0\0\0\0mif1miaf": None,
    b"\0\0\0\x18ftypcrx \0\0\0\0crx heic": None,
    b"\0\0\0\x18ftypjxl ": None,
    b"<html>": None,
    b"\x47" * 3: None,
    TS[:500]: None,
}


@pytest.mark.parametrize(("head", "name"), CASES.items())
def test_sniff(head: bytes, name: str | None) -> None:
    found = media.sniff(head)
    assert (found and found.name) == name


def test_kinds_tell_pictures_from_videos() -> None:
    kinds = {found.name: found.kind for head in CASES if (found := media.sniff(head))}
    assert {name for name, kind in kinds.items() if kind == "image"} == {
        "jpeg",
        "png",
        "webp",
        "tiff",
        "bmp",
        "heic",
        "avif",
    }
    assert {name for name, kind in kinds.items() if kind == "video"} == {"mp4", "mov", "mkv", "avi", "webm", "ts"}


@given(
    st.binary(max_size=200)
    | st.sampled_from(list(CASES)).flatmap(lambda head: st.binary(max_size=100).map(lambda b: head + b))
)
def test_no_bytes_confuse_sniff_probe_or_truncation(data: bytes) -> None:
    found = media.sniff(data)
    size = media.probe(data)
    assert size is None or found is not None
    if found is not None:
        reason = media.truncation(found, data, data[-media.TAIL_BYTES :], len(data))
        assert reason is None or str(reason)
