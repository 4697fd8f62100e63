"""Runs a command and says what it took: `python spent.py COMMAND...` prints one line of JSON as its last.

The kernel counts a child's largest memory from that of the process it was forked from, so what starts the command must
be small: this program imports nothing else and is started for each command.
"""

import json
import os
import sys
import time


def main(command: list[str]) -> int:
    started = time.perf_counter()
    child = os.fork()
    if child == 0:
        os.dup2(2, 1)  # what the command prints is no part of the answer
        try:
            os.execvp(command[0], command)
        finally:
            os._exit(127)
    _, status, usage = os.wait4(child, 0)
    answer = {
        "status": os.waitstatus_to_exitcode(status),
        "wall": time.perf_counter() - started,
        "cpu": usage.ru_utime + usage.ru_stime,
        "peak_mib": usage.ru_maxrss / 1024,
    }
    print(json.dumps(answer), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
