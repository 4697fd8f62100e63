#!/usr/bin/env python3
"""deface's own command on a video: `python hack/peers/deface_video.py INPUT --output OUTPUT`, at its defaults.

What else is given goes to deface as it is. Ends with status 1 where deface leaves a file out, which it says and takes
for success.
"""

import sys
from pathlib import Path

from interpreter import enter


def main() -> int:
    enter("deface")
    from deface.deface import main as deface

    deface()
    wanted = sys.argv[sys.argv.index("--output") + 1] if "--output" in sys.argv[:-1] else None
    return 0 if wanted is None or Path(wanted).is_file() else 1


if __name__ == "__main__":
    sys.exit(main())
