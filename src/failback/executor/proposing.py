"""`auto_fix: propose`: a fix as a branch with one commit in the user's repository.

Promise: the work tree, the index and the current branch stay as they are, no hook runs, nothing is pushed. The branch
is made from HEAD; when it is there already (taken up after a kill) it is left as it is.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from failback.executor.context import Execution, Member, Outcome
from failback.executor.fixing import places_of
from failback.executor.repository import GitFailed, git, top_of
from failback.fixes.patch import NoPatch
from failback.model.fix import VERIFIED, Candidate

PREFIX = "failback/fix"
_NAME = "failback"
_MAIL = "failback@localhost"


async def propose(x: Execution, member: Member, candidate: Candidate, fix: Mapping[str, Any]) -> Outcome:
    """{"branch", "commit"} of the proposal, or {"reason"} why there is none."""
    try:
        with member.journal.intent("fix.propose", fix=candidate.id):
            return await asyncio.to_thread(_propose, x, member.service, candidate, fix)
    except (GitFailed, NoPatch, OSError) as error:
        return {"reason": f"no branch was made: {error}"}


def _propose(x: Execution, service: str, candidate: Candidate, fix: Mapping[str, Any]) -> Outcome:
    if top_of(x.folder) is None:
        raise NoPatch("the plan's folder is in no git repository")
    if not fix.get("patch"):
        raise NoPatch(str(fix.get("no_patch", "the fix has no patch")))
    top = places_of(x, service).top
    branch = f"{PREFIX}-{x.id.removeprefix('plan_deploy_')}"
    head = git(top, "rev-parse", "--verify", "HEAD^{commit}").decode().strip()
    try:
        made = git(top, "rev-parse", "--verify", "--quiet", f"refs/heads/{branch}").decode().strip()
        return {"branch": branch, "commit": made}
    except GitFailed:
        pass
    files = _on_head(x, service, candidate, head)
    tree = _tree(top, head, files, x.files / "scratch" / f"index-{os.getpid()}")
    env = {
        "GIT_AUTHOR_NAME": _NAME,
        "GIT_AUTHOR_EMAIL": _MAIL,
        "GIT_COMMITTER_NAME": _NAME,
        "GIT_COMMITTER_EMAIL": _MAIL,
    }
    message = _message(x, fix)
    commit = git(top, "commit-tree", tree, "-p", head, "-F", "-", stdin=message.encode(), env=env).decode().strip()
    # The empty old value: only made where there is none of that name.
    git(top, "update-ref", "--no-deref", f"refs/heads/{branch}", commit, "0" * len(commit))
    return {"branch": branch, "commit": commit}


def _on_head(x: Execution, service: str, candidate: Candidate, head: str) -> dict[str, bytes]:
    """The changed files as they are on HEAD: what the user has not committed is not in the proposal."""
    places = places_of(x, service)

    def read(path: str) -> bytes | None:
        try:
            return git(places.top, "cat-file", "blob", f"{head}:{path}")
        except GitFailed:
            return None

    files = places.changed(candidate, read)
    changed = {path: content for path, content in files.items() if read(path) != content}
    if not changed:
        raise NoPatch("HEAD has the change already: what is not committed took it back")
    return changed


def _tree(top: Path, head: str, files: Mapping[str, bytes], index: Path) -> str:
    """A tree made in an index of its own."""
    index.parent.mkdir(parents=True, exist_ok=True)
    env = {"GIT_INDEX_FILE": str(index)}
    try:
        git(top, "read-tree", head, env=env)
        for path, content in files.items():
            # Without the filters of .gitattributes: the bytes are those that HEAD has, changed.
            blob = git(top, "hash-object", "-w", "--no-filters", "--stdin", stdin=content).decode().strip()
            listed = git(top, "ls-files", "--stage", "-z", "--", path, env=env)
            mode = listed[:6].decode() if listed.startswith(b"100") else "100644"
            git(top, "update-index", "--add", "--cacheinfo", f"{mode},{blob},{path}", env=env)
        return git(top, "write-tree", env=env).decode().strip()
    finally:
        index.unlink(missing_ok=True)


def _message(x: Execution, fix: Mapping[str, Any]) -> str:
    sure = (
        f"Verified in the dark: it passed the gate with {fix['tried']} in {fix['seconds']:.1f} s."
        if fix["status"] == VERIFIED
        else "NOT tried: look at it before you use it."
    )
    text = f"{fix['action']}\n\n{fix['why']}.\n{sure}\n\nFor the failed deployment {x.id} of {x.row.service}.\n"
    return x.redactor.redact(text)
