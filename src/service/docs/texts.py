"""The fixed parts of the OpenAPI document."""

from __future__ import annotations

from typing import Any

ABOUT = """Autonomous agent jobs: start one with an input, poll it, get a result that every validator accepted, or
a failure with a code and an explanation.

Every path answers with and without its trailing slash. Unknown query parameters are ignored. Ids that are absent and
ids that are not yours answer the same 404. Times are UTC with six decimals."""

ERRORS: dict[int, str] = {
    400: "Something about the request is wrong; `errors` names every field.",
    401: "No credentials, or credentials that are not valid.",
    403: "For admin accounts only.",
    404: "Absent, or not yours to see: the two are never told apart.",
    405: "The path does not have this method; `Allow` names those that it has.",
    409: "The request collides with what is there.",
    410: "What the `Idempotency-Key` started has been deleted; the key starts nothing else.",
    413: "The body, or a file in it, is larger than the limit.",
    422: "The `Idempotency-Key` is that of a request that asked for something else.",
    415: "The body's media type is not one that this route reads.",
    429: "A limit of the account leaves no room, and nothing was written: `rate_limited`, `queue_full` or "
    "`daily_limit`. Try again after `Retry-After` seconds.",
    503: "The database cannot be reached; try again after `Retry-After` seconds.",
    0: "Any other error, in the same shape.",
}

ONCE = (
    "A name of your own for this request, such as a UUID: however often it is sent, it is carried out once, and "
    "answered the same each time, with `Idempotent-Replayed: true`. A request that was refused leaves the key free."
)

HEADERS: dict[str, str] = {
    "streams": "Last-Event-ID: The cursor that a stream is resumed from; wins over `after`. A stream is answered where "
    "Accept names text/event-stream.",
    "waits": "Prefer: `wait=N`: answer when the execution has ended, or after N seconds, at most 60.",
    "tagged": "If-None-Match: The ETag of an earlier answer: 304 if nothing changed.",
}
"""What a handler's `opt` has: the header that it reads, and what for."""

ANSWERED: dict[str, str] = {
    "Location": "The execution, or the schedule.",
    "Retry-After": "Seconds after which to look again at an execution that has not ended.",
    "Preference-Applied": "`wait=N`, if a wait was asked for: how long it could be.",
    "Idempotent-Replayed": "`true`, if an earlier request with this key was answered so.",
    "ETag": "Names this state of the execution, for If-None-Match.",
}
"""Headers of successes."""

RATE_LIMIT: dict[str, Any] = {
    "RateLimit-Policy": {
        "description": "What an account with such limits is held to, as in draft-ietf-httpapi-ratelimit-headers-10: "
        "`starts` are those of a minute, `queue` the executions that may wait.",
        "schema": {"type": "string"},
        "example": '"starts";q=60;w=60, "queue";q=1000',
    },
    "RateLimit": {
        "description": "What is left of it, and in how many seconds it is renewed.",
        "schema": {"type": "string"},
        "example": '"starts";r=12;t=33, "queue";r=940',
    },
}

METADATA: dict[str, Any] = {
    "name": "metadata",
    "in": "query",
    "required": False,
    "description": "`metadata[name]=text`, up to ten times: those that have this text under this name.",
    "style": "deepObject",
    "explode": True,
    "schema": {"type": "object", "additionalProperties": {"type": "string"}},
}
"""The filter whose names are the client's own."""

FIELD_ERROR: dict[str, Any] = {
    "type": "object",
    "properties": {
        "field": {"type": "string", "description": "A path such as input.skus[0]."},
        "message": {"type": "string"},
    },
    "required": ["field", "message"],
}

PROBLEM: dict[str, Any] = {
    "title": "Problem",
    "description": "Every error has this shape; as application/problem+json where Accept asks for it.",
    "type": "object",
    "properties": {
        "type": {"type": "string", "description": "Names the kind of error; stable."},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "What went wrong, for a person."},
        "errors": {"type": "array", "items": FIELD_ERROR, "description": "Everything that is wrong, at once."},
        "input": {
            "type": "object",
            "additionalProperties": {"type": "string"},
            "description": "The errors about `input` by dotted, zero-based path, such as skus.1.",
        },
    },
    "required": ["type", "title", "status", "detail"],
    "examples": [
        {
            "type": "/api/docs/errors/invalid_input",
            "title": "Invalid input",
            "status": 400,
            "detail": "input.skus[1]: must be a string, got a number",
            "errors": [{"field": "input.skus[1]", "message": "must be a string, got a number"}],
            "input": {"skus.1": "must be a string, got a number"},
        }
    ],
}

SECURITY: dict[str, Any] = {
    "Token": {
        "type": "apiKey",
        "in": "header",
        "name": "Authorization",
        "description": "`Token <your-token>`: type the word Token, a space and the token.",
    },
    "Bearer": {"type": "http", "scheme": "bearer", "description": "The same token as a bearer token."},
}
