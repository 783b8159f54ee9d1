"""Model names to models. An adapter is imported when a name first asks for it: some take seconds to load."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from service.errors import SetupError
from service.settings import Settings
from tasks.llm.protocol import LanguageModel, ModelError

KINDS = "openai:MODEL, local:smollm2, scripted:PATH or echo"


class Models:
    """The models of one worker process, one instance per name. A model that cannot be opened is tried again."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._open: dict[str, LanguageModel] = {}
        self._opening = asyncio.Lock()

    async def get(self, name: str) -> LanguageModel:
        """The model of that name. Raises ModelError as open_model does."""
        if name not in self._open:
            async with self._opening:
                if name not in self._open:
                    # In a thread: an import of seconds would stop the event loop, and with it the lease's renewal.
                    self._open[name] = await asyncio.to_thread(open_model, name, self._settings)
        return self._open[name]

    async def close(self) -> None:
        """Close every model that was opened."""
        opened, self._open = list(self._open.values()), {}
        for model in opened:
            await model.close()


def open_model(name: str, settings: Settings) -> LanguageModel:
    """The model of that name. Raises ModelError where the name is unknown, or a key or package is missing.

    A provider's key in the environment is used only here, by a name that belongs to that provider.
    """
    if not name:
        raise ModelError(
            f"No model is chosen: set one on the agent, or AGENTIC_MODEL on the worker, to {KINDS}", retryable=False
        )
    kind, _, rest = name.partition(":")
    opens = OPENERS.get(kind)
    if opens is None or (kind != "echo" and not rest):
        raise ModelError(f"There is no model {name[:100]!r}; a model is named {KINDS}", retryable=False)
    return opens(name, rest, settings)


def _openai(name: str, model: str, settings: Settings) -> LanguageModel:
    if not settings.openai_api_key and not settings.openai_base_url:
        raise ModelError(f"{name} needs a key: set OPENAI_API_KEY in the worker's environment", retryable=False)
    try:
        from tasks.llm.openai import OpenAIModel
    except ImportError as error:
        raise ModelError(
            f"{name} needs a package that is not installed on the worker: pip install 'pydantic-ai-slim[openai]'",
            retryable=False,
        ) from error
    return OpenAIModel(
        name,
        model=model,
        key=settings.openai_api_key,
        base_url=settings.openai_base_url,
        max_answer_bytes=settings.max_answer_bytes,
    )


def _local(name: str, model: str, settings: Settings) -> LanguageModel:
    if model != "smollm2":
        raise ModelError(f"There is no local model {name[:100]!r}; there is local:smollm2", retryable=False)
    from tasks.llm.local import open_smollm2

    return open_smollm2(settings.max_answer_bytes)


def _scripted(name: str, path: str, settings: Settings) -> LanguageModel:
    from tasks.llm.scripted import ScriptedModel

    try:
        return ScriptedModel.from_file(path)
    except SetupError as error:
        raise ModelError(error.detail, retryable=False) from error


def _echo(name: str, rest: str, settings: Settings) -> LanguageModel:
    from tasks.llm.echo import EchoModel

    return EchoModel()


OPENERS: dict[str, Callable[[str, str, Settings], LanguageModel]] = {
    "openai": _openai,
    "local": _local,
    "scripted": _scripted,
    "echo": _echo,
}
