"""Requests about webhooks and deliveries. A POST has no key here: sent a second time it makes a second webhook, or
replaces a secret that was just made. So it is sent again only where the first was surely not carried out: nothing could
be connected to, or the API refused."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypeVar

import httpx

from agentic_client.calls import JSON, Call, Page, Query, execution_path, json_object, pages, stated
from agentic_client.models import Delivery, Execution, Webhook, WebhookWithSecret
from agentic_client.options import NewWebhook, WebhookChange
from agentic_client.reading import read

T = TypeVar("T")

WEBHOOKS = "/api/webhooks/"


def webhooks(*, account: str | None) -> Call[Page[Webhook]]:
    """The newest."""
    query: Query = () if account is None else (("account", account),)
    return pages(Webhook, WEBHOOKS, query, by="page", at="1")


def create(url: str | None, options: NewWebhook) -> Call[WebhookWithSecret]:
    """A new one, with its secret."""
    return _once(WEBHOOKS, WebhookWithSecret, stated({"url": url, **options}))


def get(of: Webhook | int) -> Call[Webhook]:
    """One."""
    return Call(method="GET", path=_path(of), read=lambda response: read(Webhook, json_object(response)))


def change(of: Webhook | int, options: WebhookChange) -> Call[Webhook]:
    """May be sent again: it says what is to be, not what is to be done."""
    content = json.dumps(stated(options)).encode()
    return Call(
        method="PATCH",
        path=_path(of),
        read=lambda response: read(Webhook, json_object(response)),
        headers=JSON,
        content=content,
    )


def delete(of: Webhook | int) -> Call[None]:
    """Delete one."""
    return Call(method="DELETE", path=_path(of), read=lambda response: None)


def rotate_secret(of: Webhook | int, *, keep_old_seconds: int | None) -> Call[WebhookWithSecret]:
    """A new secret."""
    return _once(f"{_path(of)}rotate-secret/", WebhookWithSecret, stated({"keep_old_seconds": keep_old_seconds}))


def ping(of: Webhook | int) -> Call[Delivery]:
    """A test message."""
    return _once(f"{_path(of)}ping/", Delivery)


def deliveries(of: Webhook | int, *, page_size: int) -> Call[Page[Delivery]]:
    """The newest messages to one receiver."""
    return pages(Delivery, f"{_path(of)}deliveries/", (("page_size", str(page_size)),))


def deliveries_of_execution(of: Execution | int, *, page_size: int) -> Call[Page[Delivery]]:
    """The newest messages about one execution."""
    return pages(Delivery, f"{execution_path(of)}deliveries/", (("page_size", str(page_size)),))


def redeliver(of: Webhook | int, delivery: Delivery | int) -> Call[Delivery]:
    """A message once more."""
    return _once(f"{_path(of)}deliveries/{delivery if isinstance(delivery, int) else delivery.id}/redeliver/", Delivery)


def _once(path: str, kind: type[T], body: Mapping[str, Any] | None = None) -> Call[T]:
    """A POST that must not happen twice."""

    def made(response: httpx.Response) -> T:
        return read(kind, json_object(response))

    content = None if body is None else json.dumps(body).encode()
    headers = {} if body is None else JSON
    return Call(method="POST", path=path, read=made, headers=headers, content=content, may_happen_twice=False)


def _path(of: Webhook | int) -> str:
    return f"{WEBHOOKS}{of if isinstance(of, int) else of.id}/"
