"""Writes the pages of docs/reference that are made from the code: plan, commands, exit codes; `--check` compares."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from failback.model.plan_keys import Key
from failback.model.plan_reference import Entry, described, reference_text
from reference_commands import codes_page, commands_page
from reference_diagnosis import page as diagnosis_page

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "reference"
_SECTIONS = (
    ("The service", ("apiVersion", "service", "environment")),
    ("Where it runs", ("target",)),
    ("What is deployed", ("release",)),
    ("How it is judged", ("checks",)),
    ("The steps", ("steps",)),
    ("How users are switched", ("strategy",)),
    ("Rollback", ("rollback_config",)),
    ("Notifications", ("notification_config",)),
    ("Backup", ("backup",)),
    ("Diagnosis and fixes", ("diagnosis", "auto_fix")),
    ("Several services", ("services",)),
)
_RESERVED = (
    "environment",
    "services",
    "checks/max_error_increase",
    "checks/max_latency_increase",
    "notification_config/email/server",
    "notification_config/email/sender",
    "notification_config/pagerduty/address",
    "notification_config/urls",
    "diagnosis/try_fixes",
    "diagnosis/llm",
    "auto_fix",
)
_HEAD = """# The plan, `failback.yaml`

<!-- Made by tools/make_reference.py from src/failback/model/config_reference.yaml: change that file. -->

A plan says what is deployed, by which steps, how it is judged and who is told. `failback init` writes one to start
from, with a JSON Schema beside it for your editor; `failback plan` checks it and touches nothing.

- A key that is not on this page is an error, which names its line and the nearest known key. All problems are told
  at once.
- Numbers have no unit: seconds, unless the key's name or this page says otherwise.
- Relative paths start at the plan's own folder.
- Texts that hold `${NAME}` are taken from the environment in these keys alone: `env`, `headers`, `image`,
  `webhook_url`, `username`, `password`, `api_key` and `urls`. There, `{from_file: path}` and
  `{env: NAME, secret: false, default: text}` may stand too. In any other key `${NAME}` is an error, except in commands
  and in `body`, where it is left as it is.
- A missing file or folder is an error, unless a step says in its command that it makes it (`mkdir -p dist`).
- From Python the same keys are passed as mappings; `rollback_config`, `notification_config` and `backup` also to the
  executor itself, and win there key by key.
"""


def page() -> str:
    """The whole page, as Markdown."""
    known = list({key.path: (key, entry) for key, entry in described()}.values())
    parts = [_HEAD]
    for title, tops in _SECTIONS:
        heading = f"## {title}"
        parts.append("\n".join([heading, "", *_rows(known, tops)]))
    parts.append("\n".join(["## Reserved keys", "", *_reserved(known)]))
    parts.append("\n".join(["## The whole example", "", "```yaml", reference_text().rstrip("\n"), "```"]))
    return "\n\n".join(part.rstrip("\n") for part in parts) + "\n"


def _rows(known: Sequence[tuple[Key, Entry]], tops: Sequence[str]) -> Iterator[str]:
    for key, entry in known:
        if key.path[0] not in tops:
            continue
        where = f" *(`kind: {key.variant}`)*" if key.variant and key.name != "kind" else ""
        yield f"### `{key.text}`{where}"
        yield ""
        if entry.text:
            yield entry.text
            yield ""
        if entry.default_text:
            yield entry.default_text
            yield ""
        if entry.example:
            yield f"Example: `{key.name}: {entry.example}`"
            yield ""


def _reserved(known: Sequence[tuple[Key, Entry]]) -> Iterator[str]:
    yield "The names and places of these keys are fixed beyond this version. If a use of one is not acted on yet, the"
    yield "plan is refused, never half obeyed."
    yield ""
    yield "| key | in this version | what it is for |"
    yield "|---|---|---|"
    for key, entry in known:
        if entry.reserved or key.text in _RESERVED:
            text = (entry.text or entry.default_text).replace("|", "\\|")
            yield f"| `{key.text}` | {'not yet: such a use is refused' if entry.reserved else 'acted on'} | {text} |"


PAGES = {"plan.md": page, "commands.md": commands_page, "exit-codes.md": codes_page, "diagnosis.md": diagnosis_page}


def main(arguments: Sequence[str]) -> int:
    """0: written, or equal; 1: `--check` found a difference."""
    different = []
    for name, make in PAGES.items():
        path, made = FOLDER / name, make()
        if "--check" not in arguments:
            FOLDER.mkdir(parents=True, exist_ok=True)
            path.write_text(made, encoding="utf-8")
        elif not path.exists() or path.read_text(encoding="utf-8") != made:
            different.append(name)
    if different:
        print(f"{', '.join(different)}: not what the code makes; run python tools/make_reference.py", file=sys.stderr)
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
