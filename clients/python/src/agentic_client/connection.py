"""What the clients, blocking or not, tell httpx alike."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import TypedDict

import httpx

CONNECT_SECONDS = 10.0
TIMEOUT_SECONDS = 30.0


class Arguments(TypedDict):
    """Of httpx.Client and httpx.AsyncClient."""

    base_url: str
    headers: dict[str, str]
    timeout: httpx.Timeout


def arguments(url: str, token: str, timeout_seconds: float) -> Arguments:
    """`timeout_seconds` is for each step of a request: sending some, receiving some."""
    timeout = httpx.Timeout(timeout_seconds, connect=min(CONNECT_SECONDS, timeout_seconds))
    headers = {"Authorization": f"Token {token}", "Accept": "application/json", "User-Agent": USER_AGENT}
    return {"base_url": url, "headers": headers, "timeout": timeout}


def _version() -> str:
    try:
        return version("agentic-executions-client")
    except PackageNotFoundError:  # carried by the service's own wheel
        return version("agentic-executions")


USER_AGENT = f"agentic-client/{_version()}"
