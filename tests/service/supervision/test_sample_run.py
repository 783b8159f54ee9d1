"""What `agentic up` shows of its sample execution."""

from __future__ import annotations

import click

from service.supervision.sample_run import _verdict_lines


def test_issues_that_say_the_same_are_told_apart_by_where_they_are() -> None:
    issues = [{"path": f"/SKU-00{number}/bullets", "message": "the bullets differ"} for number in (1, 2)]
    verdict = {"validator": "distinct", "kind": "retry", "issues": issues, "explanation": None}
    assert [click.unstyle(line).strip() for line in _verdict_lines([verdict])] == [
        "✗ distinct: /SKU-001/bullets the bullets differ",
        "✗ distinct: /SKU-002/bullets the bullets differ",
    ]
