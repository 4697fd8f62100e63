"""`velum models`: what packs there are, and getting their weights."""

import sys
from pathlib import Path

from velum_pipeline.packs.fetch import fetch
from velum_pipeline.packs.registry import PackRegistry, PackStatus


def listing(registry: PackRegistry) -> str:
    """Return the packs as a table: name, whether it is ready, classes, licence, size, and what it lacks."""
    rows = [("PACK", "READY", "CLASSES", "LICENCE", "SIZE", "")]
    rows += [_row(status) for status in registry.available()]
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    return "\n".join(
        "  ".join([*(row[column].ljust(widths[column]) for column in range(5)), row[5]]).rstrip() for row in rows
    )


def _row(status: PackStatus) -> tuple[str, str, str, str, str, str]:
    manifest = status.manifest
    size = sum(file.size for file in manifest.files) / 1e6
    hint = "" if status.ready else f"velum models fetch {manifest.name}"
    classes = ",".join(sorted(each.value for each in manifest.classes))
    return manifest.name, "yes" if status.ready else "no", classes, manifest.licence, f"{size:.1f} MB", hint


def get(registry: PackRegistry, name: str, cache: Path, mirror: str | None) -> None:
    """Fetch a pack's weights unless they are here already; say what happens on standard error."""
    status = next((each for each in registry.available() if each.manifest.name == name), None)
    if status is not None and status.ready:
        return
    manifest = registry.get(name)
    print(f"fetching model pack {name} ({manifest.licence})", file=sys.stderr)  # noqa: T201
    for path in fetch(manifest, cache, mirror):
        print(f"  {path}", file=sys.stderr)  # noqa: T201
