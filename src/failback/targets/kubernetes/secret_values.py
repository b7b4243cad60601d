"""The values that stand in Secrets, so that they can be masked wherever they turn up. Pure."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Iterator

from failback.targets.kubernetes.kinds import Object


def secret_values(objects: Iterable[Object]) -> Iterator[str]:
    """Every value of every Secret among the objects, in plain text where it is text, and as it is written."""
    for one in objects:
        if one.get("kind") != "Secret":
            continue
        yield from (str(value) for value in (one.get("stringData") or {}).values())
        for value in (one.get("data") or {}).values():
            yield str(value)
            try:
                yield base64.b64decode(value).decode()
            except (binascii.Error, UnicodeDecodeError, TypeError):
                continue
