"""Compiled loops: there for whoever redacts, kept where that can be, and never needed by the ingress."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import velum_pipeline

PACKAGE = Path(velum_pipeline.__file__).parent
REDACT = """
import numpy as np
from velum_pipeline import pipeline
from velum_pipeline.redact import cells, floor
from velum_pipeline.regions import shapes
pipeline.warm_up()
kernels = [cells.averaged, cells.paint, floor._tint, shapes._box, shapes._quad]
print(*(len(kernel.signatures) for kernel in kernels))
"""
"""Prints how many forms of each loop there are."""


def python(code: str, **environment: str) -> str:
    """What the code prints, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what one process has compiled."""
    folder = tmp_path_factory.mktemp("kept")
    assert python(REDACT, NUMBA_CACHE_DIR=str(folder)).split() == ["1"] * 5
    return folder


def test_what_was_compiled_is_kept_for_the_next_process(kept: Path) -> None:
    files = {path: path.stat().st_mtime_ns for path in kept.rglob("*.nb*")}
    assert files
    loaded = REDACT + "print(sum(kernel.stats.cache_hits.total() for kernel in kernels))"
    assert python(loaded, NUMBA_CACHE_DIR=str(kept)).split() == ["1"] * 5 + ["5"]
    assert {path: path.stat().st_mtime_ns for path in kept.rglob("*.nb*")} == files


def test_it_works_where_nothing_can_be_written(tmp_path: Path) -> None:
    """As in a container with a read-only root and no home. A file in the folder's place stops root, too."""
    root = tmp_path / "velum_pipeline"
    shutil.copytree(PACKAGE, root, ignore=shutil.ignore_patterns("__pycache__"))
    for folder in [root, *(path for path in root.rglob("*") if path.is_dir())]:
        (folder / "__pycache__").touch()
    nowhere = os.devnull + "/none"
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n{REDACT}\nprint(pipeline.__file__)"
    places = {"NUMBA_CACHE_DIR": nowhere, "HOME": nowhere, "XDG_CACHE_HOME": nowhere, "PYTHONDONTWRITEBYTECODE": "1"}
    assert python(code, **places).split() == ["1"] * 5 + [str(root / "pipeline.py")]
    assert not list(tmp_path.rglob("*.nb*"))


def test_after_the_warm_up_the_first_picture_compiles_nothing(kept: Path) -> None:
    """Whatever a request can ask of an 8-bit picture in colour, segments and hints that are not numbers of one kind."""
    code = (
        REDACT
        + """
from velum_pipeline.detections import Detections, Mask, as_classes
from velum_pipeline.media import Layout, Picture
from velum_pipeline.media.kinds import PNG
from velum_pipeline.options import ClassOptions, Ignore, Method, ObjectClass, Options
from velum_pipeline import redact, regions
for method in (Method.BLUR, Method.PIXELATE, Method.BLACKEN):
    for bbox in (False, True):
        options = Options(method, {name: ClassOptions(0, 3, 1, 0) for name in ObjectClass}, bbox=bbox,
                          ignores=(Ignore(5, 5, 3, 3),))
        picture = Picture(PNG, np.full((50, 70, 3), 9, np.uint8), Layout.BGR)
        mask = Mask(10, 10, np.ones((30, 20), bool))
        boxes = np.array([[10, 10, 30, 40]] * 4)
        found = Detections(boxes, np.ones(4), as_classes(list(ObjectClass)), masks=(None, None, mask, None))
        areas = [area for area in regions.build(found, options, 70, 50) if area]
        assert len(areas) == 4
        redact.apply(picture, areas, method)
print(*(len(kernel.signatures) for kernel in kernels))
"""
    )
    assert python(code, NUMBA_CACHE_DIR=str(kept)).split() == ["1"] * 10


def test_the_ingress_needs_no_compiler() -> None:
    assert python("import sys, velum_ingress.app; print('numba' in sys.modules)").split() == ["False"]
