"""One log format for every process: a line for people on a terminal, a JSON object a line elsewhere."""

import json
import logging
import sys
from typing import TextIO

from velum.api.meta import rfc3339
from velum.clock import SystemClock
from velum.errors import InvalidInput

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
QUIET = ("aiohttp.access", "kopf.objects", "uvicorn.access", "ray", "urllib3")
"""Loggers that say one line per request or event, with query strings in them: secrets travel in those."""


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message, and the traceback if there is one."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line of JSON."""
        line = {
            "time": rfc3339(SystemClock().now()),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def set_up(level: str = "INFO", stream: TextIO | None = None) -> None:
    """Send all logs to a stream (standard error by default), in the form that suits it.

    Raises:
        InvalidInput: there is no such level.
    """
    if level.upper() not in LEVELS:
        raise InvalidInput("--log-level", f"{level!r} is none of {', '.join(LEVELS).lower()}")
    stream = stream or sys.stderr
    handler = logging.StreamHandler(stream)
    text = logging.Formatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s", "%H:%M:%S")
    handler.setFormatter(text if stream.isatty() else JsonFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
