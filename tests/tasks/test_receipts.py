"""What a receiver's answer means, and when it is asked again."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from service.webhooks.delivery_store import Attempted
from tasks.egress import Fault, NoAnswer, Received
from tasks.receipts import PAUSES, judge, retry_after

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def judged(status: int, failures: int = 0, *, chance: float = 0.0, **headers: str) -> Attempted:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    answer = Received(url="", status=status, headers=named, body=b"")
    return judge(answer, failures=failures, milliseconds=7, chance=chance, now=NOW)


@pytest.mark.parametrize("status", [200, 202, 204, 299])
def test_answer_when_2xx_then_delivered(status: int) -> None:
    assert judged(status) == Attempted(status="delivered", status_code=status, milliseconds=7)


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (301, "redirected"),
        (304, "redirected"),
        (400, "rejected"),
        (404, "rejected"),
        (429, "rejected"),
        (500, "server_error"),
    ],
)
def test_answer_when_neither_2xx_nor_410_then_it_is_tried_again(status: int, error: str) -> None:
    found = judged(status)
    assert (found.status, found.error, found.status_code, found.retry_in) == ("pending", error, status, 5.0)


def test_answer_when_410_then_no_attempt_follows() -> None:
    assert (judged(410).status, judged(410).error, judged(410).is_gone) == ("failed", "gone", True)


def test_answer_when_there_is_none_then_its_fault_is_the_error() -> None:
    found = judge(NoAnswer(Fault.TIMED_OUT, "x"), failures=0, milliseconds=9, chance=0.0)
    assert (found.status, found.error, found.status_code, found.milliseconds) == ("pending", "timed_out", None, 9)


def test_attempts_when_all_fail_then_ten_over_three_days_and_no_more() -> None:
    ends = [judged(500, failures) for failures in range(10)]
    assert [each.retry_in for each in ends[:-1]] == list(PAUSES)
    assert sum(PAUSES) > 3 * 86400
    assert [each.status for each in ends] == ["pending"] * 9 + ["failed"]


def test_pause_when_chance_is_highest_then_a_tenth_longer() -> None:
    assert judged(500, 1, chance=1.0).retry_in == pytest.approx(330)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("120", 120.0),
        ("999999999999", 86400.0),
        ("Thu, 01 Jan 2026 00:10:00 GMT", 600.0),
        ("Thu, 01 Jan 2032 00:10:00 GMT", 86400.0),
        ("Wed, 31 Dec 2025 00:00:00 GMT", 0.0),
        ("soon", 0.0),
        ("-5", 0.0),
        ("²", 0.0),
        ("", 0.0),
        (None, 0.0),
    ],
)
def test_retry_after_when_read_then_bounded_seconds(header: str | None, seconds: float) -> None:
    assert retry_after(header, NOW) == seconds


def test_retry_after_when_it_is_longer_than_the_schedule_then_it_counts_else_not() -> None:
    longer: dict[str, Any] = {"retry_after": "60"}
    assert judged(503, **longer).retry_in == 60.0
    assert judged(503, 1, **longer).retry_in == 300.0
