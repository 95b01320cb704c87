"""Servers of the benchmark's own, on free ports of the loopback, with data folders under its cache.

PostgreSQL does not run as root; as root its server runs as `postgres`. Both end with this process. Where the counter of
syncs was built it is preloaded into the server, so that what a peer makes the server sync is counted.
"""

import atexit
import ctypes
import os
import pathlib
import pwd
import shutil
import signal
import socket
import subprocess
import time

from environment import Unavailable
from workload import SYNC_COUNTER_VARIABLE

PATIENCE_S = 30
VERSIONS = pathlib.Path("/usr/lib/postgresql")
# The same for everybody on it; all else is as the server comes.
POSTGRES = {
    "fsync": "on",
    "synchronous_commit": "on",
    "shared_buffers": "512MB",
    "max_wal_size": "4GB",
    "max_connections": "200",
    "listen_addresses": "127.0.0.1",
}


class Servers:
    """Started when they are first asked for: `postgres`, `redis-always` and `redis-everysec`."""

    def __init__(self, cache: pathlib.Path, counter: pathlib.Path | None):
        self.folder = cache / "servers"
        self.counter = counter
        self.counts = {}
        self._urls = {}

    def url(self, name: str) -> str:
        """Raises Unavailable where the server is not installed."""
        if name not in self._urls:
            try:
                kind, _, setting = name.partition("-")
                self._urls[name] = getattr(self, f"_start_{kind}")(name, setting)
            except (OSError, subprocess.SubprocessError, Unavailable) as error:
                self._urls[name] = Unavailable(f"{name}: {error}")
        if isinstance(self._urls[name], Unavailable):
            raise self._urls[name]
        return self._urls[name]

    def _start_redis(self, name, fsync):
        program = shutil.which("redis-server")
        if not program:
            raise Unavailable("redis-server is not installed")
        folder, port = self._fresh(name), free_port()
        settings = {"port": port, "bind": "127.0.0.1", "dir": folder, "save": "", "appendonly": "yes", "appendfsync": fsync}
        command = [program, *(part for key, value in settings.items() for part in (f"--{key}", str(value)))]
        self._run(name, command, folder, lambda: ping_redis(port))
        return f"redis://127.0.0.1:{port}"

    def _start_postgres(self, name, _):
        programs = newest_postgres()
        folder, port = self._fresh(name), free_port()
        user = pwd.getpwnam("postgres") if os.getuid() == 0 else None
        if user:
            os.chown(folder, user.pw_uid, user.pw_gid)
            # Every folder above has to let it through.
            for above in folder.parents:
                if not above.stat().st_mode & 0o001:
                    raise Unavailable(f"{above} does not let another user through")
        data = folder / "data"
        made = [programs / "initdb", "-D", data, "-U", "bell", "--no-sync", "--auth", "trust", "-E", "UTF8", "--locale", "C.UTF-8"]
        subprocess.run(made, check=True, capture_output=True, cwd=folder, timeout=PATIENCE_S, **as_user(user))
        command = [programs / "postgres", "-D", data, "-p", str(port), "-k", folder]
        command += [part for key, value in POSTGRES.items() for part in ("-c", f"{key}={value}")]
        ready = [programs / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(port)]
        self._run(name, command, folder, lambda: subprocess.run(ready, timeout=5).returncode == 0, user)
        return f"postgres://bell@127.0.0.1:{port}/postgres"

    def _fresh(self, name):
        folder = self.folder / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        return folder.resolve()

    def _run(self, name, command, folder, is_ready, user=None):
        environment = dict(os.environ)
        if self.counter:
            count = folder / "sync-count"
            count.write_bytes(bytes(8))
            count.chmod(0o666)
            self.counts[name] = count
            environment |= {"LD_PRELOAD": str(self.counter), SYNC_COUNTER_VARIABLE: str(count)}
        log = open(folder / "log", "wb")
        process = subprocess.Popen(
            [str(part) for part in command], env=environment, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            start_new_session=True, preexec_fn=end_with_parent, **as_user(user),
        )
        atexit.register(stop, process)
        end = time.monotonic() + PATIENCE_S
        while not is_ready():
            if process.poll() is not None or time.monotonic() > end:
                last = (folder / "log").read_text(errors="replace").strip().splitlines()[-1:] or ["no message"]
                raise Unavailable(f"it does not start: {last[0]}")
            time.sleep(0.05)


def end_with_parent():
    """The server gets SIGINT when this process dies without a word."""
    ctypes.CDLL(None).prctl(1, signal.SIGINT, 0, 0, 0)


def stop(process):
    process.send_signal(signal.SIGINT)
    try:
        process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()


def as_user(user):
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []} if user else {}


def newest_postgres() -> pathlib.Path:
    found = [folder / "bin" for folder in VERSIONS.glob("[0-9]*") if (folder / "bin" / "initdb").exists()]
    if not found:
        raise Unavailable(f"there is no PostgreSQL server below {VERSIONS}")
    return max(found, key=lambda bin: int(bin.parent.name))


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def ping_redis(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as talk:
            talk.sendall(b"PING\r\n")
            return talk.recv(16).startswith(b"+PONG")
    except OSError:
        return False
