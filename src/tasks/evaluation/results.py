"""What an evaluation has found so far: a file of JSON lines that only grows, from which an interrupted one goes on."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import IO, Any

import msgspec

from service.errors import SetupError
from tasks.llm.protocol import Answer


class Expected(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a case has to come to: a failure with this code, or a result; any result where neither is said."""

    failure_code: str | None = None
    result: Any = msgspec.UNSET


ANY = Expected()


class CycleResult(msgspec.Struct, frozen=True, kw_only=True):
    """One cycle. `prompt` are the tokens of its longest request; `rejections` count issues by validator."""

    cycle: int
    calls: int = 0
    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    prompt: int = 0
    rejections: dict[str, int] = msgspec.field(default_factory=dict)

    @property
    def tokens(self) -> int:
        """Prompt and answer alike, cached or not."""
        return self.input_tokens + self.output_tokens


class RunKey(msgspec.Struct, frozen=True, kw_only=True):
    """What makes a run the same run: how it is worked on (`code` is a digest of the definition's), and on what."""

    definition: str
    code: str
    model: str
    strategy: str
    case: str
    case_digest: str
    seed: int


class RunResult(msgspec.Struct, frozen=True, kw_only=True, tag="run"):
    """One case with one seed. `ending` is "finished" or a failure code, `answers` the cycles that the model was asked
    in, `seconds` what the model took, `cost` US dollars or None where no price is known."""

    key: RunKey
    ending: str
    is_success: bool
    answers: int
    cycles: tuple[CycleResult, ...]
    seconds: float
    cost: Decimal | None = Decimal(0)

    @property
    def tokens(self) -> int:
        """Of the whole run."""
        return sum(cycle.tokens for cycle in self.cycles)

    def succeeds_within(self, answers: int) -> bool:
        """Whether so many answers were enough."""
        return self.is_success and self.answers <= answers


class Told(msgspec.Struct, frozen=True, kw_only=True, tag="answer"):
    """What the model answered to a request, and how many seconds it took."""

    digest: str
    seconds: float
    answer: Answer


class Results:
    """Runs and answers, in memory and, where a path is given, in a file."""

    def __init__(self, path: Path | None = None) -> None:
        """Reads what the file holds. Raises SetupError naming the line that is no result.

        A last line without its end was being written when the evaluation was killed; it is cut off.
        """
        self.path = path
        self.runs: dict[RunKey, RunResult] = {}
        self._answers: dict[str, Told] = {}
        self._file: IO[bytes] | None = None
        if path is not None:
            try:
                self._load(path)
                self._file = path.open("ab")
            except OSError as error:
                raise SetupError(f"The results file {str(path)!r} cannot be used: {error.strerror}") from error

    def answer(self, digest: str) -> Told | None:
        """The answer to a request that was asked before."""
        return self._answers.get(digest)

    def keep(self, result: RunResult | Told) -> None:
        """Take note of a result: it is written before this returns."""
        if isinstance(result, Told):
            self._answers[result.digest] = result
        else:
            self.runs[result.key] = result
        if self._file is not None:
            self._file.write(msgspec.json.encode(result) + b"\n")
            self._file.flush()

    def close(self) -> None:
        """Nothing more is kept."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _load(self, path: Path) -> None:
        if not path.exists():
            return
        whole, end, torn = path.read_bytes().rpartition(b"\n")
        if torn:
            with path.open("r+b") as file:
                file.truncate(len(whole) + len(end))
        for number, line in enumerate(whole.splitlines(), start=1):
            try:
                self._take(msgspec.json.decode(line, type=RunResult | Told))
            except msgspec.DecodeError as error:
                raise SetupError(f"{path}, line {number} is no result of an evaluation: {error}") from error

    def _take(self, result: RunResult | Told) -> None:
        if isinstance(result, Told):
            self._answers[result.digest] = result
        else:
            self.runs[result.key] = result
