"""The process below which a private Ray head lives: `python -m velum_serve.headprocess JSON`.

It leads a session of its own, starts Ray in it, and waits for the end of its standard input. That is the lifeline: the
other end of the pipe is held by nobody but the process that started it (`velum_serve.head`), so it ends when that one
asks, crashes or is killed with -9. It also ends when a process of Ray's own dies. Then Ray is ended gracefully, the
rest of the session is killed, and the temporary folder removed. Should this very process be killed, the kernel takes
Ray's main processes with it (Ray asks for that by PR_SET_PDEATHSIG), and `LocalRay.stop` ends the rest of the session.

Ray's own Node is used, not `ray.init` or `ray start`. Those two always resolve 127.0.0.1 to an outward address and bind
there, start a log monitor and an autoscaler's monitor that nobody here reads, and take fixed ports (10001, 52365) on
which two Rays on one machine would meet. Ray 2.55 to 2.60 have this interface (their `ray start` calls it).

One kind of port is not on loopback whatever we ask for: Serve's replicas listen for each other's calls on all addresses
(`serve/_private/replica.py`, "[::]:0"). It takes pickles, so it matters that it, too, answers nobody without the token.
The end-to-end test holds both: no other port is open outwards, and that one refuses a caller without token.
"""

import json
import os
import select
import shutil
import signal
import sys
from types import FrameType
from typing import Any

from velum_serve.processes import adopt_orphans, kill_session

KILL_SECONDS = 5.0

CHECK_SECONDS = 1.0
"""How often Ray's processes are looked at. One that has died is not started again by Ray: the head ends with it."""


def main() -> None:
    """Run the head until the lifeline ends."""
    config = json.loads(sys.argv[1])
    signal.signal(signal.SIGTERM, _leave)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that started us; it will tell
    adopt_orphans()
    node = None
    try:
        node = _start(config)
        while not _lifeline_ended():
            if not node.remaining_processes_alive():
                print("a process of Ray has died:", *(kind for kind, _ in node.dead_processes()))  # noqa: T201 - the log
                sys.exit(1)
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if node is not None:
            node.kill_all_processes(check_alive=False, allow_graceful=True, wait=True)
        kill_session(os.getsid(0), KILL_SECONDS, bury=True)
        shutil.rmtree(config["temp"], ignore_errors=True)


def _lifeline_ended() -> bool:
    """Wait a moment for the end of standard input; tell whether it came."""
    readable, _, _ = select.select([sys.stdin], [], [], CHECK_SECONDS)
    return bool(readable) and not os.read(sys.stdin.fileno(), 1)


def _leave(_number: int, _frame: FrameType | None) -> None:
    raise SystemExit(0)


def _start(config: dict[str, Any]) -> Any:
    from ray._private.node import Node  # noqa: PLC0415 -- a second of imports, during which SIGTERM already works
    from ray._private.parameter import RayParams  # noqa: PLC0415

    params = RayParams(
        node_ip_address="127.0.0.1",
        num_cpus=config["num_cpus"],
        object_store_memory=config["object_store_bytes"],
        temp_dir=config["temp"],
        include_dashboard=True,
        dashboard_host="127.0.0.1",
        dashboard_port=config["dashboard_port"],
        dashboard_agent_listen_port=0,
        include_log_monitor=False,
        no_monitor=True,
    )
    return Node(params, head=True, shutdown_at_exit=False, spawn_reaper=True)


if __name__ == "__main__":
    main()
