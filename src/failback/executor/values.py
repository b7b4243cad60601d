"""The plan's values of one execution: resolved once, kept encrypted beside its record, deleted at its end.

A resume runs in another shell, which has none of the variables; and nothing that the durable store keeps may hold a
value. So the record has references only, and the values stand in one age file that only this home's key opens.
"""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from failback.backup.keys import Key, ensure_key
from failback.executor.plan_file import LoadedPlan
from failback.model.errors import PlanError, SnapshotUnreadable, UsageError
from failback.model.plan import KubernetesReleaseSpec, LocalReleaseSpec, Plan, ServiceSpec
from failback.model.redaction import MASK, Redactor
from failback.model.values import Resolved, Value, mask_values, resolve, unmasked, unresolved
from failback.targets.base import ReleaseSpec

_SECRET_SETTINGS = (
    "notification_config.slack.webhook_url",
    "notification_config.pagerduty.api_key",
    "notification_config.email.username",
    "notification_config.email.password",
    "diagnosis.llm.api_key",
)


STANDARD_INPUT = "-"
_PIPED = "release.standard_input"


@lru_cache(maxsize=1)
def _standard_input() -> str:
    """What was piped in. It can be read once only; a resume finds it among the kept values. Raises UsageError."""
    if sys.stdin is None or sys.stdin.isatty():
        raise UsageError(
            "release/manifests names standard input (-), and nothing is piped in: kubectl ... | failback ..."
        )
    return sys.stdin.read()


@dataclasses.dataclass(slots=True)
class ExecutionValues:
    """`texts`: place in the plan ("release.env.TOKEN") -> value; `secret`: the places whose value is secret."""

    texts: dict[str, str]
    secret: frozenset[str]
    masked: tuple[str, ...]
    warnings: tuple[str, ...] = ()
    orchestrator_snapshot: Any = None
    _file: Path | None = None

    @classmethod
    def resolve(cls, loaded: LoadedPlan, environment: Mapping[str, str]) -> ExecutionValues:
        """Looks every reference up. Raises PlanError, naming all that are missing, before anything is touched."""
        found: dict[str, Resolved] = {}
        problems: list[dict[str, object]] = []
        for where, value in places(loaded.plan).items():
            try:
                found[where] = resolve(
                    value,
                    where=where.replace(".", "/"),
                    environment=environment,
                    read_file=loaded.read_file,
                    position=loaded.positions.get(where.replace(".", "/")),
                    always_secret=where in _SECRET_SETTINGS or where.startswith("notification_config.urls"),
                )
            except PlanError as error:
                problems += error.fields["problems"]
        if problems:
            raise unresolved(problems)
        texts = {where: one.reveal() for where, one in found.items()}
        for prefix, spec in _specs(loaded.plan):
            if STANDARD_INPUT in getattr(spec.release, "manifests", ()):
                texts[f"{prefix}{_PIPED}"] = _standard_input()
        return cls(
            texts=texts,
            secret=frozenset(where for where, one in found.items() if one.secret),
            masked=mask_values(found.values()),
            warnings=unmasked(found),
        )

    def seal(self, folder: Path, key_file: Path) -> None:
        """Keeps the values, encrypted, in the execution's folder."""
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        key: Key = ensure_key(key_file)
        shape = {"texts": self.texts, "secret": sorted(self.secret), "masked": list(self.masked)}
        self._file = folder / "values.age"
        temporary = self._file.with_suffix(f".{os.getpid()}")
        temporary.write_bytes(key.encrypt(json.dumps(shape).encode()))
        temporary.chmod(0o600)
        temporary.replace(self._file)

    @classmethod
    def unseal(cls, folder: Path, key_file: Path) -> ExecutionValues:
        """The values of an execution that is taken up. Raises SnapshotUnreadable when the key is another one."""
        path = folder / "values.age"
        try:
            shape = json.loads(ensure_key(key_file).decrypt(path.read_bytes()))
        except FileNotFoundError:
            # Killed after its end was recorded, or before its values were: there is nothing left that needs them.
            return cls({}, frozenset(), (), _file=path)
        except ValueError as cause:
            raise SnapshotUnreadable(
                f"{path} cannot be opened with the key {key_file}: was the key replaced?", path=str(path)
            ) from cause
        return cls(shape["texts"], frozenset(shape["secret"]), tuple(shape["masked"]), _file=path)

    def forget(self) -> None:
        """Deletes the kept values; the execution has ended."""
        if self._file is not None:
            self._file.unlink(missing_ok=True)

    def only(self, prefix: str) -> ExecutionValues:
        """Those below one part of the plan."""
        texts = {where: text for where, text in self.texts.items() if where.startswith(prefix)}
        return ExecutionValues(texts, self.secret & texts.keys(), self.masked)

    def alone(self, plan: Plan, service: str) -> ExecutionValues:
        """Those of `plan.alone(service)`, by their places there."""
        if not plan.services:
            return self
        prefix = f"services.{service}."
        own = {where.removeprefix(prefix): text for where, text in self.texts.items() if where.startswith(prefix)}
        secret = frozenset(where.removeprefix(prefix) for where in self.secret if where.startswith(prefix))
        return ExecutionValues(own, secret, self.masked)

    @classmethod
    def of_rollback(cls, service_folder: Path, key_file: Path) -> ExecutionValues:
        """What a rollback needs of the last values: how the team is told. The rest is the former revision's."""
        return cls.unseal(service_folder / "told", key_file)

    def redactor(self) -> Redactor:
        return Redactor(self.masked)

    def step_env(self, step: str) -> dict[str, str]:
        """The resolved environment of one step."""
        prefix = f"steps.{step}.env."
        return {where.removeprefix(prefix): text for where, text in self.texts.items() if where.startswith(prefix)}

    def setting(self, where: str) -> str:
        """One resolved setting by its place in the plan, "" when it is not set."""
        return self.texts.get(where, "")

    def _checks(self, plan: Plan) -> dict[str, Any]:
        """The checks with the headers' values in place of their references."""
        shape = plan.checks.model_dump(mode="json")
        for number, check in enumerate(shape["smoke"]):
            check["headers"] = {
                name: self.setting(f"checks.smoke.{number}.headers.{name}") for name in check["headers"]
            }
        return shape

    def release(self, plan: Plan, folder: Path, *, from_revision: str | None) -> ReleaseSpec:
        """The release as the target gets it: paths absolute, values resolved."""
        if plan.release is None:
            raise RuntimeError(f"the plan of {plan.service} has a target and no release")
        shape = plan.release.model_dump(mode="json")
        prefix = "release.env."
        env = {where.removeprefix(prefix): text for where, text in self.texts.items() if where.startswith(prefix)}
        if isinstance(plan.release, LocalReleaseSpec):
            shape["path"] = str((folder / plan.release.path).absolute())
            shape["plan_folder"] = str(folder.absolute())
            shape["env"] = env
        if isinstance(plan.release, KubernetesReleaseSpec):
            shape["plan_folder"] = str(folder.absolute())
            shape["image"] = self.texts.get("release.image") or None
            shape["standard_input"] = self.texts.get(_PIPED)
        return ReleaseSpec(
            service=plan.service,
            shape=shape,
            checks=self._checks(plan),
            secrets=frozenset(name for name in env if f"{prefix}{name}" in self.secret),
            from_revision=from_revision,
        )


def without_literal_secrets(plan: Plan) -> dict[str, Any]:
    """The plan as it is recorded: what is secret by its key alone, and stands in the plan as it is, is masked.

    A resume finds the values in the execution's sealed file.
    """
    shape = plan.model_dump(mode="json", by_alias=True)
    for where in _SECRET_SETTINGS:
        part = shape
        *path, key = where.split(".")
        for name in path:
            part = part[name]
        if isinstance(part[key], str) and part[key] and "${" not in part[key]:
            part[key] = MASK
    told = shape["notification_config"]
    if plan.services:
        # Each service has its own; those at the top are defaults that nobody wrote, and would be refused when read.
        del shape["checks"]
    told["urls"] = [MASK if isinstance(url, str) and "${" not in url else url for url in told["urls"] or ()]
    return shape


def places(plan: Plan) -> dict[str, Value]:
    """Every value of the plan that may be a reference, by its place."""
    found: dict[str, Value] = {}
    for prefix, spec in _specs(plan):
        for name, value in getattr(spec.release, "env", {}).items():
            found[f"{prefix}release.env.{name}"] = value
        image = getattr(spec.release, "image", None)
        if image is not None:
            found[f"{prefix}release.image"] = image
        for number, check in enumerate(spec.checks.smoke):
            for name, value in check.headers.items():
                found[f"{prefix}checks.smoke.{number}.headers.{name}"] = value
    for step in plan.steps:
        for name, value in step.env.items():
            found[f"steps.{step.name}.env.{name}"] = value
    told = plan.notification_config
    found["notification_config.slack.webhook_url"] = told.slack.webhook_url
    found["notification_config.pagerduty.api_key"] = told.pagerduty.api_key
    found["notification_config.email.username"] = told.email.username
    found["notification_config.email.password"] = told.email.password
    found["diagnosis.llm.api_key"] = plan.diagnosis.llm.api_key
    for number, url in enumerate(told.urls):
        found[f"notification_config.urls.{number}"] = url
    return {where: value for where, value in found.items() if value != ""}


def _specs(plan: Plan) -> list[tuple[str, ServiceSpec]]:
    """(where it stands in the plan, the service's part), for each service."""
    if plan.services:
        return [(f"services.{name}.", spec) for name, spec in plan.services.items()]
    return [("", ServiceSpec(target=plan.target, release=plan.release, checks=plan.checks))]
