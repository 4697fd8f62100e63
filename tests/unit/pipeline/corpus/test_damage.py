"""Every file of the corpus, cut short and damaged: an error that says what is wrong, or the whole picture."""

import numpy as np
import pytest

from support.corpus import ACCEPTED
from support.corpus.entry import Entry
from velum_pipeline import media
from velum_pipeline.errors import MediaError
from velum_pipeline.options import Limits

LIMITS = Limits(max_pixels=1_000_000)
CUTS = 10
DAMAGES = 12


@pytest.mark.parametrize("entry", ACCEPTED, ids=lambda entry: entry.name)
def test_cut_short(entry: Entry) -> None:
    """What follows a picture (a trailer, a padding) may be missing; nothing of the picture may."""
    data = entry.make()
    whole = media.decode(data, LIMITS).native
    lengths = {len(data) * step // CUTS for step in range(1, CUTS)} | {len(data) - 1}
    refused = 0
    for length in sorted(lengths):
        try:
            native = media.decode(data[:length], LIMITS).native
        except MediaError:
            refused += 1
        else:
            assert np.array_equal(native, whole), f"cut to {length} of {len(data)} bytes"
    assert refused >= (1 if entry.planted else CUTS // 2)


@pytest.mark.parametrize("entry", ACCEPTED, ids=lambda entry: entry.name)
def test_damaged(entry: Entry) -> None:
    """Other bytes in the header, in the samples, anywhere: no crash of another kind, no picture of another size."""
    data = entry.make()
    random = np.random.default_rng(len(data))
    places = [*random.integers(2, min(len(data), 400), DAMAGES // 2), *random.integers(2, len(data), DAMAGES // 2)]
    for place in map(int, places):
        damaged = data[:place] + bytes((data[place] ^ int(random.integers(1, 256)),)) + data[place + 1 :]
        try:
            picture = media.decode(damaged, LIMITS)
        except MediaError:
            continue
        announced = media.probe(damaged)
        assert announced is not None
        assert {picture.width, picture.height} == {announced.width, announced.height}
        assert media.sniff(media.encode(picture)) == picture.media_type
