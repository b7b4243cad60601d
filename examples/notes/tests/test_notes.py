"""The service through its own test client, with a database of its own."""

from pathlib import Path

import pytest
from flask.testing import FlaskClient

from notes import TEXT_CHARS_MAX, create_app


@pytest.fixture
def client(tmp_path: Path) -> FlaskClient:
    return create_app(tmp_path).test_client()


def test_a_note_that_was_added_is_the_newest(client: FlaskClient) -> None:
    client.post("/", json={"text": "buy milk"})
    client.post("/", json={"text": "call Ada"})

    assert [note["text"] for note in client.get("/").get_json()["notes"]] == ["call Ada", "buy milk"]


@pytest.mark.parametrize("body", [None, {}, {"text": ""}, {"text": 7}, {"text": "x" * (TEXT_CHARS_MAX + 1)}])
def test_what_is_no_note_is_refused_and_not_kept(client: FlaskClient, body: object) -> None:
    answer = client.post("/", json=body)

    assert answer.status_code == 400
    assert client.get("/").get_json()["notes"] == []


def test_every_answer_says_which_release_gave_it(client: FlaskClient) -> None:
    assert client.get("/").headers["X-Release"] == client.get("/").get_json()["release"]
