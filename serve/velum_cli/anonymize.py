"""`velum anonymize`: pictures from the command line through the pipeline, without a server. `clips` does videos."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from velum.api.task import Classes, TaskSpec
from velum.errors import InvalidInput
from velum.settings import Settings
from velum_cli.results import Done, is_video
from velum_ingress.parameters.structured import FORMAT
from velum_pipeline.detect.detector import Detector
from velum_pipeline.errors import PipelineError
from velum_pipeline.options import Gps, Limits, Method
from velum_pipeline.pipeline import anonymize as run
from velum_serve.options import pipeline_options

Worker = Callable[[Path, Path], Done]


def spec_of(
    classes: Sequence[str], method: str, *, gps: str = "keep", lossless: bool = False, cut: str = "auto"
) -> TaskSpec:
    """Return the spec for these classes with the contract's defaults.

    cut: how pictures are cut for detection, in the words of the contract's ``format``. ``auto``, which misses least, is
    the default here: nobody waits on a socket for these pictures.

    Raises:
        InvalidInput: no such method, or one that makes no picture; gps is neither keep nor strip; no such cut.
    """
    methods = [each.value for each in Method if each is not Method.DETECT]
    if method not in methods:
        raise InvalidInput("--method", f"{method!r} is none of {', '.join(methods)}")
    if gps not in list(Gps):
        raise InvalidInput("--gps", f"{gps!r} is none of {', '.join(Gps)}")
    wanted = Classes.model_validate({name.replace("-", "_"): {} for name in classes})
    tiling = FORMAT("--format", cut)
    wish = {"classes": wanted, "method": method, "gps": gps, "lossless": lossless, "tiling": tiling}
    return TaskSpec.model_validate({"source": {"object": {"key": "file"}}, **wish})


def worker(settings: Settings, detector: Detector, spec: TaskSpec, every: int, *, videos: bool) -> Worker:
    """Return what anonymizes one file into another. videos: whether there are any; PyAV is not loaded for none.

    Raises:
        UnsupportedEncoder: this machine cannot write videos as the settings say, and there are some.
    """
    pictures = partial(anonymize_picture, detector=detector, spec=spec, limits=Limits(settings.limit.pixels))
    if not videos:
        return pictures
    from velum_cli import clips  # noqa: PLC0415

    way = clips.way(settings.video, detector, spec, every)

    def either(source: Path, target: Path) -> Done:
        return clips.anonymize_clip(source, target, way) if is_video(source) else pictures(source, target)

    return either


def anonymize_picture(source: Path, target: Path, *, detector: Detector, spec: TaskSpec, limits: Limits) -> Done:
    """Anonymize one picture into a file; its folder is made where there is none."""
    try:
        product = run(source.read_bytes(), source.name, detector.detect, pipeline_options(spec), limits)
    except OSError as error:
        return Done(source, None, {}, f"{error.strerror}")
    except PipelineError as error:
        return Done(source, None, {}, str(error))
    if product.picture is None:
        return Done(source, None, product.counts)
    try:
        _write(target, product.picture)
    except OSError as error:
        return Done(source, None, {}, f"its result cannot be written to {target}: {error.strerror}")
    return Done(source, target, product.counts)


def _write(target: Path, data: bytes) -> None:
    """Write a file whole or not at all."""
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(f".{target.name}.partial")
    try:
        unfinished.write_bytes(data)
        unfinished.replace(target)
    finally:
        unfinished.unlink(missing_ok=True)
