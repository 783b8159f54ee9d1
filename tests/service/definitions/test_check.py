"""What `agentic check` says of installed packages."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from service.definitions import registry
from service.definitions.check import check
from tests.service.definitions.test_registry import Distribution


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Put modules with these sources on the path of this and of child processes, as packages' entry points."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    yield Install(tmp_path, monkeypatch)
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", None)).startswith(str(tmp_path)):
            del sys.modules[name]


class Install:
    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.monkeypatch = monkeypatch

    def __call__(self, **sources: str) -> None:
        points = []
        for name, source in sources.items():
            (self.folder / f"{name}.py").write_text(source)
            point = EntryPoint(name=name, value=f"{name}:definition", group=registry.GROUP)
            points.append(point._for(Distribution(f"{name}-package")))  # type: ignore[attr-defined]
        self.monkeypatch.setattr(registry, "entry_points", lambda group: points)


DEFINITION = """
from agentic import Definition
definition = Definition(key="{key}", name="Some", agent_type="some", input=dict[str, str], output=str)
@definition.instructions
def ask(input): return "x"
"""


def test_check_when_definitions_are_fine_then_ok_and_listed(install: Install) -> None:
    install(fine=DEFINITION.format(key="fine"))
    report = check()
    assert report.is_ok
    assert "fine@1 for agents of type some" in report.as_text()
    assert "All definitions can be used." in report.as_text()


IN_ANOTHER_STYLE = """
from agentic import Definition, JsonSchema
{imports}
definition = Definition(key="styled", name="Some", agent_type="some", input={input}, output={input})
@definition.instructions
def ask(input): return "x"
"""


@pytest.mark.parametrize(
    ("imports", "input_type"),
    [
        ("from pydantic import create_model", "create_model('Work', text=(str, ...))"),
        ("", "JsonSchema({'type': 'object'}, title='Work')"),
    ],
)
def test_check_when_a_definition_is_in_another_style_then_ok(install: Install, imports: str, input_type: str) -> None:
    install(styled=IN_ANOTHER_STYLE.format(imports=imports, input=input_type))
    report = check()
    assert report.is_ok, report.as_text()


@pytest.mark.parametrize(
    ("imports", "input_type", "said"),
    [
        (
            "from collections.abc import Callable\nfrom pydantic import create_model",
            "create_model('Work', text=(Callable[[], int], ...))",
            "has no JSON Schema: Cannot generate a JsonSchema",
        ),
        ("", "JsonSchema({'$ref': 'https://example.com/work'}, title='Work')", "Retrieval is disabled"),
    ],
)
def test_check_when_a_style_cannot_be_used_then_the_package_is_named(
    install: Install, imports: str, input_type: str, said: str
) -> None:
    install(styled=IN_ANOTHER_STYLE.format(imports=imports, input=input_type))
    report = check()
    assert not report.is_ok
    assert "styled-package" in report.as_text()
    assert said in report.as_text()


def test_check_when_a_module_is_slow_then_it_is_noted_but_ok(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.definitions.check.SLOW_SECONDS", 0.0)
    install(slow=DEFINITION.format(key="slow"))
    report = check()
    assert report.is_ok
    assert "to import, which delays the start" in report.as_text()


def test_check_when_it_names_a_model_that_cannot_be_one_then_it_is_noted_but_ok(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGENTIC_PROFILES", '{"big": {"model": "openai:gpt-5"}}')
    strategy = "from agentic import Strategy\ndefinition.strategy = Strategy(escalate_to={})\n"
    install(
        wrong=DEFINITION.format(key="wrong") + strategy.format("'gpt-5'"),
        named=DEFINITION.format(key="named") + strategy.format("'big'"),
    )
    report = check()
    assert report.is_ok
    (warned,) = [warning for finding in report.findings for warning in finding.warnings if "model" in warning]
    assert warned == "wrong@1 names the model 'gpt-5', which is no KIND:MODEL and no profile here"


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("import sqlite3_not_there", "fails to import: ModuleNotFoundError"),
        (DEFINITION.format(key="Not Kebab"), "key 'Not Kebab' must be kebab-case"),
        ("import spacy\n" + DEFINITION.format(key="a"), "imports spacy with its module"),
        ("import service.settings\n" + DEFINITION.format(key="a"), "only agentic is for authors"),
        ("from tasks import loop\n" + DEFINITION.format(key="a"), "only agentic is for authors"),
        ("import tasks.loop as loop\n" + DEFINITION.format(key="a"), "only agentic is for authors"),
    ],
)
def test_check_when_something_is_wrong_then_not_ok_and_it_is_named(install: Install, source: str, said: str) -> None:
    (install.folder / "spacy.py").write_text("")
    install(wrong=source)
    report = check()
    assert not report.is_ok
    assert said in report.as_text()
    assert "wrong-package" in report.as_text()
    assert report.as_record()["ok"] is False


def test_check_when_a_module_only_loads_here_then_the_child_process_tells(install: Install) -> None:
    install(
        shy="import sys\nif 'pytest' not in sys.modules: raise OSError('no pytest')\n" + DEFINITION.format(key="shy")
    )
    assert "fails to import in a process of its own: OSError: no pytest" in check().as_text()


def test_check_when_the_current_folder_has_modules_of_known_names_then_they_do_not_stand_in(
    install: Install, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("elsewhere")
    (folder / "agentic.py").write_text("raise RuntimeError('not the one')")
    monkeypatch.chdir(folder)
    install(fine=DEFINITION.format(key="fine"))
    assert check().is_ok


@pytest.mark.parametrize("package", [None, "one-package"])
def test_check_when_two_packages_offer_the_same_then_not_ok(install: Install, package: str | None) -> None:
    install(one=DEFINITION.format(key="same"), two=DEFINITION.format(key="same"))
    report = check(package)
    assert not report.is_ok
    assert "same@1 is registered 2 times" in report.as_text()


def test_check_when_the_named_package_is_unknown_or_offers_nothing_then_it_says_which(install: Install) -> None:
    install(fine=DEFINITION.format(key="fine"))
    assert check("fine-package").is_ok
    for package, said in (("no-package", "'no-package' is not installed"), ("Pytest", "of package 'pytest'")):
        report = check(package)
        assert not report.is_ok
        assert said in report.as_text()
