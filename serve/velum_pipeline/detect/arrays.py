"""Arrays of two kinds, numpy's and torch's, under one name and one spelling (the Python array API standard).

A network in torch leaves its outputs where it ran. Decoders written against ``namespace`` work on either, so that only
what survives their thresholds crosses from the device. Without torch nothing here imports it.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import array_api_compat
import numpy as np
from numpy.typing import NDArray

from velum_pipeline.detections import Floats

Array: TypeAlias = Any
"""A numpy array or a torch tensor; there is no common base to name."""


def namespace(array: Array) -> Any:
    """The functions of the array API for this kind of array."""
    return array_api_compat.array_namespace(array)


def host(array: Array) -> NDArray[Any]:
    """The array in this process's memory; a numpy array as it is."""
    return np.asarray(array_api_compat.to_device(array, "cpu"))


def host_floats(array: Array) -> Floats:
    """As ``host``, in float32."""
    return np.asarray(host(array), np.float32)
