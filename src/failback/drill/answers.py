"""Reads one HTTP/1.1 answer as its bytes come, and knows whether it came whole. Pure; bounded in memory."""

from __future__ import annotations

_HEAD_BYTES_MAX = 64 * 1024
_BODY_BYTES_KEPT = 256
_CHUNK_LINE_BYTES_MAX = 8 * 1024


class BadAnswer(ValueError):
    """The bytes are no answer by the rules of HTTP/1.1."""


class Answer:
    """One answer. `body` holds its first bytes alone; the rest is counted, not kept."""

    __slots__ = ("_buffer", "_head_only", "_left", "_mode", "body", "headers", "keeps_open", "status")

    def __init__(self, *, head_only: bool = False) -> None:
        self.status = 0
        self.headers: dict[str, bytes] = {}
        self.body = bytearray()
        self.keeps_open = True
        self._buffer = bytearray()
        self._left = 0
        self._mode = "head"  # head -> length | chunk-size -> chunk-data -> trailers | until-end -> done
        self._head_only = head_only

    def feed(self, data: bytes) -> bool:
        """Takes the next bytes; True once the answer is whole."""
        self._buffer += data
        while self._step():
            pass
        return self._mode == "done"

    def ends_with_connection(self) -> bool:
        """Whether an end of the connection at this point is the regular end of the answer."""
        return self._mode in ("until-end", "done")

    def _step(self) -> bool:
        if self._mode in ("head", "chunk-size", "trailers"):
            return self._read_line_part()
        if self._mode in ("length", "chunk-data", "until-end"):
            return self._read_body_part()
        return False

    def _read_line_part(self) -> bool:
        end = self._buffer.find(b"\r\n\r\n" if self._mode == "head" else b"\r\n")
        if end < 0:
            limit = _HEAD_BYTES_MAX if self._mode == "head" else _CHUNK_LINE_BYTES_MAX
            if len(self._buffer) > limit:
                raise BadAnswer("broken answer")
            return False
        part = bytes(self._buffer[:end])
        del self._buffer[: end + (4 if self._mode == "head" else 2)]
        if self._mode == "head":
            self._head(part)
        elif self._mode == "chunk-size":
            self._chunk(part)
        elif not part:
            self._mode = "done"
        return True

    def _head(self, head: bytes) -> None:
        first, *lines = head.split(b"\r\n")
        version, _, rest = first.partition(b" ")
        if not version.startswith(b"HTTP/1.") or not rest[:3].isdigit():
            raise BadAnswer("broken answer")
        status = int(rest[:3])
        if 100 <= status < 200 and status != 101:
            return  # an interim answer; the real one follows
        self.status = status
        for line in lines:
            name, _, value = line.partition(b":")
            self.headers[name.strip().lower().decode("latin-1")] = value.strip()
        connection = self.headers.get("connection", b"").lower()
        self.keeps_open = b"close" not in connection and (version == b"HTTP/1.1" or b"keep-alive" in connection)
        self._mode = self._body_mode()

    def _body_mode(self) -> str:
        if self._head_only or self.status in (204, 304):
            return "done"
        if self.headers.get("transfer-encoding", b"").lower().endswith(b"chunked"):
            return "chunk-size"
        length = self.headers.get("content-length")
        if length is None:
            self.keeps_open = False
            return "until-end"
        if not length.isdigit():
            raise BadAnswer("broken answer")
        self._left = int(length)
        return "length" if self._left else "done"

    def _chunk(self, line: bytes) -> None:
        try:
            size = int(line.split(b";")[0], 16)
        except ValueError:
            raise BadAnswer("broken answer") from None
        self._left = size + 2  # its line end belongs to it
        self._mode = "chunk-data" if size else "trailers"

    def _read_body_part(self) -> bool:
        if not self._buffer:
            return False
        taken = len(self._buffer) if self._mode == "until-end" else min(self._left, len(self._buffer))
        content = taken if self._mode != "chunk-data" else max(0, min(taken, self._left - 2))
        room = _BODY_BYTES_KEPT - len(self.body)
        if room > 0:
            self.body += self._buffer[: min(content, room)]
        del self._buffer[:taken]
        if self._mode == "until-end":
            return False
        self._left -= taken
        if self._left == 0:
            self._mode = "chunk-size" if self._mode == "chunk-data" else "done"
            return self._mode != "done"
        return False
