"""The form for ONNX Runtime says what the network says that was trained."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from torch import nn

from support.picodet import write_picodet
from training.detector.blocked import Blocked
from training.detector.blocked.boxes import Objects
from training.detector.blocked.convolutions import BLOCK, padded, picked
from training.detector.blocked.shuffle import plan
from training.detector.network import Detector, Found
from training.detector.tower import Tower
from training.detector.trunk import BINS, load_trunk
from training.weights.export_step import scene
from training.weights.files import fused

SHARED = os.environ.get("VELUM_SHARED")
"""As the tests were started; a fixture hides it from what is tested."""
SCORE, PIXEL = 1e-5, 1e-4
"""In double precision, from weights that were folded in single."""
PLACE = 1000


def detector(trunk: Path) -> Detector:
    """That trunk, louder, and a tower at random whose normalisations and answers are not those of a beginning."""
    torch.manual_seed(0)
    made = Detector(load_trunk(trunk), Tower())
    for module in made.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0, 0.2)
            nn.init.normal_(module.running_mean, 0, 0.2)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    with torch.no_grad():
        for head in made.trunk.heads:  # at random it hardly says anything
            head[-1].weight.mul_(10)
    for answer in made.tower.answers:
        nn.init.normal_(answer.weight, 0, 0.2)
        nn.init.normal_(answer.bias, 0, 0.5)
    return made.eval()


def assert_alike(one: Found, other: Found) -> None:
    for said, expected in zip(one, other, strict=True):
        assert said.shape == expected.shape
        torch.testing.assert_close(said[..., :2], expected[..., :2], atol=SCORE, rtol=0)
        torch.testing.assert_close(said[..., 2:], expected[..., 2:], atol=PIXEL, rtol=1e-5)


@pytest.mark.parametrize("size", [(2, 32, 224), (1, 160, 96)])
def test_it_says_what_the_network_says(tmp_path: Path, size: tuple[int, ...]) -> None:
    write_picodet(tmp_path / "p.onnx")
    network = detector(tmp_path / "p.onnx")
    pixels = torch.cat([scene(*size[1:]) for _ in range(size[0])])
    with torch.no_grad():
        expected, said = both(network, pixels)
    assert expected.parts[..., :2].std() > 0.01
    assert expected.objects[..., :2].std() > 0.01
    assert_alike(said, expected)


def test_it_says_what_the_published_trunk_says() -> None:
    if SHARED is None:
        pytest.skip("VELUM_SHARED names no folder with data/models/picodet_s_416.onnx")
    network = detector(Path(SHARED) / "data" / "models" / "picodet_s_416.onnx")
    pixels = scene(192, 256)
    with torch.no_grad():
        expected, said = both(network, pixels)
    assert_alike(said, expected)


def both(network: Detector, pixels: torch.Tensor) -> tuple[Found, Found]:
    """What the network says and what its form in blocks says, in double precision."""
    blocked = Blocked(fused(network)).double()
    return network.double()(pixels.double()), blocked(pixels.double())


def test_the_network_stays_as_it_was(tmp_path: Path) -> None:
    write_picodet(tmp_path / "p.onnx")
    network = detector(tmp_path / "p.onnx")
    before = {name: values.clone() for name, values in network.state_dict().items()}
    Blocked(fused(network))
    for name, values in network.state_dict().items():
        torch.testing.assert_close(values, before[name], atol=0, rtol=0)


def test_a_network_whose_normalisations_are_not_folded_is_refused(tmp_path: Path) -> None:
    write_picodet(tmp_path / "p.onnx")
    with pytest.raises(ValueError, match="normalisation"):
        Blocked(detector(tmp_path / "p.onnx"))


@pytest.mark.parametrize("logit", [200.0, -200.0])
def test_a_side_that_is_very_sure_has_a_length(tmp_path: Path, logit: float) -> None:
    """exp() of what no softmax has made smaller would be infinite."""
    write_picodet(tmp_path / "p.onnx")
    trunk = detector(tmp_path / "p.onnx").trunk
    for head in trunk.heads:
        nn.init.zeros_(head[-1].weight)
        nn.init.zeros_(head[-1].bias)
        head[-1].bias.data[-4 * BINS + 3] = logit  # the left side's bin 3
    features = [torch.zeros(1, 96, 4 >> level, 8 >> level) for level in range(3)]
    with torch.no_grad():
        boxes = Objects(trunk)([*features, torch.zeros(1, 96, 1, 1)])[0, :, 2:]
    assert boxes.isfinite().all()
    left = 3.0 if logit > 0 else 25 / 7
    torch.testing.assert_close(boxes[0], torch.tensor([4 - 8 * left, 4 - 28.0, 4 + 28.0, 4 + 28.0]))


@pytest.mark.parametrize(("channels", "blocks"), [(96, 2), (192, 6), (384, 2), (8, 4)])
def test_each_block_reads_what_the_shuffles_bring_it(channels: int, blocks: int) -> None:
    followed = plan(channels, blocks)
    state = torch.arange(channels)
    for block in range(1, blocks + 1):
        kept, worked = state.chunk(2)
        assert [maker * PLACE + number for maker, number in followed.read[block - 1]] == worked.tolist()
        mixed = torch.cat([kept, block * PLACE + torch.arange(channels // 2)])
        state = mixed.view(2, channels // 2).transpose(0, 1).reshape(-1)
    assert [maker * PLACE + number for maker, number in followed.read[-1]] == state.tolist()
    for reader, read in enumerate(followed.read, 1):
        order, columns = followed.order(reader), followed.columns(reader)
        assert sorted(columns) == list(range(len(read)))
        assert [read[column] for column in columns] == order
    made = [len(portion.channels) for portions in followed.made for portion in portions]
    assert sum(made) == channels + blocks * channels // 2


def test_picked_channels_are_those_and_zeros() -> None:
    torch.manual_seed(0)
    conv = nn.Conv2d(3, 4, 3, 2, 1)
    x = torch.rand(2, 3, 8, 6)
    said = picked(conv, [2, None, 0], [1, None, 0, 2])(x[:, [1, 1, 0, 2]])
    torch.testing.assert_close(said[:, [0, 2]], conv(x)[:, [2, 0]])
    assert (said[:, 1] == 0).all()
    without = picked(conv, bias=False)(x)
    assert conv.bias is not None
    torch.testing.assert_close(without + conv.bias.view(1, -1, 1, 1), conv(x))


def test_a_depthwise_convolution_has_as_many_channels_in_as_out() -> None:
    torch.manual_seed(0)
    conv = nn.Conv2d(6, 6, 5, 1, 2, groups=6)
    x = torch.rand(1, 6, 8, 8)
    torch.testing.assert_close(picked(conv, [5, 0])(x[:, [5, 0]]), conv(x)[:, [5, 0]])
    with pytest.raises(ValueError, match="depthwise"):
        picked(conv, None, [1, 0])


def test_channels_are_padded_to_blocks() -> None:
    assert len(padded(24)) == 2 * BLOCK
    assert padded(24)[23:] == [23, *[None] * 8]
    assert padded(BLOCK) == [*range(BLOCK)]
