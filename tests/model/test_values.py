"""Values with references: what they come to, what is secret, and what is said when nothing is behind them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from failback.model.errors import PlanError
from failback.model.values import (
    BadReference,
    FromEnv,
    FromFile,
    Resolved,
    Value,
    mask_values,
    references,
    resolve,
    sources,
    unmasked,
)

ENVIRONMENT = {"TOKEN": "tok-123456", "REGION": "eu-west", "EMPTY": "", "PIN": "1234"}
FILES = {"token.txt": "from-a-file\n", "windows.txt": "from-windows\r\n", "two.txt": "two\nlines\n\n"}


def read_file(path: str) -> str:
    if path == "latin.txt":
        raise UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte")
    if path == "locked.txt":
        raise PermissionError(13, "Permission denied")
    if path not in FILES:
        raise FileNotFoundError(path)
    return FILES[path]


def look_up(value: Value, **options: object) -> Resolved:
    return resolve(value, where="release/env/X", environment=ENVIRONMENT, read_file=read_file, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("value", "text", "secret"),
    [
        ("plain", "plain", False),
        ("", "", False),
        ("${TOKEN}", "tok-123456", True),
        ("Bearer ${TOKEN}!", "Bearer tok-123456!", True),
        ("${REGION}/${TOKEN}", "eu-west/tok-123456", True),
        ("$${TOKEN}", "${TOKEN}", False),
        ("$$${TOKEN}", "$tok-123456", True),
        ("costs $5 or $$6", "costs $5 or $6", False),
        ("$TOKEN stays", "$TOKEN stays", False),
        ("${EMPTY}", "", True),
        (FromFile("token.txt"), "from-a-file", True),
        (FromFile("windows.txt"), "from-windows", True),
        (FromFile("two.txt"), "two\nlines\n", True),
        (FromEnv("TOKEN"), "tok-123456", True),
        (FromEnv("REGION", secret=False), "eu-west", False),
        (FromEnv("NOT_SET", default="here"), "here", False),
        (FromEnv("TOKEN", default="here"), "tok-123456", True),
        (FromEnv("EMPTY", default="here"), "", True),
    ],
)
def test_what_a_value_comes_to(value, text, secret):
    found = look_up(value)

    assert (text, secret) == (found.reveal(), found.secret)


def test_a_replaced_value_is_not_read_again():
    """A secret that holds `${OTHER}` is that text: reading it again would let a value reach for other ones."""
    found = resolve("${A}", where="x", environment={"A": "${B}$$", "B": "no"}, read_file=read_file)

    assert found.reveal() == "${B}$$"


def test_the_password_inside_a_text_is_masked_on_its_own():
    """A log that prints the password without the address around it must not show it."""
    found = look_up("postgres://app:${TOKEN}@db/${REGION}")

    masked = mask_values([found])

    assert {"postgres://app:tok-123456@db/eu-west", "tok-123456", "eu-west"} == set(masked)
    assert list(masked) == sorted(masked, key=lambda text: -len(text))


def test_values_of_no_secret_are_not_masked():
    """Masking a region's name would make every log unreadable."""
    assert mask_values([look_up("plain text"), look_up(FromEnv("REGION", secret=False))]) == ()


def test_short_secrets_are_not_masked_but_told():
    resolved = {
        "release/env/PIN": look_up("${PIN}"),
        "release/env/T": look_up("${TOKEN}"),
        "release/env/E": look_up("${EMPTY}"),
    }

    assert mask_values(resolved.values()) == ("tok-123456",)
    assert unmasked(resolved) == ("release/env/PIN",)


def test_a_key_that_is_always_secret_masks_a_value_from_the_plan():
    found = look_up("written-down", always_secret=True)

    assert found.secret and mask_values([found]) == ("written-down",)
    assert not look_up("", always_secret=True).secret


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("a ${NOT_SET}", "environment variable NOT_SET is not set"),
        (FromEnv("NOT_SET"), "export NOT_SET="),
        (FromFile("gone.txt"), "gone.txt is not there"),
        (FromFile("latin.txt"), "no UTF-8 text"),
        (FromFile("locked.txt"), "Permission denied"),
    ],
)
def test_nothing_behind_a_reference_is_an_error_with_a_place(value, says):
    with pytest.raises(PlanError) as refused:
        look_up(value, position=(7, 12))

    assert says in refused.value.message
    problem = refused.value.fields["problems"][0]
    assert (problem["where"], problem["line"], problem["column"]) == ("release/env/X", 7, 12)
    assert refused.value.exit_code == 2


@pytest.mark.parametrize("text", ["a\0b", "x" * 200_000])
def test_what_no_environment_can_carry_is_refused_without_showing_it(text):
    with pytest.raises(PlanError) as refused:
        resolve("${A}", where="x", environment={"A": text}, read_file=read_file)

    assert text not in refused.value.message and "xxxx" not in refused.value.message


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("${NAME:-default}", "{env: NAME, default: ...}"),
        ("${NAME-x}", "{env: NAME, default: ...}"),
        ("${", "without its `}`"),
        ("${NAME", "without its `}`"),
        ("${}", "no name"),
        ("${a b}", "no name"),
        ("${1A}", "no name"),
    ],
)
def test_what_is_no_reference_says_what_to_write(text, says):
    with pytest.raises(BadReference) as refused:
        references(text)

    assert says in str(refused.value)


@pytest.mark.parametrize("text", ["$5", "$NAME", "$", "a$", "$$", "$${not a name}", "{NAME}", "$(date)"])
def test_look_alikes_are_no_references(text):
    assert references(text) == ()


def test_sources_say_where_a_value_comes_from():
    assert sources("${A}${B}${A}") == ("environment variable A", "environment variable B")
    assert sources(FromFile("x")) == ("file x",)
    assert sources("plain") == ()


def test_a_resolved_secret_is_not_shown():
    assert "tok-123456" not in repr(look_up("${TOKEN}"))


@given(st.text())
def test_escaping_every_dollar_gives_the_text_itself(text):
    found = (
        resolve(text.replace("$", "$$"), where="x", environment={}, read_file=read_file) if "\0" not in text else None
    )

    assert found is None or (found.reveal() == text and not found.secret)


@given(st.text(st.sampled_from("${}A_-: "), max_size=30))
def test_no_text_raises_anything_but_a_plan_error(text):
    try:
        resolve(text, where="x", environment={"A": "a"}, read_file=read_file)
    except PlanError as refused:
        assert refused.fields["problems"]
