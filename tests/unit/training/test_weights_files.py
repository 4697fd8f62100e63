"""What export writes is what was trained, in half the bytes, and the manifest says what was written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from training.errors import WeightsInvalid
from training.weights.export_step import outline_form, write
from training.weights.files import Form, check_alike, fused, write_onnx, write_program
from training.weights.halves import LEAST, halved_graph
from velum_pipeline.detect.session import Runtime, Session
from velum_pipeline.detect.torchsession import TorchSession


class Small(nn.Module):
    """One output of one size, as of an outline network."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.Conv2d(16, 1, 1))

    def forward(self, crops: torch.Tensor) -> torch.Tensor:
        return self.layers(crops / 255)[:, 0]  # type: ignore[no-any-return]


def test_a_network_of_one_size_takes_any_batch(tmp_path: Path) -> None:
    network = Small().eval()
    graph, program = write(network, "small", outline_form(32), torch.rand(1, 3, 32, 32), tmp_path)
    pixels = np.random.default_rng(0).random((5, 3, 32, 32)).astype(np.float32)
    for kind, path in ((Session, graph), (TorchSession, program)):
        said = kind("small", path.read_bytes(), Runtime(threads=1), free_batch=True, free_size=False).run(pixels)
        with torch.no_grad():
            np.testing.assert_allclose(np.asarray(said["masks"]), network(torch.from_numpy(pixels)), atol=1e-3)


class Boxes(nn.Module):
    """Scores and corners of boxes, as of a detector: of columns whose sizes differ by three powers of ten."""

    def __init__(self, first: float) -> None:
        super().__init__()
        self.register_buffer("scales", torch.tensor([first, 0.5, 10.0, 10.0, 2000.0, 2000.0]))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return image.mean((1, 2, 3))[:, None, None] / 255 * self.scales


BOXES = Form("image", ("objects",), torch.rand(2, 3, 32, 64) * 255, {0: ("batch", 1, 64, 1)})


@pytest.mark.parametrize("first", [0.52, float("nan")])
def test_a_score_counts_as_a_score_beside_boxes_of_thousands_of_pixels(tmp_path: Path, first: float) -> None:
    write_onnx(Boxes(0.5), BOXES, tmp_path / "boxes.onnx")
    write_program(Boxes(first), BOXES, tmp_path / "boxes.pt2")
    with pytest.raises(WeightsInvalid, match=r"boxes\.pt2: its objects"):
        check_alike(tmp_path / "boxes.onnx", tmp_path / "boxes.pt2", torch.full((1, 3, 32, 64), 255.0))
    write_program(Boxes(0.5005), BOXES, tmp_path / "boxes.pt2")
    check_alike(tmp_path / "boxes.onnx", tmp_path / "boxes.pt2", torch.full((1, 3, 32, 64), 255.0))


def test_outputs_of_another_shape_are_said(tmp_path: Path) -> None:
    write(Small().eval(), "small", outline_form(32), torch.rand(1, 3, 32, 32), tmp_path)
    halved = nn.Sequential(nn.AvgPool2d(2), Small()).eval()
    write_program(halved, outline_form(32), tmp_path / "small.pt2")
    with pytest.raises(WeightsInvalid, match=r"masks has the shape \(1, 16, 16\), that of small\.onnx \(1, 32, 32\)"):
        check_alike(tmp_path / "small.onnx", tmp_path / "small.pt2", torch.rand(1, 3, 32, 32))


def test_files_that_agree_with_each_other_only_are_refused(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = Small().eval()
    pixels = torch.rand(1, 3, 32, 32) * 255
    graph, program = write(network, "small", outline_form(32), pixels, tmp_path)
    other = Small().eval()
    with pytest.raises(WeightsInvalid, match="the network that was trained"):
        check_alike(graph, program, pixels, other)


def test_weights_that_float16_cannot_hold_are_refused(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = Small().eval()
    with torch.no_grad():
        network.layers[0].weight.mul_(1e6)
    with pytest.raises(WeightsInvalid, match="no finite number"):
        write(network, "small", outline_form(32), torch.rand(1, 3, 32, 32) * 255, tmp_path)


def test_files_that_disagree_are_refused(tmp_path: Path) -> None:
    torch.manual_seed(0)
    one, other = tmp_path / "one", tmp_path / "other"
    for folder in (one, other):
        folder.mkdir()
        write(Small().eval(), "small", outline_form(32), torch.rand(1, 3, 32, 32), folder)
    with pytest.raises(WeightsInvalid, match="masks"):
        check_alike(one / "small.onnx", other / "small.pt2", torch.rand(1, 3, 32, 32) * 255)


def test_normalisation_goes_into_the_convolution() -> None:
    network = Small()
    network(torch.rand(8, 3, 8, 8) * 255)  # a step, so that the means are not nought
    network.eval()
    once = fused(network)
    assert not [layer for layer in once.modules() if isinstance(layer, nn.BatchNorm2d)]
    crops = torch.rand(2, 3, 8, 8) * 255
    torch.testing.assert_close(once(crops), network(crops), atol=1e-5, rtol=1e-5)


def test_small_tensors_stay_exact() -> None:
    tensors = [
        onnx.numpy_helper.from_array(np.full(LEAST - 1, 123.675, np.float32), "mean"),
        onnx.numpy_helper.from_array(np.full((LEAST, 1), 0.1, np.float32), "weight"),
        onnx.numpy_helper.from_array(np.arange(LEAST), "numbers"),
    ]
    model = onnx.helper.make_model(onnx.helper.make_graph([], "g", [], [], tensors))
    stored = {tensor.name: tensor.data_type for tensor in halved_graph(model).graph.initializer}
    kinds = onnx.TensorProto
    assert stored == {"mean": kinds.FLOAT, "weight.half": kinds.FLOAT16, "numbers": kinds.INT64}
    assert [node.op_type for node in model.graph.node] == ["Cast"]
