"""Batches: answers do not depend on the company, and one bad picture does not spoil its neighbours."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from support.serving import detections
from velum_pipeline.detect import DetectionFailed
from velum_pipeline.detections import Detections
from velum_pipeline.options import ClassOptions, Method, ObjectClass, Options, Tiling
from velum_serve.batching import MAX_FAILURES, BatchDetector
from velum_serve.errors import DetectorBroken

Pixels = NDArray[np.uint8]
POISON = 255


def wishes(threshold: float = 0.5, tiling: Tiling | None = None, **more: object) -> Options:
    classes = {ObjectClass.FACE: ClassOptions(threshold=threshold, kernel=0.35)}
    return Options(method=Method.BLUR, classes=classes, tiling=tiling or Tiling(), **more)  # type: ignore[arg-type]


def marked(value: int) -> Pixels:
    return np.full((8, 8, 3), value, np.uint8)


class Marker:
    """Answers each picture with a box that tells the picture's mark and the threshold it was asked with."""

    def __init__(self) -> None:
        self.calls: list[int] = []

    def detect(self, pictures: Sequence[Pixels], options: Options) -> list[Detections]:
        self.calls.append(len(pictures))
        if any(picture[0, 0, 0] == POISON for picture in pictures):
            raise DetectionFailed("poisoned")
        threshold = options.thresholds[ObjectClass.FACE]
        return [detections((0, 0, int(picture[0, 0, 0]) + 1, threshold * 100 + 1)) for picture in pictures]


def told(answer: Detections | Exception) -> tuple[int, int]:
    assert isinstance(answer, Detections)
    return round(float(answer.boxes[0, 2])) - 1, round(float(answer.boxes[0, 3])) - 1


def test_equal_wishes_go_in_one_call() -> None:
    marker = Marker()
    answers = BatchDetector(marker).detect([(marked(value), wishes()) for value in range(4)])
    assert marker.calls == [4]
    assert [told(answer)[0] for answer in answers] == [0, 1, 2, 3]


def test_what_detection_does_not_look_at_does_not_split_a_batch() -> None:
    marker = Marker()
    several = [wishes(), wishes(bbox=True), wishes(quality=10), wishes(mask_scale=50, debug=True)]
    BatchDetector(marker).detect([(marked(1), each) for each in several])
    assert marker.calls == [4]


@pytest.mark.parametrize("other", [wishes(0.6), wishes(tiling=Tiling("grid", columns=2))])
def test_other_wishes_go_in_another_call(other: Options) -> None:
    marker = Marker()
    BatchDetector(marker).detect([(marked(1), wishes()), (marked(2), other), (marked(3), wishes())])
    assert marker.calls == [2, 1]


@given(st.lists(st.tuples(st.integers(0, 255), st.sampled_from([0.1, 0.5, 0.9])), min_size=1, max_size=12))
def test_company_changes_nothing(items: list[tuple[int, float]]) -> None:
    """Each picture gets the answer that it gets alone, in its own place; poison fails alone."""
    answers = BatchDetector(Marker()).detect([(marked(value), wishes(threshold)) for value, threshold in items])
    assert len(answers) == len(items)
    for (value, threshold), answer in zip(items, answers, strict=True):
        if value == POISON:
            assert isinstance(answer, DetectionFailed)
        else:
            assert told(answer) == (value, round(threshold * 100))


def test_a_detector_that_forgets_a_picture_fails_all_it_was_asked() -> None:
    class Forgetful(Marker):
        def detect(self, pictures: Sequence[Pixels], options: Options) -> list[Detections]:
            return super().detect(pictures, options)[1:]

    answers = BatchDetector(Forgetful()).detect([(marked(1), wishes()), (marked(2), wishes())])
    assert all(isinstance(answer, Exception) for answer in answers)


def test_a_replica_is_given_up_when_nothing_works_any_more() -> None:
    detector = BatchDetector(Marker())
    poisoned = [(marked(POISON), wishes())]
    for _ in range(MAX_FAILURES - 1):
        detector.detect(poisoned)
        detector.check()
    detector.detect(poisoned)
    with pytest.raises(DetectorBroken, match=str(MAX_FAILURES)):
        detector.check()


def test_one_good_picture_shows_that_it_works() -> None:
    detector = BatchDetector(Marker())
    for _ in range(3 * MAX_FAILURES):
        detector.detect([(marked(POISON), wishes()), (marked(1), wishes())])
    detector.check()
    assert detector.sizes() == {2: 3 * MAX_FAILURES}
