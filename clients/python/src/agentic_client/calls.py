"""Requests and what their answers are read as. Nothing here sends anything, and every one of these may be sent again:
reads, cancels, decisions and deletes by nature, starts because each carries an Idempotency-Key. Those of webhooks that
may not are in webhook_calls.py."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, Literal, TypeAlias, TypeVar
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import httpx

from agentic_client.conversations import Conversation
from agentic_client.errors import UnexpectedAnswer
from agentic_client.models import Approval, Batch, Definition, Execution, File
from agentic_client.options import BatchItem, Filters, RerunOptions, StartOptions
from agentic_client.reading import read
from agentic_client.uploads import Upload

T = TypeVar("T")

JSON = {"Content-Type": "application/json"}
EXECUTIONS = "/api/agentic-executions/"
BATCH_SECONDS = 60
SILENT_SECONDS = 30
"""How much longer than an answer a stream's next sign of life may take: the service gives one every 15 seconds."""
Query: TypeAlias = tuple[tuple[str, str], ...]


@dataclass(frozen=True, kw_only=True)
class Call(Generic[T]):
    """One request. Its bytes are made once: a repeat under the same key must ask for the same.

    `held_seconds`: how much longer than others it may take to be answered. `may_happen_twice`: it may be sent again
    where nobody knows whether it was carried out.
    """

    method: str
    path: str
    read: Callable[[httpx.Response], T]
    query: Query = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes | None = None
    form: Mapping[str, str] | None = None
    files: Sequence[Upload] = ()
    held_seconds: float = 0
    may_happen_twice: bool = True

    def request(self, http: httpx.Client | httpx.AsyncClient) -> httpx.Request:
        """The request as this client sends it."""
        given = http.timeout
        held = None if given.read is None else given.read + self.held_seconds
        return http.build_request(
            self.method,
            self.path,
            params=self.query or None,
            headers=dict(self.headers),
            content=self.content,
            data=None if self.form is None else dict(self.form),
            files=[("files[]", upload.part) for upload in self.files] or None,
            timeout=httpx.Timeout(connect=given.connect, write=given.write, pool=given.pool, read=held),
        )


@dataclass(frozen=True)
class Page(Generic[T]):
    """Items of a list, and the request for those that come after; None at the end."""

    items: list[T]
    next: Call[Page[T]] | None


def definitions(agent_id: int) -> Call[list[Definition]]:
    """What an agent offers."""
    path = f"/api/agents/{agent_id}/agentic-execution-definitions/"
    return Call(method="GET", path=path, read=lambda response: [read(Definition, each) for each in _list(response)])


def start(
    agent_id: int,
    execution_key: str,
    given: Mapping[str, Any] | None,
    *,
    files: Sequence[Upload],
    idempotency_key: str | None,
    wait_seconds: int,
    options: StartOptions,
) -> Call[Execution]:
    """A start: JSON, or a form where there are files. Held back for so many seconds if it has not ended."""
    fields = {"execution_key": execution_key, "input": {} if given is None else given, **stated(options)}
    path = f"/api/agents/{agent_id}/agentic-executions/"
    headers = {**_once(idempotency_key), **_wait(wait_seconds)}
    held = float(wait_seconds)
    if not files:
        return Call(
            method="POST",
            path=path,
            read=_execution,
            headers={**headers, **JSON},
            content=json.dumps(fields).encode(),
            held_seconds=held,
        )
    form = {name: value if isinstance(value, str) else json.dumps(value) for name, value in fields.items()}
    return Call(method="POST", path=path, read=_execution, headers=headers, form=form, files=files, held_seconds=held)


def batch(agent_id: int, items: Sequence[BatchItem], *, atomic: bool, idempotency_key: str | None) -> Call[Batch]:
    """Many starts, one key."""
    body = {"items": [stated(item) for item in items], "atomic": atomic}
    return Call(
        method="POST",
        path=f"/api/agents/{agent_id}/agentic-executions/batch/",
        read=lambda response: read(Batch, json_object(response)),
        headers={**_once(idempotency_key), **JSON},
        content=json.dumps(body).encode(),
        held_seconds=BATCH_SECONDS,
    )


def rerun(
    of: Execution | int, *, idempotency_key: str | None, wait_seconds: int, options: RerunOptions
) -> Call[Execution]:
    """The same once more, but for what the options say."""
    return Call(
        method="POST",
        path=f"{execution_path(of)}rerun/",
        read=_execution,
        headers={**_once(idempotency_key), **_wait(wait_seconds), **JSON},
        content=json.dumps(stated(options)).encode(),
        held_seconds=float(wait_seconds),
    )


def get(of: Execution | int, *, wait_seconds: int = 0) -> Call[Execution]:
    """An execution; held back for so many seconds if it has not ended."""
    return Call(
        method="GET",
        path=execution_path(of),
        read=_execution,
        headers=_wait(wait_seconds),
        held_seconds=float(wait_seconds),
    )


def cancel(of: Execution | int) -> Call[Execution]:
    """Ask for its end."""
    return Call(method="POST", path=f"{execution_path(of)}cancel/", read=_execution)


def delete(of: Execution | int) -> Call[None]:
    """Erase it."""
    return Call(method="DELETE", path=execution_path(of), read=lambda response: None)


def executions(filters: Filters, *, page_size: int) -> Call[Page[Execution]]:
    """The newest of those that the filters find."""
    given: dict[str, Any] = {**filters}
    metadata: Mapping[str, str] = given.pop("metadata", None) or {}
    query = [(name, str(value)) for name, value in stated(given).items()]
    query += [(f"metadata[{name}]", text) for name, text in metadata.items()]
    return pages(Execution, EXECUTIONS, (*query, ("page_size", str(page_size))))


def approvals(*, account: str | None) -> Call[Page[Approval]]:
    """The newest of those that are open."""
    return pages(Approval, f"{EXECUTIONS}approvals/", () if account is None else (("account", account),))


def approvals_of_execution(of: Execution | int) -> Call[Page[Approval]]:
    """The newest of an execution, open and decided."""
    return pages(Approval, f"{execution_path(of)}approvals/", ())


def decide(on: Approval, verb: Literal["approve", "decline"], reason: str | None) -> Call[Approval]:
    """A decision: the first one stays."""
    return Call(
        method="POST",
        path=f"{execution_path(on.execution)}approvals/{on.id}/{verb}/",
        read=lambda response: read(Approval, json_object(response)),
        headers=JSON,
        content=json.dumps(stated({"reason": reason})).encode(),
    )


def conversation(of: Execution | int) -> Call[Conversation]:
    """The record of a run."""
    path = f"/api/conversations/{of if isinstance(of, int) else of.conversation}/"
    return Call(method="GET", path=path, read=lambda response: read(Conversation, json_object(response)))


def download(file: File) -> Call[bytes]:
    """A file's content. Raises UnexpectedAnswer for a URL that is no path: the token is for this server alone."""
    if not file.file_url.startswith("/") or file.file_url.startswith("//"):
        raise UnexpectedAnswer(f"{file.file_url!r} is no path on this server.")
    return Call(method="GET", path=file.file_url, read=lambda response: response.content)


def events(of: Execution | int | None, *, after: int) -> Call[None]:
    """A stream of an execution's events, or of the account's; its answer is read as it comes."""
    return Call(
        method="GET",
        path=f"{EXECUTIONS if of is None else execution_path(of)}events/",
        read=lambda response: None,
        headers={"Accept": "text/event-stream", "Last-Event-ID": str(after)},
        held_seconds=SILENT_SECONDS,
    )


def pages(kind: Callable[..., T], path: str, query: Query, *, by: str = "cursor", at: str = "") -> Call[Page[T]]:
    """A page of a list, from the start unless `at` says where. Of the link to the next page only what it pages `by` is
    used: what the server thinks its host is does not matter."""

    def page(response: httpx.Response) -> Page[T]:
        body = json_object(response)
        link = body.get("next")
        following = parse_qs(urlsplit(link).query).get(by) if isinstance(link, str) else None
        found = [read(kind, each) for each in body.get("results", [])]
        return Page(found, pages(kind, path, query, by=by, at=following[0]) if following else None)

    return Call(method="GET", path=path, read=page, query=(*query, (by, at)))


def execution_path(of: Execution | int) -> str:
    """Where an execution is."""
    return f"{EXECUTIONS}{of if isinstance(of, int) else of.id}/"


def _once(idempotency_key: str | None) -> dict[str, str]:
    """The header that makes a request safe to repeat; with a key that nobody has if none is given."""
    return {"Idempotency-Key": str(uuid4()) if idempotency_key is None else idempotency_key}


def _wait(seconds: int) -> dict[str, str]:
    """The header that has an answer held back until the execution has ended, for so long at most."""
    return {"Prefer": f"wait={seconds}"} if seconds else {}


def stated(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options as JSON has them; what is None is left out. Raises ValueError for a time without its zone."""
    return {name: _value(name, value) for name, value in options.items() if value is not None}


def _value(name: str, value: object) -> object:
    if not isinstance(value, datetime):
        return value
    if value.utcoffset() is None:
        raise ValueError(f"{name} needs a time zone: {value!r}")
    return value.isoformat()


def _execution(response: httpx.Response) -> Execution:
    return read(Execution, json_object(response))


def json_object(response: httpx.Response) -> Mapping[str, Any]:
    """An answer's body. Raises UnexpectedAnswer where it is no object."""
    body = _decoded(response)
    if not isinstance(body, dict):
        raise UnexpectedAnswer(f"The API answered {response.status_code} without a JSON object.")
    return body


def _list(response: httpx.Response) -> list[Any]:
    body = _decoded(response)
    if not isinstance(body, list):
        raise UnexpectedAnswer(f"The API answered {response.status_code} without a JSON list.")
    return body


def _decoded(response: httpx.Response) -> object:
    try:
        return response.json()
    except ValueError as error:
        raise UnexpectedAnswer(f"The API answered {response.status_code} without JSON.") from error
