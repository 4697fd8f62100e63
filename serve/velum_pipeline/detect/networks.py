"""From weights to a session: ONNX Runtime or torch, whichever the file is for."""

from __future__ import annotations

from velum_pipeline.detect.networkspec import NetworkSpec
from velum_pipeline.detect.session import Network, Runtime, Session
from velum_pipeline.detect.torchsession import TorchSession


def open_session(spec: NetworkSpec, model: bytes, runtime: Runtime) -> Network:
    """The session that a network needs for the weights of its ``file``. Raises ModelInvalid."""
    session = TorchSession if spec.format == "pt2" else Session
    return session(spec.name, model, runtime, free_batch=spec.batch, free_size=spec.resizes, partial=spec.partial)
