"""A Secret is used by its owner and shown to nobody."""

from __future__ import annotations

import copy
import json
import logging
import pickle
import traceback

import pytest
from pydantic import BaseModel

from failback.model.secret import Secret

MARK = "mark-7f3a-never-shown"


def test_reveal_gives_the_text():
    assert Secret(MARK).reveal() == MARK


@pytest.mark.parametrize(
    "show",
    [
        repr,
        str,
        lambda secret: f"{secret}",
        lambda secret: f"{secret!r:>40}",
        lambda secret: "%s" % secret,  # noqa: UP031 - the old form is what is tested
        lambda secret: "{:>30}".format(secret),  # noqa: UP032
        lambda secret: json.dumps({"a": secret}, default=str),
        lambda secret: repr([{"key": secret}]),
        lambda secret: str(vars(secret)) if hasattr(secret, "__dict__") else "",
        lambda secret: ascii(secret),
    ],
)
def test_no_way_to_print_shows_it(show):
    """An f-string in a log line is how secrets leak; so even str() gives stars."""
    assert MARK not in show(Secret(MARK))


def test_json_refuses_it():
    with pytest.raises(TypeError):
        json.dumps(Secret(MARK))


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_it_is_never_pickled(protocol):
    """The durable store pickles what it is given: that must fail, loudly and without the text."""
    with pytest.raises(TypeError) as refused:
        pickle.dumps(Secret(MARK), protocol)

    assert MARK not in str(refused.value)


def test_a_traceback_with_it_in_a_local_does_not_show_it():
    def use(secret: Secret) -> None:
        raise RuntimeError(f"could not use {secret}")

    try:
        use(Secret(MARK))
    except RuntimeError as error:
        text = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())

    assert MARK not in text


def test_a_log_record_does_not_show_it(caplog):
    logging.getLogger("test").warning("key %s %r", Secret(MARK), Secret(MARK))

    assert MARK not in caplog.text


def test_a_model_dumps_the_mask():
    class Model(BaseModel):
        key: Secret

    model = Model(key=MARK)

    assert model.key.reveal() == MARK
    assert MARK not in model.model_dump_json() + repr(model) + str(model.model_dump())


def test_it_cannot_be_changed():
    secret = Secret(MARK)

    with pytest.raises(AttributeError):
        secret._hidden = "other"
    with pytest.raises(AttributeError):
        del secret._hidden
    assert secret.reveal() == MARK


def test_equal_texts_are_equal_secrets():
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert len({Secret("a"), Secret("a")}) == 1
    assert not Secret("") and Secret("x")


def test_copies_stay_secret():
    """deepcopy goes through pickle's protocol by default, which is refused."""
    assert copy.deepcopy({"a": [Secret(MARK)]})["a"][0].reveal() == MARK
    assert copy.copy(Secret(MARK)).reveal() == MARK
