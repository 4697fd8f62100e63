"""Where compiled loops come from in an image: from what was compiled when it was built, under a root that is read only.

numba keeps what it compiles in a folder only if it may write there. So each function's files are copied from the
image's folder (``NUMBA_CACHE_DIR``) into the user's cache, once, and numba goes on as it would: it loads them, and
keeps beside them what it compiles itself. Where the user's cache cannot be written either, every process compiles for
itself.

In force where ``NUMBA_CACHE_LOCATOR_CLASSES`` names the class, as serve/Dockerfile does. What was compiled is found
again only for the same processor: ``NUMBA_CPU_NAME`` and ``NUMBA_CPU_FEATURES`` say the same when the image is built
and when it runs.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from numba import config
from numba.core.caching import UserWideCacheLocator

INDEX = ".nbi"
"""Suffix of the file that says which others hold what; it is copied last, so that it never names what is not there."""


class BakedCacheLocator(UserWideCacheLocator):  # type: ignore[misc]  # numba has no types
    """The user's cache, which begins with what the image brought."""

    def __init__(self, function: Callable[..., Any], file: str) -> None:
        """function: one to be compiled; file: its module's."""
        super().__init__(function, file)
        self._name = f"{function.__qualname__}-{self._lineno}."
        self._baked = Path(config.CACHE_DIR) / self.get_suitable_cache_subpath(file) if config.CACHE_DIR else None

    def ensure_cache_path(self) -> None:
        """Make the folder and what the image has for this function in it. Raises OSError where it cannot be written."""
        super().ensure_cache_path()
        if self._baked is None or not self._baked.is_dir():
            return
        target = Path(self.get_cache_path())
        files = [each for each in self._baked.iterdir() if self._name in each.name]
        for file in sorted(files, key=lambda each: each.suffix == INDEX):
            if not (target / file.name).exists():
                _copy(file, target / file.name)


def _copy(source: Path, target: Path) -> None:
    """Copy a file; one that another process has made meanwhile stays, for numba may have added to it."""
    descriptor, made = tempfile.mkstemp(dir=target.parent)
    os.close(descriptor)
    try:
        shutil.copyfile(source, made)
        with contextlib.suppress(FileExistsError):
            os.link(made, target)
    finally:
        Path(made).unlink()
