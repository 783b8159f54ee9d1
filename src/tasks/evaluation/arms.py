"""The strategies that an evaluation compares: ways to correct the same definition on the same cases and seeds."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from service.definitions.definition import AnyDefinition, Proposal, Validator
from service.definitions.strategy import Rung, Strategy
from service.definitions.verdicts import Issue, Retry
from service.errors import SetupError
from tasks.evaluation.recalling import Recalling
from tasks.evaluation.remembering import Remembering
from tasks.evaluation.results import Results
from tasks.llm.protocol import LanguageModel


@dataclass(frozen=True)
class Arm:
    """A way to correct. `rung` replaces the definition's ladder. Without `help` validators neither fix nor narrow.
    `tells`: issues are told in words, whatever the model's profile says; `remembers`: with the whole history."""

    name: str
    rung: Rung | None = None
    help: bool = True
    tells: bool | None = None
    remembers: bool = False

    def definition(self, given: AnyDefinition) -> AnyDefinition:
        """The definition as this arm runs it."""
        made = copy.copy(given)
        if self.rung is not None:
            made.strategy = Strategy(ladder=(self.rung,))
        if not self.help:
            made.validators = [replace(known, function=_unhelpful(known)) for known in given.validators]
        return made

    def model(self, given: LanguageModel, results: Results) -> tuple[LanguageModel, Recalling]:
        """The model of one run, and the part of it that counts."""
        recalling = Recalling(given, results)
        if self.tells is not None:
            recalling.profile = msgspec.structs.replace(given.profile, prose_feedback=self.tells)
        return (Remembering(recalling) if self.remembers else recalling), recalling


ARMS = {
    arm.name: arm
    for arm in (
        Arm("default"),
        Arm("patch", "patch"),
        Arm("hint", "hint"),
        Arm("full", "full"),
        Arm("blind", "hint", help=False, tells=False),
        Arm("told", "hint", help=False, tells=True),
        Arm("full_history", "hint", help=False, tells=True, remembers=True),
    )
}
"""`default` is the definition as it is; `patch`, `hint` and `full` climb that one rung. The others take from validators
what they know to be right: `blind` asks again and says nothing, `told` says in words what was wrong, `full_history` too
and shows everything that was said, as libraries do."""


def arms_named(names: str) -> list[Arm]:
    """The arms of a comma-separated list. Raises SetupError for one that there is not."""
    wanted = list(dict.fromkeys(name.strip() for name in names.split(",") if name.strip()))
    if unknown := [name for name in wanted if name not in ARMS]:
        raise SetupError(f"There is no strategy {unknown[0]!r}; there are {', '.join(ARMS)}.")
    if not wanted:
        raise SetupError(f"Name at least one strategy of {', '.join(ARMS)}.")
    return [ARMS[name] for name in wanted]


def _unhelpful(validator: Validator[Any, Any]) -> Callable[[Proposal[Any, Any]], Any]:
    """The validator without its fixes and narrowed schemas."""
    function = validator.function
    if inspect.iscoroutinefunction(function):

        async def judge(proposal: Proposal[Any, Any]) -> Any:
            return _bare(await function(proposal))

        return judge

    def judge_at_once(proposal: Proposal[Any, Any]) -> Any:
        return _bare(function(proposal))

    return judge_at_once


def _bare(verdict: Any) -> Any:
    if not isinstance(verdict, Retry):
        return verdict
    return Retry(*(Issue(issue.path, issue.message, issue.hint) for issue in verdict.issues))
