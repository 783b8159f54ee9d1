"""What `agentic check` reports: every installed definition, loaded as both processes do, and what is wrong with it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, distribution
from typing import Any

from service.definitions.definition import AnyDefinition
from service.definitions.registry import Source, duplicates, sources
from service.settings import Settings

OWN_PACKAGE = "agentic-executions"

# fmt: off
HEAVY = frozenset({
    "PIL", "anthropic", "boto3", "cv2", "httpx", "langchain", "litellm", "litestar", "llama_cpp", "llama_index",
    "matplotlib", "nltk", "numpy", "openai", "pandas", "playwright", "pyarrow", "pydantic_ai", "pypdf", "pypdfium2",
    "requests", "scipy", "selenium", "sklearn", "spacy", "tensorflow", "torch", "transformers", "xllamacpp",
})
# fmt: on
"""Top-level modules that a definition imports only inside the tool that needs them: the API loads definitions too."""

INTERNAL = frozenset({"service", "tasks"})
SLOW_SECONDS = 1.0
PROBE_SECONDS = 60

PROBE = """
import ast, importlib, json, sys, time
import agentic
before = set(sys.modules)
began = time.perf_counter()
importlib.import_module(sys.argv[1])
seconds = time.perf_counter() - began
new = sorted(set(sys.modules) - before)
top = sys.argv[1].partition(".")[0]
internal = set()
for name in new:
    file = getattr(sys.modules[name], "__file__", None)
    if name.partition(".")[0] != top or not file or not file.endswith(".py"):
        continue
    for node in ast.walk(ast.parse(open(file, encoding="utf-8").read())):
        if isinstance(node, ast.Import):
            internal.update(f"{name} imports {part.name}" for part in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            internal.add(f"{name} imports {node.module}")
print(json.dumps({"seconds": seconds, "modules": sorted({name.partition(".")[0] for name in new}),
                  "imports": sorted(internal)}))
"""
"""Imports a module in a fresh interpreter and prints what that loaded, how long it took and what its sources import."""


@dataclass(frozen=True)
class Finding:
    """An entry point, its definitions and what was found. Problems fail the check, warnings do not."""

    package: str
    entry_point: str
    definitions: tuple[AnyDefinition, ...] = ()
    problems: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    def as_record(self) -> dict[str, Any]:
        """The finding as JSON."""
        return {
            "package": self.package,
            "entry_point": self.entry_point,
            "definitions": [_described(definition) for definition in self.definitions],
            "problems": list(self.problems),
            "warnings": list(self.warnings),
        }


@dataclass(frozen=True)
class Report:
    """Everything that was checked. `problems` are those of no single entry point."""

    findings: tuple[Finding, ...]
    problems: tuple[str, ...] = field(default=())

    @property
    def is_ok(self) -> bool:
        """Whether nothing is wrong; warnings may be there."""
        return not self.problems and not any(finding.problems for finding in self.findings)

    def as_record(self) -> dict[str, Any]:
        """The report as JSON."""
        findings = [finding.as_record() for finding in self.findings]
        return {"ok": self.is_ok, "findings": findings, "problems": list(self.problems)}

    def as_text(self) -> str:
        """The report for a terminal."""
        lines = [line for finding in self.findings for line in _lines(finding)]
        lines += [f"wrong  {problem}" for problem in self.problems]
        lines.append("All definitions can be used." if self.is_ok else "Some definitions cannot be used.")
        return "\n".join(lines)


def check(package: str | None = None) -> Report:
    """Load and check the definitions of all installed packages, or of one; a package without any is a problem.

    What one package offers must not be offered by another either: both processes would refuse to start.
    """
    found = sources(package)
    problems = duplicates(found, among=sources() if package else found)
    if not found:
        problems.append(_nothing_of(package))
    return Report(tuple(_finding(source) for source in found), tuple(problems))


def _nothing_of(package: str | None) -> str:
    try:
        named = f"package {distribution(package).name!r}" if package else "any installed package"
    except PackageNotFoundError:
        return f"package {package!r} is not installed in this environment"
    return f"no entry points in the group agentic.definitions of {named}"


def _finding(source: Source) -> Finding:
    problems, warnings = list(source.problems), []
    if source.definitions:
        probed = _probe(source.module)
        problems += _import_problems(source, probed)
        if probed.get("seconds", 0.0) > SLOW_SECONDS:
            warnings.append(f"takes {probed['seconds']:.1f} s to import, which delays the start of both processes")
        warnings += _unknown_models(source.definitions)
    return Finding(source.package, source.entry_point, source.definitions, tuple(problems), tuple(warnings))


def _unknown_models(definitions: Iterable[AnyDefinition]) -> Iterable[str]:
    """No problems: which profiles there are is the worker's affair, and this may be another environment."""
    profiles = Settings.read().profiles
    for definition in definitions:
        for name in definition.models:
            if not profiles.knows(name):
                yield f"{definition.reference} names the model {name!r}, which is no KIND:MODEL and no profile here"


def _import_problems(source: Source, probed: dict[str, Any]) -> Iterable[str]:
    if "error" in probed:
        yield f"fails to import in a process of its own: {probed['error']}"
        return
    if heavy := sorted(HEAVY.intersection(probed["modules"])):
        yield f"imports {', '.join(heavy)} with its module; import it inside the tool that needs it"
    if source.package == OWN_PACKAGE:
        return
    for statement in probed["imports"]:
        if statement.rpartition(" ")[2].partition(".")[0] in INTERNAL:
            yield f"{statement}: only agentic is for authors"


def _probe(module: str) -> dict[str, Any]:
    # -P: a file of the current folder must not stand in for an installed module.
    command = [sys.executable, "-P", "-c", PROBE, module]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PROBE_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return {"error": f"takes longer than {PROBE_SECONDS} s"}
    if done.returncode != 0:
        return {"error": (done.stderr.strip().splitlines() or ["no message"])[-1]}
    probed: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return probed


def _described(definition: AnyDefinition) -> dict[str, Any]:
    return {
        "key": definition.key,
        "version": definition.version,
        "name": definition.name,
        "agent_type": definition.agent_type,
        "tools": [tool.name for tool in definition.tools],
        "validators": [validator.name for validator in definition.speaking_order],
        "strategy": {"ladder": list(definition.strategy.ladder), "escalate_to": definition.strategy.escalate_to},
        "failure_codes": sorted(definition.failures),
    }


def _lines(finding: Finding) -> Sequence[str]:
    lines = [f"{finding.package}: {finding.entry_point}"]
    for definition in finding.definitions:
        tools = ", ".join(tool.name for tool in definition.tools) or "none"
        validators = ", ".join(validator.name for validator in definition.speaking_order) or "none"
        lines.append(f"       {definition.reference} for agents of type {definition.agent_type}")
        lines.append(f"       tools: {tools}; validators: {validators}")
    lines += [f"wrong  {problem}" for problem in finding.problems]
    return lines + [f"note   {warning}" for warning in finding.warnings]
