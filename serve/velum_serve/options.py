"""From a task's spec to the pipeline's options: percent to fractions, and nothing decided here.

Defaults live in the spec's types (`velum.api.task`), bounds of what can be honoured in `velum_pipeline.options`. They
agree today; should a newer resource allow more than this pipeline can, its OptionError names the field.
"""

from velum.api.task import BoxedClass, Classes, ShapedClass, TaskSpec
from velum.api.task import Tiling as TilingSpec
from velum_pipeline.options import ClassOptions, Gps, Ignore, Method, ObjectClass, Options, SaveMask, Tiling


def pipeline_options(spec: TaskSpec) -> Options:
    """Return what the spec asks of the pipeline. Raises OptionError naming a field that cannot be honoured."""
    return Options(
        method=Method(spec.method),
        classes=_classes(spec.classes),
        bbox=spec.bbox,
        ignores=tuple(Ignore(each.left, each.top, each.width, each.height) for each in spec.ignores),
        tiling=_tiling(spec.tiling),
        debug=spec.debug,
        score=spec.score,
        quality=spec.quality,
        compress_level=spec.compress_level,
        lossless=spec.lossless,
        gps=Gps(spec.gps),
        save_mask=SaveMask(spec.save_mask),
        mask_scale=spec.mask_scale_percent,
        watermark=spec.watermark,
    )


def _classes(classes: Classes) -> dict[ObjectClass, ClassOptions]:
    boxed = {ObjectClass.FACE: classes.face, ObjectClass.LICENSE_PLATE: classes.license_plate}
    shaped = {ObjectClass.PERSON: classes.person, ObjectClass.VEHICLE: classes.vehicle}
    return {
        **{name: _boxed(each) for name, each in boxed.items() if each is not None},
        **{name: _shaped(each) for name, each in shaped.items() if each is not None},
    }


def _boxed(each: BoxedClass) -> ClassOptions:
    return ClassOptions(
        threshold=each.threshold_percent / 100,
        kernel=each.kernel_percent / 100,
        gradient_start=each.gradient_start_percent / 100,
        gradient_stop=each.gradient_stop_percent / 100,
    )


def _shaped(each: ShapedClass) -> ClassOptions:
    return ClassOptions(threshold=each.threshold_percent / 100, kernel=each.kernel_pixels)


def _tiling(tiling: TilingSpec) -> Tiling:
    return Tiling(
        mode=tiling.mode,
        pano_width=tiling.pano_width,
        columns=tiling.columns,
        rows=tiling.rows,
        overlap_x=tiling.overlap_x,
        overlap_y=tiling.overlap_y,
    )
