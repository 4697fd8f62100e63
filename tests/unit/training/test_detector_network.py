"""The trunk is PicoDet-S; the tower's cells lie where the decoder says; the files of a network say the same."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from support.picodet import shapes, write_picodet
from training.detector.network import Detector, grid, parts
from training.detector.tower import ROWS, Said, Tower
from training.detector.trunk import MEAN, STD, load_trunk
from training.errors import WeightsInvalid

SHARED = os.environ.get("VELUM_SHARED")
"""As the tests were started; a fixture hides it from what is tested."""


def test_the_trunk_is_the_published_network() -> None:
    if SHARED is None:
        pytest.skip("VELUM_SHARED names no folder with data/models/picodet_s_416.onnx")
    path = Path(SHARED) / "data" / "models" / "picodet_s_416.onnx"
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    pixels = np.random.default_rng(0).uniform(0, 255, (1, 3, 416, 416)).astype(np.float32)
    mean, deviation = (np.array(each, np.float32).reshape(1, 3, 1, 1) for each in (MEAN, STD))
    said = session.run(None, {"image": (pixels - mean) / deviation})
    with torch.no_grad():
        maps = load_trunk(path)(torch.from_numpy(pixels))
    for level, rows in enumerate(each[0].flatten(1).T for each in maps):
        np.testing.assert_allclose(rows[:, :80].sigmoid().numpy(), said[level][0], atol=1e-4)
        np.testing.assert_allclose(rows[:, 80:].numpy(), said[4 + level][0], atol=1e-3)


@pytest.mark.parametrize("leave_out", [1, 40])
def test_another_network_is_refused(tmp_path: Path, leave_out: int) -> None:
    write_picodet(tmp_path / "other.onnx", leave_out=leave_out)
    with pytest.raises(WeightsInvalid, match=r"other\.onnx.*PicoDet-S"):
        load_trunk(tmp_path / "other.onnx")


def test_what_is_no_graph_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.onnx").write_text("weights")
    with pytest.raises(WeightsInvalid, match=r"text\.onnx"):
        load_trunk(tmp_path / "text.onnx")


def test_picodet_has_133_convolutions() -> None:
    assert len(list(shapes())) == 133


def test_the_cut_head_says_of_its_labels_what_the_whole_one_said(tmp_path: Path) -> None:
    write_picodet(tmp_path / "p.onnx")
    whole = load_trunk(tmp_path / "p.onnx")
    detector = Detector(load_trunk(tmp_path / "p.onnx"), Tower()).eval()
    pixels = torch.rand(2, 3, 96, 64) * 255
    with torch.no_grad():
        maps, found = whole(pixels), detector(pixels)
    labels = torch.cat([each[:, :80].flatten(2) for each in maps], 2).sigmoid()
    torch.testing.assert_close(found.objects[..., 0], labels[:, 0], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(found.objects[..., 1], labels[:, [2, 3, 5, 7]].amax(1), atol=1e-4, rtol=1e-4)


def test_cells_tile_the_picture() -> None:
    centres, strides = grid(64, 96, torch.zeros(1))
    for stride in (4, 8, 16, 32):
        own = centres[strides[:, 0] == stride]
        assert len(own) == len(own.unique(dim=0)) == (64 // stride) * (96 // stride)
        assert own.min() == stride / 2
        assert own.amax(0).tolist() == [96 - stride / 2, 64 - stride / 2]


def test_a_cell_answers_where_its_features_are(tmp_path: Path) -> None:
    """Where a picture changes, those cells change most whose centres are near."""
    write_picodet(tmp_path / "p.onnx")
    torch.manual_seed(0)
    detector = Detector(load_trunk(tmp_path / "p.onnx"), Tower()).eval()
    one = torch.full((1, 3, 256, 256), 100.0)
    other = one.clone()
    other[:, :, 40:48, 200:208] = 255
    with torch.no_grad():
        difference = (detector(one).parts - detector(other).parts)[0, :, :2].abs().amax(1)
    centres, strides = grid(256, 256, one)
    for stride in (4, 8):
        own = strides[:, 0] == stride
        best = centres[own][difference[own].argmax()]
        assert (best - torch.tensor([204.0, 44.0])).abs().max() <= 16


def test_boxes_and_corners_are_pixels() -> None:
    count = len(grid(32, 32, torch.zeros(1))[0])
    said = Said(torch.zeros(1, count, 2), torch.zeros(1, count, 4), torch.full((1, count, 8), 0.5))
    made = parts(said, 32, 32)
    assert made.shape == (1, count, ROWS)
    centres, strides = grid(32, 32, torch.zeros(1))
    torch.testing.assert_close(made[0, :, 2:4], centres - strides)
    torch.testing.assert_close(made[0, :, 4:6], centres + strides)
    torch.testing.assert_close(made[0, :, 6:8], centres + strides / 2)
    assert (made[..., :2] == 0.5).all()
