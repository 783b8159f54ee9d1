"""Model names to models. An adapter is imported when a name first asks for it: some take seconds to load."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from service.errors import SetupError
from service.profiles import ModelProfile
from service.settings import Settings
from tasks.llm.bounds import Bounds
from tasks.llm.protocol import LanguageModel, ModelError, Profile, ReadFile

KINDS = "openai:MODEL, anthropic:MODEL, local:smollm2, scripted:PATH, echo or the name of a profile"


class Models:
    """The models of one worker process, one instance per name. A model that cannot be opened is tried again.

    `read_file` gives the bytes of an execution's file; without it no model is shown any.
    """

    def __init__(self, settings: Settings, read_file: ReadFile | None = None) -> None:
        self._settings = settings
        self._read_file = read_file
        self._open: dict[str, LanguageModel] = {}
        self._chains: dict[str, LanguageModel] = {}
        self._opening = asyncio.Lock()

    async def get(self, name: str) -> LanguageModel:
        """The model of that name, with its fallbacks behind it. Raises ModelError as open_model does."""
        if name not in self._chains:
            async with self._opening:
                if name not in self._chains:
                    self._chains[name] = await self._chain(name)
        return self._chains[name]

    async def close(self) -> None:
        """Close every model that was opened."""
        opened, self._open, self._chains = list(self._open.values()), {}, {}
        for model in opened:
            await model.close()

    async def _chain(self, name: str) -> LanguageModel:
        first = await self._one(name)
        profile = self._settings.profiles.by_name.get(name)
        if profile is None or not profile.fallback:
            return first
        from tasks.llm.fallback import FallbackModel

        models = [first, *[await self._one(other) for other in profile.fallback]]
        if len({(model.profile.item_by_item, model.profile.prose_feedback) for model in models}) > 1:
            raise ModelError(
                f"The profile {name} falls back to a model that has to be asked in another way", retryable=False
            )
        return FallbackModel(name, models)

    async def _one(self, name: str) -> LanguageModel:
        if name not in self._open:
            # In a thread: an import of seconds would stop the event loop, and with it the lease's renewal.
            self._open[name] = await asyncio.to_thread(open_model, name, self._settings, self._read_file)
        return self._open[name]


def unknown_names(names: Iterable[str], settings: Settings) -> list[str]:
    """Those by which no model can be opened in this worker."""
    return [name for name in names if not settings.profiles.knows(name, kinds=OPENERS)]


@dataclass(frozen=True)
class Wanted:
    """A model to open: its name for records, how it is served, and with which key."""

    name: str
    profile: ModelProfile
    key: str
    settings: Settings
    read_file: ReadFile | None

    @property
    def model(self) -> str:
        return self.profile.model.partition(":")[2]

    def needs_key(self) -> None:
        """Raises ModelError where one should be there and is not: a server of one's own may want none."""
        variable = self.profile.key_variable
        if variable and not self.key:
            raise ModelError(f"{self.name} needs a key: set {variable} in the worker's environment", retryable=False)


def open_model(name: str, settings: Settings, read_file: ReadFile | None = None) -> LanguageModel:
    """The model of that name. Raises ModelError where the name is unknown, or a key or package is missing.

    A provider's key in the environment is used only here, by a name that belongs to that provider or a profile's.
    """
    if not name:
        raise ModelError(
            f"No model is chosen: set one on the agent, or AGENTIC_MODEL on the worker, to {KINDS}", retryable=False
        )
    profile = settings.profiles.by_name.get(name)
    if profile is not None:
        key = settings.profiles.key(profile)
        return OPENERS[profile.kind](Wanted(name, profile, key, settings, read_file))
    if not settings.profiles.knows(name, kinds=OPENERS):
        raise ModelError(f"There is no model {name[:100]!r}; a model is named {KINDS}", retryable=False)
    kind = name.partition(":")[0]
    bare, key = _bare(name, kind, settings)
    return OPENERS[kind](Wanted(name, bare, key, settings, read_file))


def _bare(name: str, kind: str, settings: Settings) -> tuple[ModelProfile, str]:
    """What the environment says of a provider whose model is named without a profile."""
    match kind:
        case "openai":
            base_url, key = settings.openai_base_url, settings.openai_api_key
        case "anthropic":
            base_url, key = settings.anthropic_base_url, settings.anthropic_api_key
        case _:
            base_url, key = "", ""
    return ModelProfile(model=name, base_url=base_url), key


def _openai(wanted: Wanted) -> LanguageModel:
    wanted.needs_key()
    try:
        from tasks.llm.openai import SEEING, OpenAIModel
    except ImportError as error:
        raise _missing(wanted.name, "openai") from error
    sees = not wanted.profile.base_url and wanted.model.startswith(SEEING)
    return OpenAIModel(
        wanted.name,
        model=wanted.model,
        key=wanted.key,
        base_url=wanted.profile.base_url,
        profile=_profile(wanted.profile, sees=sees),
        bounds=Bounds.of(wanted.profile, max_answer_bytes=wanted.settings.max_answer_bytes),
        read_file=wanted.read_file,
    )


def _anthropic(wanted: Wanted) -> LanguageModel:
    wanted.needs_key()
    try:
        from tasks.llm.anthropic import AnthropicModel
    except ImportError as error:
        raise _missing(wanted.name, "anthropic") from error
    return AnthropicModel(
        wanted.name,
        model=wanted.model,
        key=wanted.key,
        base_url=wanted.profile.base_url,
        profile=_profile(wanted.profile, sees=True),
        bounds=Bounds.of(wanted.profile, max_answer_bytes=wanted.settings.max_answer_bytes),
        read_file=wanted.read_file,
    )


def _profile(given: ModelProfile, *, sees: bool) -> Profile:
    """How to talk to it. `sees` is what is known of the model where the profile does not say."""
    return Profile(
        max_output_tokens=given.max_output_tokens,
        sees_images=sees if given.sees_images is None else given.sees_images,
        sees_pdfs=sees if given.sees_pdfs is None else given.sees_pdfs,
        price=given.price,
        priced_as="" if given.base_url else given.model,
    )


def _missing(name: str, extra: str) -> ModelError:
    command = f"pip install 'pydantic-ai-slim[{extra}]'"
    return ModelError(f"{name} needs a package that is not installed on the worker: {command}", retryable=False)


def _local(wanted: Wanted) -> LanguageModel:
    if wanted.model != "smollm2":
        raise ModelError(f"There is no local model {wanted.name[:100]!r}; there is local:smollm2", retryable=False)
    from tasks.llm.local import open_smollm2

    return open_smollm2(wanted.settings.max_answer_bytes)


def _scripted(wanted: Wanted) -> LanguageModel:
    from tasks.llm.scripted import ScriptedModel

    try:
        return ScriptedModel.from_file(wanted.model)
    except SetupError as error:
        raise ModelError(error.detail, retryable=False) from error


def _echo(wanted: Wanted) -> LanguageModel:
    from tasks.llm.echo import EchoModel

    return EchoModel()


OPENERS: dict[str, Callable[[Wanted], LanguageModel]] = {
    "openai": _openai,
    "anthropic": _anthropic,
    "local": _local,
    "scripted": _scripted,
    "echo": _echo,
}
