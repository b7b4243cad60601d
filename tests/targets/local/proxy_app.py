"""The service behind the proxy in these tests: `python proxy_app.py PORT NAME`. What it does is in the path."""

import asyncio
import sys

port, name = int(sys.argv[1]), sys.argv[2]
seen: list[str] = []


def answer(status: str, body: bytes, *, length: int | None = None, extra: str = "") -> bytes:
    head = f"HTTP/1.1 {status}\r\nx-release: {name}\r\nServer: mine/1\r\n{extra}"
    return f"{head}Content-Length: {len(body) if length is None else length}\r\n\r\n".encode() + body


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            lengths = [line[15:] for line in head.lower().split("\r\n") if line.startswith("content-length:")]
            length = int(lengths[0]) if lengths else 0
            method, path, _ = head.split(" ", 2)
            action, _, argument = path.strip("/").partition("/")
            if action == "seen":
                writer.write(answer("200 OK", "\n".join(seen).encode()))
                await writer.drain()
                return
            host = next(line[5:].strip() for line in head.split("\r\n") if line.lower().startswith("host:"))
            seen.append(f"{method} {path} {host}")
            if action == "early":
                writer.write(answer("413 Too Large", b"no", extra="Connection: close\r\n"))
                await writer.drain()
                return
            if length:
                await reader.readexactly(length)
            if action == "status" or name.startswith("bad"):
                writer.write(answer(f"{argument or 500} Said", b"as told"))
            elif action == "wait":
                await asyncio.sleep(float(argument))
                writer.write(answer("200 OK", b"late"))
            elif action == "half":
                writer.write(answer("200 OK", b"half", length=100))
                await writer.drain()
                await asyncio.sleep(0.05)
                writer.transport.abort()
                return
            elif action == "abort":
                writer.transport.abort()
                return
            elif action == "head":
                writer.write(answer("200 OK", head.encode("latin-1")))
            elif action == "stream":
                writer.write(f"HTTP/1.1 200 OK\r\nx-release: {name}\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
                for _ in range(int(argument)):
                    writer.write(b"5\r\ntick\n\r\n")
                    await writer.drain()
                    await asyncio.sleep(0.1)
                writer.write(b"0\r\n\r\n")
            elif action == "socket":
                writer.write(b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
                while data := await reader.read(1000):
                    writer.write(name.encode() + b":" + data)
                    await writer.drain()
                return
            else:
                writer.write(answer("200 OK", b"hello"))
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def main() -> None:
    server = await asyncio.start_server(serve, "127.0.0.1", port, backlog=512)
    print("listens", flush=True)
    await server.serve_forever()


asyncio.run(main())
