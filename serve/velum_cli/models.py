"""`velum models`: what packs there are, and getting their weights."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from textwrap import wrap
from typing import Any

import typer

from velum_pipeline.options import ObjectClass
from velum_pipeline.packs.errors import WeightsMissing
from velum_pipeline.packs.fetch import fetch
from velum_pipeline.packs.manifest import Measured, PackManifest
from velum_pipeline.packs.registry import PackRegistry, PackStatus

SHOWN = (("auto", 0.5), ("auto", 0.3), ("whole", 0.5), ("whole", 0.3))
"""Of several figures for one set: how pictures were cut, and the overlap that counts. The first that there is."""

COLUMNS = 120
LEGEND = (
    "Figures are recall at precision (IoU 0.5, format auto, unless they say another) on the named set, by\n"
    "hack/evaluate; docs/models.md has all of them. * is what the model `default` is made of."
)


def listing(packs: Sequence[PackStatus], default: Sequence[str]) -> str:
    """Return the packs as a table of at most 120 columns, and under each what it finds and what it lacks.

    packs: as the registry tells of them. default: the packs of the model `default`; they come first, with a star.
    """
    rows = [("PACK", "READY", "SIZE", "LICENCE")]
    order = sorted(packs, key=lambda status: status.manifest.name not in default)
    rows += [_row(status, status.manifest.name in default) for status in order]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    heading, *lines = ("  ".join([*map(str.ljust, row[:3], widths), row[3]]).rstrip() for row in rows)
    told = ["\n".join([line, *_below(status)]) for line, status in zip(lines, order, strict=True)]
    return "\n".join([heading, *told, "", LEGEND])


def document(packs: Sequence[PackStatus], default: Sequence[str]) -> str:
    """Return the same for programs: a JSON list of packs, with every figure."""
    return json.dumps([_entry(status, status.manifest.name in default) for status in packs], indent=2)


def remedy(status: PackStatus) -> str:
    """Return what to do about a pack that is not ready; empty when it is."""
    if status.ready:
        return ""
    manifest, missing = status.manifest, [each.file for each in status.problems if isinstance(each, WeightsMissing)]
    if len(missing) < len(status.problems):
        return next(str(each) for each in status.problems if not isinstance(each, WeightsMissing))
    command = f"velum models fetch {manifest.name}"
    if all(file.has_origin for file in manifest.files):
        return f"get it with: {command}"
    more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
    return f"lacks {missing[0]}{more}; from a mirror: {command} --mirror URL"


def get(registry: PackRegistry, name: str, cache: Path, mirror: str | None) -> None:
    """Fetch a pack's weights unless they are here already; say what happens on standard error."""
    status = next((each for each in registry.available() if each.manifest.name == name), None)
    if status is not None and status.ready:
        typer.echo(f"model pack {name} is ready", err=True)
        return
    manifest = registry.get(name)
    typer.echo(f"fetching model pack {name} ({manifest.licence})", err=True)
    for path in fetch(manifest, cache, mirror):
        typer.echo(f"  {path}", err=True)


def _row(status: PackStatus, default: bool) -> tuple[str, str, str, str]:
    manifest = status.manifest
    name = f"{manifest.name} *" if default else manifest.name
    return name, "yes" if status.ready else "no", f"{_bytes(manifest) / 1e6:.1f} MB", manifest.licence


def _below(status: PackStatus) -> Iterator[str]:
    told = {each.cls for each in status.manifest.measured}
    for name in ObjectClass:
        if name in told:
            yield f"  {name:13}  {', '.join(map(_figure, _shown(status.manifest, name)))}"
    if rest := [name for name in ObjectClass if name in status.manifest.classes - told]:
        yield f"  {', '.join(rest)}"
    if not status.ready:
        yield from wrap(remedy(status), COLUMNS, initial_indent="  ", subsequent_indent="    ")


def _shown(manifest: PackManifest, name: ObjectClass) -> Iterator[Measured]:
    """Yield one figure for each set of a class, in the manifest's order."""
    figures = [each for each in manifest.measured if each.cls == name]
    for of in dict.fromkeys(each.set for each in figures):
        yield min((each for each in figures if each.set == of), key=_preference)


def _preference(figure: Measured) -> int:
    kind = (figure.format, figure.iou)
    return SHOWN.index(kind) if kind in SHOWN else len(SHOWN)


def _figure(figure: Measured) -> str:
    text = f"{figure.set.rpartition('/')[2]} {figure.recall:.2f} at {figure.precision:.2f}"
    return text if _preference(figure) == 0 else f"{text} (IoU {figure.iou:g}, {figure.format})"


def _entry(status: PackStatus, default: bool) -> dict[str, Any]:
    manifest = status.manifest
    return {
        "name": manifest.name,
        "version": manifest.version,
        "title": manifest.title,
        "description": manifest.description,
        "origin": status.origin,
        "default": default,
        "ready": status.ready,
        "problems": [str(problem) for problem in status.problems],
        "licence": manifest.licence,
        "bytes": _bytes(manifest),
        "classes": [name for name in ObjectClass if name in manifest.classes],
        "measured": [each.model_dump(mode="json") for each in manifest.measured],
    }


def _bytes(manifest: PackManifest) -> int:
    return sum(file.size for file in manifest.files)
