"""The API as commands use it: through the client, each of its errors told in one line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import httpx

from agentic_client import ApiError, Client, Retrying, UnexpectedAnswer, Unreachable
from service.commands.target import api_target
from service.errors import SetupError
from service.settings import Settings

if TYPE_CHECKING:
    from agentic_client import Execution

BRIEFLY = Retrying(attempts=3)
"""For requests that a person waits for and can make again: two seconds, where nothing answers."""
PATIENTLY = Retrying()
"""For what goes on meanwhile: longer than a restart of the API."""


@contextmanager
def api(retrying: Retrying = BRIEFLY) -> Iterator[Client]:
    """A client of the API that AGENTIC_URL or `agentic up` names. Raises SetupError for all that goes wrong with it."""
    url, token = api_target(Settings.read())
    try:
        with Client(url, token, retrying=retrying) as client:
            yield client
    except Unreachable as error:
        reason = str(error).removeprefix("No answer: ")
        raise SetupError(f"The API at {url} does not answer: {reason}. Is `agentic up` or `serve` running?") from error
    except UnexpectedAnswer as error:
        raise SetupError(f"What answers at {url} is not the API: {error}") from error
    except ApiError as error:
        raise SetupError(_refusal(error, url)) from error


def _refusal(error: ApiError, url: str) -> str:
    """The service's own explanation."""
    if not error.type.startswith("/api/"):
        return f"What answers at {url} is not the API: {error}"
    if error.status == httpx.codes.UNAUTHORIZED:
        return f"The API at {url} refused the token: {error.detail} Is AGENTIC_TOKEN one of that installation?"
    errors = "".join(f"\n  {each.field}: {each.message}" for each in error.errors)
    return f"The API refused ({error.status}): {errors or error.detail}"


def outcome(execution: Execution) -> str:
    """How it ended, in a line."""
    if execution.is_finished:
        return "finished"
    return f"failed: {execution.failure_code}: {execution.failure_explanation}"
