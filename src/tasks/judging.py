"""Verdicts: as they are taken from validators, as they are journalled, and what they amount to in words."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jsonschema_rs
import msgspec

from service.definitions.definition import AnyDefinition
from service.definitions.failures import FailureCode
from service.definitions.schema import is_clean
from service.definitions.tools import STOP_EXECUTION
from service.definitions.verdicts import Accept, Fix, Issue, Reject, Retry, Spoken, Verdict
from tasks.asks import Reply
from tasks.journal import VerdictRecord

OUTPUT = "output"
"""The built-in validator that an answer decodes into the output type; the others speak only when it accepts."""

REFUSAL = "refusal"
"""Whose verdict it is that the model refused to answer."""

MAX_EXPLANATION = 2000
MAX_ISSUES = 50
"""Issues of one validator that are kept per cycle; more would not reach the model anyway."""


class ValidatorBroke(Exception):
    """A validator raised, took too long or returned no verdict: a defect of the definition, never a cycle."""


def undecodable(issues: Sequence[Issue]) -> Spoken:
    """The verdict on an answer that is not of the output type."""
    return Spoken(OUTPUT, Retry(*issues[:MAX_ISSUES]))


def ended(reply: Reply) -> Spoken | None:
    """The verdict when the model gave up by calling stop_execution, or refused; None for a reply to be read."""
    if reply.stopped is not None:
        return Spoken(STOP_EXECUTION, Reject(tidy(reply.stopped), reply.stop_code))
    if reply.refused is not None:
        said = tidy(reply.refused) or "It gave no reason."
        return Spoken(REFUSAL, Reject(tidy(f"The model refused to answer: {said}")))
    return None


def by_cycle(records: Iterable[VerdictRecord]) -> dict[int, list[Spoken]]:
    """Journalled verdicts as they were spoken, by cycle."""
    cycles: defaultdict[int, list[Spoken]] = defaultdict(list)
    for record in records:
        cycles[record.cycle].append(Spoken(record.validator, _restored(record)))
    return dict(cycles)


@dataclass(frozen=True)
class Attempt:
    """A rejected answer as the verdicts on it show it."""

    cycle: int
    spoken: Sequence[Spoken]

    @property
    def distance(self) -> tuple[bool, int]:
        """How far from accepted it was, to compare: one that could not be read is farther than any that could."""
        issues = sum(len(said.verdict.issues) for said in self.spoken if isinstance(said.verdict, Retry))
        is_unread = any(said.validator == OUTPUT and isinstance(said.verdict, Retry) for said in self.spoken)
        return is_unread, issues


def max_retries_explanation(cycle: int, best: Attempt) -> str:
    """Why even the best answer failed: per validator the number of its issues and the first of them."""
    parts = [f"No answer was accepted within {cycle} cycle{'s' if cycle > 1 else ''}."]
    if best.cycle != cycle:
        parts.append(f"The best was that of cycle {best.cycle}:")
    return tidy("\n".join([*parts, *retry_lines(best.spoken)]))


def retry_lines(spoken: Iterable[Spoken]) -> Iterator[str]:
    """A line for each validator that objected: the number of its issues and the first of them."""
    for said in spoken:
        if isinstance(said.verdict, Retry):
            count = len(said.verdict.issues)
            first = said.verdict.issues[0]
            place = f"{first.path}: " if first.path else ""
            yield f"{said.validator} ({count} issue{'s' if count > 1 else ''}): {place}{first.message}"


def checked(name: str, definition: AnyDefinition, verdict: object) -> Verdict:
    """The verdict with texts that the database takes. Raises ValidatorBroke for what is none, or a foreign code.

    `name` is the validator's, for the error.
    """
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
    message = tidy(issue.message) or f"{name} did not say what is wrong."
    return Issue(tidy(issue.path), message, hint, _narrow(name, issue.narrow), _fix(name, issue.fix))


def _narrow(name: str, narrow: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """The schema as the journal would give it back. Raises ValidatorBroke for what is none."""
    if narrow is None:
        return None
    try:
        schema: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(narrow))
        if jsonschema_rs.meta.is_valid(schema):
            return schema
    except (TypeError, ValueError) as error:
        raise ValidatorBroke(f"{name} narrows with something that is no JSON Schema.") from error
    raise ValidatorBroke(f"{name} narrows with something that is no JSON Schema.")


def _fix(name: str, fix: Fix | None) -> Fix | None:
    """The fix as the journal would give it back. Raises ValidatorBroke for a value that an answer cannot hold."""
    if fix is None:
        return None
    if not is_clean(fix.value):
        raise ValidatorBroke(f"{name} fixes with a value that cannot be stored.")
    try:
        return Fix(msgspec.json.decode(msgspec.json.encode(fix.value)))
    except (TypeError, ValueError) as error:
        raise ValidatorBroke(f"{name} fixes with a value that JSON does not have.") from error


def _restored(record: VerdictRecord) -> Verdict:
    match record.kind:
        case "accept":
            return Accept()
        case "retry":
            return Retry(*map(_restored_issue, record.issues))
        case _:
            return Reject(record.explanation or "The answer was rejected.", record.code)


def _restored_issue(stored: Mapping[str, Any]) -> Issue:
    fix = stored.get("fix")
    return Issue(
        stored["path"],
        stored["message"],
        stored.get("hint"),
        stored.get("narrow"),
        None if fix is None else Fix(fix["value"]),
    )


def tidy(text: str) -> str:
    """A text as PostgreSQL and JSON take it, of bounded length."""
    clean = text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode(errors="replace").decode().strip()
    return clean if len(clean) <= MAX_EXPLANATION else f"{clean[: MAX_EXPLANATION - 1]}…"
