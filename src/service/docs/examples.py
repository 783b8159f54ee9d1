"""The examples of the document: the guide's own requests and answers, and bodies of the set-up routes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

INPUT = {
    "additional_instructions": "Focus on products missing a description.",
    "skus": ["SKU-001", "SKU-002"],
}

START = {"execution_key": "catalog-enrichment", "input": INPUT}

RESULT = {"SKU-001": "Product updated successfully", "SKU-002": "Product updated successfully"}

FILE = {
    "id": 4,
    "filename": "product_data.pdf",
    "file_url": "/media/conversations/198/product_data.pdf",
    "content_type": "application/pdf",
}


def execution(changed: Mapping[str, Any] | None = None, *, files: bool = True) -> dict[str, Any]:
    """An execution as it was accepted, with some fields changed."""
    shown: dict[str, Any] = {
        "id": 42,
        "agent": 7,
        "execution_key": "catalog-enrichment",
        "conversation": 198,
        "status": "pending",
        "input": INPUT,
        "result": None,
        "failure_code": None,
        "failure_explanation": None,
        "celery_task_id": "debf5bf6-3e58-4c7d-9e30-c5a4055d951f",
        "started_at": "2025-04-10T14:00:00.000000Z",
        "finished_at": None,
        "duration_seconds": None,
    }
    if files:
        shown["files"] = [FILE]
    added = {"version": 1, "data_set": 3, "picked_up_at": None, "cycles": 0, "retryable": None}
    spent = {
        "usage": None,
        "limits": LIMITS,
        "exit_reason": None,
        "external_id": "import-31",
        "metadata": {"shop": "7"},
    }
    timed = {"deadline": None, "start_after": None, "priority": 0, "cancel_requested_at": None, "rerun_of": None}
    timed |= {"webhook_url": None, "schedule": None, "schedule_slot": None, "awaits_approval": False}
    return {**shown, **added, **spent, **timed, **(changed or {})}


LIMITS = {
    "corrections": 3,
    "tool_calls": 200,
    "input_tokens": None,
    "output_tokens": None,
    "cost": None,
    "turn_seconds": None,
    "seconds": 3600.0,
}

USAGE = {
    "input_tokens": 6296,
    "cached_tokens": 5918,
    "output_tokens": 422,
    "cost": 0.0,
    "seconds": 14.702,
    "calls": 8,
    "is_estimated": False,
}


PICKED_UP = {"status": "in_progress", "picked_up_at": "2025-04-10T14:00:00.103211Z"}

FINISHED = PICKED_UP | {
    "status": "finished",
    "result": RESULT,
    "finished_at": "2025-04-10T14:00:16.554571Z",
    "duration_seconds": 16.554571,
    "cycles": 2,
    "usage": USAGE,
    "exit_reason": "finished",
}

FAILED = PICKED_UP | {
    "status": "failed",
    "failure_code": "validation_failed",
    "failure_explanation": "No product data found for SKU SKU-002 in any available resource.",
    "finished_at": "2025-04-10T14:00:18.230887Z",
    "duration_seconds": 18.230887,
    "cycles": 1,
    "retryable": False,
    "usage": USAGE,
    "exit_reason": "rejected",
}

CANCELLED = {
    "status": "failed",
    "failure_code": "cancelled",
    "failure_explanation": "The execution was cancelled.",
    "finished_at": "2025-04-10T14:00:01.250001Z",
    "duration_seconds": 1.250001,
    "retryable": True,
    "usage": {**USAGE, "input_tokens": 0, "cached_tokens": 0, "output_tokens": 0, "seconds": 0.0, "calls": 0},
    "exit_reason": "cancelled",
    "cancel_requested_at": "2025-04-10T14:00:01.250001Z",
}

PAGE = {
    "count": 1,
    "next": None,
    "previous": None,
    "results": [execution(FINISHED, files=False)],
}

JUDGED = {
    "execution": 42,
    "sequence": 5,
    "kind": "judged",
    "created_at": "2025-04-10T14:00:09.204113Z",
    "data": {"cycle": 1, "verdicts": [{"validator": "every_sku_is_updated", "verdict": "retry", "issues": 2}]},
}

EVENTS = {"next": None, "next_after": 5, "results": [JUDGED]}

STREAM = 'id: 3\nevent: turn_started\ndata: {"execution":42,"sequence":3,"kind":"turn_started", …}\n\n'

ACCOUNT_EVENTS = {"next": None, "next_after": 7031, "results": [{**JUDGED, "position": 7031}]}

DELIVERY = {
    "id": 7,
    "webhook": 3,
    "message_id": "msg_0b9f0a3c2d6e4f51a7c08d9e1f2a3b4c",
    "type": "execution.finished",
    "execution": 42,
    "sequence": 9,
    "status": "pending",
    "created_at": "2025-04-10T14:00:16.571200Z",
    "next_attempt_at": "2025-04-10T14:05:22.004100Z",
    "finished_at": None,
    "attempts": [
        {
            "number": 1,
            "started_at": "2025-04-10T14:00:16.573900Z",
            "status_code": 503,
            "milliseconds": 41,
            "error": "server_error",
        }
    ],
}

DELIVERIES = {"next": None, "previous": None, "results": [DELIVERY]}

APPROVAL = {
    "id": 12,
    "execution": 42,
    "turn": 2,
    "call": 1,
    "tool": "place_order",
    "arguments": {"sku": "SKU-001", "quantity": 40},
    "status": "open",
    "requested_at": "2025-04-10T14:00:04.118200Z",
    "expires_at": "2025-04-11T14:00:04.118200Z",
    "decided_at": None,
    "decided_by": None,
    "reason": None,
}

APPROVALS = {"next": None, "previous": None, "results": [APPROVAL]}

DECIDED = {"decided_at": "2025-04-10T15:12:40.000200Z", "decided_by": 5}

ANSWERS: dict[str, dict[str, Any]] = {
    "StartExecution": {"accepted": execution()},
    "GetExecution": {
        "in_progress": execution(PICKED_UP),
        "finished": execution(FINISHED),
        "failed": execution(FAILED),
    },
    "CancelExecution": {
        "cancelled": execution(CANCELLED),
        "stopping": execution(PICKED_UP | {"cancel_requested_at": "2025-04-10T14:00:01.250001Z"}),
    },
    "ListExecutions": {"page": PAGE},
    "ListExecutionEvents": {"page": EVENTS},
    "ListEvents": {"page": ACCOUNT_EVENTS},
    "ListApprovals": {"page": APPROVALS},
    "ListExecutionApprovals": {"page": APPROVALS},
    "ApproveToolCall": {"approved": APPROVAL | DECIDED | {"status": "approved"}},
    "DeclineToolCall": {"declined": APPROVAL | DECIDED | {"status": "declined", "reason": "Ask for an offer first."}},
    "ListDeliveries": {"page": DELIVERIES},
    "ListExecutionDeliveries": {"page": DELIVERIES},
    "Healthz": {"up": {"status": "ok"}},
    "Readyz": {"ready": {"status": "ok"}},
}
"""Operation id: name of the example: what is answered."""

BODIES: dict[str, Any] = {
    "RerunExecution": {"input": {"skus": ["SKU-002"]}, "priority": 5},
    "CreateSchedule": {
        "execution_key": "catalog-enrichment",
        "cron": "30 6 * * MON-FRI",
        "time_zone": "Europe/Warsaw",
        "input": INPUT,
        "overlap": "skip",
    },
    "ChangeSchedule": {"is_active": False},
    "ApproveToolCall": {"reason": "Agreed with the supplier."},
    "DeclineToolCall": {"reason": "Ask for an offer first."},
    "StartBatch": {"items": [START, {**START, "external_id": "import-32"}], "atomic": True},
    "SetLimits": {"max_running": 5, "max_queued": 1000, "starts_per_minute": 60, "tokens_per_day": 2000000},
    "CreateServiceAccount": {"name": "till", "data_sets": [3]},
    "ChangeServiceAccount": {"is_active": False},
    "ResetToken": {"keep_old_seconds": 3600},
    "CreateDataSet": {"name": "Spring catalogue"},
    "ChangeDataSet": {"name": "Summer catalogue"},
    "WriteProducts": [{"sku": "SKU-001", "name": "Mug", "details": {"colour": "red"}}],
    "CreateAgent": {
        "name": "Enricher",
        "agent_type": "catalog-enrichment",
        "data_set": 3,
        "file_upload": True,
        "field_schema": {
            "type": "object",
            "properties": {"colour": {"enum": ["red", "blue"]}, "capacity_ml": {"type": "integer", "minimum": 1}},
            "required": ["colour"],
            "additionalProperties": False,
        },
    },
    "CreateWebhook": {"url": "https://shop.example.com/hooks/executions", "body": "thin"},
    "ChangeWebhook": {"event_types": ["execution.finished", "execution.failed"], "is_active": True},
    "RotateSecret": {"keep_old_seconds": 86400},
    "ChangeAgent": {"model": "local:smollm2"},
}
"""Operation id: a JSON body."""
