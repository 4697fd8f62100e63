from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from velum_pipeline.detect.spec import Split
from velum_pipeline.detect.tiles import AUTO_WHOLE, Window, layout
from velum_pipeline.options import PANO_WIDTHS, Tiling

sizes = st.integers(16, 3000)  # smaller, and a cell with its overlap may be as large as the picture
tilings = st.one_of(
    st.builds(
        Tiling,
        mode=st.just("grid"),
        columns=st.integers(1, 6),
        rows=st.integers(1, 6),
        overlap_x=st.integers(0, 4000),
        overlap_y=st.integers(0, 4000),
    ),
    st.builds(Tiling, mode=st.sampled_from(["whole", "auto"])),
    st.builds(Tiling, mode=st.just("pano"), pano_width=st.sampled_from(PANO_WIDTHS)),
)


@settings(deadline=None)
@given(sizes, sizes, tilings)
def test_the_windows_cover_the_picture_without_the_whole(width: int, height: int, tiling: Tiling) -> None:
    made = layout(width, height, tiling)
    cells = [w for w in made.windows if w.width < width or w.height < height] or list(made.windows)
    seen = np.zeros((-(-height // 8), -(-width // 8)), bool)  # every eighth pixel, for speed
    for window in cells:
        assert window.width > 0
        assert window.height > 0
        assert 0 <= window.y <= window.y + window.height <= height
        columns = np.arange(window.x, window.x + window.width) % width
        rows = np.arange(window.y, window.y + window.height)
        seen[np.ix_(rows[rows % 8 == 0] // 8, columns[columns % 8 == 0] // 8)] = True
        if made.period is None:
            assert 0 <= window.x <= window.x + window.width <= width
    assert seen.all()


@given(sizes, sizes, tilings)
def test_a_large_object_is_seen_whole(width: int, height: int, tiling: Tiling) -> None:
    assert Window(0, 0, width, height) in layout(width, height, tiling).windows


@settings(deadline=None)
@given(st.integers(200, 4000), st.integers(0, 4000), st.integers(1, 20), st.data())
def test_what_fits_the_overlap_lies_whole_in_a_window(
    width: int, overlap: int, columns: int, data: st.DataObject
) -> None:
    windows = layout(width, 100, Tiling("grid", columns=columns, overlap_x=overlap)).windows
    cell = width // columns
    size = data.draw(st.integers(1, max(1, min(overlap, cell) - 1)))
    x = data.draw(st.integers(0, width - size))
    assert any(w.x <= x and x + size <= w.x + w.width for w in windows if w.width < width or columns == 1)


def test_overlap_never_exceeds_a_cell() -> None:
    """Else 32 x 32 tiles with a huge overlap would be a thousand whole pictures."""
    windows = layout(3200, 3200, Tiling("grid", columns=32, rows=32, overlap_x=10**9, overlap_y=10**9)).windows
    assert sum(w.width * w.height for w in windows) <= 5 * 3200 * 3200


@pytest.mark.parametrize(("size", "count"), [((AUTO_WHOLE, 1080), 1), ((AUTO_WHOLE + 1, 1080), 3), ((4000, 3000), 13)])
def test_auto(size: tuple[int, int], count: int) -> None:
    assert len(layout(*size, Tiling("auto")).windows) == count


@pytest.mark.parametrize("pano_width", PANO_WIDTHS)
def test_panorama_strips_go_around(pano_width: int) -> None:
    made = layout(pano_width, pano_width // 2, Tiling("pano", pano_width=pano_width))
    assert made.period == pano_width
    assert any(w.x + w.width > pano_width and w.width < pano_width for w in made.windows)


def test_crop_goes_around() -> None:
    picture = np.arange(10, dtype=np.uint8).reshape(1, 10, 1).repeat(3, axis=2)
    assert Window(8, 0, 4, 1).crop(picture)[0, :, 0].tolist() == [8, 9, 0, 1]
    assert Window(12, 0, 3, 1).crop(picture)[0, :, 0].tolist() == [2, 3, 4]
    assert Window(5, 0, 10, 1).crop(picture)[0, :, 0].tolist() == [5, 6, 7, 8, 9, 0, 1, 2, 3, 4]
    assert np.shares_memory(Window(2, 0, 3, 1).crop(picture), picture)


@pytest.mark.parametrize(("width", "height"), [(1280, 720), (720, 1280)])
def test_split_is_along_the_longer_side(width: int, height: int) -> None:
    parts = Window(10, 20, width, height).parts(Split(windows=2, above=640, overlap=0.2, whole=True))
    assert parts[-1] == Window(10, 20, width, height)
    side = 712  # ceil(1280 / 1.8)
    along = [(p.x - 10, p.width) if width > height else (p.y - 20, p.height) for p in parts[:-1]]
    assert along == [(0, side), (1280 - side, side)]


def test_small_views_are_not_split() -> None:
    split = Split(windows=4, above=640)
    assert Window(0, 0, 640, 300).parts(split) == [Window(0, 0, 640, 300)]
    assert len(Window(0, 0, 641, 300).parts(split)) == 4
