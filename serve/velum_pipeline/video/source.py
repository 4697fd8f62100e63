"""Where a video's bytes come from."""

from __future__ import annotations

from collections.abc import Callable
from typing import BinaryIO

Opener = Callable[[], BinaryIO]
"""Each call gives a fresh, independent, seekable reader of the whole file. Whoever calls it closes what it gives."""
