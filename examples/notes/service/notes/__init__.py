"""A small notes service: who calls keeps short texts, newest first, in one SQLite file."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from flask import Flask, Response, jsonify, request

TEXT_CHARS_MAX = 2000
NEWEST = 20


def create_app(data: Path | None = None) -> Flask:
    """The application; `data` is the folder of its database."""
    folder = data or Path(os.environ.get("NOTES_DATA", "data"))
    folder.mkdir(parents=True, exist_ok=True)
    release = (Path(__file__).parent / "RELEASE").read_text(encoding="utf-8").strip()
    app = Flask(__name__)

    def database() -> closing[sqlite3.Connection]:
        return closing(sqlite3.connect(folder / "notes.sqlite", timeout=5, isolation_level=None))

    with database() as connection:
        connection.execute("create table if not exists note (id integer primary key, text text not null)")

    @app.get("/")
    def newest() -> Response:
        with database() as connection:
            rows = connection.execute("select id, text from note order by id desc limit ?", (NEWEST,)).fetchall()
        return jsonify(release=release, notes=[{"id": number, "text": text} for number, text in rows])

    @app.post("/")
    def add() -> tuple[Response, int]:
        text = (request.get_json(silent=True) or {}).get("text", "")
        if not isinstance(text, str) or not 0 < len(text) <= TEXT_CHARS_MAX:
            return jsonify(error=f"text: 1 to {TEXT_CHARS_MAX} characters"), 400
        with database() as connection:
            number = connection.execute("insert into note (text) values (?)", (text,)).lastrowid
        return jsonify(id=number, text=text), 201

    @app.after_request
    def say_who_answered(response: Response) -> Response:
        response.headers["X-Release"] = release
        return response

    return app
