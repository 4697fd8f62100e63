"""One network in several forms: stored as float16, as an ONNX graph or a torch program, and which of them is run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from support import outlinenet, streetnet
from velum_pipeline.detect import ModelInvalid, Runtime
from velum_pipeline.detect.arrays import host_floats
from velum_pipeline.detect.graph import freed
from velum_pipeline.detect.networks import open_session
from velum_pipeline.detect.networkspec import NetworkSpec
from velum_pipeline.detect.session import Session
from velum_pipeline.detect.torchsession import TorchSession, cuda_ready
from velum_pipeline.options import ClassOptions, Method, ObjectClass, Options
from velum_pipeline.packs import PackRegistry, WeightsMissing

CPU, GPU = Runtime(threads=1), Runtime(threads=1, provider="cuda")
WANTED = Options(Method.DETECT, {name: ClassOptions.default(name) for name in ObjectClass})


def spec(**changes: object) -> NetworkSpec:
    return NetworkSpec.model_validate({"name": "net", "file": "net.onnx", "licence": "none"} | changes)


@pytest.mark.parametrize(
    ("provider", "cuda", "torch_file", "chosen"),
    [
        ("cuda", True, "net.pt2", "net.pt2"),
        ("cuda", False, "net.pt2", "net.onnx"),
        ("cpu", True, "net.pt2", "net.onnx"),
        ("cuda", True, None, "net.onnx"),
    ],
)
def test_which_form_suits(provider: str, cuda: bool, torch_file: str | None, chosen: str) -> None:
    one = spec(torch=torch_file)
    suited = one.suited(provider, lambda: cuda)
    assert suited.file == chosen
    assert suited.format == chosen.rpartition(".")[2]
    assert one.file == "net.onnx"


def test_torch_is_asked_only_where_it_counts() -> None:
    def asked() -> bool:
        raise AssertionError

    spec(torch="net.pt2").suited("cpu", asked)
    spec().suited("cuda", asked)


def test_a_torch_program_has_no_twin() -> None:
    with pytest.raises(ValueError, match=r"net\.pt2 is a torch program itself"):
        spec(file="net.pt2", torch="other.pt2")
    with pytest.raises(ValueError, match="torch"):
        spec(torch="net.pth")


@pytest.fixture(scope="module")
def twins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pack whose both networks have a torch program beside them."""
    folder = tmp_path_factory.mktemp("packs") / "twins"
    programs = {"street": streetnet.torch_program(), "outline": outlinenet.torch_program()}
    return streetnet.write_pack(folder, outline=outlinenet.onnx_model(), torch_files=programs)


def test_a_cpu_runs_the_graphs(twins: Path) -> None:
    detector = PackRegistry([twins], cuda=lambda: True).load(["twins"], CPU)
    assert type(detector.components[0]._session) is Session
    assert type(detector._outliners[ObjectClass.PERSON]._session) is Session


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
def test_a_gpu_that_torch_has_runs_the_programs(twins: Path) -> None:
    """Without a GPU the choice shows in who complains about that."""
    with pytest.raises(ModelInvalid, match="street: torch finds no CUDA device"):
        PackRegistry([twins], cuda=lambda: True).load(["twins"], GPU)


@pytest.mark.skipif("CUDAExecutionProvider" in ort.get_available_providers(), reason="this ONNX Runtime has CUDA")
def test_a_gpu_that_torch_has_not_runs_the_graphs(twins: Path) -> None:
    with pytest.raises(ModelInvalid, match="street: provider cuda is not available"):
        PackRegistry([twins], cuda=lambda: False).load(["twins"], GPU)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no CUDA")
def test_a_gpu_sees_what_a_cpu_sees(twins: Path) -> None:
    pixels = scene()
    one, other = (PackRegistry([twins]).load(["twins"], runtime).detect([pixels], WANTED)[0] for runtime in (CPU, GPU))
    np.testing.assert_array_equal(one.classes, other.classes)
    np.testing.assert_allclose(one.boxes, other.boxes, atol=1e-2)


def test_both_forms_have_to_be_there(twins: Path, tmp_path: Path) -> None:
    copied = tmp_path / "twins"
    copied.mkdir()
    for path in twins.iterdir():
        (copied / path.name).write_bytes(path.read_bytes())
    (copied / "street.pt2").unlink()
    (status,) = (one for one in PackRegistry([copied]).available() if one.manifest.name == "twins")
    assert [problem.file for problem in status.problems if isinstance(problem, WeightsMissing)] == ["street.pt2"]


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
def test_torch_without_a_gpu_is_no_gpu() -> None:
    assert not cuda_ready()


def scene() -> np.ndarray:
    pixels = np.zeros((192, 320, 3), np.uint8)
    streetnet.draw(pixels, streetnet.PERSON, 10, 10, 96, 44)
    streetnet.draw(pixels, streetnet.VEHICLE, 26, 12, 100, 44)
    streetnet.draw_part(pixels, streetnet.FACE, 5, 5, 16)
    streetnet.draw_part(pixels, streetnet.PLATE, 50, 40, 40)
    return pixels


@pytest.mark.parametrize("size", [(32, 32), (64, 64), (32, 256), (96, 160), (448, 640)])
def test_both_forms_answer_alike(size: tuple[int, int]) -> None:
    """At sides that the coarsest stride does not divide as well."""
    pictures = np.random.default_rng(5).uniform(0, 255, (3, 3, *size)).astype(np.float32)
    graph = Session("net", streetnet.onnx_model(), CPU, free_batch=True, free_size=True).run(pictures)
    program = TorchSession("net", streetnet.torch_program(), CPU, free_batch=True, free_size=True).run(pictures)
    for one, other in zip(graph.values(), program.values(), strict=True):
        np.testing.assert_allclose(one, host_floats(other), atol=1e-3)


def test_a_program_alone_finds_what_the_graph_finds(twins: Path) -> None:
    registry = PackRegistry([twins])
    component = registry.get("twins").components[0].suited("cuda", lambda: True)
    program = open_session(component, (twins / "street.pt2").read_bytes(), CPU)
    graph = registry.load(["twins"], CPU)
    one = graph.detect([scene()], WANTED)[0]
    graph.components[0]._session = program
    other = graph.detect([scene()], WANTED)[0]
    assert list(one.classes) == list(ObjectClass)
    np.testing.assert_array_equal(one.classes, other.classes)
    np.testing.assert_allclose(one.boxes, other.boxes, atol=1e-3)
    np.testing.assert_allclose(one.corners, other.corners, atol=1e-3)


class Deep(torch.nn.Module):
    """Convolutions enough for their cost to show, with a shuffle of channels whose sizes the exporter bakes in."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = torch.nn.ModuleList(torch.nn.Conv2d(48, 48, 3, padding=1) for _ in range(6))
        self.stem = torch.nn.Conv2d(3, 48, 3, padding=1, stride=2)

    def forward(self, picture: torch.Tensor) -> torch.Tensor:
        cells = self.stem(picture / 255)
        for layer in self.layers:
            cells = layer(cells).relu()
            batch, channels, height, width = cells.shape
            cells = cells.reshape(batch, 2, channels // 2, height, width).transpose(1, 2).flatten(1, 2)
        return cells


@pytest.fixture(scope="module")
def deep() -> tuple[bytes, bytes]:
    """The network with float32 weights, all of which float16 can hold, and with weights stored as float16."""
    network = Deep().eval()
    with torch.no_grad():
        for weight in network.parameters():
            weight.copy_(weight.half().float())
    full = streetnet.onnx_model(network, names=("cells",))
    return full, streetnet.stored_as_half(full)


def test_weights_stored_as_half_are_half_as_large_and_compute_the_same(deep: tuple[bytes, bytes]) -> None:
    full, half = deep
    assert len(half) < 0.55 * len(full)
    pictures = np.random.default_rng(6).uniform(0, 255, (2, 3, 96, 64)).astype(np.float32)
    one, other = (Session("deep", m, CPU, free_batch=True, free_size=True).run(pictures)["cells"] for m in deep)
    assert one.dtype == np.float32
    np.testing.assert_allclose(one, other, atol=1e-5)


def test_stored_casts_are_folded_when_the_graph_is_loaded(deep: tuple[bytes, bytes], tmp_path: Path) -> None:
    """What ONNX Runtime runs has no Cast left: a graph stored in half runs as fast as one stored in full."""
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.optimized_model_filepath = str(tmp_path / "run.onnx")
    ort.InferenceSession(freed(deep[1], batch=True, size=True), options, providers=["CPUExecutionProvider"])
    kinds = {node.op_type for node in onnx.load(tmp_path / "run.onnx").graph.node}
    assert any("Conv" in kind for kind in kinds)
    assert "Cast" not in kinds


def test_a_bias_stored_as_half_keeps_its_shape() -> None:
    """Freeing the batch must not take the first axis of a reshaped weight for one."""
    weights = {"bias": np.arange(3, dtype=np.float32), "shape": np.array([1, 3, 1, 1], np.int64)}
    graph = helper.make_graph(
        [
            helper.make_node("Reshape", ["bias", "shape"], ["shift"]),
            helper.make_node("Add", ["input", "shift"], ["out"]),
        ],
        "bias",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, 8, 8])],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, [1, 3, 8, 8])],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    half = streetnet.stored_as_half(model.SerializeToString())
    answer = Session("bias", half, CPU, free_batch=True, free_size=True).run(np.zeros((2, 3, 4, 4), np.float32))
    np.testing.assert_array_equal(answer["out"][:, :, 0, 0], [[0, 1, 2]] * 2)


def test_a_partial_answer_is_passed_on_where_it_is_of_use() -> None:
    crops = np.zeros((2, 3, 64, 64), np.float32)
    crops[1, 1, 5, 5] = outlinenet.POISON
    model, program = outlinenet.onnx_model(), outlinenet.torch_program()
    for session, data in ((Session, model), (TorchSession, program)):
        answer = session("net", data, CPU, free_batch=True, free_size=False, partial=True).run(crops)
        (masks,) = map(host_floats, answer.values())
        assert np.isfinite(masks[0]).all()
        assert np.isnan(masks[1]).all()
