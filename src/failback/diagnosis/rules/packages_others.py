"""Bundler, Composer, the systems' package managers, and downloads in a build."""

from __future__ import annotations

import re

from failback.diagnosis.recommend import commit, high
from failback.diagnosis.rule import Hit, Hypothesis, line_rule, quoted
from failback.model.diagnosis import FailureType

_RESOLUTION = FailureType.DEPENDENCY_RESOLUTION


@line_rule(
    "bundler",
    "your bundle is locked to|no longer be found|gemspecs for|locked at|requires ruby version|could not find compatible versions|bundler could not find|could not find gem|the bundle currently has|frozen mode|deployment mode|version solving has failed|conflicting dependency|your gemfile.lock",
    r"Your bundle is locked to (?P<lk>\S+ \([^)]*\))|The gemspecs for path gems changed|Bundler could not find compatible versions for gem \"(?P<a>[^\"]+)\"|Could not find compatible versions|Could not find gem '(?P<b>[^']+)' in|version solving has failed|your Gemfile\.lock .*(?:frozen|deployment)|(?:frozen|deployment) mode",
    source="Bundler's resolver",
)
def bundler(hit: Hit) -> Hypothesis | None:
    """Bundler: no gem versions that fit, or a lock file that is behind."""
    if re.search(r"frozen|deployment mode", hit.line):
        return Hypothesis(
            _RESOLUTION,
            f"Gemfile.lock does not fit the Gemfile (frozen): {hit.line}",
            0.9,
            (
                high(
                    "Update and commit Gemfile.lock",
                    "Run bundle install without deployment mode and commit the lock file",
                    "bundle install && git add Gemfile.lock",
                ),
            ),
            names=("Gemfile.lock", "Gemfile"),
        )
    name = hit.get("a") or hit.get("b") or hit.get("lk")
    around = quoted(hit.document.window(hit.index, 0, 10), 420)
    gem = name.split(" ")[0] if name else (m.group(1) if (m := re.search(r"([\w-]+) [><=~]", around)) else "the gem")
    return Hypothesis(
        _RESOLUTION,
        f"Bundler cannot resolve {name or gem}: {around}",
        0.93,
        (
            high(
                f"Correct the version of {gem} in the Gemfile",
                f"Use versions that fit together: upgrade, downgrade or loosen the constraint of {gem} (bundle update {gem})",
                f"bundle update {gem}",
            ),
            commit("Gemfile Gemfile.lock", f"Correct {gem}"),
        ),
        names=(gem, "Gemfile"),
    )


@line_rule(
    "composer",
    "your requirements could not be resolved|could not find a matching version|could not find package|requires php|problem 1|lock file is not up to date|compatible set of packages|the lock is outdated|hex dependency|-> it is missing|could not be found in any version",
    r"(?P<stale>lock file does not contain a compatible set of packages|\(Mix\) The lock is outdated[^\n]*)|Your requirements could not be resolved|could not be found in any version|Could not find (?:a matching version of )?package (?P<a>\S+)|requires php (?P<php>\S+)|lock file is not up to date|ext-(?P<ext>\w+) \S* ?-> it is missing",
    source="Composer's solver",
)
def composer(hit: Hit) -> Hypothesis | None:
    """Composer: what its Problem list says."""
    if hit.get("stale"):
        return Hypothesis(
            _RESOLUTION,
            f"The lock file does not fit the dependencies that are declared: {hit.line}",
            0.92,
            (high("Update and commit the lock file", "Run composer update (mix deps.get) and commit composer.lock (mix.lock)", "composer update && git add composer.lock"),),
            names=("composer.lock", "mix.lock"),
        )  # fmt: skip
    block = hit.document.window(hit.index, 1, 14)
    problem = re.search(r"- (Root composer\.json requires [^\n]+|[\w./-]+ [^\n]*requires [^\n]+)", block)
    said = quoted(problem.group(1) if problem else hit.line, 300)
    name = hit.get("a") or (
        m.group(1) if (m := re.search(r"requires ([\w.-]+/[\w.-]+|php|ext-\w+)", said)) else "the package"
    )
    return Hypothesis(
        _RESOLUTION,
        f"Composer cannot resolve {name}: {said}",
        0.92,
        (
            high(
                f"Correct the version of {name} in composer.json",
                f"Change the constraint so that a version exists that fits PHP and the other packages (upgrade or downgrade {name}), or install the missing extension: {quoted(said, 160)}",
                f"composer why-not {name}",
            ),
            commit("composer.json composer.lock", f"Correct {name}"),
        ),
        names=(name, "composer.json"),
    )


@line_rule(
    "apt",
    "unable to locate package|has no installation candidate|failed to fetch|unable to fetch some|version '|unmet dependencies|no_pubkey|is not signed|does not have a release file|release' does not have|hash sum mismatch|no such package|unable to select packages|nothing provides|no match for argument|no package |unable to find a match",
    r"E: Unable to locate package (?P<a>\S+)|E: Package '(?P<b>[^']+)' has no installation candidate|E: Failed to fetch (?P<url>\S+)\s+(?P<why>.+)|Unable to fetch some archives|Version '(?P<ver>[^']+)' for '(?P<c>[^']+)' was not found|unmet dependencies(?! \(checked)|NO_PUBKEY (?P<key>\w+)|(?P<rel>\S+) (?:Release' )?(?:does not have a Release file|is not signed)|Hash Sum mismatch|(?P<d>\S+) \(no such package\)|(?:Unable to find a match|No match for argument|nothing provides):? (?P<e>\S+)|No package (?P<f>\S+) available",
    source="apt, apk, dnf and yum",
)
def apt(hit: Hit) -> Hypothesis | None:
    """System packages that cannot be found or fetched."""
    name = next((hit.get(k) for k in "abcdef" if hit.get(k)), "").rstrip(":,")
    if hit.get("url"):
        file = hit.get("url").rsplit("/", 1)[-1].replace("%2b", "+").replace("%3a", ":")
        name, _, rest = file.partition("_")
        version = rest.rsplit("_", 1)[0]
        stale = "404" in hit.get("why")
        why = (
            f"its version {version} is no longer on the mirror (404): the package lists are stale"
            if stale
            else hit.get("why")
        )
        return Hypothesis(
            _RESOLUTION,
            f"apt cannot download {name} {version}: {why}",
            0.95,
            (
                high(
                    "Run apt-get update in the same layer as the install",
                    f"The lists in the image are older than the mirror: join apt-get update and apt-get install in one RUN, and do not pin {name} to a version that is gone",
                    f"RUN apt-get update && apt-get install -y --no-install-recommends {name} && rm -rf /var/lib/apt/lists/*",
                ),
                commit("Dockerfile", "Refresh package lists"),
            ),
            names=(name, "Dockerfile"),
        )
    if not name and "Unable to fetch some" in hit.line:
        return None
    if hit.get("key") or hit.get("rel"):
        return Hypothesis(
            _RESOLUTION,
            f"apt does not trust a repository: {hit.line}",
            0.88,
            (
                high(
                    "Add the repository's signing key",
                    "Install the current key (signed-by) for this repository, or correct its address and release name",
                    "curl -fsSL KEY_URL | gpg --dearmor -o /etc/apt/keyrings/repo.gpg",
                ),
            ),
        )
    around = hit.document.window(hit.index, 1, 6)
    return Hypothesis(
        _RESOLUTION,
        f"The system package {name or 'named in the output'} cannot be installed: {hit.line if name else quoted(around)}",
        0.93 if name else 0.75,
        (
            high(
                f"Run apt-get update first and correct the name {name}",
                f"Refresh the package lists in the same RUN (apt-get update), and check that {name or 'the package'} exists under this name{' and version ' + hit.get('ver') if hit.get('ver') else ''} in this distribution's release",
                f"RUN apt-get update && apt-get install -y {name}",
            ),
            commit("Dockerfile", f"Correct {name}"),
        ),
        names=(name, "Dockerfile"),
    )


@line_rule(
    "download",
    "could not resolve host|failed to connect to|unable to access|repository not found|could not read from remote|could not read username|authentication failed for 'http|ssl certificate problem|the requested url returned error|couldn't connect to server|remote branch|did not match any file|repository '",
    r"fatal: unable to access '(?P<a>[^']+)'|fatal: repository '(?P<b>[^']+)' not found|(?:curl|wget): \(?(?P<code>\d+)?\)? ?(?P<what>.+)|Could not read from remote repository|could not read Username for '(?P<c>[^']+)'|Authentication failed for '(?P<d>[^']+)'|Remote branch (?P<e>\S+) not found|pathspec '(?P<f>[^']+)' did not match|The requested URL returned error: (?P<http>\d+)",
    source="git and curl",
)
def download(hit: Hit) -> Hypothesis | None:
    """git and curl in a build step: not reachable, no access, or not there."""
    if hit.document.role != "step" or hit.scene.step_type in ("deploy", "verify"):
        return None
    line = hit.document.window(hit.index, 1, 2)
    url = (
        hit.get("a")
        or hit.get("b")
        or hit.get("c")
        or hit.get("d")
        or (m.group(0) if (m := re.search(r"https?://[^\s'\"]+|git@[^\s'\"]+", line)) else "")
        or hit.get("e")
        or hit.get("f")
    )
    host = re.sub(r"^(?:\w+://)?(?:[^@/]*@)?([^/]+).*$", r"\1", url)
    low = line.lower()
    if re.search(r"authentication failed for|could not read username|permission denied \(publickey", low):
        return Hypothesis(
            FailureType.DEPENDENCY_AUTH,
            f"{url or 'The repository'} wants credentials, and git has none that it accepts (authentication): {hit.line}",
            0.9,
            (
                high(
                    f"Give git credentials for {host or 'the repository'}",
                    f"Give the step a token (or deploy key) with access to {url or 'the repository'}, by a credential helper or the address; a step has no terminal to ask",
                    f'git config --global url."https://oauth2:$TOKEN@{host}/".insteadOf "https://{host}/"',
                ),
            ),
            names=(url,),
        )
    if re.search(r"403|401|repository .* not found", low):
        why, fix = (
            "access is refused or the repository does not exist (no or wrong credentials)",
            f"Give the step a token or deploy key with read access to {url}, or correct the address",
        )
    elif re.search(r"ssl certificate|certificate", low):
        return None
    elif re.search(r"remote branch|pathspec|404", low):
        why, fix = f"{hit.get('e') or hit.get('f') or url} does not exist there", "Correct the branch, tag or address"
    else:
        why, fix = (
            "the host cannot be reached (connection refused, no DNS or no network)",
            f"Check the address, DNS, proxy and network on the way to {host}, then run the step again",
        )
    return Hypothesis(
        _RESOLUTION,
        f"{url or 'A download'} cannot be fetched: {why}: {hit.line}",
        0.88 if url else 0.7,
        (
            high(
                f"Make {url or 'the address'} reachable",
                fix,
                f"git ls-remote {url}" if "git" in low else f"curl -v {url}",
            ),
        ),
        names=(url,),
    )
