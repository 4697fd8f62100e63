"""Tasks and models in one SQLite file: the store of `velum up`, for a laptop or a single server."""

from velum.tasks.sqlite.store import SqliteStore

__all__ = ["SqliteStore"]
