"""The form of tokens: what a checksum refuses never reaches the database."""

from __future__ import annotations

import re

import pytest

from service.accounts.tokens import digest_of, is_well_formed, new_token


def test_new_token_is_prefixed_and_long_and_well_formed() -> None:
    token = new_token()

    assert re.fullmatch(r"agt_[0-9A-Za-z]{49}", token)
    assert is_well_formed(token)


def test_new_tokens_differ() -> None:
    assert len({new_token() for _ in range(100)}) == 100


def test_token_with_one_character_changed_is_not_well_formed() -> None:
    token = new_token()

    for place in range(4, len(token)):
        other = "a" if token[place] != "a" else "b"
        assert not is_well_formed(token[:place] + other + token[place + 1 :]), place


@pytest.mark.parametrize("text", ["", "agt_", "agt_" + "a" * 49, "Token", "agt_" + "é" * 49])
def test_text_that_is_no_token_is_not_well_formed(text: str) -> None:
    assert not is_well_formed(text)


def test_token_with_anything_around_it_is_not_well_formed() -> None:
    token = new_token()

    assert not is_well_formed(token + "\n")
    assert not is_well_formed(token[:-1])
    assert not is_well_formed(" " + token)


def test_digest_is_sha256_of_the_whole_token() -> None:
    assert digest_of("agt_x").hex() == "bbad502b5334d1aaa4802491c6b30c8f83eeb4107171f77baf47085e6e7ca469"
