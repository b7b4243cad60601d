"""The key: private, made once whoever asks at the same time, and never replaced without a word."""

from __future__ import annotations

import multiprocessing
import subprocess
from pathlib import Path

import pyrage
import pytest

from failback.backup.keys import ensure_key, existing_key, keep_for_people, passphrase_file
from failback.model.errors import NotPermitted, SnapshotUnreadable


def test_key_is_made_once_and_private(tmp_path):
    first = ensure_key(tmp_path / "home" / "key.txt")

    assert first == ensure_key(tmp_path / "home" / "key.txt")
    assert (tmp_path / "home" / "key.txt").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in (tmp_path / "home").iterdir()] == ["key.txt"]
    assert first.recipient.startswith("age1")


def test_key_does_not_show_its_identity(tmp_path):
    key = ensure_key(tmp_path / "key.txt")

    assert "AGE-SECRET-KEY" not in repr(key)


def test_what_is_sealed_opens_again_and_only_with_its_key(tmp_path):
    mine, other = ensure_key(tmp_path / "a"), ensure_key(tmp_path / "b")
    sealed = mine.encrypt(b"hello")

    assert mine.decrypt(sealed) == b"hello"
    with pytest.raises(ValueError, match="cannot be opened"):
        other.decrypt(sealed)
    with pytest.raises(ValueError, match="cannot be opened"):
        mine.decrypt(sealed[:-1])


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_key_that_others_can_read_is_refused_with_the_remedy(tmp_path, mode):
    ensure_key(tmp_path / "key.txt")
    (tmp_path / "key.txt").chmod(mode)

    with pytest.raises(NotPermitted, match=rf"mode {mode:o}.*chmod 600"):
        ensure_key(tmp_path / "key.txt")


@pytest.mark.parametrize("text", ["", "# nothing\n", "AGE-SECRET-KEY-1NONSENSE\n"])
def test_file_that_holds_no_key_is_not_written_over(tmp_path, text):
    """It may be somebody's other file; and a new key would not open the old backups."""
    (tmp_path / "key.txt").write_text(text)
    (tmp_path / "key.txt").chmod(0o600)

    with pytest.raises(NotPermitted, match="move it away"):
        ensure_key(tmp_path / "key.txt")
    assert text == (tmp_path / "key.txt").read_text()


def test_missing_key_is_not_made_for_reading(tmp_path):
    with pytest.raises(SnapshotUnreadable, match="Put it back"):
        existing_key(tmp_path / "key.txt")
    assert not (tmp_path / "key.txt").exists()


def test_key_by_age_keygen_is_taken(tmp_path):
    """A user may bring the key of the organisation."""
    subprocess.run(["age-keygen", "-o", str(tmp_path / "key.txt")], check=True, capture_output=True)

    key = ensure_key(tmp_path / "key.txt")

    assert f"# public key: {key.recipient}" in (tmp_path / "key.txt").read_text()


def _make(path: Path, results: multiprocessing.Queue) -> None:  # type: ignore[type-arg]
    results.put(ensure_key(path).recipient)


def test_processes_at_once_make_one_key(tmp_path):
    """Two keys would mean that what one of the two encrypted is lost."""
    context = multiprocessing.get_context("fork")
    results: multiprocessing.Queue[str] = context.Queue()  # type: ignore[assignment]
    workers = [context.Process(target=_make, args=(tmp_path / "key.txt", results)) for _ in range(8)]
    for worker in workers:
        worker.start()
    recipients = {results.get(timeout=30) for _ in workers}
    for worker in workers:
        worker.join(30)

    assert {ensure_key(tmp_path / "key.txt").recipient} == recipients
    assert [path.name for path in tmp_path.iterdir()] == ["key.txt"]


def test_copy_for_people_opens_with_the_passphrase(tmp_path):
    """Who has the backup folder and the words needs neither this machine nor its key file."""
    key = ensure_key(tmp_path / "key.txt")
    words = tmp_path / "words"
    words.write_text("correct horse battery staple\n")
    words.chmod(0o600)

    kept = keep_for_people(key, words, tmp_path)

    opened = pyrage.passphrase.decrypt(kept.read_bytes(), "correct horse battery staple")
    assert (tmp_path / "key.txt").read_bytes() == opened
    before = kept.stat().st_mtime_ns
    assert kept == keep_for_people(key, words, tmp_path)
    assert before == kept.stat().st_mtime_ns, "made once: scrypt takes seconds by design"


@pytest.mark.parametrize(("text", "mode", "why"), [("", 0o600, "is empty"), ("words", 0o644, "read by others")])
def test_passphrase_that_protects_nothing_is_refused(tmp_path, text, mode, why):
    words = tmp_path / "words"
    words.write_text(text)
    words.chmod(mode)

    with pytest.raises(NotPermitted, match=why):
        keep_for_people(ensure_key(tmp_path / "key.txt"), words, tmp_path)


def test_passphrase_file_comes_from_the_environment():
    assert passphrase_file({"FAILBACK_PASSPHRASE_FILE": "/x"}) == Path("/x")
    assert passphrase_file({}) is None
    assert passphrase_file({"FAILBACK_PASSPHRASE_FILE": ""}) is None
