"""What a decision about a task is made of: the facts that go in, the status, actions and events that come out."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from velum.api.reasons import Reason
from velum.api.status import TaskStatus
from velum.tasks.order import Manifest, Outcome, Progress


@dataclass(frozen=True)
class Facts:
    """What can be seen now, besides the task itself.

    `running`: the attempt this process has handed out and awaits, if any; `progress`: how far it is by its last word.
    `outcome` with `outcome_attempt`: how an attempt of this process ended. `manifest`: the manifest found in storage
    for the attempt that the status names; looked for only when nothing runs. `slot`: whether the model has room.
    `model`: what is known of the task's model (`failed`: it is there, but cannot be deployed), in words
    `model_message`. `exported`: the published files are at the destination; `export_error`: why the copy just tried is
    not. `delivered`: how the webhook call just made ended, as an error text, empty for success. `files_removed`: the
    task's folder is gone.
    """

    running: int | None = None
    progress: Progress | None = None
    outcome: Outcome | None = None
    outcome_attempt: int = 0
    manifest: Manifest | None = None
    slot: bool = False
    model: Literal["known", "missing", "lacks-class", "failed"] = "known"
    model_message: str = ""
    exported: bool = False
    export_error: str = ""
    delivered: str | None = None
    files_removed: bool = False


@dataclass(frozen=True)
class AddFinalizer:
    """Make deletion wait for us."""


@dataclass(frozen=True)
class Start:
    """Hand out this attempt. Only after the status that names it was written."""

    attempt: int


@dataclass(frozen=True)
class Cancel:
    """Stop the attempt this process has handed out."""


@dataclass(frozen=True)
class Export:
    """Copy the published files to the destination."""


@dataclass(frozen=True)
class Deliver:
    """Call the webhook."""


@dataclass(frozen=True)
class Tidy:
    """Remove what attempts left for a next one: there is none."""


@dataclass(frozen=True)
class RemoveFiles:
    """Remove the task's folder from both stores."""


@dataclass(frozen=True)
class Release:
    """Remove the finalizer, so that the record goes."""


@dataclass(frozen=True)
class Delete:
    """Ask for the record to go: its time to live has passed."""


Action = AddFinalizer | Start | Cancel | Export | Deliver | Tidy | RemoveFiles | Release | Delete


@dataclass(frozen=True)
class Note:
    """An event for people."""

    kind: Literal["Normal", "Warning"]
    reason: Reason
    message: str


@dataclass(frozen=True)
class Decision:
    """One status to write if it differs, then these actions; look again at `wake` at the latest."""

    status: TaskStatus
    actions: tuple[Action, ...] = ()
    notes: tuple[Note, ...] = ()
    wake: datetime | None = None
