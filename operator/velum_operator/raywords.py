"""What people are shown of Ray's messages about an application: the error that ended it. Pure.

Ray 2.60 hands on whole tracebacks, its own frames first, of an exception within an exception: 3000 characters of which
the last line matters. For a model without weights (application_state.py, `_reconcile_build_app_task`):

    Deploying app 'default' failed with exception:
    Traceback (most recent call last):
      File "…/ray/serve/_private/application_state.py", line 926, in _reconcile_build_app_task
      …
      File "…/velum_pipeline/packs/registry.py", line 117, in locate
        raise WeightsMissing(name, file.name, searched, fetched=file.has_origin)
    velum_pipeline.packs.errors.WeightsMissing: weights centerface.onnx of model pack centerface not found in …

When it is a replica that fails, the application only names the deployment, which has the traceback. The whole text
stays in Ray's logs.
"""

import re
from collections.abc import Iterable

COLOUR = re.compile(r"\x1b?\[\d+(?:;\d+)*m")
"""How Ray colours names of processes, also where no terminal reads."""

FRAME = re.compile(r'^ +File ".*", line \d+.*$', re.MULTILINE)
"""Opens a frame of a traceback; its source lines, indented further, follow."""

OURS = re.compile(r"^velum\w*(?:\.\w+)+: ")
"""Our own errors say in their text what is wrong; their class adds nothing."""

POINTER = re.compile(r"^(?:Failed to update the deployments|The deployments) \[")
"""An application's message that tells no more than which deployments have one (`_determine_app_status`)."""


def cause(message: str) -> str:
    """Return the error that a message ends with, without the traceback before it; the message where it has none."""
    text = COLOUR.sub("", message).strip()
    frames = list(FRAME.finditer(text))
    if not frames:
        return text
    lines = text[frames[-1].end() :].split("\n")
    error = "\n".join(lines[_unindented(lines) :]).strip()
    return OURS.sub("", error) or text


def _unindented(lines: list[str]) -> int:
    """Return the index of the first line that belongs to no frame."""
    return next((number for number, line in enumerate(lines) if line.strip() and not line.startswith(" ")), len(lines))


def shown(application: str, deployments: Iterable[str]) -> str:
    """Return what to show of an application's own message and its deployments'."""
    own = cause(application)
    theirs = next((cause(each) for each in deployments if each), "")
    return theirs if theirs and (not own or POINTER.match(own)) else own
