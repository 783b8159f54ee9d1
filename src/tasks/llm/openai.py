"""Models behind the OpenAI wire, at the provider's own address or any other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from openai import AsyncOpenAI, DefaultAsyncHttpxClient, OpenAIError
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIChatModelSettings
from pydantic_ai.providers.openai import OpenAIProvider

from tasks.llm.bounds import Bounds
from tasks.llm.faults import ask_unpacked, limits
from tasks.llm.protocol import Profile, ReadFile, Request
from tasks.llm.provider import ProviderModel

BASE_URL = "https://api.openai.com/v1"
NO_KEY = "none"
"""What servers that want no key are sent; the SDK insists on one."""
SEEING = ("gpt-4o", "gpt-4.1", "gpt-5", "o3", "o4")
"""Names of the provider's own models that see images and PDFs begin so."""


class OpenAIModel(ProviderModel):
    """A chat model of an OpenAI-compatible server."""

    sdk_error = OpenAIError

    def __init__(
        self,
        name: str,
        *,
        model: str,
        key: str,
        base_url: str = "",
        profile: Profile | None = None,
        max_answer_bytes: int = 1 << 20,
        bounds: Bounds | None = None,
        read_file: ReadFile | None = None,
    ) -> None:
        bounds = bounds or Bounds(max_answer_bytes=max_answer_bytes)
        self._client = AsyncOpenAI(
            api_key=key or NO_KEY,
            base_url=base_url or BASE_URL,
            max_retries=0,
            http_client=DefaultAsyncHttpxClient(
                event_hooks={"request": [ask_unpacked], "response": [limits(bounds.max_body_bytes)]}
            ),
        )
        chat = OpenAIChatModel(model, provider=OpenAIProvider(openai_client=self._client))
        facts: Mapping[str, Any] = {**chat.profile}
        self._takes_temperature = not facts.get("openai_supports_reasoning")
        super().__init__(name, model=chat, profile=profile or Profile(), bounds=bounds, read_file=read_file)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    def settings(self, request: Request, options: Mapping[str, Any]) -> OpenAIChatModelSettings:
        """Seed and temperature where the model takes them; tools may be called side by side."""
        settings = OpenAIChatModelSettings(max_tokens=request.max_output_tokens)
        if request.temperature is not None and self._takes_temperature:
            settings["temperature"] = request.temperature
        if request.seed is not None:
            settings["seed"] = request.seed
        if options:
            settings["extra_body"] = dict(options)
        return settings
