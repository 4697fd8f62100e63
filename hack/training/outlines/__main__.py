"""This step on its own: `PYTHONPATH=hack python -m training.outlines`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from training.errors import TrainingError
from training.outlines import step


def main() -> int:
    parser = argparse.ArgumentParser(prog="training.outlines", description=step.__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, default=Path(".cache/training"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    step.add_arguments(parser)
    try:
        step.run(parser.parse_args())
    except TrainingError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
