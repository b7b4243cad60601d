"""npm, yarn and pnpm: versions that cannot be resolved or fetched, lock files that are behind."""

from __future__ import annotations

import re

from failback.diagnosis.recommend import commit, high
from failback.diagnosis.rule import Hit, Hypothesis, line_rule, quoted
from failback.model.diagnosis import FailureType

_RESOLUTION = FailureType.DEPENDENCY_RESOLUTION


@line_rule("npm-eresolve", "eresolve", r"\bERESOLVE\b", source="npm's arborist", flags=0, most=1)
def eresolve(hit: Hit) -> Hypothesis | None:
    """npm: peer dependencies that exclude each other."""
    block = hit.document.window(hit.index, 3, 40)
    found = re.search(r"Found: (\S+)", block)
    peer = re.search(r"peer (?:\w+ )?(\S+@\"[^\"]+\") from (\S+)", block)
    have = found.group(1) if found else "the installed version"
    wants = f"{peer.group(2)} needs the peer {peer.group(1)}" if peer else quoted(block, 200)
    package = peer.group(2).rsplit("@", 1)[0] if peer else ""
    base = have.rsplit("@", 1)[0]
    return Hypothesis(
        _RESOLUTION,
        f"npm cannot resolve the dependency tree (ERESOLVE): peer conflict, {wants}, but {have} is found",
        0.96,
        (
            high(
                f"Use compatible versions of {package or 'the package'} and {base}",
                f"Upgrade {package} to a version that supports {have}, or downgrade {base}; as a stopgap use overrides in package.json or --legacy-peer-deps",
                f"npm install {package}@latest   # or: npm install --legacy-peer-deps",
            ),
            commit("package.json package-lock.json", "Align versions"),
        ),
        names=(package, base, "package.json"),
    )


@line_rule(
    "npm-missing",
    "code e404|404 not found|code etarget|notarget|no matching version|err_pnpm_no_matching|couldn't find package|couldn't find any versions|err_pnpm_fetch_404|is not in this registry|is not in the npm registry|error error: http|request failed",
    r"404\s+'?(?P<a>(?:@[\w.-]+/)?[\w.-]+@[^\s']+)'? is not in|404 Not Found - GET (?P<url>\S+)|No matching version found for (?P<b>\S+?)\.?(?:\s|$)|Couldn't find package \"(?P<c>[^\"]+)\"|Couldn't find any versions for \"(?P<d>[^\"]+)\" that matches \"(?P<dv>[^\"]+)\"|ERR_PNPM_NO_MATCHING_VERSION\s+No matching version found for (?P<e>\S+)|GET (?P<f>\S+): Not Found|error Error: (?P<g>https?://\S+?): [Nn]ot found|(?P<h>https?://[^\s\"]+): Request failed \\?\"404|GET (?P<i>https?://\S+) - 404",
    source="npm E404 and ETARGET, yarn, pnpm",
)
def npm_missing(hit: Hit) -> Hypothesis | None:
    """npm, yarn, pnpm: no such package or version."""
    name = (
        hit.get("a")
        or hit.get("b")
        or hit.get("c")
        or (f"{hit.get('d')}@{hit.get('dv')}" if hit.get("d") else "")
        or hit.get("e")
    )
    if not name:
        url = hit.get("url") or hit.get("f") or hit.get("g") or hit.get("h") or hit.get("i")
        name = (
            re.sub(r"^https?://[^/]+/", "", url).replace("%2f", "/").replace("%2F", "/").split("/-/")[0]
            if "http" in url
            else ""
        )
    if not name:
        return None
    version = "@" in name[1:]
    return Hypothesis(
        _RESOLUTION,
        f"The npm package {name} does not exist in the registry (not found): {hit.line}",
        0.94,
        (
            high(
                f"Correct {name} in package.json",
                f"Use a {'version' if version else 'name'} that exists (npm view {name.rsplit('@', 1)[0] if version else name} versions); for a private package log in to its registry (.npmrc)",
                f"npm view {name.rsplit('@', 1)[0] if version else name} versions",
            ),
            commit("package.json package-lock.json", f"Correct {name}"),
        ),
        names=(name.rsplit("@", 1)[0] if version else name, "package.json"),
    )


@line_rule(
    "npm-lock",
    "err_pnpm_no_lockfile|err_pnpm_lockfile|err_pnpm_peer|err_pnpm_frozen|npm ci|package-lock.json|frozen-lockfile|lockfile|err_pnpm_outdated|eusage|eintegrity|eio|lock file|with an existing package-lock",
    r"`npm ci` can only install packages when your package\.json and package-lock\.json|can only install (?:packages )?with an existing package-lock|frozen-lockfile|lockfile (?:needs to be updated|would have been modified|had changes|is frozen)|ERR_PNPM_(?:OUTDATED_LOCKFILE|NO_LOCKFILE|LOCKFILE_\w+|FROZEN_LOCKFILE\w*|PEER_DEP_ISSUES)|EINTEGRITY|Missing: (?P<m>\S+) from lock file|Invalid: lock file's (?P<i>\S+)",
    source="npm ci, yarn --frozen-lockfile, pnpm",
)
def npm_lock(hit: Hit) -> Hypothesis | None:
    """The lock file does not fit package.json, or a download does not fit the lock file."""
    around = hit.document.window(hit.index, 2, 10)
    entry = re.search(r"(?:Missing|Invalid): (?:lock file's )?(\S+)", around)
    name = entry.group(1) if entry else ""
    if "EINTEGRITY" in hit.line:
        what = re.search(r"(https?://\S+|sha\d+-\S+)", hit.line)
        return Hypothesis(
            _RESOLUTION,
            f"A downloaded package does not match the checksum in package-lock.json (EINTEGRITY): {hit.line}",
            0.92,
            (
                high(
                    "Verify the package and regenerate its lock entry",
                    f"Clear the cache and install again; if the registry really has another file, update the lock file{' for ' + what.group(1) if what else ''}",
                    "npm cache clean --force && npm install",
                ),
            ),
            names=("package-lock.json",),
        )
    if "PEER_DEP" in hit.line:
        peer = re.search(r"unmet peer (?P<wanted>\S+?): found (?P<found>\S+)|missing peer (?P<missing>\S+)", around)
        shown = quoted(peer.group(0), 160) if peer else "see the lines below"
        wanted = (peer.group("wanted") or peer.group("missing")) if peer else ""
        return Hypothesis(
            _RESOLUTION,
            f"Peer dependencies do not fit each other ({shown}): {hit.line}",
            0.93,
            (high(f"Install the peer that is wanted: {wanted}", f"Align the versions ({shown}): upgrade the package that wants the other version, or change the dependency; pnpm.peerDependencyRules allows it knowingly", f"pnpm add {wanted}"),),
            names=(wanted.lstrip("@").split("@")[0],),
        )  # fmt: skip
    return Hypothesis(
        _RESOLUTION,
        f"package.json and the lock file are not in sync{f': {name} is missing in the lock file' if name else ''}: {hit.line}",
        0.93,
        (
            high(
                "Update and commit the lock file (lockfile)",
                f"Run npm install (yarn install, pnpm install, bun install) after each change of package.json{f' (adds {name})' if name else ''} and commit the lock file",
                "npm install && git add package-lock.json && git commit -m 'Update lock file'",
            ),
        ),
        names=("package-lock.json", "package.json", name),
    )


@line_rule(
    "npm-network",
    "code econnrefused|code etimedout|code enotfound|code econnreset|code eai_again|code e401|code e403|code cert_|unable_to_verify|self_signed|network request to|registry.npmjs|code eneedauth|code ebadengine|unsupported engine|engine |err_pnpm_unsupported_engine",
    r"npm (?:ERR!|error) code (?P<code>ECONNREFUSED|ETIMEDOUT|ENOTFOUND|ECONNRESET|EAI_AGAIN|E401|E403|ENEEDAUTH|EBADENGINE|\w*CERT\w*|UNABLE_TO_\w+)|The engine \"(?P<engine>\w+)\" is incompatible with this module\. Expected version \"(?P<want>[^\"]+)\"\. Got \"(?P<got>[^\"]+)\"|ERR_PNPM_UNSUPPORTED_ENGINE",
    source="npm's error codes, yarn's engine check",
)
def npm_network(hit: Hit) -> Hypothesis | None:
    """The registry cannot be reached or refuses, or Node.js is too old."""
    code = hit.get("code")
    around = hit.document.window(hit.index, 0, 14)
    if hit.get("engine") or code == "EBADENGINE" or "ENGINE" in hit.line:
        want = hit.get("want") or (
            m.group(1) if (m := re.search(r"Required: (\{.*\})|required: (\{.*\})", around)) and m.group(1) else ""
        )
        got = f", got {hit.get('got')}" if hit.get("got") else ""
        who = re.search(
            r"(?:package: '|Not compatible with your version of node/npm: |error )([@\w./-]+@[\w.-]+)", around
        )
        return Hypothesis(
            FailureType.VERSION_INCOMPATIBILITY,
            f"{who.group(1) if who else 'A package'} does not support this Node.js version: it wants {want or 'another'}{got}: {hit.line}",
            0.9,
            (
                high(
                    f"Use a Node.js version that fits ({want or 'see engines'})",
                    "Change the base image or .nvmrc to this Node.js version (upgrade), or pin the last version of the package that supports the old one",
                    "FROM node:20-alpine",
                ),
            ),
            names=("node",),
        )
    url = re.search(r"(?:request to |https?://)(\S+)", around)
    if code in ("E401", "E403", "ENEEDAUTH"):
        return Hypothesis(
            _RESOLUTION,
            f"The npm registry refuses access ({code}): no or wrong token: {quoted(around)}",
            0.86,
            (
                high(
                    "Provide a valid token for the registry",
                    "Set the token in .npmrc through an environment variable (NPM_TOKEN) in the build",
                    "//registry.example.com/:_authToken=${NPM_TOKEN}",
                ),
            ),
        )
    return Hypothesis(
        _RESOLUTION,
        f"The npm registry cannot be reached ({code}){f': {url.group(0)}' if url else ''}: {hit.line}",
        0.87,
        (
            high(
                "Restore the way to the registry",
                f"Check network, proxy, DNS and the registry's address ({url.group(0) if url else 'npm config get registry'}), then run the build again",
                'npm ping --registry "$(npm config get registry)"',
            ),
        ),
    )
