"""Webhooks and deliveries through both clients, and that nothing of them happens twice."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import agentic_client
from tests.client.conftest import Connect, Place
from tests.client.scripted import Answer, scripted

URL = "https://shop.example.com/hook"
WEBHOOK = {
    "id": 3,
    "account": 1,
    "url": URL,
    "event_types": ["execution.finished"],
    "body": "thin",
    "is_active": True,
    "disabled_reason": None,
    "old_secret_until": None,
    "created_at": "2025-04-10T14:00:00.000000Z",
}
FAIL = "UPDATE webhook_deliveries SET status = 'failed', finished_at = now() WHERE id = %s"
ONCE: dict[str, Callable[[Any], Any]] = {
    "create": lambda client: client.create_webhook(URL),
    "rotate": lambda client: client.rotate_secret(3),
    "ping": lambda client: client.ping_webhook(3),
    "redeliver": lambda client: client.redeliver(3, 4),
}


def test_webhook_is_made_found_changed_and_deleted(client: Any) -> None:
    made = client.create_webhook(URL, event_types=["execution.judged"], body="full")
    assert (made.url, made.event_types, made.body, made.is_active) == (URL, ("execution.judged",), "full", True)
    assert made.secret not in repr(made)
    found = client.get_webhook(made)
    assert [each for each in client.webhooks() if each.id == made.id] == [found]
    changed = client.change_webhook(made, is_active=False, url=f"{URL}/b")
    assert (changed.url, changed.is_active, changed.body) == (f"{URL}/b", False, "full")
    client.delete_webhook(made)
    with pytest.raises(agentic_client.NotFound):
        client.delete_webhook(made.id)


def test_secret_that_is_replaced_is_another_and_says_until_when_the_old_one_signs(client: Any) -> None:
    made = client.create_webhook(URL)
    rotated = client.rotate_secret(made, keep_old_seconds=60)
    assert rotated.secret != made.secret
    assert rotated.old_secret_until > made.created_at
    assert client.rotate_secret(made, keep_old_seconds=0).old_secret_until is None


def test_messages_are_listed_by_webhook_and_by_execution_and_sent_again(client: Any, place: Place) -> None:
    made = client.create_webhook(URL)
    pings = [client.ping_webhook(made) for _ in range(3)]
    assert {each.type for each in pings} == {"webhook.ping"}
    assert [each.id for each in client.deliveries(made, page_size=2)] == [each.id for each in reversed(pings)]
    with pytest.raises(agentic_client.Conflict):
        client.redeliver(made, pings[0])
    place.connection.execute(FAIL, (pings[0].id,))
    again = client.redeliver(made, pings[0])
    assert (again.id, again.message_id, again.attempts) == (pings[0].id, pings[0].message_id, ())
    assert list(client.deliveries_of_execution(place.teller.accept())) == []


@pytest.mark.parametrize("first", [Answer(0), Answer(503, {}, {"Retry-After": "0"}), Answer(502, b"")])
@pytest.mark.parametrize("call", ONCE)
def test_call_that_must_not_happen_twice_when_it_may_have_is_not_sent_again(
    connect: Connect, call: str, first: Answer
) -> None:
    with scripted(first) as script:
        with pytest.raises((agentic_client.Unreachable, agentic_client.Unavailable)) as lost:
            ONCE[call](connect(script.url, "t"))
        assert (len(script.asked), lost.value.attempts, lost.value.may_have_happened) == (1, 1, True)


def test_call_that_must_not_happen_twice_when_it_surely_did_not_is_sent_again(connect: Connect) -> None:
    with scripted(Answer(429, {}, {"Retry-After": "0"}), Answer(201, {**WEBHOOK, "secret": "whsec_YQ=="})) as script:
        assert connect(script.url, "t").create_webhook(URL).id == 3
    with pytest.raises(agentic_client.Unreachable) as nobody:
        connect(script.url, "t").create_webhook(URL)
    assert (nobody.value.attempts, nobody.value.may_have_happened) == (5, False)


def test_change_and_delete_when_the_answer_was_lost_are_sent_again(connect: Connect) -> None:
    with scripted(Answer(0), Answer(200, WEBHOOK), Answer(0), Answer(404, {})) as script:
        client = connect(script.url, "t")
        assert client.change_webhook(3, is_active=True).id == 3
        client.delete_webhook(3)
    assert [each.method for each in script.asked] == ["PATCH", "PATCH", "DELETE", "DELETE"]
