"""A Ray of one's own: started, waited for, and ended without a trace.

`velum up` needs Ray Serve on a machine that may run other Rays, whose owner may press Ctrl-C, pull the plug of the
terminal, or kill processes. So everything of this one is private: a session of processes, a short temporary folder
(Ray's unix sockets have to fit into 107 bytes below it), ports that the kernel picked, all on loopback, and a random
token without which nobody on the machine can run code in it.

Ray's token, as of Ray 2.60: `RAY_AUTH_MODE=token` switches it on for all processes, which read the token from the file
that `RAY_AUTH_TOKEN_PATH` names. The dashboard wants `Authorization: Bearer <token>` (or `X-Ray-Authorization`, for
proxies that keep the first for themselves); without it 401, with a wrong one 403. Serve's own HTTP proxy, where work
orders go, knows no token: the replicas behind it do (`velum_serve.admission`).

A lock in the data folder is held by the head process for its whole life. It keeps a second Velum out of the same
folder, and tells the next start that a temporary folder named there belongs to nobody any more.
"""

import asyncio
import contextlib
import fcntl
import json
import os
import secrets
import shutil
import socket
import sys
import tempfile
from pathlib import Path
from typing import Any

import aiohttp

from velum_serve.errors import HeadFailed
from velum_serve.processes import kill_session

OBJECT_STORE_BYTES = 80 << 20
"""Nothing of ours goes through Ray's object store; its smallest allowed size is 75 MiB."""

START_SECONDS = 90.0
"""Measured 8 s on two idle cores; a laptop that is also compiling may take several times that."""

STOP_SECONDS = 10.0
"""How long Ray may take to end by itself before it is killed. Measured 0.5 to 2 s."""

KILL_SECONDS = 5.0
POLL_SECONDS = 0.1
LOG_TAIL = 2000
"""Characters of the log that an error shows."""

PREFIX = "velum-ray-"
LOG = "ray.log"
LOCK = "ray.lock"
TOKEN = "token"  # noqa: S105 -- the name of the file


class LocalRay:
    """A private Ray head. Use as an async context manager, or call `start` and `stop`.

    folder: where the log and the lock are kept; made when missing. num_cpus: what replicas may share, by default the
    machine's cores.
    """

    def __init__(self, folder: Path, num_cpus: int | None = None) -> None:
        self._folder = folder
        self._num_cpus = num_cpus
        self._temp: Path | None = None
        self._process: asyncio.subprocess.Process | None = None
        self.session = 0
        self._stopping = asyncio.Lock()
        self._dashboard_port = 0
        self.serve_port = 0
        self.token = ""

    @property
    def dashboard(self) -> str:
        """URL of the dashboard: where the serving config is PUT."""
        return f"http://127.0.0.1:{self._dashboard_port}"

    @property
    def url(self) -> str:
        """URL that Serve's HTTP proxy is to listen on: a port that was free at the start."""
        return f"http://127.0.0.1:{self.serve_port}"

    @property
    def headers(self) -> dict[str, str]:
        """Headers that the dashboard and the replicas want."""
        return {"Authorization": f"Bearer {self.token}"}

    @property
    def log(self) -> Path:
        """Where the head process writes what it has to say."""
        return self._folder / LOG

    @property
    def env(self) -> dict[str, str]:
        """Environment of this Ray's processes. Settings for another Ray that this process may have are left out."""
        return {
            **{name: value for name, value in os.environ.items() if not name.startswith("RAY_")},
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": str(self._temp_folder() / TOKEN),
            "RAY_USAGE_STATS_ENABLED": "0",
            # Ray's name for "this node stays alone": workers, too, then take 127.0.0.1 as their address.
            "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
            "DASHBOARD_METRIC_PORT": "0",  # a fixed one by default, on which two Rays would meet
            # Workers are started when they are needed, not one per core in advance: two cores have other work now.
            "RAY_enable_worker_prestart": "0",
            "RAY_prestart_worker_first_driver": "0",
        }

    async def __aenter__(self) -> "LocalRay":
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Start Ray and return when its dashboard answers.

        Raises:
            HeadFailed: it did not start in time, or another Velum uses the folder; nothing is left running.
        """
        if self._process is not None:
            raise HeadFailed("Ray was started already")
        try:
            await self._launch()
            async with asyncio.timeout(START_SECONDS):
                await self._answering()
        except BaseException as error:
            tail = self._tail()
            await self.stop()
            if isinstance(error, TimeoutError):
                raise HeadFailed(f"Ray did not start within {START_SECONDS:.0f} s{tail}") from error
            raise

    async def stop(self) -> None:
        """End every process of this Ray and remove its temporary folder. Does nothing when there is none.

        Raises:
            HeadFailed: a process could not be killed.
        """
        async with self._stopping:  # a cancelled `start` stops, too: whoever comes second waits for the first
            process, self._process = self._process, None
            try:
                if process is not None:
                    await asyncio.shield(asyncio.ensure_future(self._end(process)))
            finally:
                temp, self._temp = self._temp, None
                if temp is not None:
                    await asyncio.to_thread(shutil.rmtree, temp, ignore_errors=True)

    def check(self) -> None:
        """Raise HeadFailed when the head process has ended."""
        if self._process is None or self._process.returncode is not None:
            raise HeadFailed(f"Ray is not running{self._tail()}")

    async def _launch(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / LOCK).open("a+") as lock, self.log.open("wb") as log:
            self._claim(lock)
            self._write_token()
            self._dashboard_port, self.serve_port = _free_ports(2)
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "velum_serve.headprocess",
                json.dumps(self._config()),
                stdin=asyncio.subprocess.PIPE,
                stdout=log,
                stderr=log,
                env=self.env,
                start_new_session=True,
                pass_fds=(lock.fileno(),),
            )
            self.session = self._process.pid

    def _write_token(self) -> None:
        self.token = secrets.token_hex(32)
        path = self._temp_folder() / TOKEN
        with open(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
            file.write(self.token)

    def _config(self) -> dict[str, Any]:
        return {
            "temp": str(self._temp_folder()),
            "num_cpus": self._num_cpus or os.cpu_count() or 1,
            "object_store_bytes": OBJECT_STORE_BYTES,
            "dashboard_port": self._dashboard_port,
        }

    def _claim(self, lock: Any) -> None:
        """Take the folder for us, sweep what a killed predecessor left, and write down what we will leave."""
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise HeadFailed(f"{self._folder} is in use by another Velum; stop it or name another folder") from error
        lock.seek(0)
        stale = Path(lock.read().strip() or "-")
        if stale.name.startswith(PREFIX):
            shutil.rmtree(stale, ignore_errors=True)
        # /tmp by its short name where there is one: $TMPDIR may be longer than a socket's path can bear.
        self._temp = Path(tempfile.mkdtemp(prefix=PREFIX, dir="/tmp" if os.path.isdir("/tmp") else None))  # noqa: S108
        lock.truncate(0)
        lock.write(str(self._temp))
        lock.flush()

    def _temp_folder(self) -> Path:
        if self._temp is None:
            raise HeadFailed("Ray is not running")
        return self._temp

    async def _answering(self) -> None:
        timeout = aiohttp.ClientTimeout(total=START_SECONDS)
        async with aiohttp.ClientSession(headers=self.headers, timeout=timeout) as session:
            while True:
                self.check()
                with contextlib.suppress(aiohttp.ClientError):
                    async with session.get(f"{self.dashboard}/api/serve/applications/") as response:
                        if response.status == 200:
                            return
                await asyncio.sleep(POLL_SECONDS)

    async def _end(self, process: asyncio.subprocess.Process) -> None:
        if process.stdin is not None:
            process.stdin.close()  # the lifeline
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STOP_SECONDS):
                await process.wait()
        left = await asyncio.to_thread(kill_session, self.session, KILL_SECONDS)
        await process.wait()
        if left:
            raise HeadFailed(f"processes {', '.join(map(str, left))} of Ray could not be killed")

    def _tail(self) -> str:
        try:
            text = self.log.read_text(errors="replace")[-LOG_TAIL:].strip()
        except OSError:
            return ""
        return f"; the end of {self.log}:\n{text}" if text else f"; {self.log} is empty"


def _free_ports(count: int) -> list[int]:
    """Return ports that are free now; held together first, so that they differ."""
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in sockets]
