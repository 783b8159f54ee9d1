"""The requests and answers of the API guide, as it prints them."""

from __future__ import annotations

from typing import Any

AGENT, EXECUTION, CONVERSATION, FILE = 7, 42, 198, 4
TASK_ID = "debf5bf6-3e58-4c7d-9e30-c5a4055d951f"
STARTED_AT = "2025-04-10T14:00:00.000000Z"

DEFINITIONS: list[dict[str, Any]] = [
    {
        "key": "catalog-enrichment",
        "name": "Catalog Enrichment",
        "description": None,
        "input_schema": {
            "title": "CatalogEnrichmentAgenticExecutionInput",
            "description": "Input for the catalog enrichment agentic execution.",
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "additional_instructions": {
                    "title": "Additional Instructions",
                    "anyOf": [{"type": "string"}, {"type": "null"}],
                    "default": None,
                },
                "skus": {
                    "title": "Skus",
                    "anyOf": [{"items": {"type": "string"}, "type": "array"}, {"type": "null"}],
                    "default": None,
                },
            },
        },
    }
]

START: dict[str, Any] = {
    "execution_key": "catalog-enrichment",
    "input": {
        "additional_instructions": "Focus on products missing a description.",
        "skus": ["SKU-001", "SKU-002"],
    },
}

FILES: list[dict[str, Any]] = [
    {
        "id": FILE,
        "filename": "product_data.pdf",
        "file_url": "/media/conversations/198/product_data.pdf",
        "content_type": "application/pdf",
    }
]

STARTED: dict[str, Any] = {
    "id": EXECUTION,
    "agent": AGENT,
    "execution_key": "catalog-enrichment",
    "conversation": CONVERSATION,
    "status": "pending",
    "input": START["input"],
    "result": None,
    "failure_code": None,
    "failure_explanation": None,
    "celery_task_id": TASK_ID,
    "started_at": STARTED_AT,
    "finished_at": None,
    "duration_seconds": None,
    "files": FILES,
}

MULTIPART_INPUT = '{"additional_instructions": "Focus on products missing a description."}'

IN_PROGRESS: dict[str, Any] = {
    **STARTED,
    "status": "in_progress",
    "input": {"skus": ["SKU-001", "SKU-002"], "additional_instructions": None},
}

FINISHED: dict[str, Any] = {
    **IN_PROGRESS,
    "status": "finished",
    "result": {"SKU-001": "Product updated successfully", "SKU-002": "Product updated successfully"},
    "finished_at": "2025-04-10T14:00:16.000000Z",
    "duration_seconds": 16.554571,
}

FAILED: dict[str, Any] = {
    **IN_PROGRESS,
    "status": "failed",
    "failure_code": "validation_failed",
    "failure_explanation": "No product data found for SKU SKU-002 in any available resource.",
    "finished_at": "2025-04-10T14:00:18.000000Z",
    "duration_seconds": 18.230887,
}

FAILURE_CODES = {
    "runtime_error": "An unexpected error occurred during execution",
    "max_retries_exceeded": "The LLM failed to pass validators after the maximum number of correction cycles",
    "validation_failed": "A validator rejected the response without allowing a retry",
    "unknown": "Execution reported failure but returned no structured failure code",
}
