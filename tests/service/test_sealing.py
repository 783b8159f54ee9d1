"""Secrets under keys: what is sealed under one is opened by it alone, and no key is shown."""

from __future__ import annotations

import base64

import pytest

from service.errors import SetupError
from service.sealing import Unreadable, new_key, read_keys
from service.settings import Settings


def test_secret_when_sealed_is_opened_by_its_key_among_others_and_by_no_other() -> None:
    old, new = new_key(), new_key()
    sealed = read_keys(old).seal(b"secret")
    assert b"secret" not in sealed
    assert read_keys(f"{new}, {old}").open(sealed) == b"secret"
    for keys in (read_keys(new), read_keys("")):
        with pytest.raises(Unreadable):
            keys.open(sealed)
    with pytest.raises(Unreadable):
        read_keys(old).open(sealed[:-5] + b"AAAA=")


def test_secret_when_there_is_no_key_is_not_sealed() -> None:
    assert not read_keys("")
    with pytest.raises(LookupError):
        read_keys("").seal(b"secret")


KEY = base64.urlsafe_b64encode(bytes(range(32))).decode()


@pytest.mark.parametrize("text", ["short", KEY[:-4], "ü" * 44, f"{KEY},x"], ids=["short", "cut", "letters", "second"])
def test_key_when_it_is_none_is_refused_without_being_shown(text: str) -> None:
    with pytest.raises(SetupError) as refused:
        Settings.read({"AGENTIC_SECRET_KEY": text})
    assert "AGENTIC_SECRET_KEY" in refused.value.detail
    assert text not in refused.value.detail


def test_settings_when_shown_keep_the_key_to_themselves() -> None:
    key = new_key()
    assert key not in repr(Settings.read({"AGENTIC_SECRET_KEY": key}))
