"""The documents for Envoy, without any Envoy."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from failback.targets.local import proxy_config

NAMES = st.from_regex(r"[A-Za-z0-9_-]{1,20}", fullmatch=True)
PORTS = st.lists(st.integers(1, 65_535), min_size=1, max_size=5, unique=True)


def entries(table: dict[str, Any]) -> list[dict[str, Any]]:
    return list(table["resources"][0]["virtual_hosts"][0]["routes"])


def methods_of(entry: dict[str, Any]) -> list[str]:
    return [header["string_match"]["safe_regex"]["regex"] for header in entry["match"].get("headers", [])]


@given(st.dictionaries(NAMES, PORTS, max_size=4))
def test_revisions_are_read_back_as_they_were_written(revisions: dict[str, list[int]]) -> None:
    document = json.loads(json.dumps(proxy_config.clusters("v1", revisions)))

    assert revisions == proxy_config.revisions_in(document)


@given(st.none() | NAMES, st.none() | NAMES)
def test_the_route_is_read_back_as_it_was_written(revision: str | None, mirror: str | None) -> None:
    document = json.loads(json.dumps(proxy_config.routes("v1", revision, mirror)))

    assert revision == proxy_config.routed_in(document)
    assert (mirror if revision is not None else None) == proxy_config.mirrored_in(document)


def test_every_document_carries_its_version() -> None:
    """It is what tells a caller that his own write is in force."""
    made = (
        proxy_config.listeners("v7", "/f", ["127.0.0.1"], 80),
        proxy_config.clusters("v7", {"r1": [1]}),
        proxy_config.routes("v7", "r1"),
    )

    assert {"v7"} == {document["version_info"] for document in made}


def test_only_safe_methods_are_tried_again_after_a_broken_connection() -> None:
    """An order that may have been taken must not be sent twice."""
    for entry in entries(proxy_config.routes("v1", "r1")):
        tried_again = entry["route"]["retry_policy"]["retry_on"].split(",")
        assert ("reset" in tried_again) == (methods_of(entry) == ["GET|HEAD|OPTIONS"])
        assert "connect-failure" in tried_again


def test_nothing_is_tried_again_because_of_its_status() -> None:
    """A retried 503 would hide the very failures that the bake looks for."""
    told = json.dumps(proxy_config.routes("v1", "r1", "r2"))

    assert "5xx" not in told
    assert "gateway-error" not in told


def test_copies_are_made_of_the_named_methods_alone() -> None:
    copied = [
        methods_of(e) for e in entries(proxy_config.routes("v1", "r1", "r2")) if "request_mirror_policies" in e["route"]
    ]

    assert copied
    assert all("GET|HEAD" in methods for methods in copied)


def test_all_methods_are_copied_when_that_is_asked_for() -> None:
    table = proxy_config.routes("v1", "r1", "r2", mirror_methods=("GET", "POST"))
    copied = [methods_of(e) for e in entries(table) if "request_mirror_policies" in e["route"]]

    assert ["GET|POST"] in copied


def test_a_share_of_the_requests_can_be_copied() -> None:
    table = proxy_config.routes("v1", "r1", "r2", 12.5)
    policy = entries(table)[0]["route"]["request_mirror_policies"][0]

    assert policy["runtime_fraction"]["default_value"] == {"numerator": 125_000, "denominator": "MILLION"}


def test_users_always_go_to_the_routed_revision() -> None:
    """Whatever is copied, and by whichever method: no entry leads users elsewhere."""
    table = proxy_config.routes("v1", "r1", "r2")

    assert {"rev-r1"} == {entry["route"]["cluster"] for entry in entries(table)}
    assert methods_of(entries(table)[-1]) == []  # the last takes what the others left


def test_no_time_limit_cuts_an_answer_short() -> None:
    assert {"0s"} == {entry["route"]["timeout"] for entry in entries(proxy_config.routes("v1", "r1"))}


def test_a_port_is_never_shared() -> None:
    """Two homes on one port would each serve the other's users."""
    listener = proxy_config.listeners("v1", "/f", ["127.0.0.1"], 80)["resources"][0]

    assert listener["enable_reuse_port"] is False


def test_each_watched_file_has_a_folder_of_its_own() -> None:
    """A rename makes Envoy read anew all files whose folder it watches."""
    folders = {name.rpartition("/")[0] for name in (proxy_config.LISTENERS, proxy_config.CLUSTERS, proxy_config.ROUTES)}

    assert len(folders) == 3
    assert "" not in folders


def test_bounds_of_slow_answers_are_fine_and_exact() -> None:
    """Envoy keeps two digits: any other bound would be counted as its neighbour. At most 16 % apart."""
    bounds = proxy_config.SLOW_BOUNDS_MS

    assert bounds == tuple(sorted(set(bounds)))
    assert all(bound == float(f"{bound:.2g}") for bound in bounds)
    assert all(high / low < 1.16 for low, high in itertools.pairwise(bounds))


@pytest.mark.parametrize("revision", ["r1", None])
def test_documents_hold_no_environment(revision: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "hunter2")
    told = json.dumps([proxy_config.bootstrap("s", "/f", "/a"), proxy_config.routes("v1", revision)])

    assert "hunter2" not in told
