"""The page about detection holds the table as it is."""

from __future__ import annotations

from pathlib import Path

from failback.detection.gate import RULES

PAGE = Path(__file__).parents[2] / "docs" / "explanation" / "detection.md"


def table() -> str:
    """The table of the page; `python -m tests.detection.test_docs` prints it."""
    rows = ["| rule | state | why these facts suffice | who states them |", "|---|---|---|---|"]
    rows += [f"| `{rule.name}` | {rule.state} | {rule.why} | {rule.source} |" for rule in RULES]
    return "\n".join(rows) + "\n"


def test_the_page_has_every_rule_as_it_is() -> None:
    """Rule, reason and source are written once, in the code; a page that says something else would be believed."""
    assert PAGE.read_text().endswith(f"## The table\n\n{table()}")


if __name__ == "__main__":
    print(table(), end="")
