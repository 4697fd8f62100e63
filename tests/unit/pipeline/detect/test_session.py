"""Sessions over networks made here: freeing of sizes, broken outputs, absent providers."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from velum_pipeline.detect.errors import DetectionFailed, ModelInvalid
from velum_pipeline.detect.graph import freed
from velum_pipeline.detect.session import Runtime, Session

CPU = Runtime(threads=1)
Constant = Callable[..., bytes]


def shuffle_model(ir_version: int = 3) -> bytes:
    """Conv to 6 channels, a shuffle of 2 groups with sizes baked in, and a flattening Reshape; IR 3 style inputs."""
    weights = np.random.default_rng(0).normal(size=(6, 3, 1, 1)).astype(np.float32)
    initializers = {
        "w": weights,
        "five": np.array([1, 2, 3, 8, 8], np.int64),
        "four": np.array([1, 6, 8, 8], np.int64),
        "flat": np.array([1, 6, -1], np.int64),
    }
    inputs = [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, 8, 8])]
    inputs += [
        helper.make_tensor_value_info(n, TensorProto.FLOAT if n == "w" else TensorProto.INT64, v.shape)
        for n, v in initializers.items()
    ]
    nodes = [
        helper.make_node("Conv", ["input", "w"], ["a"]),
        helper.make_node("Reshape", ["a", "five"], ["b"]),
        helper.make_node("Transpose", ["b"], ["c"], perm=[0, 2, 1, 3, 4]),
        helper.make_node("Reshape", ["c", "four"], ["d"]),
        helper.make_node("Relu", ["d"], ["e"]),
        helper.make_node("Reshape", ["e", "flat"], ["out"]),
    ]
    graph = helper.make_graph(
        nodes,
        "shuffle",
        inputs,
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, [1, 6, 64])],
        [numpy_helper.from_array(value, name) for name, value in initializers.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=ir_version)
    return bytes(model.SerializeToString())


def run_as_exported(model: bytes, batch: np.ndarray) -> list[np.ndarray]:
    options = ort.SessionOptions()
    options.log_severity_level = 4
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return list(session.run(None, {"input": batch}))


def test_a_freed_graph_computes_the_same() -> None:
    model = shuffle_model()
    pictures = np.random.default_rng(1).normal(size=(3, 3, 8, 8)).astype(np.float32)
    expected = [run_as_exported(model, picture[None])[0][0] for picture in pictures]
    session = Session("shuffle", model, CPU, free_batch=True, free_size=True)
    np.testing.assert_allclose(session.run(pictures)["out"], expected, atol=1e-6)


def test_a_freed_graph_takes_other_sizes() -> None:
    """Pixel by pixel networks: a larger picture holds the smaller one's answer."""
    session = Session("shuffle", shuffle_model(), CPU, free_batch=True, free_size=True)
    picture = np.random.default_rng(2).normal(size=(2, 3, 12, 20)).astype(np.float32)
    whole = session.run(picture)["out"].reshape(2, 6, 12, 20)
    part = session.run(np.ascontiguousarray(picture[:, :, 2:10, 5:13]))["out"].reshape(2, 6, 8, 8)
    np.testing.assert_allclose(whole[:, :, 2:10, 5:13], part, atol=1e-6)


def test_shuffles_are_gone_and_weights_are_no_inputs() -> None:
    graph = onnx.load_model_from_string(freed(shuffle_model(), batch=True, size=True)).graph
    assert [node.op_type for node in graph.node] == ["Conv", "Gather", "Relu", "Reshape"]
    assert [value.name for value in graph.input] == ["input"]


def test_an_unfreed_graph_keeps_its_size() -> None:
    session = Session("shuffle", shuffle_model(), CPU, free_batch=False, free_size=False)
    with pytest.raises(DetectionFailed, match="shuffle: the network did not run on"):
        session.run(np.zeros((1, 3, 16, 16), np.float32))


@pytest.mark.parametrize("model", [b"", b"not a model", b"\x00" * 100])
def test_no_model(model: bytes) -> None:
    with pytest.raises(ModelInvalid, match="junk"):
        Session("junk", model, CPU, free_batch=True, free_size=True)


def test_an_output_without_a_number_is_a_failure(constant: Constant) -> None:
    model = constant({"good": np.ones((1, 4)), "bad": np.full((1, 4), np.nan)})
    session = Session("broken", model, CPU, free_batch=False, free_size=False)
    with pytest.raises(DetectionFailed, match="broken: output bad"):
        session.run(np.zeros((1, 3, 64, 64), np.float32))


def test_some_bad_numbers_are_the_decoders_business(constant: Constant) -> None:
    values = np.array([[np.nan, np.inf, 1.0]], np.float32)
    session = Session("noisy", constant({"out": values}), CPU, free_batch=False, free_size=False)
    np.testing.assert_array_equal(session.run(np.zeros((1, 3, 64, 64), np.float32))["out"], values)


@pytest.mark.skipif("CUDAExecutionProvider" in ort.get_available_providers(), reason="this ONNX Runtime has CUDA")
def test_an_absent_provider_is_no_silent_cpu(constant: Constant) -> None:
    model = constant({"out": np.ones((1, 1))})
    with pytest.raises(ModelInvalid, match=r"cuda is not available.*velum\[gpu\]"):
        Session("gpu", model, Runtime(provider="cuda"), free_batch=False, free_size=False)


@pytest.mark.parametrize("values", [{"threads": -1}, {"batch_pixels": 0}])
def test_runtime_refuses_nonsense(values: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=next(iter(values))):
        Runtime(**values)  # type: ignore[arg-type]


def test_threads_share_a_session() -> None:
    session = Session("shuffle", shuffle_model(), CPU, free_batch=True, free_size=True)
    pictures = np.random.default_rng(3).normal(size=(16, 1, 3, 8, 8)).astype(np.float32)
    alone = [session.run(picture)["out"] for picture in pictures]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda picture: session.run(picture)["out"], pictures))
    np.testing.assert_array_equal(alone, together)
