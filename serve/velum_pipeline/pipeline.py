"""One picture from bytes to product, in two halves with the detector between them.

``prepare`` decodes, a detector looks at ``Picture.pixels`` (batched across requests by whoever runs it), ``finish``
redacts and encodes. Any stage that fails raises: there is no path on which the original comes out. ``watermark`` is
accepted and draws nothing: it was the vendor's own mark, and ours would only cover the client's picture.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from velum_pipeline import debug, masks, media, metadata, redact, regions
from velum_pipeline.detections import Detections, as_classes
from velum_pipeline.errors import StageFailed
from velum_pipeline.media import Layout, Patch, Picture
from velum_pipeline.media.kinds import PNG
from velum_pipeline.options import ClassOptions, Gps, Limits, Method, ObjectClass, Options, SaveMask

Detect = Callable[[list[NDArray[np.uint8]], Options], Sequence[Detections]]


@dataclass(frozen=True)
class Product:
    """What comes of one picture.

    picture: the anonymized file, None for method ``detect``. media_type, extension: of the input, and of the picture.
    binary_mask, instance_mask: PNG files, None when not asked for. metadata: the contract's document. counts: objects
    found, by class name.
    """

    picture: bytes | None
    media_type: str
    extension: str
    binary_mask: bytes | None
    instance_mask: bytes | None
    metadata: dict[str, Any]
    counts: dict[str, int]


def warm_up() -> None:
    """Have compiled what redacts pictures of 8-bit colour, so that the first does not wait for it.

    Takes 2 s where nothing compiled is kept yet, else a moment. Other samples are compiled when they first come.
    """
    picture = Picture(PNG, np.zeros((64, 64, 3), np.uint8), Layout.BGR)
    box, corners = (16.0, 24.0, 48.0, 40.0), ((16.0, 24.0), (48.0, 24.0), (48.0, 40.0), (16.0, 40.0))
    classes = as_classes([ObjectClass.FACE, ObjectClass.LICENSE_PLATE])
    boxes, quads = np.array([box, box], np.float32), np.array([corners, corners], np.float32)
    found = Detections(boxes, np.ones(2, np.float32), classes, corners=quads)
    options = Options(Method.BLUR, {name: ClassOptions.default(name) for name in classes})
    areas = regions.build(found, options, picture.width, picture.height)
    redact.apply(picture, [area for area in areas if area is not None], options.method)


def prepare(data: bytes, limits: Limits | None = None, options: Options | None = None) -> Picture:
    """Decode a file: upright pixels for detectors, and all that the output will need.

    options: those that ``finish`` will get; without them the output may lose by encoding. Raises MediaError, and
    OptionError where the file cannot be worked on without loss although they say so.
    """
    wish = options is not None and options.lossless and options.method is not Method.DETECT
    return media.decode(data, limits or Limits(), lossless=wish)


def finish(
    picture: Picture,
    detections: Detections,
    options: Options,
    name: str,
    started: float,
    *,
    random: np.random.Generator | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> Product:
    """Redact, draw, encode, describe. Consumes the picture: its samples are redacted in place.

    detections: in pixels of the displayed picture; what is below its class's threshold, of another class, or outside
    the picture is left out, and the rest numbered from 0 in its order. started: ``clock()`` when the work began.
    random: where the floor's noise comes from. Raises StageFailed and whatever a stage raises; then there is no
    product.
    """
    detections = detections.above(options.thresholds).clipped(picture.width, picture.height)
    areas = regions.build(detections, options, picture.width, picture.height)
    picture.forget_pixels()
    binary, instance = _masks(picture, areas, options)
    size = picture.width, picture.height
    return Product(
        picture=_redacted(picture, detections, areas, options, random),
        media_type=picture.media_type.mime,
        extension=picture.media_type.extension,
        binary_mask=binary,
        instance_mask=instance,
        metadata=metadata.document(metadata.Told(name, size, detections, areas, options.method, clock() - started)),
        counts=metadata.counts(detections),
    )


def anonymize(data: bytes, name: str, detect: Detect, options: Options, limits: Limits | None = None) -> Product:
    """The whole way for one picture. Raises MediaError, and whatever the detector or a stage raises."""
    started = time.perf_counter()
    picture = prepare(data, limits, options)
    found = detect([picture.pixels], options)
    if len(found) != 1:
        raise StageFailed(f"the detector answered for {len(found)} pictures instead of one")
    return finish(picture, found[0], options, name, started)


def _masks(
    picture: Picture, areas: Sequence[regions.Region | None], options: Options
) -> tuple[bytes | None, bytes | None]:
    """The binary and the instance mask. Their canvas is gone before the picture is encoded: it is two thirds of it."""
    save = options.save_mask
    if save is SaveMask.NONE:
        return None, None
    canvas = masks.Canvas([area for area in areas if area is not None], picture.width, picture.height)
    binary = canvas.binary(options.mask_scale) if save.binary else None
    return binary, canvas.instance(options.mask_scale) if save.instance else None


def _redacted(
    picture: Picture,
    detections: Detections,
    areas: Sequence[regions.Region | None],
    options: Options,
    random: np.random.Generator | None,
) -> bytes | None:
    if options.method is Method.DETECT:
        return None
    if options.lossless and not picture.exact:
        raise StageFailed("the picture was not decoded for work without loss")
    touched = [area for area in areas if area is not None]
    redact.apply(picture, touched, options.method, random)
    patches = [Patch(area.x, area.y, area.strength > 0) for area in touched] if picture.source is not None else []
    if options.debug:
        patches += _drawn(picture, detections, areas, options)
    if options.gps is Gps.STRIP:
        media.drop_location(picture)
    return media.encode(picture, quality=options.quality, compress_level=options.compress_level, patches=patches)


def _drawn(
    picture: Picture, detections: Detections, areas: Sequence[regions.Region | None], options: Options
) -> list[Patch]:
    """Draw boxes and outlines; return the pixels that this changed, where only such are to be coded anew."""
    before = None if picture.source is None else picture.native.copy()
    debug.draw(picture, detections, areas, scores=options.score)
    if before is None:
        return []
    changed = picture.native != before
    return [Patch(0, 0, changed.any(axis=2) if changed.ndim == 3 else changed)]
