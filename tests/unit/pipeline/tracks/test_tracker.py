"""What comes out of a tracker: which detections count, what is filled in and how it is described."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
import pytest

from unit.pipeline.tracks.made import SIZE, THRESHOLDS, Frame, tracked
from velum_pipeline.detections import Detections, Mask
from velum_pipeline.options import ClassOptions, Method, ObjectClass, Options
from velum_pipeline.tracks import Tracked, Tracker, weak, weak_thresholds
from velum_pipeline.tracks.windows import Windows

FACE, PLATE, PERSON, VEHICLE = ObjectClass
Row = tuple[ObjectClass, float, tuple[float, float, float, float]]
HERE = (100.0, 100.0, 140.0, 150.0)


def found(*rows: Row, **fields: object) -> Detections:
    boxes = np.array([box for _, _, box in rows], np.float32).reshape(-1, 4)
    classes = np.array([name for name, _, _ in rows] + [None], object)[:-1]
    return Detections(boxes, np.array([score for _, score, _ in rows], np.float32), classes, **fields)  # type: ignore[arg-type]


def moved(box: tuple[float, float, float, float], x: float, y: float = 0) -> tuple[float, float, float, float]:
    return box[0] + x, box[1] + y, box[2] + x, box[3] + y


def scores(values: Mapping[int, float], frames: int, cuts: Sequence[int] = ()) -> dict[int, Tracked]:
    """A face that stands still, found with these scores by frame."""
    told = [
        Frame(each, found((FACE, values[each], HERE)) if each in values else Detections.empty(), each in cuts)
        for each in range(frames)
    ]
    return tracked(told)


def shown(answers: Mapping[int, Tracked]) -> list[int]:
    return [ordinal for ordinal, answer in answers.items() if len(answer.detections)]


def test_a_track_covers_the_frames_before_and_behind_it() -> None:
    past = Windows(1).past
    answers = scores({20: 0.9, 21: 0.9, 22: 0.9}, 60)
    assert shown(answers) == list(range(20 - past, 23 + past))
    assert [each for each in answers if answers[each].seen.any()] == [20, 21, 22]
    assert {track for answer in answers.values() for track in answer.tracks.tolist()} == {0}


def test_what_was_seen_stays_as_it_was() -> None:
    assert scores({5: 0.75}, 20)[5].detections.boxes.tolist() == [list(HERE)]
    assert scores({5: 0.75}, 20)[5].detections.scores.tolist() == [0.75]


def test_filled_scores_fade_from_the_nearest_hit() -> None:
    faded = [float(scores({20: 0.9, 31: 0.6}, 60)[each].detections.scores[0]) for each in range(20, 32)]
    assert all(a > b for a, b in pairwise(faded[:6]))
    assert all(a < b for a, b in pairwise(faded[6:]))


def test_boxes_grow_with_the_distance_to_what_was_seen() -> None:
    answers = scores({20: 0.9, 21: 0.9, 30: 0.9, 31: 0.9}, 60)
    areas = [
        float(np.prod(np.diff(answers[each].detections.boxes[0].reshape(2, 2), axis=0)))
        for each in answers
        if 9 < each < 42
    ]
    ahead, hole = areas[:11], areas[11:21]
    assert all(a > b for a, b in pairwise(ahead))
    assert max(hole) < max(ahead)
    assert hole.index(max(hole)) in (4, 5)


def test_weak_detections_count_beside_a_strong_one_only() -> None:
    flicker = {each: 0.9 if each % 6 == 0 else 0.3 for each in range(12, 31)}
    assert [each for each, answer in scores(flicker, 60).items() if answer.seen.any()] == list(range(12, 31))
    assert not shown(scores(dict.fromkeys(range(10, 40), 0.49), 60))


def test_weak_detections_far_from_a_strong_one_do_not_count() -> None:
    answers = scores({10: 0.9, **dict.fromkeys(range(11, 50), 0.3)}, 80)
    seen = [each for each, answer in answers.items() if answer.seen.any()]
    assert seen == list(range(10, 11 + Windows(1).weak))
    assert shown(answers)[-1] == seen[-1] + Windows(1).past


def test_below_weak_nothing_counts() -> None:
    assert shown(scores({10: 0.9, 11: 0.2}, 12)) == list(range(12))
    assert not scores({10: 0.9, 11: 0.2}, 12)[11].seen.any()


def test_weak_detections_do_not_link_over_another_class() -> None:
    told = [Frame(each, found((PLATE if each else FACE, 0.3 if each else 0.9, HERE))) for each in range(5)]
    assert {str(name) for answer in tracked(told).values() for name in answer.detections.classes} == {"face"}


def test_classes_that_were_not_asked_for_are_left_out() -> None:
    assert not shown(tracked([Frame(each, found((VEHICLE, 0.9, HERE))) for each in range(5)]))


def test_a_cut_ends_tracks_on_both_sides() -> None:
    assert shown(scores({20: 0.9, 21: 0.9}, 60, cuts=[24])) == list(range(9, 24))
    assert shown(scores({20: 0.9, 21: 0.9}, 60, cuts=[18])) == list(range(18, 33))


def test_nothing_links_over_a_cut() -> None:
    answers = scores(dict.fromkeys(range(20, 30), 0.9), 60, cuts=[25])
    assert {answers[each].tracks.tolist()[0] for each in range(60) if shown({each: answers[each]}) and each < 25} == {0}
    assert {answers[each].tracks.tolist()[0] for each in range(60) if shown({each: answers[each]}) and each >= 25} == {
        1
    }


def test_weak_detections_do_not_count_over_a_cut() -> None:
    assert shown(scores({20: 0.9, 21: 0.3}, 60, cuts=[21])) == list(range(9, 21))


def test_what_two_ends_leave_open_is_covered_from_both() -> None:
    """One face leaves to the right, later another is far to the left: two tracks, and both go on for a while."""
    told = [Frame(each, Detections.empty()) for each in range(60)]
    for each in range(15, 20):
        told[each] = Frame(each, found((FACE, 0.9, moved(HERE, 8 * each))))
        told[each + 12] = Frame(each + 12, found((FACE, 0.9, moved(HERE, 380 - 4 * each, 100))))
    answers = tracked(told)
    assert all(len(answers[each].detections) == 2 for each in range(20, 27))
    assert all(sorted(answers[each].tracks.tolist()) == [0, 1] for each in range(20, 27))


def test_rows_are_by_class_then_score_and_inside_the_picture() -> None:
    rows = found((PERSON, 0.9, (-30, 200, 40, 400)), (FACE, 0.6, HERE), (PLATE, 0.7, (600, 300, 700, 330)),
                 (FACE, 0.8, moved(HERE, 200)))  # fmt: skip
    answer = tracked([Frame(0, rows)])[0]
    assert answer.detections.classes.tolist() == [FACE, FACE, PLATE, PERSON]
    assert answer.detections.scores.tolist() == pytest.approx([0.8, 0.6, 0.7, 0.9])
    assert answer.detections.boxes[2:].tolist() == [[600, 300, 640, 330], [0, 200, 40, 360]]
    assert answer.tracks.tolist() == [0, 1, 2, 3]


def test_what_is_extended_out_of_the_picture_is_left_out() -> None:
    told = [Frame(each, found((FACE, 0.9, moved((560, 100, 600, 140), 15 * each))) if each < 5 else Detections.empty())
            for each in range(30)]  # fmt: skip
    boxes = np.concatenate([answer.detections.boxes for answer in tracked(told).values()])
    assert (boxes[:, 2] <= SIZE[0]).all()
    assert (boxes[:, 2] > boxes[:, 0]).all()


def outlined(x: float) -> Detections:
    box = moved((100, 100, 140, 200), x)
    bits = np.zeros((100, 40), np.bool_)
    bits[20:, 10:30] = True
    return found((PERSON, 0.9, box), masks=(Mask(int(box[0]), 100, bits),))


def test_outlines_are_carried_over_short_holes() -> None:
    told = [Frame(each, outlined(6 * each) if each % 3 == 0 else None) for each in range(13)]
    answers = tracked(told, 3)
    for each in (4, 5):
        (mask,) = answers[each].detections.masks or (None,)
        assert mask is not None
        box = answers[each].detections.boxes[0]
        assert mask.plausible(box)
        left, top = 6 * each + 110 - mask.x, 120 - mask.y
        assert mask.bits[top : top + 80, left : left + 20].all()
        assert not mask.bits[:, : 6 * each + 100 - mask.x].any()
        assert mask.bits.shape[1] <= 60


def test_over_longer_holes_and_beyond_ends_the_whole_box_is_covered() -> None:
    told = [Frame(each, outlined(0) if each in (20, 25) else Detections.empty()) for each in range(50)]
    answers = tracked(told)
    assert all((answers[each].detections.masks or (None,)) == (None,) for each in (19, 21, 24, 26))
    assert (answers[20].detections.masks or (None,))[0] is not None


def cornered(x: float) -> Detections:
    box = moved((100, 100, 200, 125), x)
    points = np.array([[[box[0], 102], [box[2], 100], [box[2], 123], [box[0], 125]]], np.float32)
    return found((PLATE, 0.9, box), corners=points)


def test_corners_are_carried_over_short_holes_and_grow() -> None:
    told = [
        Frame(each, cornered(10 * each) if each in (20, 24) or each > 30 else Detections.empty()) for each in range(60)
    ]
    answers = tracked(told)
    corners = answers[22].detections.corners
    assert corners is not None
    (left, top), (right, _), (_, bottom), _ = corners[0].tolist()
    assert left < 320 < 420 < right
    assert top < 102
    assert bottom > 123
    assert all(answers[each].detections.corners is None for each in (19, 26, 28))


def test_wider_options_ask_for_weak_detections() -> None:
    options = Options(Method.BLUR, {FACE: ClassOptions(0.5, 0.35), PERSON: ClassOptions(0.4, 91)})
    assert dict(weak(options).thresholds) == pytest.approx({FACE: 0.25, PERSON: 0.2})
    assert weak_thresholds(THRESHOLDS)[PERSON] == pytest.approx(0.2)
    assert weak(options).classes[PERSON].kernel == 91


@pytest.mark.parametrize("every", [0, -1])
def test_looks_at_no_frame_are_refused(every: int) -> None:
    with pytest.raises(ValueError, match="every"):
        Tracker(THRESHOLDS, SIZE, every)


def test_empty_boxes_do_no_harm() -> None:
    told = [Frame(each, found((FACE, 0.9, (50, 50, 50, 50)), (FACE, 0.9, HERE))) for each in range(5)]
    assert all(len(answer.detections) >= 1 for answer in tracked(told).values())


def test_what_is_far_ahead_matters_as_far_as_the_radius_says() -> None:
    """A weak detection ends the hole after frame 0, and a strong one ten frames on makes it count."""
    last = {0: 0.9, 11: 0.3}
    with_it, without = scores({**last, 21: 0.9}, 80), scores(last, 80)
    assert with_it[11].seen.any()
    assert not without[11].seen.any()
    assert with_it[1].detections.boxes.tolist() != without[1].detections.boxes.tolist()
