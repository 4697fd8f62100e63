"""Naming the stage in which something unforeseen happened."""

import contextlib
import logging
from collections.abc import Iterator

from velum.errors import VelumError
from velum_pipeline.errors import PipelineError
from velum_serve.errors import StageBroke

logger = logging.getLogger(__name__)


@contextlib.contextmanager
def stage(name: str) -> Iterator[None]:
    """Name the stage in which something unforeseen happened. Errors with a meaning of their own pass."""
    try:
        yield
    except (PipelineError, VelumError):
        raise
    except Exception as error:
        logger.exception("%s failed", name)
        raise StageBroke(name, error) from error
