"""What to do about settings: a variable that is absent, a file with a mistake in it, an address that is wrong."""

from __future__ import annotations

from failback.diagnosis.recommend import commit, high, medium
from failback.diagnosis.scene import Scene
from failback.model.diagnosis import Recommendation

_SECRET_WORDS = ("KEY", "SECRET", "TOKEN", "PASS", "CREDENTIAL", "DSN")


def set_variable(name: str, scene: Scene) -> tuple[Recommendation, ...]:
    """An environment variable that is needed and absent."""
    secret = any(word in name.upper() for word in _SECRET_WORDS)
    service = scene.evidence.service or "app"
    if scene.on_kubernetes:
        if secret:
            example = (
                f"env:\n  - name: {name}\n    valueFrom: {{secretKeyRef: {{name: {service}-secrets, key: {name}}}}}"
            )
        else:
            example = f"env:\n  - name: {name}\n    value: '<value>'"
    else:
        example = f"release:\n  env:\n    {name}: ${{{name}}}"
    kind = "Secret" if secret else "ConfigMap or plain value"
    return (
        high(
            f"Set the environment variable {name}",
            f"Define {name} in the service's environment (from a {kind}); provide it for every environment that this release is deployed to",
            example,
        ),
        medium(
            "Check required settings before the start",
            f"Add {name} to the documented settings (.env.example) so that the next new one is not forgotten",
            f"echo '{name}=' >> .env.example",
        ),
    )


def correct_file(path: str, line: str, what: str, scene: Scene, check: str = "") -> tuple[Recommendation, ...]:
    """A configuration file that cannot be read or holds a wrong value."""
    spot = f" at line {line}" if line else ""
    test = check or _checker(path)
    return (
        high(
            f"Correct {path}{spot}",
            f"Fix the syntax or value in {path}{spot}: {what}. Then check that the file is valid before deploying",
            test,
        ),
        commit(path, f"Fix {path}"),
    )


def _checker(path: str) -> str:
    end = path.rpartition(".")[2].lower()
    return {
        "json": f"python3 -m json.tool {path}",
        "yaml": f"python3 -c 'import yaml; yaml.safe_load(open(\"{path}\"))'",
        "yml": f"python3 -c 'import yaml; yaml.safe_load(open(\"{path}\"))'",
        "toml": f'python3 -c \'import tomllib; tomllib.load(open("{path}", "rb"))\'',
        "xml": f"xmllint --noout {path}",
        "conf": f"nginx -t -c {path}",
        "cfg": f"haproxy -c -f {path}",
    }.get(end, "")
