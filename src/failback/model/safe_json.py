"""JSON for files and terminals: whatever an application printed, no sign in it acts on the terminal that shows it."""

from __future__ import annotations

import json
import re
from typing import Any

# C1 controls (some terminals obey them), marks that turn the direction of text, and a byte order mark.
_ACTS = re.compile("[\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]")


def safe_json(document: Any, *, indent: int | None = None) -> str:
    """The document, readable by people: signs of other scripts stay, those that would act are written as `\\uXXXX`."""
    text = json.dumps(document, indent=indent, ensure_ascii=False, default=str)
    return _ACTS.sub(lambda match: f"\\u{ord(match[0]):04x}", text)
