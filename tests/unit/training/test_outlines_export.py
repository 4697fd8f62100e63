"""The network's files: a graph and a program that say what the network says, for any number of crops."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from support.picodet import write_picodet
from training.detector.trunk import load_trunk
from training.outlines.network import OutlineNetwork, taken
from training.weights.files import Form, check_alike, write_onnx, write_program

pytestmark = pytest.mark.filterwarnings("ignore:You are using the legacy TorchScript:DeprecationWarning")
SIDE = 64
LARGEST = 2_200_000
"""Bytes of a file: the four of the pack have 10 MB together."""


@pytest.fixture
def network(tmp_path: Path) -> OutlineNetwork:
    write_picodet(tmp_path / "picodet.onnx")
    torch.manual_seed(1)
    network = OutlineNetwork(iter(taken(load_trunk(tmp_path / "picodet.onnx"))), SIDE)
    for place in (network.decoder.place_8, network.decoder.place_4, network.decoder.place_2):
        torch.nn.init.normal_(place)
    network.train()
    with torch.no_grad():  # normalisations of a network that has seen something
        for _ in range(20):
            network(torch.rand(4, 3, SIDE, SIDE) * 255)
    return network.eval()


def test_both_files_say_what_the_network_says(network: OutlineNetwork, tmp_path: Path) -> None:
    form = Form("crops", ("masks",), torch.rand(2, 3, SIDE, SIDE) * 255, {0: ("batch", 1, 64, 1)})
    graph, program = tmp_path / "outline.onnx", tmp_path / "outline.pt2"
    write_onnx(network, form, graph)
    write_program(network, form, program)
    crops = torch.rand(5, 3, SIDE, SIDE) * 255
    check_alike(graph, program, crops)
    session = onnxruntime.InferenceSession(str(graph), providers=["CPUExecutionProvider"])
    (masks,) = session.run(["masks"], {"crops": crops.numpy()})
    with torch.inference_mode():
        wanted = network(crops).numpy()
    assert masks.shape == (5, SIDE, SIDE)
    assert masks.dtype == np.float32
    assert np.abs(masks - wanted).max() < 0.02 * np.abs(wanted).max()  # weights are kept in 11 bits
    assert max(graph.stat().st_size, program.stat().st_size) < LARGEST
