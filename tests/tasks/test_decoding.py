"""JSON found tolerantly and read strictly: a part of a broken answer is never taken for the whole."""

from __future__ import annotations

import pytest

from tasks.decoding import NotJson, find_json, read_json


@pytest.mark.parametrize(
    "text",
    [
        '{"a": {"b": 1}}',
        '  {"a": {"b": 1}}\n',
        '```json\n{"a": {"b": 1}}\n```',
        'Sure:\n```\n{"a": {"b": 1}}\n```\nAnything else?',
        'I have [really] done it: {"a": {"b": 1}} as asked.',
    ],
)
def test_find_json_when_one_object_stands_in_the_text_then_it_is_found(text: str) -> None:
    assert find_json(text, "{") == {"a": {"b": 1}}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        "prose",
        '{"a": 1} or {"a": 2}',
        '{"a": {"b": 1}, broken',
        'x {"a": {"b": 1} "c"',
        '[{"a": 1}, broken',
        'Here: [{"a": 1}]',
        '{"a": 1}]',
        '{"a": 1} or [2]',
        '```\n{"a": 1}\n```\n```\n{"a": 2}\n```',
        '{"a": 1, "a": 2}',
        'Here: {"a": 1, "a": 2}',
        '{"a": NaN}',
        '{"a": -Infinity}',
        '{"a": 1,}',
        "{'a': 1}",
        "[" * 100_000,
        "9" * 5000,
    ],
)
def test_find_json_when_the_value_is_not_certain_then_refused(text: str) -> None:
    with pytest.raises(NotJson):
        find_json(text, "{")


def test_find_json_when_an_array_is_wanted_then_it_is_found_between_words() -> None:
    assert find_json("These: [1, 2].", "[") == [1, 2]


def test_find_json_when_a_scalar_is_wanted_then_only_the_whole_text_counts() -> None:
    assert find_json(" 5 ", None) == 5
    with pytest.raises(NotJson):
        find_json("about 5", None)


def test_find_json_when_the_text_is_json_of_another_kind_then_that_is_the_value() -> None:
    assert find_json('[{"a": 1}]', "{") == [{"a": 1}]


def test_read_json_when_a_key_comes_twice_then_the_message_names_it() -> None:
    with pytest.raises(NotJson, match="the key 'a' twice"):
        read_json('{"b": {"a": 1, "a": 2}}')


def test_find_json_when_a_text_is_made_to_be_slow_then_it_is_refused_all_the_same() -> None:
    with pytest.raises(NotJson):
        find_json("```" + "\n" * 300_000 + "x", "{")
