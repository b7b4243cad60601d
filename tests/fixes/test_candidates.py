"""Candidates have a reason in the evidence. For each kind that is found there is a look-alike that must not be."""

from __future__ import annotations

import dataclasses
from typing import Any

from failback.fixes.candidates import COUNT_MAX, candidates
from failback.fixes.case import Case
from failback.fixes.limits import still_grows
from failback.fixes.packages import pinned
from failback.model.diagnosis import Citation, Diagnosis, FailureType
from failback.model.evidence import Evidence, LogPair, MemorySample, ProbeResult, ReplicaEvidence
from failback.model.fix import PutFile, ReleaseShape, SetSetting

MIB = 1024 * 1024


def shape(files: dict[str, str] | None = None, **fields: Any) -> ReleaseShape:
    raw = {name: text.encode() for name, text in (files or {"app.py": ""}).items()}
    return dataclasses.replace(ReleaseShape(names=frozenset(raw), files=raw, ready={"path": "/"}), **fields)


def case(kind: FailureType, line: str, new: ReleaseShape, former: ReleaseShape | None = None, **evidence: Any) -> Case:
    seen = Evidence(target="local", logs={"r2-1/app": LogPair(line)}, **evidence)
    cause = Diagnosis(kind, line, "shop", 0.9, evidence=(Citation("logs/r2-1/app:1", line),))
    return Case(seen, cause, new, former)


def actions(one: Case) -> list[str]:
    return [candidate.action for candidate in candidates(one)]


class TestMemory:
    KILLED = (ReplicaEvidence("r2-1", oom_killed=True, memory_samples=(MemorySample(0.1, 60 * MIB),)),)

    def limited(self, former: str | None = None, kind: FailureType = FailureType.MEMORY_LIMIT, **more: Any) -> Case:
        new = shape(settings={"memory": "64Mi"})
        old = shape(settings={"memory": former}) if former else None
        return case(kind, "killed", new, old, **{"replicas": self.KILLED, **more})

    def test_sizes_grow_from_what_was_measured(self) -> None:
        tried = [candidate.tried for candidate in candidates(self.limited())]

        assert tried == ["128Mi", "256Mi", "512Mi"]

    def test_the_former_limit_comes_first(self) -> None:
        assert next(candidate.tried for candidate in candidates(self.limited("192Mi"))) == "192Mi"

    def test_nothing_above_what_the_machine_has(self) -> None:
        small = dataclasses.replace(self.limited(), memory_max=200 * MIB)

        assert [candidate.tried for candidate in candidates(small)] == ["128Mi"]

    def test_without_a_kill_no_limit_is_raised(self) -> None:
        assert actions(self.limited(replicas=())) == []

    def test_a_leak_of_a_service_that_answered_is_not_tried(self) -> None:
        answered = (ProbeResult("r2-1", "/", 200, 1.0, "status 200", True),)

        assert actions(self.limited(kind=FailureType.MEMORY_LEAK, probes=answered)) == []

    def test_growth_that_goes_on_only_puts_it_off(self) -> None:
        steady = [(n / 4, (100 + 10 * n) * MIB) for n in range(12)]
        level = [(n / 4, (100 + n % 2) * MIB) for n in range(12)]

        assert "would reach 512Mi" in str(still_grows(steady, 512 * MIB))
        assert still_grows(level, 512 * MIB) is None
        assert still_grows(steady[:2], 512 * MIB) is None


class TestEnvironment:
    def test_a_variable_that_the_former_revision_had(self) -> None:
        (fix,) = candidates(
            case(
                FailureType.MISSING_CONFIGURATION, "KeyError: 'REGION'", shape(), shape(env={"REGION": "eu", "A": "1"})
            )
        )[:1]

        assert fix.changes == (SetSetting(("release", "env", "REGION"), "eu"),)
        assert fix.tried == "REGION=eu"

    def test_a_wrong_value_is_found_by_the_value_itself(self) -> None:
        new, old = shape(env={"POOL": "eight"}), shape(env={"POOL": "8"})
        line = "ValueError: invalid literal for int() with base 10: 'eight'"

        assert actions(case(FailureType.CODE_ERROR, line, new, old)) == ["Set the environment variable POOL back to 8"]

    def test_a_new_variable_is_taken_out_again(self) -> None:
        line = "ValueError: Unknown level: 'verbose'"

        assert actions(case(FailureType.INVALID_CONFIGURATION, line, shape(env={"LEVEL": "verbose"}), shape())) == [
            "Take the environment variable LEVEL out again"
        ]

    def test_a_secret_is_tried_and_never_written(self) -> None:
        old = shape(env={"API_KEY": "hunter2-hunter2"}, secrets=frozenset({"API_KEY"}))
        one = case(FailureType.MISSING_CONFIGURATION, "KeyError: 'API_KEY'", shape(), old)
        one = dataclasses.replace(one, references={"API_KEY": "${SHOP_API_KEY}"})

        (fix,) = candidates(one)

        assert isinstance(fix.changes[0], SetSetting)
        assert (fix.changes[0].value, fix.changes[0].written) == ("hunter2-hunter2", "${SHOP_API_KEY}")
        assert "hunter2" not in repr(fix)
        assert "hunter2" not in fix.id

    def test_a_documented_value(self) -> None:
        new = shape({"app.py": "", ".env.example": "REGION=eu-west-1\nTOKEN=change-me\nPASSWORD=abc\n"})

        assert actions(case(FailureType.MISSING_CONFIGURATION, "REGION is not set", new)) == [
            "Set the environment variable REGION to eu-west-1"
        ]
        assert actions(case(FailureType.MISSING_CONFIGURATION, "TOKEN is not set", new)) == []
        assert actions(case(FailureType.MISSING_CONFIGURATION, "PASSWORD is not set", new)) == []

    def test_a_change_that_nothing_speaks_of_is_left(self) -> None:
        """Another theme does not make a name undefined."""
        new, old = shape(env={"THEME": "dark"}), shape(env={"THEME": "light"})

        assert actions(case(FailureType.CODE_ERROR, "NameError: name 'prices' is not defined", new, old)) == []


class TestFiles:
    OLD = shape({"app.py": "", "config/production.json": "{}", "config/other.json": "{}", "helpers.py": ""})

    def test_a_file_that_is_gone(self) -> None:
        line = "Error: Cannot find module './config/production.json'"
        first, folder = candidates(case(FailureType.MISSING_FILE, line, shape(), self.OLD))

        assert first.changes == (PutFile("config/production.json", b"{}"),)
        assert [change.name for change in folder.changes if isinstance(change, PutFile)] == [
            "config/other.json",
            "config/production.json",
        ]

    def test_code_is_not_put_back(self) -> None:
        """That would be another program."""
        line = "FileNotFoundError: No such file or directory: 'helpers.py'"

        assert actions(case(FailureType.MISSING_FILE, line, shape(), self.OLD)) == []

    def test_a_file_that_never_was_is_not_invented(self) -> None:
        line = "FileNotFoundError: No such file or directory: 'secret.json'"

        assert actions(case(FailureType.MISSING_FILE, line, shape(), self.OLD)) == []

    def test_a_key_that_was_taken_out_of_a_file(self) -> None:
        old = shape({"settings.json": '{\n "name": "shop",\n "region": "eu",\n "theme": "light"\n}\n'})
        new = shape({"settings.json": '{\n "name": "shop",\n "theme": "dark"\n}\n'})

        first = candidates(case(FailureType.MISSING_CONFIGURATION, "KeyError: 'region'", new, old))[0]

        assert isinstance(first.changes[0], PutFile)
        assert b'"region": "eu"' in first.changes[0].content

    def test_a_broken_file_is_put_back_whole(self) -> None:
        old = shape({"config.yaml": "greeting: 'a: b'\n"})
        new = shape({"config.yaml": "greeting: a: b\n"})
        line = 'yaml.scanner.ScannerError: mapping values are not allowed here in "config.yaml", line 1, column 12'

        assert "Put config.yaml back, as the former release had it" in actions(
            case(FailureType.INVALID_CONFIGURATION, line, new, old)
        )


class TestPackages:
    LIST = "requirements.txt"
    LINE = "ImportError: cannot import name 'url_quote' from 'werkzeug.urls' (lib/werkzeug/urls.py)"

    def releases(self) -> tuple[ReleaseShape, ReleaseShape]:
        new = shape(
            {
                self.LIST: "Flask==2.2.2\n",
                "lib/Werkzeug-3.0.1.dist-info/METADATA": "",
                "lib/click-8.3.dist-info/METADATA": "",
            }
        )
        old = shape(
            {
                self.LIST: "Flask==2.2.2\nWerkzeug==2.2.3\n",
                "lib/Werkzeug-2.2.3.dist-info/METADATA": "",
                "lib/click-8.1.dist-info/METADATA": "",
            }
        )
        return new, old

    def test_the_named_package_first(self) -> None:
        new, old = self.releases()

        found = candidates(case(FailureType.VERSION_INCOMPATIBILITY, self.LINE, new, old))

        assert [fix.tried for fix in found] == ["Werkzeug==2.2.3", "click==8.1"]
        assert found[0].changes == (PutFile(self.LIST, b"Flask==2.2.2\nWerkzeug==2.2.3\n"),)
        assert found[0].rebuild
        assert not found[0].untried

    def test_packages_that_live_elsewhere_are_not_installed_for_a_trial(self) -> None:
        """It could change the Python that live processes use."""
        change = f"--- a/{self.LIST}\n+++ b/{self.LIST}\n@@ -1,2 +1 @@\n Flask==2.2.2\n-Werkzeug==2.2.3\n"
        new, old = shape({self.LIST: "Flask==2.2.2\n"}), shape({self.LIST: "Flask==2.2.2\nWerkzeug==2.2.3\n"})

        (fix,) = candidates(case(FailureType.VERSION_INCOMPATIBILITY, self.LINE, new, old, change=change))

        assert fix.untried

    def test_nothing_changed_nothing_pinned(self) -> None:
        new, _ = self.releases()

        assert actions(case(FailureType.VERSION_INCOMPATIBILITY, self.LINE, new, new)) == []

    def test_pinning_keeps_the_rest_of_the_line(self) -> None:
        assert pinned("a\nWerkzeug[x] >=2,<4 ; python_version > '3' # why\nb", "werkzeug", "2.2.3") == (
            "a\nWerkzeug[x]==2.2.3 ; python_version > '3' # why\nb"
        )
        assert pinned("a", "B", "1") == "a\nB==1\n"


class TestProbes:
    def asked(self, status: int | None, new: ReleaseShape, former: ReleaseShape | None = None) -> list[str]:
        probe = ProbeResult("r2-1", "/healthz", status, 1.0, "any of 200-399", passed=False, kind="ready")
        return actions(case(FailureType.PROBE_MISCONFIGURED, "not ready", new, former, probes=(probe,)))

    def test_the_former_path_and_one_that_the_code_has(self) -> None:
        new = shape({"app.py": "@app.get('/health')"}, ready={"path": "/healthz"})

        assert self.asked(404, new, shape(ready={"path": "/up"})) == [
            "Set the ready check's path back to /up",
            "Ask /health in the ready check",
        ]

    def test_an_error_of_the_program_is_no_wrong_path(self) -> None:
        """Asking elsewhere until something answers would hide it."""
        new = shape({"app.py": "@app.get('/health')"}, ready={"path": "/healthz"})

        assert self.asked(500, new) == []

    def test_a_port_that_is_not_handed_on(self) -> None:
        new = shape(
            {"app.js": "listen(process.env.HTTP_PORT)"}, settings={"start": ("node", "app.js", "--port", "8000")}
        )

        assert self.asked(None, new) == [
            'Start it with: exec node app.js --port "$PORT"',
            'Start it with: HTTP_PORT="$PORT" exec node app.js --port 8000',
        ]


def test_what_no_setting_can_end_has_no_candidates() -> None:
    old = shape(env={"REGION": "eu"})

    assert actions(case(FailureType.DISK_FULL, "REGION: No space left on device", shape(), old)) == []


def test_never_more_than_can_be_looked_at() -> None:
    old = shape(env={f"NAME_{n}": "x" for n in range(100)})
    line = " ".join(old.env)

    assert len(candidates(case(FailureType.MISSING_CONFIGURATION, line, shape(), old))) == COUNT_MAX
