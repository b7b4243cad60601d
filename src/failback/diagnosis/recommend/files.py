"""What to do about files: one that is not in the release, one that may not be used, a disk that is full."""

from __future__ import annotations

from failback.diagnosis.recommend import commit, high, medium
from failback.diagnosis.scene import Scene
from failback.model.diagnosis import Recommendation
from failback.model.redaction import MASK

_CONFIG_ENDS = (".json", ".yaml", ".yml", ".toml", ".ini", ".conf", ".cfg", ".properties", ".env", ".xml")
_CERTIFICATE_ENDS = (".pem", ".crt", ".key", ".p12", ".jks", ".pfx", ".cer")
_SHORT_LINES = 12
_STARTS = {
    ".json": '{"port": 3000}',
    ".yaml": "port: 3000",
    ".yml": "port: 3000",
    ".toml": "port = 3000",
    ".properties": "server.port=8080",
}


def add_file(path: str, scene: Scene) -> tuple[Recommendation, ...]:
    """A file that the release needs and does not hold: create it, ship it, commit it."""
    folder, _, name = path.rpartition("/")
    if path.startswith("/") and not path.startswith(("/app/", "/usr/src/", "/srv/", "/home/", "/opt/", "/workspace/")):
        return mount_file(path, scene)
    gone = scene.change.takes_away(path)
    if gone is not None:
        return (*_put_back(gone, scene), commit(gone, f"Bring {gone} back"))
    end = "." + name.rpartition(".")[2] if "." in name else ""
    kind = "configuration file" if end in _CONFIG_ENDS else "file"
    relative = path.lstrip("/")
    content = _STARTS.get(end, "")
    make = f"echo '{content}' > {relative}" if content else f"git add -f {relative}"
    if folder:
        make = f"mkdir -p {folder.lstrip('/')} && {make}"
    copied = f"COPY {folder.lstrip('/')}/ ./{folder.lstrip('/')}/" if folder else f"COPY {name} ./"
    return (
        high(
            f"Add the missing {kind} {relative}",
            f"Create {relative} in the repository (or correct the path if it was renamed), and make sure that neither .gitignore nor "
            ".dockerignore leaves it out",
            make,
        ),
        high(
            f"Ship {relative} with the release",
            f"The Dockerfile must COPY {relative} into the image (for a folder release: include it in the release's folder)",
            copied,
        ),
        commit(f"{relative}" + (" Dockerfile" if scene.on_kubernetes else ""), f"Add {relative}"),
    )


def _put_back(file: str, scene: Scene) -> tuple[Recommendation, ...]:
    """A file that the last good release had: its content is in the change."""
    moved = scene.change.moved(file)
    if moved is not None:
        return (
            high(
                f"Read {moved}, or move it back to {file}",
                f"This release moved {file} to {moved}, and the code still asks for the former path, where it does not exist: ship it there, "
                "or correct the path in the code",
                f"git mv {moved} {file}",
            ),
        )
    lines = scene.change.removed.get(file, ())
    if 0 < len(lines) <= _SHORT_LINES and not any(MASK in line for line in lines):
        example = "\n".join([f"cat > {file} <<'EOF'", *lines, "EOF"])
        example = f"mkdir -p {file.rpartition('/')[0]}\n{example}" if "/" in file else example
    else:
        example = f'git checkout "$(git rev-list -n 1 HEAD -- {file})^" -- {file}'
    return (
        high(
            f"Add {file} back: the last good release had it",
            f"This release no longer has {file}. Restore it in the repository and ship it with the release (in an image: COPY {file}), or let "
            "the code do without it",
            example,
        ),
    )


def mount_file(path: str, scene: Scene) -> tuple[Recommendation, ...]:
    """A file outside the release (a mounted configuration, a certificate): provide it where it is looked for, or change the path."""
    _folder, _, name = path.rpartition("/")
    what = "certificate or key" if name.endswith(_CERTIFICATE_ENDS) else "file"
    if scene.on_kubernetes:
        example = f"volumeMounts:\n  - name: files\n    mountPath: {path}\n    subPath: {name}\nvolumes:\n  - name: files\n    configMap: {{name: {scene.evidence.service or 'app'}-files}}"
    else:
        example = f"install -D -m 0644 {name} {path}"
    return (
        high(
            f"Provide the missing {what} {path}",
            f"Create {path} where the service runs: add it to the image with COPY, mount it as a volume, or set the path in the configuration to "
            "one that exists",
            example,
        ),
        medium(
            "Check what names the path",
            f"Find the setting that points at {path} and correct it if the file moved",
            f"grep -rn '{name}' .",
        ),
    )


def fix_permission(path: str, verb: str, scene: Scene) -> tuple[Recommendation, ...]:
    """A path the process may not use: give it to the user it runs as, or use another."""
    folder = path if "." not in path.rpartition("/")[2] else path.rpartition("/")[0] or path
    target = path or "the path"
    if scene.on_kubernetes:
        example = (
            f"securityContext: {{runAsUser: 1000, runAsGroup: 1000, fsGroup: 1000}}\nvolumeMounts: [{{name: data, mountPath: {folder or '/data'}}}]\n"
            "volumes: [{name: data, emptyDir: {}}]"
        )
    else:
        example = f"RUN mkdir -p {folder} && chown -R app:app {folder}" if folder else "chown -R app:app /data"
    return (
        high(
            f"Give the service's user permission to {verb or 'use'} {target}",
            "Make the directory owned by or writable for the user that the process runs as (chown, chmod, or fsGroup with a volume), or "
            "point the setting at a writable directory such as /tmp",
            example,
        ),
        medium("Write logs to standard output", "If the path is only for logs, write to stdout instead of a file", ""),
    )


def free_disk(place: str) -> tuple[Recommendation, ...]:
    """A full disk: free space, or make it bigger."""
    where = f" on {place}" if place else ""
    return (
        high(
            f"Free disk space{where}",
            "Remove old images, build caches, logs and temporary files from the full volume (or the runner), then clean up regularly",
            "df -h && du -xsh /var/* | sort -h | tail && docker system prune -af",
        ),
        high(
            "Increase the volume",
            "If what is there is needed, enlarge the disk or volume (or raise the ephemeral-storage limit), or write less to it",
            "resources: {limits: {ephemeral-storage: 4Gi}}",
        ),
    )
