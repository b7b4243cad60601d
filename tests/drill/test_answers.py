"""Reading answers byte by byte, and telling a whole one from one that was cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from failback.drill.answers import Answer, BadAnswer

WHOLE = {
    "length": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Release: r1\r\n\r\nhello",
    "empty": b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    "none": b"HTTP/1.1 204 No Content\r\n\r\n",
    "chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\nT: v\r\n\r\n",
    "interim": b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 503 No\r\nContent-Length: 2\r\n\r\nno",
}


@pytest.mark.parametrize("raw", WHOLE.values(), ids=WHOLE)
def test_a_whole_answer_is_known_at_its_last_byte_and_not_before(raw: bytes) -> None:
    """In one piece or byte by byte: the network cuts anywhere."""
    answer = Answer()
    done = [answer.feed(raw[at : at + 1]) for at in range(len(raw))]

    assert done == [False] * (len(raw) - 1) + [True]
    assert Answer().feed(raw)


@pytest.mark.parametrize("raw", [WHOLE["length"], WHOLE["chunks"]], ids=["length", "chunks"])
def test_an_answer_that_is_cut_is_not_whole(raw: bytes) -> None:
    for at in range(len(raw)):
        answer = Answer()
        answer.feed(raw[:at])
        assert not answer.ends_with_connection()


def test_an_answer_without_a_length_ends_with_the_connection() -> None:
    answer = Answer()

    assert not answer.feed(b"HTTP/1.0 200 OK\r\n\r\nsome")
    assert answer.ends_with_connection()
    assert not answer.keeps_open


def test_what_it_tells() -> None:
    answer = Answer()
    answer.feed(WHOLE["length"])

    assert (answer.status, answer.headers["x-release"], bytes(answer.body), answer.keeps_open) == (
        200,
        b"r1",
        b"hello",
        True,
    )


def test_the_interim_answer_is_not_the_answer() -> None:
    answer = Answer()
    answer.feed(WHOLE["interim"])

    assert answer.status == 503


@pytest.mark.parametrize("head", ["Connection: close", "connection: Close"])
def test_a_connection_that_will_be_closed_is_not_used_again(head: str) -> None:
    answer = Answer()
    answer.feed(f"HTTP/1.1 200 OK\r\n{head}\r\nContent-Length: 0\r\n\r\n".encode())

    assert not answer.keeps_open


def test_the_answer_to_head_has_no_body() -> None:
    assert Answer(head_only=True).feed(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n")


@pytest.mark.parametrize(
    "raw",
    [
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: five\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        b"x" * 70_000,
    ],
    ids=["another protocol", "no status", "no length", "no chunk", "no end"],
)
def test_what_is_no_answer_is_said(raw: bytes) -> None:
    with pytest.raises(BadAnswer):
        Answer().feed(raw)


@given(st.binary(max_size=5_000), st.integers(1, 700))
def test_large_bodies_are_counted_and_not_kept(body: bytes, step: int) -> None:
    answer = Answer()
    raw = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    done = [answer.feed(raw[at : at + step]) for at in range(0, len(raw), step)]

    assert done[-1]
    assert bytes(answer.body) == body[:256]
