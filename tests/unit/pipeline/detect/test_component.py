"""How a component feeds its network: views of one input size together, as many at once as the network takes."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from velum_pipeline.detect import Component, ComponentSpec, Runtime
from velum_pipeline.detect.component import View
from velum_pipeline.detect.networks import open_session
from velum_pipeline.detect.session import Network, Outputs
from velum_pipeline.detect.tiles import layout
from velum_pipeline.options import ObjectClass, Tiling

TILES = layout(256, 128, Tiling("grid", columns=4, rows=2)).windows
"""Eight of 64 x 64 pixels, and the whole."""


class Watched:
    """A network that notes the shapes of what it is given."""

    def __init__(self, inner: Network) -> None:
        self.inner, self.batches, self.shapes = inner, inner.batches, list[tuple[int, ...]]()

    def run(self, batch: NDArray[np.float32]) -> Outputs:
        self.shapes.append(batch.shape)
        return self.inner.run(batch)


def watched(model: bytes, runtime: Runtime, *, batch: bool = True) -> tuple[Component, Watched]:
    spec = ComponentSpec.model_validate(
        {
            "name": "bright",
            "file": "bright.onnx",
            "licence": "none",
            "decoder": "centerface",
            "input": {"kind": "dynamic", "max_side": 4096, "colour": "bgr", "multiple": 4},
            "classes": {"face": {"threshold": 0.5}},
            "batch": batch,
        }
    )
    network = Watched(open_session(spec, model, runtime))
    return Component(spec, network, runtime), network


@pytest.mark.parametrize(
    ("runtime", "batch", "expected"),
    [
        (Runtime(threads=1), True, [(8, 3, 64, 64), (1, 3, 128, 256)]),
        (Runtime(threads=1, batch_pixels=3 * 64 * 64), True, [(3, 3, 64, 64)] * 2 + [(2, 3, 64, 64), (1, 3, 128, 256)]),
        (Runtime(threads=1), False, [(1, 3, 64, 64)] * 8 + [(1, 3, 128, 256)]),
    ],
    ids=["all", "as many as fit", "one by one"],
)
def test_tiles_of_one_size_run_together(
    bright_model: bytes, runtime: Runtime, batch: bool, expected: list[tuple[int, ...]]
) -> None:
    component, network = watched(bright_model, runtime, batch=batch)
    pixels = np.zeros((128, 256, 3), np.uint8)
    pixels[88:92, 200:204] = 255  # in the last tile but none before: each answer must go to its own tile
    sightings = component.detect([View(pixels, tile) for tile in TILES], {ObjectClass.FACE: 0.5})
    assert network.shapes == expected
    found = [len(sighting.found[ObjectClass.FACE]) for sighting in sightings]
    assert found == [0] * 7 + [1, 1]


def test_tiles_of_several_pictures_run_together(bright_model: bytes) -> None:
    component, network = watched(bright_model, Runtime(threads=1))
    pictures = [np.full((128, 256, 3), value, np.uint8) for value in (0, 0, 0)]
    component.detect([View(pixels, tile) for pixels in pictures for tile in TILES[:8]], {ObjectClass.FACE: 0.5})
    assert network.shapes == [(24, 3, 64, 64)]
