"""Looking through a torch program's file before torch reads it.

A .pt2 file is a zip archive of JSON and raw tensors, with three ways to run foreign code: parts that are pickled, a
graph that calls any function of torch by its name, and expressions for sizes, which Python evaluates. A network that
was exported with ``torch.export.save`` needs none of them, so a file that uses one is refused. That is a lock on known
doors, not a sandbox: the manifest's sha256 says which file is trusted, and somebody has to have had a reason for it.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

from velum_pipeline.detect.errors import ModelInvalid

OPERATORS = re.compile(
    r"torch\.ops\.(aten|prims|higher_order|torchvision)\.[\w.]+|_operator\.\w+|math\.\w+|torch\.sym_\w+"
)
"""What a graph may call: arithmetic on tensors and sizes. ``torch.hub.load`` would be called just the same."""
SIZES = re.compile(r"(?:Symbol\('\w++'(?:, \w++=(?:True|False))*+\)|[a-z]++\d++|[A-Z]\w*+|\d++|[\s+\-*/%(),<>=])*+")
"""Expressions of symbols (s77), torch's and sympy's own functions (Min, Integer) and numbers. No name of a Python
built-in fits, nor a string but a symbol's name."""
MAX_JSON = 1 << 28
"""Bytes of one JSON part; the largest real graphs take a few MiB."""


def inspect(name: str, model: bytes) -> None:
    """Raise ModelInvalid unless the file is a torch program without pickled objects, foreign calls and odd expressions.

    torch always pickles a program's sample inputs, and older versions its weights. It reads them the safe way, which
    knows tensors and plain values alone, but goes on the unsafe way where that fails; so that is tried here.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(model)) as archive:
            problems = [problem for member in archive.infolist() for problem in _problems(archive, member)]
    except (zipfile.BadZipFile, ValueError, KeyError, EOFError, NotImplementedError) as error:
        raise ModelInvalid(f"{name}: not a torch program: {error}") from error
    if problems:
        raise ModelInvalid(f"{name}: the torch program is refused: {problems[0]}")


def _problems(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Iterator[str]:
    path = PurePosixPath(member.filename)
    if path.suffix == ".json":
        if member.file_size > MAX_JSON:
            yield f"{path} is larger than {MAX_JSON} bytes"
            return
        for key, value in _entries(json.loads(archive.read(member))):
            if problem := _problem(key, value):
                yield f"{path}: {problem}"
    elif path.suffix == ".pt" and not _plain(archive.read(member)):
        yield f"{path} holds pickled objects"


def _entries(value: Any) -> Iterator[tuple[str, Any]]:
    """Every key of a JSON document, at any depth, with its value."""
    waiting = [value]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            yield from value.items()
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value


def _problem(key: str, value: Any) -> str | None:
    if key == "use_pickle" and value is not False:
        return "a part is pickled"
    if key == "path_name" and str(value).startswith(("custom_obj", "opaque_obj")):
        return f"{value} is an object of Python or C++"
    if key == "target" and not OPERATORS.fullmatch(str(value)):
        return f"the graph calls {value}"
    if key == "expr_str" and not SIZES.fullmatch(str(value)):
        return f"a size is {str(value)[:80]!r}"
    return None


def _plain(pickled: bytes) -> bool:
    import torch  # noqa: PLC0415 -- only reached with a program for torch at hand

    try:
        torch.load(io.BytesIO(pickled), weights_only=True)
    except Exception:  # whatever it was, it is not plain
        return False
    return True
