"""What shows through a cover: the rounded mean of its cells, and nothing else of the object."""

import numpy as np
import pytest

from support import yuvframes
from support.covering import FACE, PERSON, PLATE, VEHICLE, hidden, solid
from velum_pipeline.options import ClassOptions, Method, ObjectClass
from velum_pipeline.regions import Region
from velum_pipeline.video.description import FORMATS
from velum_pipeline.video.planes import SUBSAMPLING, samples


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("method", [Method.BLUR, Method.PIXELATE])
def test_only_the_cells_means_show(name: str, method: Method) -> None:
    """The samples of each cell in another order: nothing of what is shown at full strength is different."""
    video = yuvframes.video(64, 64, name)
    one, other = yuvframes.noisy(video), yuvframes.blank(video)
    region, random = solid(8, 8, 32, 48), np.random.default_rng(5)
    for index, (was, plane) in enumerate(zip(samples(one, video), samples(other, video), strict=True)):
        plane[:] = was
        across, down = (1 + halved if index else 1 for halved in SUBSAMPLING[name])
        for top in (8, 32):
            for left in (8, 24):
                cell = np.s_[top // down : (top + 24) // down, left // across : (left + 16) // across]
                plane[cell] = random.permutation(was[cell].ravel()).reshape(was[cell].shape)
    assert not np.array_equal(yuvframes.cropped(one, video)[0], yuvframes.cropped(other, video)[0])
    first, second = hidden(video, one, [region], method), hidden(video, other, [region], method)
    assert all(map(np.array_equal, first, second))


@pytest.mark.parametrize("name", ["yuv420p", "yuv444p10le", "gray"])
def test_brightness_is_rounded_before_it_shows(name: str) -> None:
    """The floor's levels are 64 grey levels apart: what lies between them shows as the nearer one."""
    video = yuvframes.video(64, 64, name)
    scale = 1 << video.bits - 8
    seen = []
    for grey in (105, 120, 140, 150, 165):
        frame = yuvframes.blank(video)
        for index, plane in enumerate(samples(frame, video)):
            plane[:] = (128 if index else grey) * scale
        seen.append(hidden(video, frame, [solid(8, 8, 32, 48)], Method.BLUR)[0][8:56, 8:40].tobytes())
    # By limited range 105, 120, 140 and 150 are 104, 121, 144 and 156 of 255, next to 128; 165 is 173, next to 191.
    assert len(set(seen[:4])) == 1
    assert seen[4] != seen[0]


@pytest.mark.parametrize(("object_class", "same"), [(FACE, True), (PLATE, True), (PERSON, False), (VEHICLE, False)])
@pytest.mark.parametrize("method", [Method.BLUR, Method.PIXELATE])
def test_where_a_face_is_bright_does_not_show(object_class: ObjectClass, same: bool, method: Method) -> None:
    """Of faces and plates all that is left is one mean: there are many covers of them in a video."""
    video, shown = yuvframes.video(64, 64, "gray"), []
    for bright in (np.s_[8:32], np.s_[32:56]):
        frame = yuvframes.blank(video)
        (luma,) = samples(frame, video)
        luma[:] = 40
        luma[bright] = 210
        shown.append(hidden(video, frame, [solid(8, 8, 48, 48, 0.35, object_class)], method)[0][8:56, 8:56])
    assert np.array_equal(*shown) == same


def test_colour_is_a_tint_or_none() -> None:
    video = yuvframes.video(64, 64, "yuv444p")
    shown = []
    for cb, cr in [(128, 128), (90, 190), (110, 160), (190, 90)]:
        frame = yuvframes.blank(video)
        for plane, code in zip(samples(frame, video), (126, cb, cr), strict=True):
            plane[:] = code
        after = hidden(video, frame, [solid(8, 8, 32, 48)], Method.BLUR)
        shown.append(tuple(float(plane[8:56, 8:40].mean()) for plane in after[1:]))
    assert shown[0] == (128, 128)
    assert shown[1] == shown[2] == shown[3]  # a face's one tint
    assert shown[1][0] < 126
    assert shown[1][1] > 130


def test_cells_without_pixels_of_an_outline_are_dark_and_not_green() -> None:
    video = yuvframes.video(64, 64, "yuv444p")
    frame = yuvframes.blank(video)
    for plane, code in zip(samples(frame, video), (235, 128, 128), strict=True):
        plane[:] = code
    strength = np.full((48, 32), 255, np.uint8)
    strength[:25] = 0
    region = Region(0, FACE, ClassOptions(0.5, 0.35), 8, 8, strength, 32.0, 48.0, segment=True)
    after = hidden(video, frame, [region], Method.PIXELATE)
    assert (np.abs(after[1].astype(int) - 128) < 2).all()
    assert (np.abs(after[2].astype(int) - 128) < 2).all()


def test_later_regions_do_not_uncover_earlier_ones() -> None:
    """Where two are, what the second averages is the first's cover: here dark, though what it hid was white."""
    video, shown = yuvframes.video(64, 64, "gray"), []
    for key in range(20):
        frame = yuvframes.blank(video)
        (luma,) = samples(frame, video)
        luma[:] = 16
        luma[20:36, 20:36] = 235
        twice = [solid(4, 4, 56, 56, kernel=1.0), solid(20, 20, 16, 16, kernel=1.0)]
        after = hidden(video, frame, twice, Method.PIXELATE, key=key.to_bytes(16, "little"))[0]
        shown.append(after[20:36, 20:36].mean())
    assert np.mean(shown) < 90
