"""What the service answers and what the client reads have the same fields."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest

from agentic_client import models as read
from service.events.models import FINAL, AccountEvent
from service.executions import models as written
from service.files.models import FileOut


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (written.Execution, read.Execution),
        (written.OfferedDefinition, read.Definition),
        (written.Usage, read.Usage),
        (written.StartedBatch, read.Batch),
        (written.BatchItem, read.BatchResult),
        (FileOut, read.File),
        (AccountEvent, read.Event),
    ],
)
def test_client_knows_every_field_that_is_answered(ours: Any, theirs: Any) -> None:
    assert {field.name for field in fields(theirs)} - {"raw"} == set(ours.__struct_fields__)


def test_client_knows_which_events_are_the_last() -> None:
    assert read.FINAL_KINDS == FINAL
