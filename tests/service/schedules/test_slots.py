"""When the slots of a schedule are: over changes of the clocks, after an outage, and what is no schedule."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.schedules.slots import Due, Missed, Timetable, due, problems

WARSAW = "Europe/Warsaw"
"""On 2026-03-29 its clocks go from 02:00 to 03:00, at 01:00 UTC; on 2026-10-25 from 03:00 to 02:00, at 01:00 UTC."""
HOURLY = Timetable("0 * * * *", "UTC")


def at(moment: str) -> datetime:
    return datetime.fromisoformat(f"2026-{moment}+00:00")


def slots(timetable: Timetable, after: str, count: int) -> list[str]:
    found = []
    moment: datetime | None = at(after)
    for _ in range(count):
        assert moment is not None
        moment = timetable.after(moment)
        found.append(f"{moment:%m-%dT%H:%M}")
    return found


@pytest.mark.parametrize(
    ("cron", "after", "expected"),
    [
        ("30 6 * * *", "03-28T12:00", ["03-29T04:30", "03-30T04:30"]),
        ("30 6 * * *", "10-24T12:00", ["10-25T05:30", "10-26T05:30"]),
        ("30 2 * * *", "03-28T12:00", ["03-29T01:00", "03-30T00:30"]),
        ("10,20 2 * * *", "03-28T12:00", ["03-29T01:00", "03-30T00:10", "03-30T00:20"]),
        ("30 2 * * *", "10-24T12:00", ["10-25T00:30", "10-26T01:30"]),
        ("30 2 * * *", "10-25T01:10", ["10-26T01:30"]),
        ("*/30 * * * *", "03-29T00:10", ["03-29T00:30", "03-29T01:00", "03-29T01:30"]),
        ("*/30 * * * *", "10-25T00:10", ["10-25T00:30", "10-25T01:00", "10-25T01:30", "10-25T02:00"]),
        ("15 * * * *", "10-24T23:30", ["10-25T00:15", "10-25T01:15", "10-25T02:15"]),
        ("0 9 * * MON-FRI", "10-23T12:00", ["10-26T08:00", "10-27T08:00"]),
    ],
)
def test_slots_when_clocks_change_then_none_is_lost_and_a_fixed_one_comes_once(
    cron: str, after: str, expected: list[str]
) -> None:
    assert slots(Timetable(cron, WARSAW), after, len(expected)) == expected


@settings(max_examples=50)
@given(
    cron=st.sampled_from(["30 2 * * *", "10,20 2 * * *", "0 1-4 * * *", "*/20 * * * *", "5 * * * *", "0 3 * * SUN"]),
    changes=st.sampled_from(["03-28T12:00", "10-24T12:00"]),
    minutes=st.integers(0, 48 * 60),
)
def test_slot_after_any_moment_around_a_change_is_one_of_those_in_order(cron: str, changes: str, minutes: int) -> None:
    """A worker that comes late, by however much, looks at the same slots as one that is punctual."""
    timetable = Timetable(cron, WARSAW)
    moment = at(changes) + timedelta(minutes=minutes)
    all_slots = [at(changes)]
    while all_slots[-1] <= moment:
        following = timetable.after(all_slots[-1])
        assert following is not None
        all_slots.append(following)
    assert all(earlier < later for earlier, later in pairwise(all_slots))
    assert timetable.after(moment) == all_slots[-1]
    if len(all_slots) > 2:
        assert timetable.latest(all_slots[1], moment) == all_slots[-2]


@pytest.mark.parametrize(
    ("missed", "next_slot", "now", "expected"),
    [
        ("latest", "05-04T08:00", "05-04T08:00:01", Due(at("05-04T08:00"), False, at("05-04T09:00"))),
        ("latest", "05-01T08:00", "05-04T11:30", Due(at("05-04T11:00"), False, at("05-04T12:00"))),
        ("none", "05-04T08:00", "05-04T08:00:59", Due(at("05-04T08:00"), False, at("05-04T09:00"))),
        ("none", "05-01T08:00", "05-04T11:30", Due(at("05-04T11:00"), True, at("05-04T12:00"))),
        ("none", "05-01T08:00", "05-04T11:00:30", Due(at("05-04T11:00"), False, at("05-04T12:00"))),
        ("all", "05-01T08:00", "05-04T11:30", Due(at("05-01T08:00"), False, at("05-01T09:00"))),
        ("all", "04-01T08:00", "05-04T11:30", Due(at("04-27T12:00"), False, at("04-27T13:00"))),
    ],
)
def test_due_after_an_outage_follows_what_is_said_of_missed_slots(
    missed: Missed, next_slot: str, now: str, expected: Due
) -> None:
    assert due(HOURLY, missed, at(next_slot), at(now)) == expected


def test_due_when_all_slots_are_wanted_and_none_is_of_this_week_then_the_old_one_is_missed() -> None:
    yearly = Timetable("0 0 1 1 *", "UTC")
    expected = Due(at("01-01T00:00"), is_missed=True, next_slot=datetime(2027, 1, 1, tzinfo=UTC))
    assert due(yearly, "all", at("01-01T00:00"), at("05-04T11:30")) == expected


def test_latest_when_nobody_was_there_for_thirty_years_is_found_all_the_same() -> None:
    since, until = datetime(1996, 1, 1, tzinfo=UTC), at("05-04T11:30:10")
    assert Timetable("* * * * *", WARSAW).latest(since, until) == at("05-04T11:30")
    leap = Timetable("0 0 29 2 *", "UTC")
    assert leap.latest(datetime(1996, 2, 29, tzinfo=UTC), until) == datetime(2024, 2, 29, tzinfo=UTC)


@pytest.mark.parametrize("cron", ["* * * * *", "*/5 8-18 * * MON-FRI", "0 0 L * *", "0 12 * * mon#1", "0 0 29 2 *"])
def test_problems_of_five_fields_are_none(cron: str) -> None:
    assert problems(cron, "UTC") == []


@pytest.mark.parametrize(
    "cron",
    [
        "",
        "* * * *",
        "0 * * * * *",
        "@daily",
        "60 * * * *",
        "*/0 * * * *",
        "0 0 31 2 *",
        "0 0 31 2 */2",
        "5-1 * * * *",
        "1, * * * *",
        "* * * * ²L",
        "\x00 * * * *",
        "1,1" * 100 + " * * * *",
    ],
)
def test_problems_of_what_has_no_slots_name_cron(cron: str) -> None:
    assert [problem.field for problem in problems(cron, "UTC")] == ["cron"]


@pytest.mark.parametrize("time_zone", ["", "Warsaw", "europe/warsaw", "+02:00", "../../etc/passwd", "/etc/localtime"])
def test_problems_of_what_is_no_time_zone_name_it(time_zone: str) -> None:
    assert [problem.field for problem in problems("* * * * *", time_zone)] == ["time_zone"]
