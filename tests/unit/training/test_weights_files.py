"""What export writes is what was trained, in half the bytes, and the manifest says what was written."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from support.picodet import write_picodet
from training.command import main
from training.detector.fit import Plan, Run
from training.detector.network import Detector
from training.detector.tower import Tower
from training.detector.trunk import load_trunk
from training.errors import WeightsInvalid
from training.weights.export_step import described, detector_form, outline_form, write
from training.weights.files import check_alike, fused
from training.weights.halves import LEAST, halved_graph
from velum_pipeline.detect.session import Runtime, Session
from velum_pipeline.detect.torchsession import TorchSession

MANIFEST = """name = "velum-street"
version = "1.0.0"
title = "T"
description = "D"
licence = "Apache-2.0"

[[files]]
name = "velum-street.onnx"
sha256 = "0000000000000000000000000000000000000000000000000000000000000000"
size = 1

[[files]]
name = "velum-street.pt2"
sha256 = "0000000000000000000000000000000000000000000000000000000000000000"
size = 1

[[components]]
name = "velum-street"
file = "velum-street.onnx"
torch = "velum-street.pt2"
licence = "Apache-2.0"
decoder = "street"
batch = true
classes = { face = { threshold = 0.3 } }

[components.input]
kind = "dynamic"
max_side = 640
colour = "rgb"
"""


def test_the_detector_is_written_twice_and_described(tmp_path: Path) -> None:
    work, pack = tmp_path / "work", tmp_path / "pack"
    (work / "detector").mkdir(parents=True)
    pack.mkdir()
    write_picodet(work / "p.onnx")
    (pack / "pack.toml").write_text(MANIFEST)
    torch.manual_seed(0)
    tower = Tower()
    Run(tower, Plan(2, 1, 1e-3, 0)).save(work / "detector" / "tower.pt")
    flags = ["--work", str(work), "--data", str(work), "--pack", str(pack), "--trunk", str(work / "p.onnx")]
    assert main(["export", *flags, "--only", "velum-street"]) == 0

    text = (pack / "pack.toml").read_text()
    for name in ("velum-street.onnx", "velum-street.pt2"):
        data = (pack / name).read_bytes()
        assert hashlib.sha256(data).hexdigest() in text
        assert f"size = {len(data)}" in text
        assert len(data) < 2.7e6
    pixels = (np.random.default_rng(0).random((2, 3, 32, 224)) * 255).astype(np.float32)
    with torch.no_grad():
        objects, parts = Detector(load_trunk(work / "p.onnx"), tower).eval()(torch.from_numpy(pixels))
    for kind, file in ((Session, "velum-street.onnx"), (TorchSession, "velum-street.pt2")):
        said = kind(file, (pack / file).read_bytes(), Runtime(threads=1), free_batch=True, free_size=True).run(pixels)
        np.testing.assert_allclose(np.asarray(said["objects"])[..., :2], objects[..., :2], atol=2e-3)
        np.testing.assert_allclose(np.asarray(said["parts"])[..., 2:6], parts[..., 2:6], atol=0.2)


def test_without_a_checkpoint_export_says_which_step_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "pack.toml").write_text(MANIFEST)
    flags = ["--work", str(tmp_path), "--data", str(tmp_path), "--pack", str(tmp_path)]
    assert main(["export", *flags, "--only", "velum-street"]) == 2
    assert "hack/train detector" in capsys.readouterr().err
    assert main(["export", *flags, "--only", "velum-outline"]) == 2
    assert "hack/train outlines" in capsys.readouterr().err
    assert (tmp_path / "pack.toml").read_text() == MANIFEST


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


def test_a_file_that_the_manifest_does_not_list_is_said(tmp_path: Path) -> None:
    (tmp_path / "other.onnx").write_bytes(b"weights")
    with pytest.raises(WeightsInvalid, match=r"other\.onnx"):
        described(MANIFEST, tmp_path / "other.onnx")


def test_the_input_of_the_form_is_what_the_decoder_expects() -> None:
    form = detector_form()
    assert form.example.shape[2] % 32 == form.example.shape[3] % 32 == 0
    assert tuple(form.outputs) == ("objects", "parts")
