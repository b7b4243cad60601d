"""Recommendations: what to do, with the real names, as text that can be pasted."""

from __future__ import annotations

from failback.model.diagnosis import Recommendation

HIGH, MEDIUM = "HIGH", "MEDIUM"


def high(action: str, description: str, example: str = "") -> Recommendation:
    """Something that removes the cause."""
    return Recommendation(HIGH, action, description, example)


def medium(action: str, description: str, example: str = "") -> Recommendation:
    """Something that helps, or that follows from the first thing."""
    return Recommendation(MEDIUM, action, description, example)


def commit(paths: str, message: str) -> Recommendation:
    """The last step of a change in the repository: pushing it starts the next attempt."""
    return medium(
        "Commit and push the change",
        "A push starts the next deployment",
        f"git add {paths} && git commit -m '{message}' && git push",
    )
