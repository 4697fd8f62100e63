"""Every field of a spec arrives at the pipeline, in the pipeline's units."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.serving import spec
from velum.api.task import TaskSpec
from velum_pipeline.errors import OptionError
from velum_pipeline.options import (
    DEFAULT_CLASS_OPTIONS,
    ClassOptions,
    Gps,
    Ignore,
    Method,
    ObjectClass,
    Options,
    SaveMask,
    Tiling,
)
from velum_serve.options import pipeline_options

ALL = {"face": {}, "licensePlate": {}, "person": {}, "vehicle": {}}


def test_defaults_of_the_resource_are_the_pipelines() -> None:
    made = pipeline_options(spec(classes=ALL))
    assert made == Options(method=Method.BLUR, classes=dict(DEFAULT_CLASS_OPTIONS))


@pytest.mark.parametrize(
    ("field", "given", "attribute", "expected"),
    [
        ("method", "pixelate", "method", Method.PIXELATE),
        ("method", "blacken", "method", Method.BLACKEN),
        ("method", "detect", "method", Method.DETECT),
        ("bbox", True, "bbox", True),
        ("debug", True, "debug", True),
        ("score", True, "score", True),
        ("watermark", True, "watermark", True),
        ("quality", 1, "quality", 1),
        ("quality", 100, "quality", 100),
        ("compressLevel", 0, "compress_level", 0),
        ("compressLevel", 9, "compress_level", 9),
        ("lossless", True, "lossless", True),
        ("gps", "keep", "gps", Gps.KEEP),
        ("gps", "strip", "gps", Gps.STRIP),
        ("saveMask", "binary", "save_mask", SaveMask.BINARY),
        ("saveMask", "instance", "save_mask", SaveMask.INSTANCE),
        ("saveMask", "none", "save_mask", SaveMask.NONE),
        ("maskScalePercent", 37, "mask_scale", 37),
        (
            "ignores",
            [{"left": 1, "top": 2, "width": 3, "height": 4}, {"left": 0, "top": 0, "width": 1, "height": 1}],
            "ignores",
            (Ignore(1, 2, 3, 4), Ignore(0, 0, 1, 1)),
        ),
        ("tiling", {"mode": "auto"}, "tiling", Tiling("auto")),
        ("tiling", {"mode": "pano", "panoWidth": 8192}, "tiling", Tiling("pano", 8192)),
        (
            "tiling",
            {"mode": "grid", "columns": 3, "rows": 2, "overlapX": 10, "overlapY": 20},
            "tiling",
            Tiling("grid", None, 3, 2, 10, 20),
        ),
    ],
)
def test_each_field_arrives(field: str, given: object, attribute: str, expected: object) -> None:
    assert getattr(pipeline_options(spec(**{field: given})), attribute) == expected


def test_every_field_of_the_spec_that_concerns_pixels_is_covered() -> None:
    elsewhere = {
        "source",
        "destination",
        "filename",
        "model",
        "webhook",
        "suspend",
        "active_deadline_seconds",
        "backoff_limit",
        "ttl_seconds_after_finished",
    }
    renamed = {"mask_scale_percent": "mask_scale"}
    ours = {renamed.get(name, name) for name in TaskSpec.model_fields if name not in elsewhere}
    assert ours == set(Options.__dataclass_fields__)


@pytest.mark.parametrize("field", ["face", "licensePlate"])
def test_boxed_classes_in_fractions(field: str) -> None:
    wish = {"thresholdPercent": 73, "kernelPercent": 120, "gradientStartPercent": 41, "gradientStopPercent": 7}
    (made,) = pipeline_options(spec(classes={field: wish})).classes.values()
    assert made == ClassOptions(threshold=0.73, kernel=1.2, gradient_start=0.41, gradient_stop=0.07)


@pytest.mark.parametrize(("field", "name"), [("person", ObjectClass.PERSON), ("vehicle", ObjectClass.VEHICLE)])
def test_shaped_classes_in_pixels(field: str, name: ObjectClass) -> None:
    made = pipeline_options(spec(classes={field: {"thresholdPercent": 0, "kernelPixels": 5}}))
    assert made.classes == {name: ClassOptions(threshold=0.0, kernel=5)}


@given(st.sets(st.sampled_from(sorted(ALL)), min_size=1), st.integers(0, 100))
def test_exactly_the_requested_classes(wanted: set[str], threshold: int) -> None:
    made = pipeline_options(spec(classes={name: {"thresholdPercent": threshold} for name in wanted}))
    assert {str(name) for name in made.classes} == {name.replace("licensePlate", "license-plate") for name in wanted}
    assert set(made.thresholds.values()) == {threshold / 100}


@pytest.mark.parametrize(
    ("update", "field"),
    [
        ({"mask_scale_percent": 0}, "mask-scale"),
        ({"quality": 101}, "quality"),
        ({"compress_level": -1}, "compress-level"),
    ],
)
def test_a_spec_from_a_newer_schema_is_refused_by_name(update: dict[str, object], field: str) -> None:
    with pytest.raises(OptionError) as caught:
        pipeline_options(spec().model_copy(update=update))
    assert caught.value.field == field
