"""Looking through a torch program's file before torch reads it.

A .pt2 file is a zip archive of JSON and raw tensors, and loading it can run foreign code: parts may be pickled; a graph
calls functions of torch by their names; expressions for sizes go through sympy's parser, which evaluates them; guards
are Python, which is executed; and names end up in the code that torch writes for the graph. A network needs calls of
operators, arithmetic on sizes and plain names, so a file that holds anything else is refused. That is a lock on known
doors, not a sandbox: the manifest's sha256 says which file is trusted, and somebody has to have had a reason for it.
"""

from __future__ import annotations

import ast
import io
import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

from velum_pipeline.detect.errors import ModelInvalid

CALLS = ("target", "as_operator")
"""Keys whose value is looked up in Python by its name."""
OPERATORS = re.compile(
    r"torch\.ops\.(?:aten\.(?!from_file)|prims\.|torchvision\.)[\w.]+"
    r"|torch\.ops\.higher_order\.(?:cond|wrap_with_set_grad_enabled)"
    r"|_operator\.(?:getitem|add|sub|mul|truediv|floordiv|mod|pow|neg|pos|abs|eq|ne|lt|le|gt|ge|and_|or_|not_|xor)"
    r"|math\.\w+|torch\.sym_\w+"
)
"""What a graph may call: arithmetic on tensors and sizes. ``torch.hub.load`` would be called just the same."""
EXPRESSIONS = ("expr_str", "guards_code")
"""Keys whose value is evaluated."""
SYNTAX = (ast.Expression, ast.Call, ast.Compare, ast.BoolOp, ast.BinOp, ast.UnaryOp, ast.Subscript, ast.Tuple)
LEAVES = (ast.operator, ast.unaryop, ast.boolop, ast.cmpop, ast.expr_context)
SYMBOLS = re.compile(r"L|torch|math|[a-z]+\d+|[A-Z]\w*")
"""Names in expressions: inputs (L), symbols (s77), functions of torch's and sympy's (Min, Integer); no built-in's."""
METHODS = re.compile(r"size|stride|storage_offset|sym_\w+|trunc|ceil|floor|isnan|inf")
"""What is asked of an input, or taken from torch and math."""
SETTINGS = frozenset({"positive", "integer", "nonnegative", "negative", "nonzero", "real"})
"""What sympy's printer says of symbols."""
TEXTS = frozenset({"metadata", "as_string", "as_strings", "in_spec", "out_spec", "treespec_namedtuple_fields"})
"""Keys whose value is only ever quoted, split or read as JSON."""
NAMES = re.compile(r"[\w.:+-]*")
MAX_JSON = 1 << 28
"""Bytes of one JSON part; the largest real graphs take a few MiB."""


def inspect(name: str, model: bytes) -> None:
    """Raise ModelInvalid unless the file is a torch program of operators, sizes and plain names, without objects.

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
        for key, value in _values("", json.loads(archive.read(member))):
            if problem := _problem(key, value):
                yield f"{path}: {problem}"
    elif path.suffix == ".pt" and not _plain(archive.read(member)):
        yield f"{path} holds pickled objects"


def _values(key: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Every plain value of a JSON document with the key that it stands under, directly or in a list; no TEXTS."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if name not in TEXTS:
                yield from _values(name, inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _values(key, inner)
    else:
        yield key, value


def _problem(key: str, value: Any) -> str | None:
    if key == "use_pickle" and value is not False:
        return "a part is pickled"
    if not isinstance(value, str):
        return None
    if key == "path_name" and value.startswith(("custom_obj", "opaque_obj")):
        return f"{value} is an object of Python or C++"
    if key in CALLS and not OPERATORS.fullmatch(value):
        return f"the graph calls {value[:80]}"
    if key in EXPRESSIONS and not is_arithmetic(value):
        return f"an expression is {value[:80]!r}"
    if key not in EXPRESSIONS and not NAMES.fullmatch(value):
        return f"{key} is {value[:80]!r}"
    return None


def is_arithmetic(code: str) -> bool:
    """Whether an expression only compares and calculates with sizes."""
    try:
        return all(_harmless(node) for node in ast.walk(ast.parse(code.strip(), mode="eval")))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False


def _harmless(node: ast.AST) -> bool:
    if isinstance(node, ast.Constant):
        return not isinstance(node.value, str) or node.value.isidentifier()
    if isinstance(node, ast.Name):
        return SYMBOLS.fullmatch(node.id) is not None
    if isinstance(node, ast.Attribute):
        return METHODS.fullmatch(node.attr) is not None
    if isinstance(node, ast.keyword):
        return node.arg in SETTINGS
    return isinstance(node, SYNTAX + LEAVES)


def _plain(pickled: bytes) -> bool:
    if not pickled:  # what torch writes for a program without sample inputs
        return True
    import torch  # noqa: PLC0415 -- only reached with a program for torch at hand

    try:
        torch.load(io.BytesIO(pickled), weights_only=True)
    except Exception:  # whatever it was, it is not plain
        return False
    return True
