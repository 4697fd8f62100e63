"""The sample picture: ours, the same everywhere, and full of what Velum hides."""

from collections import Counter

import cv2
import numpy as np

from velum_cli.sample import CARS, FACES, sample_picture
from velum_cli.scenery import HEIGHT, WIDTH
from velum_pipeline.detect import Runtime
from velum_pipeline.options import ClassOptions, Method, ObjectClass, Options
from velum_pipeline.packs.registry import PackRegistry


def decoded() -> np.ndarray:
    return cv2.imdecode(np.frombuffer(sample_picture(), np.uint8), 1)


def test_it_is_the_same_every_time() -> None:
    assert sample_picture() == sample_picture()


def test_it_is_a_picture_of_the_size_it_says() -> None:
    assert decoded().shape == (HEIGHT, WIDTH, 3)


def test_the_default_pack_finds_all_that_is_drawn() -> None:
    """Else the self-check would show less than the pack can do."""
    detector = PackRegistry().load(["velum-street"], Runtime(threads=1))
    wanted = {name: ClassOptions.default(name) for name in ObjectClass}
    (found,) = detector.detect([decoded()], Options(Method.DETECT, wanted))
    faces, cars = len(FACES), len(CARS)
    assert Counter(found.above({name: each.threshold for name, each in wanted.items()}).classes.tolist()) == {
        ObjectClass.FACE: faces,
        ObjectClass.LICENSE_PLATE: cars,
        ObjectClass.PERSON: faces,
        ObjectClass.VEHICLE: cars,
    }
