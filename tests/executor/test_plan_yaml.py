"""YAML as a plan needs it: places, texts as written, and nothing that is too clever."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from failback.executor.plan_yaml import DEPTH_MAX, NODES_MAX, PLAN_BYTES_MAX, YamlProblem, decode, read_yaml
from failback.model.plan_base import PlainScalar


@pytest.mark.parametrize("text", ["off", "1.10", "0777", "1:30", "2026-01-01", "1e3", "yes", "0x1F", "1_000", ".5"])
def test_a_scalar_keeps_its_text(text):
    """YAML 1.1 makes False of `off`, 1.1 of `1.10`, 90 of `1:30` and 511 of `0777`; an environment wants the text."""
    data = read_yaml(f"a: {text}").data

    assert data == {"a": text}
    assert isinstance(data["a"], PlainScalar)


@pytest.mark.parametrize("text", ["a: '5'", 'a: "5"', "a: |-\n  5", "a: >-\n  5"])
def test_a_quoted_scalar_is_a_text(text):
    data = read_yaml(text).data

    assert data == {"a": "5"}
    assert not isinstance(data["a"], PlainScalar)


@pytest.mark.parametrize("text", ["a:", "a: ~", "a: null", "a: NULL"])
def test_nothing_is_none(text):
    assert read_yaml(text).data == {"a": None}


def test_places_are_lines_and_columns_from_one():
    document = read_yaml("# comment\na: 1\nb:\n  - c: x\n    d: [y, z]\n")

    assert document.values[("a",)] == (2, 4)
    assert document.keys[("b", 0, "d")] == (5, 5)
    assert document.values[("b", 0, "d", 1)] == (5, 12)


def test_a_place_that_is_not_there_is_that_of_what_is_around_it():
    document = read_yaml("a:\n  b: 1\n")

    assert document.position(("a", "missing", "deeper")) == (1, 1)


def test_merges_fill_in_what_is_not_there():
    document = read_yaml("a: &common {x: 1, y: 2}\nb:\n  <<: *common\n  y: 3\n")

    assert document.data["b"] == {"x": "1", "y": "3"}
    assert read_yaml("a: &p {x: 1}\nb: &q {x: 2, z: 5}\nc: {<<: [*p, *q]}\n").data["c"] == {"x": "1", "z": "5"}


def test_a_key_written_twice_is_told_with_both_lines():
    document = read_yaml("a: 1\nb: 2\na: 3\n")

    (problem,) = document.problems
    assert (problem.position, problem.where) == ((3, 1), ("a",))
    assert "line 1" in problem.message


def test_the_same_key_in_two_mappings_is_no_duplicate():
    assert read_yaml("a: {x: 1}\nb: {x: 1}\n").problems == []


@pytest.mark.parametrize("tag", ["!!python/object/apply:os.system", "!secret", "!!binary", "!!set"])
def test_foreign_tags_are_told(tag):
    assert "tag" in read_yaml(f"a: {tag} {{}}").problems[0].message


@pytest.mark.parametrize("tag", ["!!str", "!!int", "!!map"])
def test_yamls_own_tags_are_no_problem(tag):
    assert read_yaml(f"a: {tag} {'{}' if tag == '!!map' else '5'}").problems == []


@pytest.mark.parametrize(
    ("text", "place", "says"),
    [
        ("a: 1\n\tb: 2\n", (2, 1), "a tab"),
        ("a:\n\t- b\n", (2, 1), "a tab"),
        ("run: echo: hi\n", (1, 10), 'a second ": "'),
        ("a: [1, 2\nb: 3\n", (2, 2), "not closed"),
        ("a: 'x\n", (2, 1), "not closed"),
        ("a: {x: 1\n", None, "not closed"),
        ("a\nb: 1\n", (2, 2), ""),
        ("a: *nobody\n", (1, 4), "nobody"),
        ("a: 1\n---\nb: 2\n", (2, 1), "one document"),
        ("a: @x\n", (1, 4), "quotes"),
        ("a: 1\n b: 2\n", (2, 3), ""),
        ("a: \x01\n", (1, 4), "U+0001"),
        ("", (1, 1), "empty"),
        ("# only a comment\n", (1, 1), "empty"),
        ("a: !<", None, ""),
        ('a: "\\U00FFFFFF"', None, ""),
    ],
)
def test_what_cannot_be_read_is_explained(text, place, says):
    with pytest.raises(YamlProblem) as refused:
        read_yaml(text)

    assert says in refused.value.message
    assert place is None or refused.value.position == place
    assert "\n" not in refused.value.message


def test_a_billion_laughs_are_counted():
    """Aliases are cheap to read and dear to build: each use counts."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]

    with pytest.raises(YamlProblem, match=f"{NODES_MAX:,}"):
        read_yaml("\n".join(lines))


def test_merges_that_multiply_are_counted():
    lines = ["a0: &a0 {x: 1}"]
    lines += [f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 10)}]}}" for n in range(1, 10)]

    with pytest.raises(YamlProblem, match=r"too often|entries"):
        read_yaml("\n".join(lines))


def test_an_alias_of_itself_ends():
    with pytest.raises(YamlProblem):
        read_yaml("a: &a [*a]")
    with pytest.raises(YamlProblem):
        read_yaml("a: &a {b: *a}")
    with pytest.raises(YamlProblem):
        read_yaml("a: &a {<<: *a}")


@pytest.mark.parametrize(
    "text", ["[" * 50_000, "{a: " * 50_000, "- " * 5_000, "a: " + "[" * (DEPTH_MAX + 2) + "]" * (DEPTH_MAX + 2)]
)
def test_deep_nesting_is_an_error_and_no_crash(text):
    with pytest.raises(YamlProblem):
        read_yaml(text)


def test_a_file_without_end_is_too_large():
    with pytest.raises(YamlProblem, match="512 KiB"):
        decode(b"a" * (PLAN_BYTES_MAX + 1))


def test_bytes_that_are_no_utf8_have_a_place():
    with pytest.raises(YamlProblem) as refused:
        decode("a: 1\nb: ä".encode() + b"\xff")

    assert refused.value.position == (2, 5)


def test_a_byte_order_mark_is_no_character():
    assert read_yaml(decode(b"\xef\xbb\xbfa: 1")).keys[("a",)] == (1, 1)


@given(st.text(max_size=200) | st.text(st.sampled_from("a:-[]{}&*!|>'\"%@`#,? \n\t<1"), max_size=60))
def test_no_text_raises_anything_but_a_yaml_problem(text):
    try:
        read_yaml(text)
    except YamlProblem as refused:
        assert refused.message


@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_but_a_yaml_problem(raw):
    try:
        read_yaml(decode(raw))
    except YamlProblem as refused:
        assert refused.message
