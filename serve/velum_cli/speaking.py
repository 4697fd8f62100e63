"""How a command says what went wrong: in one line on standard error, and in its exit status."""

from collections.abc import Iterator
from contextlib import contextmanager

import typer

from velum import logging as logs
from velum.errors import InvalidInput, VelumError
from velum_pipeline.errors import PipelineError

EXIT_FAILED, EXIT_WRONG_INPUT = 1, 2


@contextmanager
def spoken(log_level: str | None = None) -> Iterator[None]:
    """Turn our errors into one line and an exit status: a traceback helps nobody who mistyped a flag.

    log_level: what is logged by a command that goes on running.
    """
    try:
        if log_level is not None:
            logs.set_up(log_level)
        yield
    except (VelumError, PipelineError) as error:
        typer.echo(f"velum: {error}", err=True)
        raise typer.Exit(EXIT_WRONG_INPUT if isinstance(error, InvalidInput) else EXIT_FAILED) from error
