"""Lists of tasks, page by page, in order of creation.

A page ends with the place (creation, name) of its last task, and the next one starts after it: pages stay right while
tasks come and go, and a later page costs no more than the first.
"""

import base64
import binascii
import json
import sqlite3
from collections.abc import Sequence

from velum.api.status import Phase
from velum.errors import InvalidInput
from velum.tasks.phases import UNFINISHED
from velum.tasks.sqlite.records import read_all

Place = tuple[str, str]
_START: Place = ("", "")


def page(
    connection: sqlite3.Connection, phases: Sequence[Phase], limit: int, after: Place
) -> tuple[list[sqlite3.Row], str | None]:
    """Return at most `limit` rows after this place, and the cursor of the next page if there is one.

    Raises:
        InvalidInput: the limit is less than one.
    """
    if limit < 1:
        raise InvalidInput("limit", "must be at least 1")
    wanted = f"AND phase IN ({_marks(phases)})" if phases else ""
    where = f"WHERE kind = 'task' AND (created, name) > (?, ?) {wanted} ORDER BY created, name LIMIT ?"
    rows = read_all(connection, where, (*after, *map(str, phases), limit + 1))
    if len(rows) <= limit:
        return rows, None
    last = rows[limit - 1]
    return rows[:limit], base64.urlsafe_b64encode(json.dumps([last["created"], last["name"]]).encode()).decode()


def position(cursor: str | None) -> Place:
    """Return the place that a cursor names; the start for None. Raises InvalidInput unless `page` made it."""
    if cursor is None:
        return _START
    try:
        created, name = json.loads(base64.b64decode(cursor, altchars=b"-_", validate=True))
    except (binascii.Error, ValueError, TypeError):
        created = name = None
    if not isinstance(created, str) or not isinstance(name, str):
        raise InvalidInput("cursor", "is not one that a list returned; start again without it")
    return created, name


def count_unfinished(connection: sqlite3.Connection) -> int:
    """Return how many tasks wait or run."""
    query = f"SELECT count(*) FROM records WHERE kind = 'task' AND phase IN ({_marks(UNFINISHED)})"  # noqa: S608
    return int(connection.execute(query, tuple(map(str, UNFINISHED))).fetchone()[0])


def _marks(values: Sequence[Phase]) -> str:
    return ", ".join("?" for _ in values)
