"""The coefficients of a JPEG, read and written: against a reference that follows the standard bit by bit, against
libjpeg-turbo's pixels, and with broken files.
"""

import io
import re
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import cv2
import numpy as np
import pytest
import simplejpeg
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from support import jpegreference
from velum_pipeline.errors import OptionError
from velum_pipeline.media.splice import blocks, frame, huffman, layout, markers, scans, tokens, write

Array = np.ndarray[Any, Any]
SAMPLINGS = {"444": 0x111111, "422": 0x211111, "420": 0x221111, "440": 0x121111, "411": 0x411111}


def jpeg(
    samples: Array, sampling: str = "420", *, progressive: bool = False, restart: int = 0, quality: int = 85
) -> bytes:
    """A JPEG of BGR or grey samples, by OpenCV."""
    settings = {
        cv2.IMWRITE_JPEG_QUALITY: quality,
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR: SAMPLINGS[sampling],
        cv2.IMWRITE_JPEG_PROGRESSIVE: int(progressive),
        cv2.IMWRITE_JPEG_RST_INTERVAL: restart,
    }
    done, coded = cv2.imencode(".jpg", samples, [value for pair in settings.items() for value in pair])
    assert done
    return coded.tobytes()


def natural(whole: frame.Frame, store: Array) -> list[Array]:
    """Each component's blocks (rows, columns, 8, 8), as the reference gives them."""
    found = []
    for each in whole.components:
        part = store[each.first : each.first + each.stride * each.rows].reshape(each.rows, each.stride, 64)
        made = np.zeros((each.down, each.across, 64), int)
        made[..., jpegreference.ZIGZAG] = part[: each.down, : each.across]
        found.append(made.reshape(each.down, each.across, 8, 8))
    return found


def same(data: bytes) -> None:
    """Read as the reference reads it, and written so that the reference reads the same again."""
    expected = jpegreference.planes(data)
    whole = markers.read(data)
    store = scans.coefficients(whole)
    written = write.write(whole, store)
    for mine, before, after in zip(natural(whole, store), expected, jpegreference.planes(written), strict=True):
        assert np.array_equal(mine, before.blocks)
        assert np.array_equal(after.blocks, before.blocks)
        assert np.array_equal(after.table, before.table)
        assert (after.horizontal, after.vertical) == (before.horizontal, before.vertical)


@pytest.mark.parametrize("shape", [(75, 101), (16, 16), (9, 33), (1, 1)])
@pytest.mark.parametrize("restart", [0, 3])
@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_every_coefficient_is_the_reference_s(
    texture: Callable[..., Array], sampling: str, progressive: bool, restart: int, shape: tuple[int, int]
) -> None:
    same(jpeg(texture(*shape), sampling, progressive=progressive, restart=restart))


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_one_and_four_components(
    texture: Callable[..., Array], save: Callable[..., bytes], mode: str, progressive: bool
) -> None:
    same(save(texture(45, 70), "JPEG", mode, progressive=progressive))


def test_the_reference_agrees_with_libjpeg(texture: Callable[..., Array]) -> None:
    """Else agreement with it would say nothing: its luminance, transformed back, is libjpeg-turbo's."""
    data = jpeg(texture(64, 96), "420", progressive=True)
    plane = jpegreference.planes(data)[0]
    basis = blocks.COSINES.astype(float)
    shown = basis.T @ (plane.blocks * plane.table) @ basis + 128
    shown = np.clip(shown.swapaxes(1, 2).reshape(64, 96), 0, 255)
    assert np.abs(shown - simplejpeg.decode_jpeg(data, "GRAY")[..., 0]).max() <= 1


@pytest.mark.parametrize("quality", [1, 30, 100])
@pytest.mark.parametrize("progressive", [False, True])
def test_what_is_written_shows_the_same_pixels_and_is_no_larger(
    texture: Callable[..., Array], quality: int, progressive: bool
) -> None:
    smooth = cv2.resize(texture(20, 30), (450, 300), interpolation=cv2.INTER_CUBIC)
    data = jpeg(smooth, "420", quality=quality, progressive=progressive)
    whole = markers.read(data)
    written = write.write(whole, scans.coefficients(whole))
    assert np.array_equal(simplejpeg.decode_jpeg(data), simplejpeg.decode_jpeg(written))
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(data))), np.asarray(Image.open(io.BytesIO(written))))
    assert len(written) <= 1.05 * len(data)


def test_components_in_scans_of_their_own(texture: Callable[..., Array], monkeypatch: pytest.MonkeyPatch) -> None:
    """Sequential files may be stored so; where an MCU would have more than ten blocks they must be."""
    data = jpeg(texture(75, 101), "420")
    whole = markers.read(data)
    store = scans.coefficients(whole)
    monkeypatch.setattr(write, "MAX_MCU", 5)
    apart = write.write(whole, store)
    assert len(markers.read(apart).scans) == 3
    assert np.array_equal(simplejpeg.decode_jpeg(data), simplejpeg.decode_jpeg(apart))
    same(apart)


def test_a_picture_of_several_windows_and_runs_longer_than_a_word_can_say() -> None:
    flat = np.full((2100, 1100), 90, np.uint8)
    flat[1000:1008, :] = 200
    for progressive in (False, True):
        data = jpeg(flat, "444", progressive=progressive)
        whole = markers.read(data)
        store = scans.coefficients(whole)
        written = write.write(whole, store)
        assert np.array_equal(simplejpeg.decode_jpeg(data, "GRAY"), simplejpeg.decode_jpeg(written, "GRAY"))
        assert np.array_equal(scans.coefficients(markers.read(written)), store)
    noise = np.random.default_rng(0).integers(0, 256, (600, 800, 3), np.uint8)
    for progressive in (False, True):
        data = jpeg(noise, "444", progressive=progressive, quality=97)
        assert len(data) > 8 * 2**16
        whole = markers.read(data)
        written = write.write(whole, scans.coefficients(whole))
        assert np.array_equal(simplejpeg.decode_jpeg(data), simplejpeg.decode_jpeg(written))


def test_a_run_of_empty_blocks_is_cut_where_a_word_ends() -> None:
    """32767 blocks are the most that one word ends."""
    empty = np.zeros((70_000, 63), np.int16)
    made, counts = tokens.band(empty, np.zeros(len(empty), np.uint8), runs=True)
    assert made.symbol.tolist() == [0xE0, 0xE0, 0xC0]
    assert (made.extra + (1 << made.size.astype(int))).tolist() == [32767, 32767, 4466]
    assert np.flatnonzero(counts).tolist() == [0, 32767, 65534]


@given(st.lists(st.integers(0, 10**6), min_size=256, max_size=256).filter(any))
@settings(max_examples=50, deadline=None)
def test_the_best_code_is_a_code(counts: list[int]) -> None:
    code = huffman.best_code(np.array(counts))
    word, lengths = huffman.words(code)
    assert (lengths > 0).tolist() == [count > 0 for count in counts]
    used = [(int(length), int(value)) for length, value in zip(lengths, word, strict=True) if length]
    texts = sorted(f"{value:0{length}b}" for length, value in used)
    assert all("0" in text and len(text) <= 16 for text in texts), "no word of ones only"
    assert not any(after.startswith(before) for before, after in pairwise(texts))


def test_words_are_never_longer_than_sixteen_bits() -> None:
    """Fibonacci's numbers make the deepest tree."""
    counts = np.zeros(256, np.int64)
    counts[:2] = 1
    for each in range(2, 40):
        counts[each] = counts[each - 1] + counts[each - 2]
    _, lengths = huffman.words(huffman.best_code(counts))
    assert lengths[:40].min() > 0
    assert lengths.max() == 16


def test_no_broken_file_does_more_than_be_refused(texture: Callable[..., Array]) -> None:
    random = np.random.default_rng(3)
    refused = 0
    for turn in range(300):
        data = bytearray(jpeg(texture(40, 50), "420", progressive=bool(turn % 2), restart=turn // 2 % 2 * 2))
        for _ in range(random.integers(1, 6)):
            data[random.integers(2, len(data))] = random.integers(0, 256)
        if frame_pixels(bytes(data)) > 10**6:
            continue  # the pixel limit comes first
        try:
            whole = markers.read(bytes(data))
            write.write(whole, scans.coefficients(whole))
        except OptionError as error:
            assert error.field == "lossless"  # noqa: PT017 - other files are still whole
            refused += 1
    assert 60 < refused < 300


def frame_pixels(data: bytes) -> int:
    try:
        whole = markers.read(data)
    except OptionError:
        return 0
    return whole.width * whole.height


def test_a_lone_component_is_not_interleaved(texture: Callable[..., Array]) -> None:
    """A grey file's sampling factors mean nothing (T.81, A.2.2), whatever some encoders write."""
    data = bytearray(jpeg(texture(40, 50, 1), "444"))
    at = data.index(b"\xff\xc0")
    assert data[at + 11] == 0x11
    data[at + 11] = 0x22
    whole = markers.read(bytes(data))
    assert (whole.components[0].across, whole.components[0].down) == (7, 5)
    assert layout.order(whole, (0,)).blocks == 35
    same(jpeg(texture(40, 50, 1), "444"))
    written = write.write(whole, scans.coefficients(whole))
    assert np.array_equal(simplejpeg.decode_jpeg(bytes(data), "GRAY"), simplejpeg.decode_jpeg(written, "GRAY"))


def without_scan(data: bytes, number: int) -> bytes:
    """The file without one scan and the tables before it."""
    begins = [found.start() for found in re.finditer(rb"\xff\xda", data)]
    ends = [re.compile(rb"\xff(?![\0\xd0-\xd7])").search(data, at + 14).start() for at in begins]  # type: ignore[union-attr]
    return data[: ends[number - 1]] + data[ends[number] :]


@pytest.mark.parametrize("number", [6, 9])
def test_a_progressive_file_that_ends_early_is_refused(
    texture: Callable[..., Array], save: Callable[..., bytes], number: int
) -> None:
    """Decoders smooth such a picture; complete, it would look different everywhere."""
    data = without_scan(save(texture(75, 101), "JPEG", progressive=True), number)
    simplejpeg.decode_jpeg(data)
    with pytest.raises(OptionError, match="leave coefficients out"):
        scans.coefficients(markers.read(data))


@pytest.mark.parametrize("number", [1, 2])
def test_a_file_without_the_scan_of_a_component_is_refused(
    texture: Callable[..., Array], monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.setattr(write, "MAX_MCU", 1)
    whole = markers.read(jpeg(texture(40, 70)))
    data = without_scan(write.write(whole, scans.coefficients(whole)), number)
    simplejpeg.decode_jpeg(data)
    with pytest.raises(OptionError, match="leave coefficients out"):
        scans.coefficients(markers.read(data))


def test_a_component_that_is_there_twice_is_refused(
    texture: Callable[..., Array], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(write, "_groups", lambda frame: [(0, 1, 2), (0,)])
    whole = markers.read(jpeg(texture(40, 70)))
    data = write.write(whole, scans.coefficients(whole))
    with pytest.raises(OptionError, match="band is broken"):
        scans.coefficients(markers.read(data))
