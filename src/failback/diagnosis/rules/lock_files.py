"""What a package manager cannot resolve from what is here: workspaces, lock files, a cache without a network."""

from __future__ import annotations

from failback.diagnosis.table import row
from failback.model.diagnosis import FailureType

_RESOLUTION = FailureType.DEPENDENCY_RESOLUTION

ROWS = (
    row(
        "workspace-package-absent",
        "workspace_pkg_not_found|but no package named|workspace not found|no workspaces found|no such workspace|unknown workspace|not a member of the workspace|references a workspace|is included as a workspace member",
        r"(?:In (?P<in>[\w./@-]+): )?\"(?P<a>@?[\w./-]+)@workspace:[^\"]*\" is in the dependencies but no package named \"[^\"]+\" is present|[Ww]orkspace not found \((?P<b>[^)]+)\)|(?:[Nn]o such|[Uu]nknown) workspace:? [\"'`]?(?P<c>[\w./@-]+)|`(?P<d>[\w-]+)` (?:references a workspace|is included as a workspace member)[^\n]*(?:but|not)[^\n]*",
        _RESOLUTION,
        "The package {a}{b}{c}{d} is taken from the workspace, and the workspace has no package of that name (not found)",
        "Add the package {a}{b}{c}{d} to the workspace, or take it from a registry",
        "Copy the folder of {a}{b}{c}{d} into the build (COPY packages/ before the install), list it in pnpm-workspace.yaml or package.json workspaces, correct its name, or write a version instead of workspace: in {in}",
        "packages:\n  - packages/*   # pnpm-workspace.yaml; {a}{b}{c}{d} has to be in one of them",
        source="pnpm, Yarn, uv: workspace references",
        sure=0.95,
    ),
    row(
        "not-in-lock-file",
        "seem to be present in your lockfile|not present in your lockfile|isn't in the lockfile|is not in the lockfile|missing from the lock|not in lock file|run yarn install to generate one",
        r"(?P<a>@?[\w./-]+)@[^\s:]+:?[^\n]*: This package doesn't seem to be present in your lockfile|(?P<b>@?[\w./-]+)[^\n]* (?:is not|isn't|not) (?:present )?in (?:the|your) (?:lock ?file|yarn\.lock|pnpm-lock\.yaml)|(?P<c>[\w./@-]+)[^\n]* missing from the lock ?file",
        _RESOLUTION,
        "The lockfile does not have {a}{b}{c}: package.json was changed (or copied) without it (lock file out of date)",
        "Update the lock file: run the install (yarn install) and commit it",
        "Run yarn install (pnpm install, npm install) where the repository is, commit the lock file with package.json, and copy both into the image before the build",
        "yarn install && git add yarn.lock",
        source="Yarn Berry, pnpm, npm",
        sure=0.94,
    ),
    row(
        "cache-lacks-it-offline",
        "was not found in the cache|in the offline|not available in the|in offline mode|offline mode is|--offline|without internet|no cached version|can't be found in the cache|not found in the offline|enotcached|no offline mirror|was disabled because network|network access is disabled|offline was specified|not available offline",
        r"(?:Cannot access (?P<w>\S+)[^\n]*)?in offline mode and the artifact (?P<a>\S+) has not been downloaded|[Nn]o cached version (?:of )?(?P<b>\S+)[^\n]*(?:available|for offline mode)|\bENOTCACHED\b[^\n]*?(?P<c>https?://\S+)?|[Cc]ouldn't find any versions for [\"'](?P<d>[^\"']+)[\"'][^\n]*(?:cache|offline)|(?P<e>[\w.+-]+)[^\n]* (?:not available|can't be found|was not found) in the (?:cache|offline)|because (?P<f>[\w.+-]+)[^\n]* was not found in the cache",
        _RESOLUTION,
        "{a}{b}{c}{d}{e}{f} is not in the local cache, and the build runs offline, so it cannot be resolved (has not been downloaded)",
        "Fetch {a}{b}{c}{d}{e}{f} before the offline build, or build online",
        "Fill the cache in a step with network before it (mvn dependency:go-offline, gradle --refresh-dependencies, npm ci, cargo fetch, pip download), with this version of {a}{b}{c}{d}{e}{f} in it, or take the offline switch (-o, --offline) away",
        "RUN mvn -B dependency:go-offline",
        source="Maven -o, Gradle --offline, npm --offline, Cargo --offline, uv --offline",
        sure=0.95,
        unless=r"\[WARNING\]",
    ),
    row(
        "gemfile-absent",
        "could not locate gemfile|gemfile not found",
        r"Could not locate Gemfile|(?P<a>\S*Gemfile\S*) not found",
        FailureType.MISSING_FILE,
        "The Gemfile is missing: Bundler runs in a folder that has none (could not be found)",
        "Copy the Gemfile and Gemfile.lock into the image, or start in their directory",
        "COPY Gemfile Gemfile.lock ./ before bundle runs, set WORKDIR to the application's folder, or name the file by BUNDLE_GEMFILE",
        "WORKDIR /app\nCOPY Gemfile Gemfile.lock ./",
        source="Bundler",
        sure=0.95,
    ),
    row(
        "npx-no-executable",
        "could not determine executable",
        r"could not determine executable to run",
        FailureType.BAD_COMMAND,
        "npx finds no executable: the package that it is given has no bin of its own name (or several)",
        "Name the executable: npx --package PACKAGE COMMAND, or correct the package's name",
        "Look which bin the package has (npm view PACKAGE bin) and call that one; install the package as a devDependency so that npx does not guess; for an own package add the bin field to its package.json",
        "npx --package=@scope/tools tools",
        source="npm exec",
        sure=0.95,
    ),
    row(
        "dockerfile-flag-unknown",
        "building at step|unknown flag|unknown instruction flag",
        r"building at STEP \"(?P<ins>[A-Z]+) [^\n]*: (?:flag provided but not defined: -+(?P<f>[\w-]+)|[Uu]nknown flag:? -*(?P<f2>[\w-]+))|[Dd]ockerfile[^\n]*[Uu]nknown flag:? -*(?P<f3>[\w-]+)",
        FailureType.BUILD_FAILURE,
        "The instruction {ins} of the Dockerfile has a flag that it does not know: --{f}{f2}{f3}",
        "Correct --{f}{f2}{f3} of {ins} in the Dockerfile",
        "Write a flag that {ins} has (HEALTHCHECK: --interval, --timeout, --start-period, --retries; COPY and ADD: --from, --chown, --chmod), or take --{f}{f2}{f3} out",
        "{ins} --interval=5s ...",
        source="buildah, BuildKit: flags of Dockerfile instructions",
        sure=0.97,
        steps="docker|build",
    ),
)
