"""One ONNX Runtime session: weights in, named output arrays out, and no surprises between.

A session is shared by all threads of a process (ONNX Runtime's ``run`` is thread-safe) and made once per weights file,
however many components read it. A provider that was asked for and is absent is an error: silently falling back to the
CPU would look like a slow GPU. An output without one finite number raises DetectionFailed, because "no face found" and
"the network broke" must not look the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal, Protocol

import numpy as np
import onnxruntime as ort

from velum_pipeline.detect.decoders import Outputs
from velum_pipeline.detect.errors import DetectionFailed, ModelInvalid
from velum_pipeline.detect.graph import freed
from velum_pipeline.detections import Floats

Provider = Literal["cpu", "cuda"]
PROVIDERS = MappingProxyType({"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"})
LOG_ERRORS_ONLY = 3
ELEMENT_TYPE = "tensor(float)"


@dataclass(frozen=True)
class Runtime:
    """Where and how wide networks run.

    ``threads`` per run, 0 for one per core. ``provider``: ``cpu`` or ``cuda``. ``batch_pixels``: the most input pixels
    in one run; small on a CPU, where a batch saves nothing and only takes memory, large on a GPU.
    """

    threads: int = 0
    provider: Provider = "cpu"
    batch_pixels: int = 1 << 20

    def __post_init__(self) -> None:
        if self.threads < 0:
            raise ValueError(f"threads must be 0 or more, got {self.threads}")
        if self.batch_pixels < 1:
            raise ValueError(f"batch_pixels must be positive, got {self.batch_pixels}")


class Network(Protocol):
    """A loaded network, whatever runs it. ``batches``: whether it takes several pictures at once."""

    batches: bool

    def run(self, batch: Floats) -> Outputs:
        """The outputs for (B, 3, H, W) float32, in the network's order.

        Raises DetectionFailed when it does not run, or, unless it is ``partial``, when an output holds no finite number
        for a picture.
        """


class Session:
    """A network in ONNX Runtime. ``name`` appears in errors."""

    def __init__(
        self, name: str, model: bytes, runtime: Runtime, *, free_batch: bool, free_size: bool, partial: bool = False
    ) -> None:
        """``partial``: whether answers without a number are passed on; the caller knows what to do without them.

        Raises ModelInvalid when the model does not load or the provider is not there.
        """
        self.name = name
        self._partial = partial
        self.batches = free_batch
        provider = PROVIDERS[runtime.provider]
        if provider not in ort.get_available_providers():
            raise ModelInvalid(f"{name}: provider {runtime.provider} is not available; install velum[gpu] or use cpu")
        try:
            graph = freed(model, batch=free_batch, size=free_size)
            self._session = ort.InferenceSession(graph, _session_options(runtime), providers=[provider])
        except Exception as error:  # ONNX Runtime's errors have no common base but Exception
            raise ModelInvalid(f"{name}: {error}") from error
        if provider not in self._session.get_providers():
            raise ModelInvalid(f"{name}: provider {runtime.provider} did not start; see ONNX Runtime's log")
        (self._input,) = self._session.get_inputs()
        if self._input.type != ELEMENT_TYPE:
            raise ModelInvalid(f"{name}: input {self._input.name} is {self._input.type}, expected {ELEMENT_TYPE}")
        self._outputs = tuple(output.name for output in self._session.get_outputs())

    def run(self, batch: Floats) -> Outputs:
        """As Network.run; the order is the graph's."""
        try:
            arrays: list[Any] = self._session.run(None, {self._input.name: batch})
        except Exception as error:  # as above
            raise DetectionFailed(f"{self.name}: the network did not run on {batch.shape}: {error}") from error
        outputs = {name: np.asarray(array, np.float32) for name, array in zip(self._outputs, arrays, strict=True)}
        for name, array in () if self._partial else outputs.items():
            finite = np.isfinite(array.reshape(len(array), -1))
            if array.size and not finite.any(axis=1).all():
                raise DetectionFailed(f"{self.name}: output {name} holds no finite number")
        return outputs


def _session_options(runtime: Runtime) -> Any:
    options = ort.SessionOptions()
    options.intra_op_num_threads = runtime.threads
    options.inter_op_num_threads = 1  # these graphs are chains: nothing to run beside each other
    options.log_severity_level = LOG_ERRORS_ONLY
    # Replicas share cores with decoding and encoding; a spinning pool takes them while it has nothing to do.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options
