"""The story of the notes service: three releases under a steady load, as a user of failback would live them.

1. Flask 2.2.2 with Werkzeug 2.2.2 goes live.
2. Somebody tidies up and drops the line that pins Werkzeug. Flask 2.2.2 asks for "Werkzeug>=2.2.2", so the Build step
   installs Werkzeug 3, which has no `url_quote` any more. The tests pass: they run with the tools' own libraries.
3. Somebody reads what failback recommends, and does it.

Run it with `make example`. It works in a temporary folder; exit code 0 when everything went as told here.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from failback.drill.running_load import RunningLoad
from failback.executor.free_ports import free_port

HERE = Path(__file__).resolve().parent
RATE_PER_S = 20.0
COPIED = shutil.ignore_patterns(".tools", "lib", "data", "__pycache__", Path(__file__).name)


class Walk:
    """One copy of the service, one home, and what was found not to be as told."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "notes"
        shutil.copytree(HERE, self.folder, ignore=COPIED)
        self.url = f"http://127.0.0.1:{free_port()}/"
        plan = self.folder / "failback.yaml"
        plan.write_text(plan.read_text().replace("127.0.0.1:8080", self.url[7:-1]))
        self.env = {**os.environ, "FAILBACK_HOME": str(folder / "home")}
        self.wrong: list[str] = []

    def failback(self, *arguments: str, quiet: bool = False) -> tuple[int, str]:
        """Runs the command; its output goes to the terminal too."""
        say(f"$ failback {' '.join(arguments)}", quiet)
        command = [sys.executable, "-m", "failback.cli.main", *arguments]
        running = subprocess.Popen(command, cwd=self.folder, env=self.env, stdout=subprocess.PIPE, text=True)
        lines = []
        for line in running.stdout or ():
            lines.append(line)
            say(line.rstrip("\n"), quiet)
        return running.wait(), "".join(lines)

    def release(self, number: int, requirements: Callable[[str], str]) -> None:
        """What a commit would have changed."""
        file = self.folder / "service" / "requirements.txt"
        before = file.read_text()
        file.write_text(requirements(before))
        (self.folder / "service" / "notes" / "RELEASE").write_text(f"{number}\n")
        say(f"\n# Release {number}: service/requirements.txt\n{file.read_text()}")

    def deploy(self, number: int, code: int, *, loaded: bool = True) -> dict[str, Any]:
        """Deploys under load, tells what the clients saw, and checks the exit code and that nobody noticed."""
        if not loaded:
            found, _ = self.failback("deploy", "--yes")
        else:
            with (
                RunningLoad(self.url, RATE_PER_S) as new,
                RunningLoad(self.url, RATE_PER_S / 4, keep_alive=True) as kept,
            ):
                time.sleep(1)
                found, _ = self.failback("deploy", "--yes")
                time.sleep(1)
                for name, load in (("new connections", new), ("kept connections", kept)):
                    self._seen(name, load.stop())
        self.expect(found == code, f"release {number} ended with exit code {found}, not {code}")
        _, told = self.failback("explain", "--json", quiet=True)
        result: dict[str, Any] = json.loads(told)
        return result

    def _seen(self, name: str, report: dict[str, Any]) -> None:
        by = ", ".join(
            f"release {release} answered {seen['count']:,}" for release, seen in report["answered_by"].items()
        )
        say(f"Clients ({name}): {report['failed']:,} of {report['sent']:,} requests failed; {by}.")
        self.expect(not report["failed"], f"{report['failed']} requests of clients with {name} failed")

    def expect(self, held: bool, otherwise: str) -> None:
        if not held:
            self.wrong.append(otherwise)

    def note(self, text: str) -> None:
        body = json.dumps({"text": text}).encode()
        request = urllib.request.Request(self.url, body, {"Content-Type": "application/json"})
        urllib.request.urlopen(request, timeout=5).close()

    def answer(self) -> dict[str, Any]:
        with urllib.request.urlopen(self.url, timeout=5) as response:
            told: dict[str, Any] = json.load(response)
        return told


def say(text: str, quiet: bool = False) -> None:
    if not quiet:
        print(text, flush=True)


def walk(walker: Walk) -> None:
    """The three releases."""
    walker.release(1, lambda lines: lines)
    walker.deploy(1, 0, loaded=False)
    walker.note("written with release 1")

    walker.release(2, lambda lines: "".join(line for line in lines.splitlines(True) if "Werkzeug" not in line))
    bad = walker.deploy(2, 3)
    advice = json.dumps(bad["rollback"]["phases"][5]["recommendations"])
    walker.expect(bad["root_cause"]["type"] == "version_incompatibility", f"cause: {bad['root_cause']}")
    walker.expect("Werkzeug<3" in advice and "Flask" in advice, f"advice: {advice}")
    walker.expect(walker.answer()["release"] == "1", "release 1 does not serve any more")

    walker.release(3, lambda lines: lines + "Werkzeug<3\n")
    walker.deploy(3, 0)
    walker.expect(walker.answer()["release"] == "3", "release 3 does not serve")
    walker.expect(walker.answer()["notes"][0]["text"] == "written with release 1", "the note is gone")


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="failback-notes-") as folder:
        walker = Walk(Path(folder))
        try:
            walk(walker)
        finally:
            walker.failback("down", "notes", quiet=True)
    for wrong in walker.wrong:
        say(f"✗ {wrong}")
    say("✗ The story went otherwise." if walker.wrong else "✓ As told: release 2 failed in the dark, nobody noticed.")
    return 1 if walker.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
