"""Loops over pixels as machine code.

A region is a few ten thousand samples: numpy and OpenCV pass over them some twenty times, each pass by a call that
costs as much as its work. One compiled loop passes once.

A function marked ``compiled`` is compiled by numba at its first call, for the types of that call, without the GIL.
What was compiled is kept beside the module, or in the user's cache, so that the next process only loads it; where
neither can be written, every process compiles for itself. What is kept is thrown away when its own module changes, not
when another does: so compiled functions call, and take constants from, their own module only.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

from numba import njit

Function = TypeVar("Function", bound=Callable[..., Any])
HOW: dict[str, Any] = {"nogil": True, "error_model": "numpy", "no_cfunc_wrapper": True}


def compiled(function: Function) -> Function:
    """The function, compiled when first called with arguments of these types. Divides as numpy does: by 0 to infinity.

    That, because a check before each division would keep loops from working on many pixels at once.
    """
    try:
        return cast(Function, njit(cache=True, **HOW)(function))
    except RuntimeError:  # numba found no folder that it may write into
        return cast(Function, njit(**HOW)(function))


def inner(function: Function) -> Function:
    """The same for what only compiled functions of its module call: no door to Python, a fifth less to compile."""
    return cast(Function, njit(no_cpython_wrapper=True, **HOW)(function))
