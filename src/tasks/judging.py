"""Letting every validator speak on a proposal, and what their verdicts amount to in words."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from service.definitions.definition import AnyDefinition, Proposal, Validator
from service.definitions.failures import FailureCode
from service.definitions.tools import STOP_EXECUTION
from service.definitions.verdicts import Accept, Issue, Reject, Retry, Spoken, Verdict
from service.errors import Unavailable
from tasks.journal import LostClaim, VerdictRecord

log = logging.getLogger(__name__)

OUTPUT = "output"
"""The built-in validator that an answer decodes into the output type; the others speak only when it accepts."""

VALIDATOR_SECONDS = 60.0
MAX_EXPLANATION = 2000
MAX_ISSUES = 50
"""Issues of one validator that are kept per cycle; more would not reach the model anyway."""


class ValidatorBroke(Exception):
    """A validator raised, took too long or returned no verdict: a defect of the definition, never a cycle."""


async def speak(definition: AnyDefinition, proposal: Proposal[Any, Any]) -> list[Spoken]:
    """The verdicts of all validators, in the order of the file. Raises ValidatorBroke naming the first that cannot."""
    spoken = [Spoken(OUTPUT, Accept())]
    for validator in definition.validators:
        verdict = await _verdict(definition, validator, proposal)
        spoken.append(Spoken(validator.name, _checked(definition, validator, verdict)))
    return spoken


def undecodable(issues: Sequence[Issue]) -> Spoken:
    """The verdict on an answer that is not of the output type."""
    return Spoken(OUTPUT, Retry(*issues[:MAX_ISSUES]))


def stopped(reason: str) -> Spoken:
    """The verdict when the model gave up by calling stop_execution."""
    return Spoken(STOP_EXECUTION, Reject(tidy(reason)))


def by_cycle(records: Iterable[VerdictRecord]) -> dict[int, list[Spoken]]:
    """Journalled verdicts as they were spoken, by cycle."""
    cycles: defaultdict[int, list[Spoken]] = defaultdict(list)
    for record in records:
        cycles[record.cycle].append(Spoken(record.validator, _restored(record)))
    return dict(cycles)


def max_retries_explanation(cycle: int, spoken: Sequence[Spoken]) -> str:
    """Why the last answer still failed: per validator the number of its issues and the first of them."""
    parts = [f"No answer was accepted within {cycle} cycle{'s' if cycle > 1 else ''}."]
    for said in spoken:
        if isinstance(said.verdict, Retry):
            count = len(said.verdict.issues)
            first = said.verdict.issues[0]
            place = f"{first.path}: " if first.path else ""
            parts.append(f"{said.validator} ({count} issue{'s' if count > 1 else ''}): {place}{first.message}")
    return tidy("\n".join(parts))


async def _verdict(definition: AnyDefinition, validator: Validator[Any, Any], proposal: Proposal[Any, Any]) -> object:
    name = f"Validator {validator.name!r} of {definition.reference}"
    try:
        async with asyncio.timeout(VALIDATOR_SECONDS):
            if inspect.iscoroutinefunction(validator.function):
                return await validator.function(proposal)
            verdict = await asyncio.to_thread(validator.function, proposal)
            return await verdict if inspect.isawaitable(verdict) else verdict
    except (LostClaim, Unavailable):
        raise
    except TimeoutError as error:
        raise ValidatorBroke(f"{name} took longer than {VALIDATOR_SECONDS:g} seconds.") from error
    except Exception as error:
        # The boundary around author code: its message may hold anything, so only its kind leaves; the log has the rest.
        log.warning("validator raised", exc_info=error, extra={"validator": validator.name})
        raise ValidatorBroke(f"{name} raised {type(error).__name__}; this is a defect of the definition.") from error


def _checked(definition: AnyDefinition, validator: Validator[Any, Any], verdict: object) -> Verdict:
    """The verdict with texts that the database takes. Raises ValidatorBroke for what is none, or a foreign code."""
    name = f"Validator {validator.name!r} of {definition.reference}"
    match verdict:
        case Accept():
            return verdict
        case Retry(issues):
            return Retry(*(_issue(name, issue) for issue in issues[:MAX_ISSUES]))
        case Reject(explanation, code):
            if code is not None and code not in definition.failures and code not in list(FailureCode):
                raise ValidatorBroke(f"{name} rejected with the code {code!r}, which the definition does not register.")
            return Reject(tidy(explanation) or f"{name} gave no reason.", None if code is None else str(code))
        case _:
            raise ValidatorBroke(f"{name} returned {type(verdict).__name__}, not Accept, Retry or Reject.")


def _issue(name: str, issue: Issue) -> Issue:
    hint = None if issue.hint is None else tidy(issue.hint)
    try:
        narrow = None if issue.narrow is None else msgspec.json.decode(msgspec.json.encode(issue.narrow))
    except (TypeError, ValueError) as error:
        raise ValidatorBroke(f"{name} narrows with something that is no JSON Schema.") from error
    return Issue(tidy(issue.path), tidy(issue.message) or f"{name} did not say what is wrong.", hint, narrow)


def _restored(record: VerdictRecord) -> Verdict:
    match record.kind:
        case "accept":
            return Accept()
        case "retry":
            return Retry(
                *(
                    Issue(stored["path"], stored["message"], stored.get("hint"), stored.get("narrow"))
                    for stored in record.issues
                )
            )
        case _:
            return Reject(record.explanation or "The answer was rejected.", record.code)


def tidy(text: str) -> str:
    """A text as PostgreSQL and JSON take it, of bounded length."""
    clean = text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode(errors="replace").decode().strip()
    return clean if len(clean) <= MAX_EXPLANATION else f"{clean[: MAX_EXPLANATION - 1]}…"
