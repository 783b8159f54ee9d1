"""What a validator says about a proposed answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Fix:
    """The JSON value that belongs at the issue's path. It is put there without asking the model."""

    value: Any


@dataclass(frozen=True)
class Issue:
    """One thing that is wrong with an answer.

    `path` is a JSON pointer into the answer ("" is all of it), `message` says what is wrong, `hint` what would be
    right. `narrow` is a JSON Schema for the value at `path` that the next answer's schema is tightened by; it needs a
    model that decodes under a schema. `fix` is the right value, where code knows it.
    """

    path: str
    message: str
    hint: str | None = None
    narrow: Mapping[str, Any] | None = None
    fix: Fix | None = None


@dataclass(frozen=True)
class Accept:
    """The answer is right as far as this validator can tell."""


@dataclass(frozen=True)
class Retry:
    """The answer is wrong in ways that the model may mend. Needs at least one issue."""

    issues: tuple[Issue, ...]

    def __init__(self, *issues: Issue | str) -> None:
        """Issues, or plain messages about the whole answer. Raises ValueError without any."""
        if not issues:
            raise ValueError("Retry needs at least one issue: what should the model mend?")
        made = tuple(Issue("", issue) if isinstance(issue, str) else issue for issue in issues)
        object.__setattr__(self, "issues", made)


@dataclass(frozen=True)
class Reject:
    """The run cannot succeed. `code` must be a failure code of the definition; None is validation_failed."""

    explanation: str
    code: str | None = None


Verdict = Accept | Retry | Reject


@dataclass(frozen=True)
class Spoken:
    """A verdict and the name of the validator that gave it: a row of the record."""

    validator: str
    verdict: Verdict
