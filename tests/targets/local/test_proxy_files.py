"""The proxy's files: whole or as before, and read without Envoy."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from failback.targets.local import proxy_config
from failback.targets.local.proxy_files import ProxyFiles, addresses, new_version, split_listen


@pytest.mark.parametrize(
    ("listen", "expected"),
    [
        ("127.0.0.1:8080", ("127.0.0.1", 8080)),
        ("[::1]:8080", ("::1", 8080)),
        (":8080", ("0.0.0.0", 8080)),
        ("localhost:80", ("localhost", 80)),
    ],
)
def test_an_address_is_taken_apart(listen: str, expected: tuple[str, int]) -> None:
    assert expected == split_listen(listen)


def test_names_become_numbers() -> None:
    """Envoy takes numeric addresses alone."""
    assert addresses("localhost:80")[0] == ("127.0.0.1", 80)
    assert addresses("127.0.0.1:80") == [("127.0.0.1", 80)]
    assert addresses("[::1]:80") == [("::1", 80)]


def test_a_name_that_is_none_is_said() -> None:
    with pytest.raises(OSError, match=r"not known|resolution|No address"):
        addresses("no-such-host.invalid:80")


def test_versions_differ() -> None:
    assert len({new_version() for _ in range(1000)}) == 1000


def test_a_write_leaves_the_file_alone_in_its_folder(tmp_path: Path) -> None:
    """Envoy looks at renames in the folder: nothing unfinished may ever be there."""
    files = ProxyFiles(tmp_path)
    files.write("rds/rds.json", {"version_info": "1", "resources": []})
    files.write("rds/rds.json", {"version_info": "2", "resources": []})
    files.keep("rds/rds.json")

    assert [path.name for path in (tmp_path / "rds").iterdir()] == ["rds.json"]
    assert (files.read("rds/rds.json") or {})["version_info"] == "2"


def test_a_reader_never_sees_half_of_a_file(tmp_path: Path) -> None:
    """Another process writes all the while; each look finds a whole document, old or new."""
    code = f"""
from pathlib import Path
from failback.targets.local.proxy_files import ProxyFiles
files = ProxyFiles(Path({str(tmp_path)!r}))
for number in range(150):
    files.write("x/x.json", {{"number": number, "filling": "x" * 50_000}})
"""
    writer = subprocess.Popen([sys.executable, "-c", code])
    path = tmp_path / "x" / "x.json"
    looks = 0
    while writer.poll() is None:
        if path.exists():
            assert len(json.loads(path.read_bytes())["filling"]) == 50_000
            looks += 1

    assert writer.returncode == 0
    assert looks > 10


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe"])
def test_a_file_that_is_none_is_read_as_none(tmp_path: Path, content: bytes) -> None:
    files = ProxyFiles(tmp_path)
    (tmp_path / "rds").mkdir()
    (tmp_path / proxy_config.ROUTES).write_bytes(content)

    assert files.read(proxy_config.ROUTES) is None
    assert files.routed() is None


def test_routes_are_told_without_any_process(tmp_path: Path) -> None:
    """`status` has 0.4 s and asks only files for it."""
    files = ProxyFiles(tmp_path)
    files.write(proxy_config.ROUTES, proxy_config.routes("1", "r3", "r4"))
    files.write(proxy_config.CLUSTERS, proxy_config.clusters("1", {"r3": [1, 2]}))
    files.write(proxy_config.LISTENERS, proxy_config.listeners("1", "/f", ["127.0.0.1"], 80))

    assert (files.routed(), files.mirrored(), files.revisions()) == ("r3", "r4", {"r3": [1, 2]})
    assert files.listens_on("127.0.0.1:80")
    assert not files.listens_on("127.0.0.1:81")


def test_reading_them_needs_the_standard_library_alone() -> None:
    code = "import sys, failback.targets.local.proxy_files; print(*sys.modules)"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()

    assert not {"asyncio", "psutil", "pydantic", "httpx"} & set(told)
