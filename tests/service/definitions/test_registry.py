"""Finding definitions, and refusing at start what could not run."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from agentic import Definition, Input, Item, JsonSchema, Proposal, RunContext, ToolContext, Verdict, tool
from service.definitions import registry
from service.definitions.registry import Registry
from service.errors import SetupError


class Nothing(Input):
    """No fields."""


@tool
async def work(context: ToolContext) -> None:
    """Work."""


def make(**changes: Any) -> Definition[Any, Any]:
    given: dict[str, Any] = {"key": "some-work", "name": "Some work", "agent_type": "worker"}
    definition: Definition[Any, Any] = Definition(**{**given, "input": Nothing, "output": dict[str, str], **changes})
    definition.instructions(lambda input: "Work.")  # noqa: A006
    return definition


def test_get_when_versions_are_there_then_each_is_found_and_the_highest_is_latest() -> None:
    first, tenth = make(version=1), make(version=10)
    found = Registry.of(tenth, first)
    assert (found.get("some-work", 1), found.get("some-work", 10), found.get("some-work", 2)) == (first, tenth, None)
    assert found.latest("some-work") is tenth
    assert found.latest("no-work") is None


def test_of_agent_type_when_asked_then_latest_versions_by_key() -> None:
    found = Registry.of(make(key="b"), make(key="a"), make(key="a", version=2), make(key="c", agent_type="other"))
    assert [definition.reference for definition in found.of_agent_type("worker")] == ["a@2", "b@1"]
    assert found.of_agent_type("nobody") == []


def test_references_when_asked_then_every_version_is_named() -> None:
    assert Registry.of(make(version=2), make()).references() == ["some-work@1", "some-work@2"]


def test_discover_when_this_package_is_installed_then_echo_is_there() -> None:
    assert Registry.discover().latest("echo") is not None


MISTAKES: list[tuple[Callable[[], Definition[Any, Any]], str]] = [
    (lambda: make(key="Some Work"), "key 'Some Work' must be kebab-case"),
    (lambda: make(key="a" * 101), "at most 100 long"),
    (lambda: make(agent_type="some_worker"), "agent_type 'some_worker' must be kebab-case"),
    (lambda: make(name=" "), "name must not be empty"),
    (lambda: make(version=0), "version 0 must be a whole number from 1"),
    (lambda: make(version=True), "version True must be"),
    (lambda: make(corrections=-1), "corrections -1 must not be negative"),
    (lambda: make(max_tool_calls=-1), "max_tool_calls -1 must not be negative"),
    (lambda: make(failures={"noData": "None."}), "failure code 'noData' must be snake_case"),
    (lambda: make(failures={"unknown": "Mine."}), "failure code 'unknown' is one of the service's own"),
    (lambda: make(failures={"no_data": ""}), "failure code 'no_data' needs a meaning"),
    (lambda: make(stop_codes=["no_data"]), "stop code 'no_data' is none of its failures"),
    (lambda: make(tools=[work, work]), "has 2 tools named 'work'"),
    (lambda: make(tools=[named("stop_execution")]), "tool 'stop_execution' is built in"),
    (lambda: make(input=list[str]), "must be an object"),
    (lambda: make(input=str), "must be an object"),
    (lambda: make(input=JsonSchema({"type": "array"}, title="List")), "input JsonSchema('List') must be an object"),
    (lambda: make(input=JsonSchema({"$ref": "https://example.com/a"})), "Retrieval is disabled"),
    (
        lambda: make(output=JsonSchema({"type": "objekt"})),
        "package 'given', entry point 'given': some-work@1 output JsonSchema('…') has no JSON Schema: /type",
    ),
    (lambda: make(output=object), "output <class 'object'> has no JSON Schema"),
    (lambda: without_instructions(), "has no instructions"),
    (lambda: with_twins(), "has 2 validators named 'twin'"),
    (lambda: judging("int"), "validator 'judge' takes int; it is called with a Proposal"),
    (lambda: judging("dict[str, int]"), "validator 'judge' takes dict; it is called with a Proposal"),
    (lambda: splitting(), "has items, so its output must be an object"),
]


def named(name: str) -> Any:
    async def function(context: ToolContext) -> None:
        """Work."""

    function.__name__ = name
    return function


def without_instructions() -> Definition[Any, Any]:
    definition = make()
    definition.asks = None
    return definition


def with_twins() -> Definition[Any, Any]:
    definition = make()

    def twin(proposal: Proposal[Any, Any]) -> Verdict:
        raise NotImplementedError

    definition.validator(twin)
    definition.validator(twin)
    return definition


def judging(annotation: str) -> Definition[Any, Any]:
    """A definition with a validator whose argument is annotated so."""

    def judge(proposal: Any) -> Verdict:
        raise NotImplementedError

    judge.__annotations__["proposal"] = annotation
    definition = make()
    definition.validator(judge)
    return definition


@pytest.mark.parametrize("annotation", ["Proposal", "Proposal[Nothing, str]", "Any", "object", "Later"])
def test_of_when_a_validator_may_take_a_proposal_then_it_is_taken(annotation: str) -> None:
    Registry.of(judging(annotation))


def splitting() -> Definition[Any, Any]:
    definition = make(output=list[str])

    @definition.items
    def split(input: Nothing, context: RunContext) -> list[Item]:  # noqa: A002
        return []

    return definition


@pytest.mark.parametrize(("make_wrong", "said"), MISTAKES)
def test_of_when_a_definition_is_written_wrongly_then_refused_with_the_reason(
    make_wrong: Callable[[], Definition[Any, Any]], said: str
) -> None:
    with pytest.raises(SetupError) as raised:
        Registry.of(make_wrong())
    assert said in raised.value.detail


class Distribution:
    """As much of an installed distribution as discovery asks for."""

    def __init__(self, name: str) -> None:
        self.name = name


def entry(package: str, value: str) -> EntryPoint:
    point = EntryPoint(name="work", value=value, group=registry.GROUP)
    return point._for(Distribution(package))  # type: ignore[attr-defined,no-any-return]


one = make(key="one")
several = (make(key="two"), make(key="three"))
same = make(key="one")
stray = [make(key="four"), "five"]
nothing = 5
THIS = __name__


def discover(monkeypatch: pytest.MonkeyPatch, *points: EntryPoint) -> Registry:
    monkeypatch.setattr(registry, "entry_points", lambda group: list(points))
    return Registry.discover()


def test_discover_when_an_entry_point_holds_several_then_all_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    found = discover(monkeypatch, entry("a", f"{THIS}:one"), entry("b", f"{THIS}:several"))
    assert found.references() == ["one@1", "three@1", "two@1"]


def test_discover_when_two_packages_offer_the_same_then_both_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SetupError) as raised:
        discover(monkeypatch, entry("pots", f"{THIS}:one"), entry("pans", f"{THIS}:same"))
    assert "one@1 is registered 2 times" in raised.value.detail
    assert "'pots'" in raised.value.detail
    assert "'pans'" in raised.value.detail


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (
            "no_such_module_anywhere:x",
            "fails to import: ModuleNotFoundError: No module named 'no_such_module_anywhere'",
        ),
        (f"{THIS}:no_such_name", "fails to import: AttributeError"),
        (f"{THIS}:nothing", "is int, not a Definition or several"),
        (f"{THIS}:stray", "holds str, not a Definition"),
    ],
)
def test_discover_when_a_package_is_broken_then_it_is_named_with_the_reason(
    monkeypatch: pytest.MonkeyPatch, value: str, said: str
) -> None:
    with pytest.raises(SetupError) as raised:
        discover(monkeypatch, entry("pots", value))
    assert "package 'pots', entry point 'work'" in raised.value.detail
    assert said in raised.value.detail


def test_discover_when_a_module_ends_the_process_then_it_is_named_instead(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "leaves_at_once.py").write_text("import sys; sys.exit('no licence')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(SetupError, match=r"'pots'.*SystemExit: no licence"):
        discover(monkeypatch, entry("pots", "leaves_at_once:x"))


def test_discover_when_several_packages_are_broken_then_all_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SetupError) as raised:
        discover(monkeypatch, entry("pots", "nowhere_a:x"), entry("pans", "nowhere_b:x"))
    assert "nowhere_a" in raised.value.detail
    assert "nowhere_b" in raised.value.detail
