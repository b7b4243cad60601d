"""Starts one replica and stays its parent: secrets, limits, masked and bounded log, signals, and how it ended.

Run by the supervisor as `python -I -m failback.targets.local.launcher FOLDER`. One thread; light imports, since one
of these lives beside every replica.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import selectors
import signal
import socket
import sys
import time
from collections import deque
from pathlib import Path
from typing import Any

from failback.model.redaction import Redactor, StreamRedactor
from failback.targets.local.limits import Limiter, open_limiter
from failback.targets.local.log import BoundedLog
from failback.targets.local.replica import Life, ReplicaFiles, ReplicaSpec, members, start_ticks

_SAMPLE_S = 0.25
_SAMPLES_MAX = 400
_READ_BYTES = 256 * 1024
_RING_S_MIN = 0.05
_FORWARDED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_CANNOT_START = 127
_NO_SECRETS = 78  # EX_CONFIG


class Launcher:
    """One run of one replica's process."""

    def __init__(self, files: ReplicaFiles, spec: ReplicaSpec) -> None:
        self.files = files
        self.spec = spec
        self.run = sum(1 for life in files.life() if life.event == "started") + 1
        self.stopping_at: float | None = None
        self.samples: deque[tuple[float, int]] = deque(maxlen=_SAMPLES_MAX)
        self.oom_kills = 0
        self._rung_at = 0.0
        self._bell: socket.socket | None = None
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        os.set_blocking(self._wake_write, False)

    def live(self) -> int:
        """Starts the process, stays until it has ended, and gives the exit code for the supervisor."""
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        for number in _FORWARDED:
            signal.signal(number, lambda *_: None)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self._end_leftover()
        limiter = open_limiter(self.spec.cgroup, self.spec.memory_bytes, self.spec.cpu_cores)
        limiter.clear()
        limiter_left = True
        try:
            try:
                env, masked = self._environment()
            except Exception as error:  # noqa: BLE001 - whatever it is, nobody would see why the replica does not start
                return self._could_not_start(error)
            log = BoundedLog(self.files.log, self.files.previous_log)
            redactor = StreamRedactor(Redactor(masked))
            code = self._one_life(limiter, env, log, redactor)
            limiter.end()
            limiter_left = False
            return code
        finally:
            if limiter_left:
                limiter.end()

    def _one_life(self, limiter: Limiter, env: dict[str, str], log: BoundedLog, redactor: StreamRedactor) -> int:
        output, write_end = os.pipe()
        began = time.monotonic()
        pid = self._fork(limiter, env, output, write_end)
        os.close(write_end)
        os.set_blocking(output, False)
        self._note_run(
            {
                "launcher": os.getpid(),
                "pid": pid,
                "ticks": start_ticks(pid),
                "started_at": time.time(),
                "started_mono": time.monotonic(),
                "run": self.run,
                "limits": limiter.kind,
            }
        )
        self._record(Life("started", time.time(), time.monotonic(), self.run, pid))
        self._ring(now=True)
        status = self._watch(pid, output, limiter, log, redactor, began)
        lived = time.monotonic() - began
        self._end_group(pid)
        log.write(redactor.close())
        log.close()
        # A kill for memory is counted by the kernel a moment after the process has gone.
        killed = limiter.oom_kills() > self.oom_kills or (self.oom_kills > 0 and os.WIFSIGNALED(status))
        number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else None
        code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else None
        self._record(
            Life(
                "exited",
                time.time(),
                time.monotonic(),
                self.run,
                pid,
                code=code,
                signal=signal.Signals(number).name if number else None,
                oom_killed=killed,
                lived_s=round(lived, 4),
                samples=tuple(self.samples),
            )
        )
        self.files.clear_run()
        self._ring(now=True)
        return code if code is not None else 128 + (number or 0)

    def _could_not_start(self, error: Exception) -> int:
        """Records what kept it from starting the process, as the process's own end would be."""
        said = str(error) or type(error).__name__
        why = f"failback: the secrets of {self.spec.name} cannot be opened with the key {self.spec.key_file}: {said}"
        log = BoundedLog(self.files.log, self.files.previous_log)
        log.write(why.encode("utf-8", "replace") + b"\n")
        log.close()
        life = Life("exited", time.time(), time.monotonic(), self.run, 0, code=_NO_SECRETS, error=why)
        self._record(life)
        self._ring(now=True)
        return _NO_SECRETS

    def _environment(self) -> tuple[dict[str, str], list[str]]:
        """The process's whole environment, and the values to be masked in its log."""
        env = {**self.spec.env, "PORT": str(self.spec.port)}
        if not self.files.secret.exists():
            return env, []
        import pyrage

        identity = next(
            line for line in Path(self.spec.key_file).read_text().splitlines() if line.startswith("AGE-SECRET-KEY-")
        )
        opened = json.loads(pyrage.decrypt(self.files.secret.read_bytes(), [pyrage.x25519.Identity.from_str(identity)]))
        return {**env, **opened["env"]}, list(opened["masked"])

    def _fork(self, limiter: Limiter, env: dict[str, str], output: int, write_end: int) -> int:
        pid = os.fork()
        if pid:
            return pid
        try:
            os.setsid()
            _die_with_parent()
            limiter.join()
            signal.set_wakeup_fd(-1)
            for number in (*_FORWARDED, signal.SIGCHLD, signal.SIGPIPE):
                signal.signal(number, signal.SIG_DFL)
            null = os.open(os.devnull, os.O_RDONLY)
            os.dup2(null, 0)
            os.dup2(write_end, 1)
            os.dup2(write_end, 2)
            os.closerange(3, 256)
            try:
                os.chdir(self.spec.cwd)
            except OSError as cause:
                os.write(
                    2, f"failback: the release's folder {self.spec.cwd} cannot be entered: {cause.strerror}\n".encode()
                )
                os._exit(_CANNOT_START)
            os.execvpe(self.spec.start[0], list(self.spec.start), env)
        except OSError as cause:
            os.write(2, f"{self.spec.start[0]}: {cause.strerror}\n".encode())
            os._exit(126 if isinstance(cause, PermissionError) else _CANNOT_START)
        except BaseException as error:  # noqa: BLE001 - a child that went on would be a second launcher
            os.write(2, f"failback launcher: {type(error).__name__}: {error}\n".encode())
            os._exit(_CANNOT_START)

    def _watch(
        self, pid: int, output: int, limiter: Limiter, log: BoundedLog, redactor: StreamRedactor, began: float
    ) -> int:
        """Passes output, signals and samples on until the process has ended; returns its wait status."""
        selector = selectors.DefaultSelector()
        selector.register(output, selectors.EVENT_READ)
        selector.register(self._wake_read, selectors.EVENT_READ)
        next_sample = began
        while True:
            now = time.monotonic()
            if now >= next_sample:
                next_sample = now + _SAMPLE_S
                self._sample(pid, limiter, now - began)
            if self.stopping_at is not None and now >= self.stopping_at:
                self.stopping_at = None
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(pid, signal.SIGKILL)
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                self._drain(output, log, redactor)
                selector.close()
                os.close(output)
                return status
            for key, _ in selector.select(max(0.0, next_sample - now)):
                if key.fd == output:
                    if not self._pass_on(output, log, redactor):
                        selector.unregister(output)
                else:
                    self._take_signals(pid)

    def _pass_on(self, output: int, log: BoundedLog, redactor: StreamRedactor) -> bool:
        try:
            chunk = os.read(output, _READ_BYTES)
        except BlockingIOError:
            return True
        if not chunk:
            return False
        if log.admits(len(chunk)):
            began = time.monotonic()
            log.write(redactor.feed(chunk))
            log.took(time.monotonic() - began)
        self._ring()
        return True

    def _drain(self, output: int, log: BoundedLog, redactor: StreamRedactor) -> None:
        """What the process has left in the pipe; a grandchild that goes on writing is not waited for."""
        for _ in range(64):
            try:
                chunk = os.read(output, _READ_BYTES)
            except BlockingIOError:
                return
            if not chunk:
                return
            log.write(redactor.feed(chunk))

    def _take_signals(self, pid: int) -> None:
        for number in os.read(self._wake_read, 4096):
            if number in (signal.SIGTERM, signal.SIGINT):
                self.stopping_at = time.monotonic() + self.spec.grace_s
            if number in _FORWARDED:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(pid, number)

    def _sample(self, pid: int, limiter: Limiter, at_s: float) -> None:
        used = limiter.used_bytes(pid)
        if used is not None:
            self.samples.append((round(at_s, 2), used))
            run = self.files.run()
            if run is not None:
                self._note_run({**run, "memory_bytes": used, "sampled_s": round(at_s, 2)})
        limiter.enforce(pid)
        kills = limiter.oom_kills()
        if kills > self.oom_kills:
            self.oom_kills = kills
            now = time.monotonic()
            self._record(Life("oom", time.time(), now, self.run, pid, oom_killed=True, samples=tuple(self.samples)))
            self._ring(now=True)

    def _record(self, life: Life) -> None:
        """What is only written down may not end the process: with a full disk it is lost, and the service goes on."""
        with contextlib.suppress(OSError):
            self.files.record(life)

    def _note_run(self, run: dict[str, Any]) -> None:
        with contextlib.suppress(OSError):
            self.files.write_run(run)

    def _end_group(self, group: int) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)

    def _end_leftover(self) -> None:
        """What an earlier launcher left when it was killed: the same process, not a later one with its id."""
        run = self.files.run()
        if run is not None and start_ticks(int(run["pid"])) == run["ticks"]:
            self._end_group(int(run["pid"]))
        elif run is not None and members(int(run["pid"]), str(run["ticks"])):
            self._end_group(int(run["pid"]))  # its workers: the kernel ended the main process alone
        self.files.clear_run()

    def _ring(self, *, now: bool = False) -> None:
        """Tells whoever watches that there is something to see; nobody may be there."""
        at = time.monotonic()
        if not now and at - self._rung_at < _RING_S_MIN:
            return
        self._rung_at = at
        if self._bell is None:
            self._bell = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self._bell.setblocking(False)
        with contextlib.suppress(OSError):
            self._bell.sendto(self.spec.name.encode(), self.spec.doorbell)


def _die_with_parent() -> None:
    """On Linux the process goes when its launcher is killed; elsewhere the next launcher ends it."""
    if not sys.platform.startswith("linux"):
        return
    import ctypes

    with contextlib.suppress(OSError):
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def _wait_for_turn(files: ReplicaFiles) -> int | None:
    """Takes the replica's lock. Another launcher has it when the supervisor was killed and began anew: then this one
    stands by, so that the process goes on undisturbed. None: told to stop before its turn came."""
    lock = os.open(files.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    told = False

    def stop(*_: object) -> None:
        nonlocal told
        told = True
        run = files.run()
        if run is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(run["launcher"]), signal.SIGTERM)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            break
        except InterruptedError:
            continue
    return None if told else lock


def main() -> int:
    """The entry point."""
    files = ReplicaFiles(Path(sys.argv[1]))
    lock = _wait_for_turn(files)
    if lock is None:
        return 0
    return Launcher(files, files.spec()).live()


if __name__ == "__main__":
    sys.exit(main())
