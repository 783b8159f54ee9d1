"""What the service answers and what the client reads have the same fields."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest

from agentic_client import models as read
from agentic_client import options
from service.approvals.models import Approval
from service.events.models import FINAL, AccountEvent
from service.executions import models as written
from service.files.models import FileOut
from service.webhooks import models as hooks


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
        (hooks.Webhook, read.Webhook),
        (hooks.WebhookWithSecret, read.WebhookWithSecret),
        (hooks.Delivery, read.Delivery),
        (hooks.Attempt, read.Attempt),
        (Approval, read.Approval),
    ],
)
def test_client_knows_every_field_that_is_answered(ours: Any, theirs: Any) -> None:
    assert {field.name for field in fields(theirs)} - {"raw"} == set(ours.__struct_fields__)


@pytest.mark.parametrize(
    ("taken", "given"),
    [
        (hooks.NewWebhook, {"url", *options.NewWebhook.__annotations__}),
        (hooks.WebhookChange, {*options.WebhookChange.__annotations__}),
    ],
)
def test_client_can_say_every_field_that_is_taken(taken: Any, given: set[str]) -> None:
    assert given == set(taken.__struct_fields__)


def test_client_knows_which_events_are_the_last() -> None:
    assert read.FINAL_KINDS == FINAL
