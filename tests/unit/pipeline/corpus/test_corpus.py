"""Every picture that a camera makes, through the whole pipeline: what comes out is that picture without the face."""

import struct
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest

from support.corpus import ACCEPTED, ENTRIES, REFUSED
from support.corpus.entry import Entry
from support.corpus.metadata import LATITUDE, MAKER, preview
from support.corpus.scene import CELLS, FACE, pattern, scene, shows_face
from support.corpus.shown import has_camera, has_rights, shown
from support.corpus.walker import pictures
from velum_pipeline import media, pipeline
from velum_pipeline.detections import Detections
from velum_pipeline.options import ClassOptions, Gps, Limits, Method, ObjectClass, Options

Array = np.ndarray[Any, Any]
OPTIONS = Options(Method.BLUR, {ObjectClass.FACE: ClassOptions.default(ObjectClass.FACE)})
SURROUNDINGS = 8
"""Pixels around a region that a lossy coder may change with it: one block."""


def detect(pictures: list[Array], _: Options) -> Sequence[Detections]:
    """Answer with where the face was drawn, after looking: it must be there, upright."""
    x1, y1, x2, y2 = FACE
    (pixels,) = pictures
    if pixels.shape[0] < y2 or pixels.shape[1] < x2:
        return [Detections.empty()]
    crop = cv2.cvtColor(pixels[y1:y2, x1:x2], cv2.COLOR_BGR2GRAY).astype(np.float32)
    alike = cv2.matchTemplate(crop, pattern(CELLS * 6).astype(np.float32), cv2.TM_CCOEFF_NORMED)[0, 0]
    assert alike > 0.9, f"the detector does not see the face where it was drawn: {alike}"
    return [Detections(np.array([FACE], np.float32), np.ones(1, np.float32), np.array(["face"], object))]


def test_the_corpus_is_large_and_of_every_format() -> None:
    forms = Counter(entry.form for entry in ENTRIES.values())
    assert len(ENTRIES) >= 150
    assert set(forms) == {"jpeg", "png", "tiff", "webp", "bmp", "heic", "avif"}
    assert min(forms.values()) >= 10
    assert len({media.sniff(entry.make()) for entry in ACCEPTED}) == 7


@pytest.mark.parametrize("entry", ACCEPTED, ids=lambda entry: entry.name)
def test_accepted(entry: Entry) -> None:
    data = entry.make()
    product = pipeline.anonymize(data, "a.jpg", detect, OPTIONS)
    assert product.picture is not None
    coded, kind = product.picture, media.sniff(product.picture)
    assert kind == media.sniff(data)
    assert kind is not None
    assert (kind.mime, kind.extension) == (product.media_type, product.extension)
    _check_looks(entry, coded, product.binary_mask or b"")
    _check_metadata(entry, coded)
    inside = list(pictures(coded))
    assert len(inside) >= (entry.form != "bmp") + entry.new_thumbnail
    assert [found.where for found in inside if shows_face(found.pixels)] == []
    assert not [secret for secret in entry.secrets if secret in coded]


def _check_looks(entry: Entry, coded: bytes, mask: bytes) -> None:
    truth, result = entry.truth(), shown(coded, entry.form)
    grey = entry.mode == "L" or entry.mode == "I;16"
    assert (result.mode, result.bits) == (entry.mode, entry.bits)
    assert result.pixels.shape[:2] == truth.shape[:2]
    assert (result.pixels.ndim == 2) == grey
    touched = cv2.imdecode(np.frombuffer(mask, np.uint8), cv2.IMREAD_GRAYSCALE)
    assert touched.shape == truth.shape[:2]
    near = cv2.dilate(touched, np.ones((2 * SURROUNDINGS + 1,) * 2, np.uint8)) if entry.tolerance else touched
    expected = truth if truth.ndim == result.pixels.ndim else np.repeat(truth[..., None], 3, axis=2)
    apart = np.abs(expected.astype(int) - result.pixels)[near == 0]
    assert apart.size == 0 or apart.mean() <= entry.tolerance
    assert touched.any() == (truth.shape[1] >= FACE[2] and truth.shape[0] >= FACE[3])


def _check_metadata(entry: Entry, coded: bytes) -> None:
    result = shown(coded, entry.form)
    assert result.icc == entry.icc
    assert has_camera(result.exif) is entry.camera
    assert has_rights(coded) is entry.rights


@pytest.mark.parametrize("entry", [entry for entry in ACCEPTED if entry.form == "jpeg"], ids=lambda entry: entry.name)
def test_lossless_hides_as_much(entry: Entry) -> None:
    """Blocks that are kept bit by bit, and a file that is put together of the old one's parts: no copy of the face."""
    product = pipeline.anonymize(entry.make(), "a.jpg", detect, replace(OPTIONS, lossless=True))
    assert product.picture is not None
    inside = list(pictures(product.picture))
    assert len(inside) >= 1 + entry.new_thumbnail
    assert [found.where for found in inside if shows_face(found.pixels)] == []
    assert not [secret for secret in entry.secrets if secret in product.picture]
    assert has_camera(product.picture) is entry.camera
    assert has_rights(product.picture) is entry.rights


@pytest.mark.parametrize("entry", [entry for entry in ACCEPTED if entry.camera], ids=lambda entry: entry.name)
def test_a_position_is_kept_or_stripped(entry: Entry) -> None:
    stripped = pipeline.anonymize(entry.make(), "a.jpg", detect, replace(OPTIONS, gps=Gps.STRIP)).picture
    assert stripped is not None
    assert MAKER in stripped
    assert not any(struct.pack(order + "6I", *LATITUDE) in stripped for order in "<>")


@pytest.mark.parametrize("entry", REFUSED, ids=lambda entry: entry.name)
def test_refused(entry: Entry) -> None:
    assert entry.refused is not None
    with pytest.raises(entry.refused, match=entry.because or None) as caught:
        pipeline.anonymize(entry.make(), "a.jpg", detect, OPTIONS)
    assert type(caught.value) is entry.refused


@pytest.mark.parametrize("entry", ACCEPTED, ids=lambda entry: entry.name)
def test_the_walker_finds_the_originals_in_what_goes_in(entry: Entry) -> None:
    """Without this, a walker that finds nothing would prove every output clean."""
    whole = shown_face(entry)
    found = [picture.where for picture in pictures(entry.make()) if shows_face(picture.pixels)]
    assert len(found) >= entry.planted + whole


def shown_face(entry: Entry) -> int:
    """Whether the picture itself shows the face to the walker (a BMP is not among what it looks for)."""
    truth = entry.truth()
    return int(entry.form != "bmp" and truth.shape[1] >= FACE[2] and truth.shape[0] >= FACE[3])


@pytest.mark.parametrize("form", ["jpeg", "png", "webp", "heic"])
def test_the_walker_sees_a_thumbnail_that_was_made_of_the_original(form: str) -> None:
    """What would come out if nothing were redacted: the same encoder, and the face in picture and thumbnail."""
    entry = next(entry for entry in ACCEPTED if entry.form == form and entry.new_thumbnail)
    coded = media.encode(media.decode(entry.make(), Limits()))
    assert sum(shows_face(found.pixels) for found in pictures(coded)) >= 2


def test_the_face_is_known_in_every_turn_and_size_and_never_where_it_is_not() -> None:
    drawn = scene()
    for turned in (drawn, drawn[:, ::-1], drawn[::-1], np.rot90(drawn), np.rot90(drawn, 3)):
        for width in (60, 90, 120, 160):
            assert shows_face(cv2.resize(turned, (width, width * turned.shape[0] // turned.shape[1])))
    assert not shows_face(scene(face=False))
    blurred = drawn.copy()
    x1, y1, x2, y2 = FACE
    blurred[y1:y2, x1:x2] = cv2.blur(drawn, (30, 30))[y1:y2, x1:x2]
    assert not shows_face(blurred)
    assert not shows_face(np.zeros((90, 90), np.uint8))
    assert shows_face(cv2.imdecode(np.frombuffer(preview(), np.uint8), cv2.IMREAD_COLOR))
