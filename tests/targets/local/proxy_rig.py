"""A real Envoy before real little services, as the supervisor would start it; everything is ended by its own id."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from failback.targets.local.ports import free_ports
from failback.targets.local.proxy import Proxy

APP = Path(__file__).with_name("proxy_app.py")


class Rig:
    """One proxy with its services; `proxy` is what is tested."""

    def __init__(self, folder: Path, run_dir: Path, listen: str = "") -> None:
        self.folder = folder
        self.port = int(listen.rpartition(":")[2]) if listen else free_ports(1)[0]
        self.proxy = Proxy(folder / "proxy", run_dir, "notes", listen or f"127.0.0.1:{self.port}")
        self.log = folder / "envoy.log"
        self.envoys: list[subprocess.Popen[bytes]] = []
        self.services: dict[int, subprocess.Popen[str]] = {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def service(self, name: str, count: int = 1, ports: list[int] | None = None) -> list[int]:
        """Starts replicas that answer as `name`; their ports, once they listen."""
        ports = ports or free_ports(count, self.services)
        for port in ports:
            self.services[port] = subprocess.Popen(
                [sys.executable, str(APP), str(port), name], stdout=subprocess.PIPE, text=True
            )
        for port in ports:
            stdout = self.services[port].stdout
            assert stdout is not None
            assert stdout.readline() == "listens\n"
        return ports

    def kill(self, port: int) -> None:
        self.services[port].kill()
        self.services[port].wait()

    def envoy(self) -> subprocess.Popen[bytes]:
        """What the supervisor does with `command`."""
        with self.log.open("ab") as log:
            self.envoys.append(subprocess.Popen(self.proxy.command(), env={}, stderr=log, stdout=log))
        return self.envoys[-1]

    async def up(self, **revisions: list[int]) -> Proxy:
        """The proxy, ready, with these revisions; users go to the first."""
        self.proxy.prepare()
        self.envoy()
        await self.proxy.ready()
        await self.proxy.set_clusters(revisions)
        await self.proxy.route(next(iter(revisions), None))
        return self.proxy

    async def ask(
        self, path: str = "/", method: str = "GET", head: str = "", body: bytes = b"", host: str = "127.0.0.1"
    ) -> str:
        """The whole answer to one request on a connection of its own."""
        reader, writer = await asyncio.open_connection(host, self.port)
        try:
            writer.write(
                f"{method} {path} HTTP/1.1\r\nHost: notes.test\r\nConnection: close\r\n{head}\r\n".encode() + body
            )
            return (await reader.read()).decode("latin-1")
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def seen(self, port: int) -> list[str]:
        """What this replica was asked: "GET / host", one a request."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /seen HTTP/1.1\r\nHost: x\r\n\r\n")
        text = (await reader.read()).decode("latin-1")
        writer.close()
        return text.partition("\r\n\r\n")[2].splitlines()

    def close(self) -> None:
        self.proxy.admin.close()
        for process in (*self.envoys, *self.services.values()):
            process.kill()
            process.wait()
        for process in self.services.values():
            if process.stdout is not None:
                process.stdout.close()


@contextlib.contextmanager
def open_rig(folder: Path, run_dir: Path, listen: str = "") -> Iterator[Rig]:
    rig = Rig(folder, run_dir, listen)
    try:
        yield rig
    finally:
        rig.close()
