"""The supervisor of one home: started apart from the command that needs it, and told while it runs what to keep alive.

Facts of supervisor 4.3 this page rests on: a program is known once its file is there and `reloadConfig` was called; it
gives up after `startretries`, so that is set beyond any need; it cannot change a running program, so the production
restart policy holds from the start; its back-off grows by a second with each failed start; it splits its list of files
at blanks and takes " ;" and " #" for comments, so paths in its configuration are relative to its own folder.

Whether it runs is a lock that it inherits and holds for life: true as well when the command that started it was killed
before it could write anything down. Its programs do not inherit the lock: supervisor closes what it passes to none.
"""

from __future__ import annotations

import contextlib
import fcntl
import http.client
import os
import re
import socket
import subprocess
import sys
import threading
import time
import xmlrpc.client
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from failback.model.errors import TargetUnavailable

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
        self._lock_file = folder / "supervisord.lock"

    def running(self) -> bool:
        """Whether a supervisor of this home lives: somebody holds its lock."""
        try:
            lock = os.open(self._lock_file, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(lock)
        return False

    def ensure(self) -> bool:
        """Starts it unless it runs; True when it had to be started. Two commands at once start one."""
        if self.running():
            self._await_answer()  # another command may have started it a moment ago
            return False
        self.programs.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.folder.chmod(0o700)
        self.socket_path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self._exclusively():
            if self.running():
                self._await_answer()
                return False
            self.socket_path.unlink(missing_ok=True)
            config = self.folder / "supervisord.conf"
            _replace(config, self._config())
            lock = os.open(self._lock_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX)
                with (self.folder / "supervisord.err").open("ab") as errors:
                    subprocess.Popen(
                        [sys.executable, "-m", "supervisor.supervisord", "--nodaemon", "--configuration", str(config)],
                        cwd=self.folder,
                        env=plain_environment(),
                        stdin=subprocess.DEVNULL,
                        stdout=subprocess.DEVNULL,
                        stderr=errors,
                        start_new_session=True,
                        pass_fds=(lock,),
                    )
            finally:
                os.close(lock)
            self._await_answer()
        return True

    def _await_answer(self) -> None:
        deadline = time.monotonic() + _START_S_MAX
        while True:
            with contextlib.suppress(OSError, xmlrpc.client.Error, http.client.HTTPException):
                self._server().supervisor.getState()
                return
            running = self.running()
            if not running or time.monotonic() > deadline:
                tail = (self.folder / "supervisord.err").read_text(errors="replace")[-400:]
                raise TargetUnavailable(
                    f"The supervisor of {self.folder} {'does not answer' if running else 'did not start'}: "
                    f"{tail.strip() or 'it said nothing'}",
                    folder=str(self.folder),
                )
            time.sleep(0.02)

    def add(self, program: str, command: Sequence[str], *, grace_s: float) -> None:
        """Keeps `command` alive from now on; does nothing when it is known already."""
        # At once or not at all: one half-written file would keep supervisor from reading any of them.
        _replace(self._program_file(program), _program(program, command, grace_s))
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
        pid = int(self._call("getPID"))
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
                f"The supervisor of {self.folder} does not answer ({cause}). "
                f"The next `failback resume` starts it again."
            ) from cause

    @contextlib.contextmanager
    def _exclusively(self) -> Iterator[None]:
        with (self.folder / "start.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _config(self) -> str:
        return f"""[unix_http_server]
file={_escaped(str(self.socket_path))}
chmod=0700

[supervisord]
logfile=supervisord.log
logfile_maxbytes=2MB
logfile_backups=1
loglevel=warn
pidfile=supervisord.pid
childlogdir=.
identifier=failback
minfds=1024

[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface

[include]
files=programs/*.conf
"""


def _program(program: str, command: Sequence[str], grace_s: float) -> str:
    words = " ".join(_word(word) for word in command)
    return f"""[program:{program}]
command={words}
autostart=true
autorestart=true
startsecs=1
startretries=1000000000
stopsignal=TERM
stopwaitsecs={int(grace_s) + 5}
stopasgroup=false
killasgroup=true
stdout_logfile=NONE
stderr_logfile={program}.err
stderr_logfile_maxbytes=256KB
stderr_logfile_backups=0
"""


def _replace(path: Path, text: str) -> None:
    """Writes a file as a whole; its temporary name is none that supervisor reads."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}")
    temporary.write_text(text)
    temporary.replace(path)


def _escaped(text: str) -> str:
    return text.replace("%", "%%")


def _word(word: str) -> str:
    """One word of a command as supervisor's own parser reads it."""
    escaped = _escaped(word.replace("\\", "\\\\").replace('"', '\\"'))
    # A blank before ";" or "#" begins a comment, even inside quotes; two quotes between them are nothing to the parser.
    return '"' + re.sub(r"(\s)([;#])", r'\1""\2', escaped) + '"'
