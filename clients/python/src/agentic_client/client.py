"""The client whose calls block."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack

import httpx

from agentic_client import calls, flows, webhook_calls
from agentic_client.calls import Call
from agentic_client.connection import TIMEOUT_SECONDS, arguments
from agentic_client.conversations import Conversation
from agentic_client.flows import Came, Done, Flow, Pause, Send, advance
from agentic_client.models import (
    Approval,
    Batch,
    Definition,
    Delivery,
    Event,
    Execution,
    File,
    Webhook,
    WebhookWithSecret,
)
from agentic_client.options import BatchItem, Filters, NewWebhook, RerunOptions, StartOptions, WebhookChange
from agentic_client.retrying import DEFAULT, Retrying
from agentic_client.streams import Subscription
from agentic_client.uploads import Sendable, uploads

T = TypeVar("T")


class Client:
    """Talks to one service with one token. Thread-safe; close it, or use it as a context.

    Every call may raise what errors.py draws. Where a method takes an execution or a webhook, its id will do.
    """

    def __init__(
        self,
        url: str,
        token: str,
        *,
        timeout_seconds: float = TIMEOUT_SECONDS,
        retrying: Retrying = DEFAULT,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._http = httpx.Client(**arguments(url, token, timeout_seconds), transport=transport)
        self._retrying = retrying

    def definitions(self, agent_id: int) -> list[Definition]:
        """What an agent offers."""
        return self._do(calls.definitions(agent_id))

    def start(
        self,
        agent_id: int,
        execution_key: str,
        input: Mapping[str, Any] | None = None,  # noqa: A002
        *,
        files: Iterable[Sendable] = (),
        idempotency_key: str | None = None,
        wait_seconds: int = 0,
        **options: Unpack[StartOptions],
    ) -> Execution:
        """Start an execution, once, however often this has to be sent. Give an `idempotency_key` of your own where the
        call may be made again after your process died: for a day it answers the same execution. With `wait_seconds`, up
        to 60, it is answered when the execution has ended, or after so long; what is not final then, `wait` for."""
        call = calls.start(
            agent_id,
            execution_key,
            input,
            files=uploads(files),
            idempotency_key=idempotency_key,
            wait_seconds=wait_seconds,
            options=options,
        )
        return self._do(call)

    def start_batch(
        self, agent_id: int, items: Sequence[BatchItem], *, atomic: bool = False, idempotency_key: str | None = None
    ) -> Batch:
        """Start up to 1,000 without files in one commit: those that are valid, or with `atomic` all or none."""
        return self._do(calls.batch(agent_id, items, atomic=atomic, idempotency_key=idempotency_key))

    def rerun(
        self,
        execution: Execution | int,
        *,
        idempotency_key: str | None = None,
        wait_seconds: int = 0,
        **options: Unpack[RerunOptions],
    ) -> Execution:
        """Start the same once more; the options say what is to be different. `wait_seconds` is as with a start."""
        call = calls.rerun(execution, idempotency_key=idempotency_key, wait_seconds=wait_seconds, options=options)
        return self._do(call)

    def get(self, execution: Execution | int) -> Execution:
        """An execution as it is now."""
        return self._do(calls.get(execution))

    def wait(
        self, execution: Execution | int, *, timeout_seconds: float | None = None, raise_on_failure: bool = False
    ) -> Execution:
        """The execution once it has ended. Raises WaitTimedOut, and ExecutionFailed where it is asked to."""
        return self._run(
            flows.ended(execution, self._retrying, timeout_seconds=timeout_seconds, raise_on_failure=raise_on_failure)
        )

    def cancel(self, execution: Execution | int) -> Execution:
        """Ask for its end. It has stopped when it is final: at once where it waits, else wait for it."""
        return self._do(calls.cancel(execution))

    def delete(self, execution: Execution | int) -> None:
        """Erase a final execution, with its conversation, files and events."""
        self._run(flows.deleted(calls.delete(execution), self._retrying))

    def executions(self, *, page_size: int = 100, **filters: Unpack[Filters]) -> Iterator[Execution]:
        """The account's executions, newest first, fetched page by page. What starts meanwhile is not among them."""
        return self._items(calls.executions(filters, page_size=page_size))

    def approvals(self, *, account: str | None = None) -> Iterator[Approval]:
        """Calls of tools in the account's executions that wait for a decision, newest first; for an admin with `all`,
        those of every account."""
        return self._items(calls.approvals(account=account))

    def approvals_of_execution(self, execution: Execution | int) -> Iterator[Approval]:
        """Everything of an execution that had or has to be approved, newest first."""
        return self._items(calls.approvals_of_execution(execution))

    def approve(self, approval: Approval, *, reason: str | None = None) -> Approval:
        """Let the call run. Raises Conflict where it was declined, expired or withdrawn."""
        return self._do(calls.decide(approval, "approve", reason))

    def decline(self, approval: Approval, *, reason: str | None = None) -> Approval:
        """The call does not run; the model is told so, and why. Raises Conflict where it was approved, expired or
        withdrawn."""
        return self._do(calls.decide(approval, "decline", reason))

    def stream(self, execution: Execution | int, *, after: int = 0) -> Iterator[Event]:
        """An execution's events after a `sequence`, as they come, up to its last. None is lost or twice when the
        connection breaks: it is made again and goes on from the last event that was given."""
        return self._events(Subscription(execution, self._retrying, after=after))

    def stream_all(self, *, after: int = 0) -> Iterator[Event]:
        """Events of all that the account started, after a `position`; it does not end. Keep the position of the last
        event that you are done with: from it another process goes on."""
        return self._events(Subscription(None, self._retrying, after=after))

    def conversation(self, conversation: Execution | int) -> Conversation:
        """The record of a run, of an execution or by the conversation's id."""
        return self._do(calls.conversation(conversation))

    def download(self, file: File) -> bytes:
        """A file's content."""
        return self._do(calls.download(file))

    def webhooks(self, *, account: str | None = None) -> Iterator[Webhook]:
        """The account's webhooks, newest first; `account="all"`, for admins: everybody's."""
        return self._items(webhook_calls.webhooks(account=account))

    def create_webhook(self, url: str | None = None, **options: Unpack[NewWebhook]) -> WebhookWithSecret:
        """Tell a URL what happens, or without one sign for the `webhook_url` that executions name. Sent once:
        where no answer came, `webhooks` says whether it is there, and `rotate_secret` gives it another secret."""
        return self._do(webhook_calls.create(url, options))

    def get_webhook(self, webhook: Webhook | int) -> Webhook:
        """A webhook as it is now, without its secret."""
        return self._do(webhook_calls.get(webhook))

    def change_webhook(self, webhook: Webhook | int, **options: Unpack[WebhookChange]) -> Webhook:
        """Change what the options say; `is_active=True` switches one on again that had answered 410."""
        return self._do(webhook_calls.change(webhook, options))

    def delete_webhook(self, webhook: Webhook | int) -> None:
        """Send it nothing more; what waits is dropped."""
        self._run(flows.deleted(webhook_calls.delete(webhook), self._retrying))

    def rotate_secret(self, webhook: Webhook | int, *, keep_old_seconds: int | None = None) -> WebhookWithSecret:
        """A new secret. The old ones sign as well for so many seconds, a day unless said. Sent once: where no answer
        came, do it again, and what nobody saw is one of the old ones."""
        return self._do(webhook_calls.rotate_secret(webhook, keep_old_seconds=keep_old_seconds))

    def ping_webhook(self, webhook: Webhook | int) -> Delivery:
        """Send a test message. Sent once: where no answer came, `deliveries` says whether there is one."""
        return self._do(webhook_calls.ping(webhook))

    def deliveries(self, webhook: Webhook | int, *, page_size: int = 100) -> Iterator[Delivery]:
        """Every message to a webhook with every attempt, newest first, fetched page by page."""
        return self._items(webhook_calls.deliveries(webhook, page_size=page_size))

    def deliveries_of_execution(self, execution: Execution | int, *, page_size: int = 100) -> Iterator[Delivery]:
        """Every message about an execution, to whomever, newest first, fetched page by page."""
        return self._items(webhook_calls.deliveries_of_execution(execution, page_size=page_size))

    def redeliver(self, webhook: Webhook | int, delivery: Delivery | int) -> Delivery:
        """Send a message again with the same `webhook-id`, whatever became of it. Sent once."""
        return self._do(webhook_calls.redeliver(webhook, delivery))

    def close(self) -> None:
        """Close its connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _do(self, call: Call[T]) -> T:
        return self._run(flows.answered(call, self._retrying))

    def _items(self, first: Call[calls.Page[T]]) -> Iterator[T]:
        call: Call[calls.Page[T]] | None = first
        while call is not None:
            page = self._do(call)
            yield from page.items
            call = page.next

    def _run(self, flow: Flow[T]) -> T:
        step = advance(flow)
        while not isinstance(step, Done):
            step = advance(flow, self._carry_out(step))
        return step.result

    def _carry_out(self, step: Send | Pause) -> Came:
        if isinstance(step, Pause):
            time.sleep(step.seconds)
            return None
        try:
            return self._http.send(step.call.request(self._http))
        except httpx.RequestError as error:
            return error

    def _events(self, subscription: Subscription) -> Iterator[Event]:
        while not subscription.is_over():
            failure: httpx.Response | httpx.RequestError
            try:
                failure = self._http.send(subscription.call().request(self._http), stream=True)
                with closing(failure) as response:
                    if not subscription.accepts(response):
                        response.read()
                    for data in response.iter_bytes():
                        yield from subscription.events(data)
                        if subscription.is_over():
                            return
            except httpx.RequestError as error:
                failure = error
            if not subscription.is_over():
                time.sleep(subscription.pause_after(failure))
