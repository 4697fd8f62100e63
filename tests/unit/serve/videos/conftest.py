"""The video that attempts are made at."""

import pytest

from support.redsquares import made
from support.videoattempts import FRAMES, KEY, SQUARES
from velum.storage import Storage


@pytest.fixture(scope="session")
def squares(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Red squares that move, a key frame every eight frames."""
    return made(tmp_path_factory.mktemp("red") / "squares.mp4", SQUARES, FRAMES, gop=8).read_bytes()


@pytest.fixture
async def posted(stores: Storage, squares: bytes) -> None:
    """Have the video lie where orders say that their source is."""
    await stores.inputs.put(KEY, squares)
