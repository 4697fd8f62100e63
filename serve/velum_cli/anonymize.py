"""`velum anonymize`: pictures from the command line through the pipeline, without a server."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from velum.api.task import Classes, TaskSpec
from velum.errors import InvalidInput
from velum_ingress.parameters.structured import FORMAT
from velum_pipeline.detect.detector import Detector
from velum_pipeline.errors import PipelineError
from velum_pipeline.options import Gps, Limits, Method
from velum_pipeline.pipeline import anonymize as run
from velum_serve.options import pipeline_options


@dataclass(frozen=True)
class Done:
    """One picture: where its result is, or why there is none."""

    source: Path
    target: Path | None
    found: dict[str, int]
    error: str = ""


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


def require_names(pictures: Sequence[Path]) -> None:
    """Raise InvalidInput when two pictures have one name: the second result would replace the first."""
    names = Counter(picture.name for picture in pictures)
    twice = [name for name, count in names.items() if count > 1]
    if twice:
        raise InvalidInput(twice[0], "is the name of two pictures; anonymize them into different folders")


def anonymize_file(source: Path, folder: Path, detector: Detector, spec: TaskSpec, limits: Limits) -> Done:
    """Anonymize one picture into a folder under its own name. Never overwrites the source.

    Raises:
        InvalidInput: the result would overwrite the source.
    """
    target = folder / source.name
    if target.resolve() == source.resolve():
        raise InvalidInput("--output", f"{target} is the picture itself; name another folder")
    try:
        product = run(source.read_bytes(), source.name, detector.detect, pipeline_options(spec), limits)
    except OSError as error:
        return Done(source, None, {}, f"{error.strerror}")
    except PipelineError as error:
        return Done(source, None, {}, str(error))
    if product.picture is None:
        return Done(source, None, product.counts)
    folder.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.partial")
    partial.write_bytes(product.picture)
    partial.replace(target)
    return Done(source, target, product.counts)
