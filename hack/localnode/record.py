"""What a cluster's folder knows of the cluster, in one file, so that `down` needs nothing but the folder."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from localplane import access
from localplane.errors import StateInvalid
from localplane.processes import Process

_FILE = "cluster.json"
_KIND = "velum-cluster"


@dataclass(frozen=True)
class Record:
    """The process that holds the namespaces, kubeconfigs written, folders of the machine made to mount on."""

    process: Process | None = None
    kubeconfigs: tuple[str, ...] = ()
    made: tuple[str, ...] = ()
    kind: str = _KIND


def load(folder: Path) -> Record | None:
    """The record; None for an empty or missing folder. Raises StateInvalid for a folder that holds other things."""
    if not folder.is_dir():
        return None
    try:
        values = json.loads((folder / _FILE).read_text())
        if values["kind"] != _KIND:
            raise ValueError(values["kind"])
        process = Process(**values["process"]) if values["process"] else None
        return Record(process, tuple(values["kubeconfigs"]), tuple(values["made"]))
    except FileNotFoundError:
        if any(folder.iterdir()):
            raise StateInvalid(
                f"{folder} holds files but no {_FILE}: it is no cluster's and stays untouched. "
                "Name another folder with --folder."
            ) from None
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise StateInvalid(f"{folder / _FILE} cannot be read ({error!r}); it stays untouched") from error


def save(folder: Path, record: Record) -> None:
    """Write the record, at once (mode 0600)."""
    access.write_private(folder / _FILE, json.dumps(asdict(record), indent=2) + "\n")
