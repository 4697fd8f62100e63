"""One torch program: weights in, named tensors out, on the device where they were made.

The file is what ``torch.export.save`` writes (.pt2): the network as a graph of operators, not as Python classes. torch
reads such files with pickle where they contain any, so ``archive`` looks through them first. Sizes that may vary are
those that varied at export (``dynamic_shapes``): unlike an ONNX graph, a program cannot be freed afterwards.

torch is imported when a pack needs it, and only then: a machine that runs ONNX packs never loads it.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

from velum_pipeline.detect.archive import inspect
from velum_pipeline.detect.decoders import Outputs
from velum_pipeline.detect.errors import DetectionFailed, ModelInvalid
from velum_pipeline.detect.session import Runtime
from velum_pipeline.detections import Floats

AXES = ("batch", "channels", "height", "width")


class TorchSession:
    """A network in torch. ``name`` appears in errors."""

    def __init__(
        self, name: str, model: bytes, runtime: Runtime, *, free_batch: bool, free_size: bool, partial: bool = False
    ) -> None:
        """``free_batch`` and ``free_size`` say which sizes must be free in the program; ``partial`` as for Session.

        Raises ModelInvalid when torch is not there, has no CUDA where that is asked for, or cannot use the program.
        """
        self.name = name
        self._partial = partial
        self.batches = free_batch
        self._torch = _torch(name)
        if runtime.provider == "cuda" and not self._torch.cuda.is_available():
            raise ModelInvalid(f"{name}: torch finds no CUDA device; use cpu")
        if runtime.threads:
            self._torch.set_num_threads(runtime.threads)  # torch has one setting for the whole process
        self._device = self._torch.device(runtime.provider)
        inspect(name, model)
        try:
            program = self._torch.export.load(io.BytesIO(model))
            free = _free_axes(program)
            self._outputs = tuple(str(output) for output in program.graph_signature.user_outputs)
            # Not Module.to: that moves weights, and leaves tensors that the graph makes where they were at export.
            self._module = self._torch.export.passes.move_to_device_pass(program, runtime.provider).module()
        except Exception as error:  # torch raises anything from a broken archive
            raise ModelInvalid(f"{name}: not a torch program that can be used: {error}") from error
        needed = ({"batch"} if free_batch else set()) | ({"height", "width"} if free_size else set())
        if missing := needed - free:
            raise ModelInvalid(
                f"{name}: the program was exported with fixed {', '.join(sorted(missing))}; export it with "
                f"dynamic_shapes, or say so in the manifest"
            )

    def run(self, batch: Floats) -> Outputs:
        """As Network.run: float32 tensors on the session's device, in the program's order."""
        torch = self._torch
        try:
            with torch.inference_mode():
                answer = self._module(torch.from_numpy(batch).to(self._device))
                if not isinstance(answer, Mapping):
                    tensors = [answer] if isinstance(answer, torch.Tensor) else list(answer)
                    answer = dict(zip(self._outputs, tensors, strict=True))
                outputs = {name: tensor.float() for name, tensor in answer.items()}
                judged = {} if self._partial else outputs
                broken = [name for name, tensor in judged.items() if _without_number(torch, tensor)]
        except Exception as error:  # as above
            raise DetectionFailed(f"{self.name}: the network did not run on {batch.shape}: {error}") from error
        if broken:
            raise DetectionFailed(f"{self.name}: output {broken[0]} holds no finite number")
        return outputs


def cuda_ready() -> bool:
    """Whether torch is there and has a CUDA device."""
    try:
        import torch  # noqa: PLC0415 -- as below
    except (ImportError, OSError):  # OSError: a build for libraries that this machine lacks
        return False
    return bool(torch.cuda.is_available())


def _torch(name: str) -> Any:
    try:
        import torch  # noqa: PLC0415 -- gigabytes, for packs that need it
        import torch.export.passes  # noqa: PLC0415
    except ImportError as error:
        raise ModelInvalid(f"{name}: its weights need torch; `pip install velum[torch]`") from error
    return torch


def _free_axes(program: Any) -> set[str]:
    """The names of the input's axes that may vary. Raises ValueError unless there is one input (batch, 3, h, w)."""
    inputs = program.graph_signature.user_inputs
    nodes = [node for node in program.graph.nodes if node.op == "placeholder" and node.name in inputs]
    shapes = [node.meta["val"].shape for node in nodes]
    if len(shapes) != 1 or len(shapes[0]) != len(AXES) or shapes[0][1] != 3:
        raise ValueError("it must have one input of shape (batch, 3, height, width)")
    return {axis for axis, length in zip(AXES, shapes[0], strict=True) if not isinstance(length, int)}


def _without_number(torch: Any, tensor: Any) -> bool:
    finite = torch.isfinite(tensor).reshape(len(tensor), -1)
    return bool(tensor.numel() and not finite.any(dim=1).all())
