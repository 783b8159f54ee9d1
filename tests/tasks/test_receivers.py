"""Receivers of every kind: what each one's behaviour is recorded as, and that it costs nobody else anything."""

from __future__ import annotations

from dataclasses import replace

import pytest

from service.errors import InvalidInput
from tests.tasks.conftest import AsApp
from tests.tasks.hooks import OK, Hooks, delivering
from tests.tasks.seed import Shop, open_shop
from tests.tasks.web_server import Answer, Names, answer, moved


def test_endpoint_when_it_is_silent_then_others_do_not_wait_for_it(app: AsApp, shop: Shop) -> None:
    async def use(hooks: Hooks) -> None:
        await hooks.make()
        await hooks.make("/other")
        hooks.answers |= {"/hook": Answer(b"", pieces=[b""], pause=0.01, endless=True), "/other": OK}
        for _ in range(3):
            hooks.finished()
        for _ in range(3):
            delivered = hooks.states().count("delivered")
            await hooks.deliverer.look()
            await hooks.until(lambda before=delivered: hooks.states().count("delivered") > before)  # type: ignore[misc]
        assert (hooks.web.paths.count("/other"), hooks.web.paths.count("/hook")) == (3, 1)
        await hooks.web.end()
        await hooks.deliverer.settle()

    delivering(app, shop, use)


def test_account_when_its_endpoints_are_many_then_half_of_the_places_are_left_to_others(app: AsApp, shop: Shop) -> None:
    async def use(hooks: Hooks) -> None:
        for number in range(4):
            await hooks.make(f"/hook?{number}")
        other = replace(hooks, shop=open_shop(hooks.shop.connection, "other"))
        await other.make("/hook?other")
        hooks.finished()
        other.finished()
        assert await hooks.look() == 3
        assert sorted(path.partition("?")[2] for path in hooks.web.paths)[-1] == "other"

    delivering(app, shop, use, AGENTIC_WEBHOOK_CONCURRENCY="4")


SILENCE = Answer(b"", pieces=[b""], pause=0.01, endless=True)
SLOWNESS = Answer(b"HTTP/1.1 200 OK\r\n", pieces=[b"x: y\r\n"], pause=0.01, endless=True)
UNWILLING: dict[str, tuple[Answer, int | None, str]] = {
    "/moved": (moved("/elsewhere", 301), 301, "redirected"),
    "/moved-for-now": (moved("/elsewhere", 307), 307, "redirected"),
    "/absent": (answer(status=404), 404, "rejected"),
    "/failing": (answer(status=500), 500, "server_error"),
    "/not-http": (Answer(b"not http\r\n\r\n"), None, "broken"),
    "/hangs-up": (Answer(b""), None, "broken"),
    "/silent": (SILENCE, None, "timed_out"),
    "/slow": (SLOWNESS, None, "timed_out"),
}
"""Path of a receiver: what it does, and what is recorded of it."""


def test_receivers_when_they_do_not_accept_then_each_attempt_says_why_and_another_follows(
    app: AsApp, shop: Shop
) -> None:
    async def use(hooks: Hooks) -> None:
        for path, (given, _, _) in UNWILLING.items():
            hooks.answers[path] = given
            await hooks.make(path)
        hooks.finished()
        await hooks.look()
        assert hooks.attempts() == [(status_code, error) for _, status_code, error in UNWILLING.values()]
        assert hooks.states() == ["pending"] * len(UNWILLING)
        assert sorted(hooks.web.paths) == sorted(UNWILLING)  # none was followed elsewhere

    delivering(app, shop, use, AGENTIC_WEBHOOK_SECONDS="0.5")


def test_receiver_when_its_answer_never_ends_then_the_status_was_enough(app: AsApp, shop: Shop) -> None:
    async def use(hooks: Hooks) -> None:
        for path, piece in (("/huge", b"x" * 1000), ("/mute", b"")):
            hooks.answers[path] = Answer(b"HTTP/1.1 200 OK\r\n\r\n", pieces=[piece], pause=0.01, endless=True)
            await hooks.make(path)
        hooks.finished()
        await hooks.look()
        assert hooks.states() == ["delivered", "delivered"]

    delivering(app, shop, use, AGENTIC_WEBHOOK_SECONDS="1")


def test_receiver_when_its_address_is_private_then_it_is_refused_at_its_making_and_at_each_attempt(
    app: AsApp, shop: Shop
) -> None:
    async def use(hooks: Hooks) -> None:
        await hooks.make()
        closed = hooks.another(AGENTIC_EGRESS_ALLOW="")
        hooks.finished()
        await closed.look()
        assert (hooks.attempts(), hooks.web.asked) == ([(None, "refused")], [])
        with pytest.raises(InvalidInput):
            await closed.make()

    delivering(app, shop, use)


def test_receiver_when_its_name_is_bound_anew_then_the_private_address_is_refused(app: AsApp, shop: Shop) -> None:
    names = Names({"shop.test": [["127.0.0.1"], ["169.254.169.254"]]})

    async def use(hooks: Hooks) -> None:
        await hooks.make()
        hooks.run("UPDATE webhooks SET url = %s", f"http://shop.test:{hooks.web.port}/hook")
        for _ in range(2):
            hooks.finished()
            await hooks.look()
        assert hooks.attempts() == [(200, None), (None, "refused")]

    delivering(app, shop, use, names=names)


def test_receiver_when_it_asks_for_a_pause_then_it_gets_it(app: AsApp, shop: Shop) -> None:
    async def use(hooks: Hooks) -> None:
        await hooks.make()
        hooks.answers["/hook"] = answer(status=429, Retry_After="60")
        hooks.finished()
        await hooks.look()
        [(seconds,)] = hooks.rows("SELECT extract(epoch FROM due_at - now())::float FROM webhook_deliveries")
        assert 50 < seconds <= 60

    delivering(app, shop, use)


def test_receiver_when_it_is_gone_then_its_webhook_is_off_and_what_waits_is_dropped(app: AsApp, shop: Shop) -> None:
    async def use(hooks: Hooks) -> None:
        await hooks.make()
        hooks.answers["/hook"] = answer(status=410)
        for _ in range(3):
            hooks.finished()
        assert [await hooks.look() for _ in range(2)] == [1, 0]
        assert hooks.states() == ["failed", "dropped", "dropped"]
        assert hooks.rows("SELECT is_active, disabled_reason FROM webhooks") == [(False, "gone")]
        hooks.finished()
        assert await hooks.look() == 0

    delivering(app, shop, use)


def test_url_of_an_execution_when_it_is_gone_then_the_others_go_on(app: AsApp, shop: Shop) -> None:
    async def use(hooks: Hooks) -> None:
        await hooks.make(None, event_types=["execution.accepted", "execution.finished"])
        hooks.answers |= {"/gone": answer(status=410), "/own": OK}
        hooks.finished(webhook_url=hooks.url("/gone"))
        hooks.finished(webhook_url=hooks.url("/own"))
        while await hooks.look():
            pass
        assert hooks.web.paths == ["/gone", "/own", "/own"]
        assert hooks.states() == ["failed", "dropped", "delivered", "delivered"]

    delivering(app, shop, use)
