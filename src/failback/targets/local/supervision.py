"""The supervisor of one home: started apart from the command that needs it, and told while it runs what to keep alive.

Facts of supervisor 4.3 this page rests on: a program is known once its file is there and `reloadConfig` was called; it
gives up after `startretries`, so that is set beyond any need; it cannot change a running program, so the production
restart policy holds from the start; its back-off grows by a second with each failed start.
"""

from __future__ import annotations

import contextlib
import fcntl
import http.client
import os
import socket
import subprocess
import sys
import time
import xmlrpc.client
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from failback.model.errors import TargetUnavailable
from failback.targets.local.replica import start_ticks

_START_S_MAX = 15.0
_ANSWER_S_MAX = 30.0
_KEPT_VARIABLES = ("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR")
_ALREADY_STARTED, _NOT_RUNNING, _BAD_NAME, _ALREADY_ADDED, _STILL_RUNNING = 60, 70, 10, 90, 91


def plain_environment() -> dict[str, str]:
    """What every process here gets of the caller's environment: no variable that could hold a secret."""
    return {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}


class _Transport(xmlrpc.client.Transport):
    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = path

    def make_connection(self, host: Any) -> http.client.HTTPConnection:
        path = self._path

        class Connection(http.client.HTTPConnection):
            def connect(self) -> None:
                self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
                self.sock.settimeout(_ANSWER_S_MAX)
                self.sock.connect(path)

        return Connection("localhost")


class Supervision:
    """One home's supervisor. Files under `folder`, its socket under `run_dir` (a short path)."""

    def __init__(self, folder: Path, run_dir: Path) -> None:
        self.folder = folder
        self.programs = folder / "programs"
        self.socket_path = run_dir / "supervisor"
        self._pid_file = folder / "supervisord.pid"

    def running(self) -> bool:
        """Whether the very process that wrote its pid still lives."""
        try:
            pid, ticks = self._pid_file.with_suffix(".started").read_text().split()
        except (OSError, ValueError):
            return False
        return start_ticks(int(pid)) == ticks

    def ensure(self) -> bool:
        """Starts it unless it runs; True when it had to be started. Two commands at once start one."""
        if self.running():
            return False
        self.programs.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.socket_path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self._exclusively():
            if self.running():
                return False
            self.socket_path.unlink(missing_ok=True)
            config = self.folder / "supervisord.conf"
            config.write_text(self._config())
            process = subprocess.Popen(
                [sys.executable, "-m", "supervisor.supervisord", "--nodaemon", "--configuration", str(config)],
                cwd=self.folder,
                env=plain_environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=(self.folder / "supervisord.err").open("ab"),
                start_new_session=True,
            )
            self._pid_file.with_suffix(".started").write_text(f"{process.pid} {start_ticks(process.pid)}")
            self._await_answer(process)
        return True

    def _await_answer(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + _START_S_MAX
        while True:
            with contextlib.suppress(OSError, xmlrpc.client.Error, http.client.HTTPException):
                self._server().supervisor.getState()
                return
            if process.poll() is not None or time.monotonic() > deadline:
                tail = (self.folder / "supervisord.err").read_text(errors="replace")[-400:]
                raise TargetUnavailable(
                    f"The supervisor of {self.folder} did not start (exit code {process.poll()}): {tail.strip()}",
                    folder=str(self.folder),
                )
            time.sleep(0.02)

    def add(self, program: str, command: Sequence[str], *, grace_s: float) -> None:
        """Keeps `command` alive from now on; does nothing when it is known already."""
        self._program_file(program).write_text(_program(program, command, self.folder, grace_s))
        self._reload()
        self._call("addProcessGroup", program, unless=(_ALREADY_ADDED,))
        self._call("startProcess", program, False, unless=(_ALREADY_STARTED,))

    def remove(self, program: str) -> None:
        """Stops the program and forgets it; returns once its process is gone."""
        self._call("stopProcess", program, True, unless=(_NOT_RUNNING, _BAD_NAME))
        self._program_file(program).unlink(missing_ok=True)
        with contextlib.suppress(TargetUnavailable):
            self._reload()
        self._call("removeProcessGroup", program, unless=(_BAD_NAME, _STILL_RUNNING))

    def restart(self, program: str) -> None:
        """Stops and starts it; also brings back one that the supervisor has given up."""
        self._call("stopProcess", program, True, unless=(_NOT_RUNNING, _BAD_NAME))
        self._call("startProcess", program, False, unless=(_ALREADY_STARTED,))

    def known(self) -> dict[str, dict[str, Any]]:
        """Every program with its state, by name."""
        return {info["name"]: info for info in self._call("getAllProcessInfo")}

    def stop(self) -> None:
        """Ends the supervisor itself, and with it every program."""
        if not self.running():
            return
        pid = int(self._pid_file.with_suffix(".started").read_text().split()[0])
        with contextlib.suppress(TargetUnavailable):
            self._call("shutdown")
        deadline = time.monotonic() + _START_S_MAX
        while self.running() and time.monotonic() < deadline:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
            time.sleep(0.02)
        self.socket_path.unlink(missing_ok=True)

    def _program_file(self, program: str) -> Path:
        return self.programs / f"{program}.conf"

    def _reload(self) -> None:
        self._call("reloadConfig", unless=())

    def _server(self) -> Any:
        return xmlrpc.client.ServerProxy("http://localhost/RPC2", transport=_Transport(str(self.socket_path)))

    def _call(self, method: str, *arguments: Any, unless: Sequence[int] = ()) -> Any:
        try:
            return getattr(self._server().supervisor, method)(*arguments)
        except xmlrpc.client.Fault as fault:
            if fault.faultCode in unless:
                return None
            raise TargetUnavailable(f"The supervisor refused {method}{arguments}: {fault.faultString}") from fault
        except (OSError, http.client.HTTPException) as cause:
            raise TargetUnavailable(
                f"The supervisor of {self.folder} does not answer ({cause}). The next `failback resume` starts it again."
            ) from cause

    @contextlib.contextmanager
    def _exclusively(self) -> Iterator[None]:
        with (self.folder / "start.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _config(self) -> str:
        quoted = _quoted
        return f"""[unix_http_server]
file={quoted(self.socket_path)}
chmod=0700

[supervisord]
logfile={quoted(self.folder / "supervisord.log")}
logfile_maxbytes=2MB
logfile_backups=1
loglevel=warn
pidfile={quoted(self._pid_file)}
childlogdir={quoted(self.folder)}
identifier=failback
minfds=1024

[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface

[include]
files={quoted(self.programs / "*.conf")}
"""


def _program(program: str, command: Sequence[str], folder: Path, grace_s: float) -> str:
    words = " ".join(_word(word) for word in command)
    return f"""[program:{program}]
command={words}
directory={_quoted(folder)}
autostart=true
autorestart=true
startsecs=1
startretries=1000000000
stopsignal=TERM
stopwaitsecs={int(grace_s) + 5}
stopasgroup=false
killasgroup=true
stdout_logfile=NONE
stderr_logfile={_quoted(folder / f"{program}.err")}
stderr_logfile_maxbytes=256KB
stderr_logfile_backups=0
"""


def _quoted(path: Path) -> str:
    return str(path).replace("%", "%%")


def _word(word: str) -> str:
    """One word of a command as supervisor's own parser reads it."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{escaped}"'
