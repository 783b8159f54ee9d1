"""Models behind Anthropic's wire, at the provider's own address or any other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from anthropic import AnthropicError, AsyncAnthropic, DefaultAsyncHttpxClient
from pydantic_ai.models.anthropic import AnthropicModel as TheirModel
from pydantic_ai.models.anthropic import AnthropicModelSettings
from pydantic_ai.providers.anthropic import AnthropicProvider

from tasks.llm.bounds import Bounds
from tasks.llm.faults import ask_unpacked, limits
from tasks.llm.protocol import Profile, ReadFile, Request
from tasks.llm.provider import ProviderModel

BASE_URL = "https://api.anthropic.com"
NO_KEY = "none"
"""What servers that want no key are sent; without one the SDK looks for keys of its own accord."""


class AnthropicModel(ProviderModel):
    """A model of Anthropic, or of a server that speaks its wire."""

    sdk_error = AnthropicError

    def __init__(
        self,
        name: str,
        *,
        model: str,
        key: str,
        base_url: str = "",
        profile: Profile | None = None,
        bounds: Bounds | None = None,
        read_file: ReadFile | None = None,
    ) -> None:
        bounds = bounds or Bounds()
        self._client = AsyncAnthropic(
            api_key=key or NO_KEY,
            base_url=base_url or BASE_URL,
            max_retries=0,
            http_client=DefaultAsyncHttpxClient(
                event_hooks={"request": [ask_unpacked], "response": [limits(bounds.max_body_bytes)]}
            ),
        )
        theirs = TheirModel(model, provider=AnthropicProvider(anthropic_client=self._client))
        facts: Mapping[str, Any] = {**theirs.profile}
        self._takes_temperature = not facts.get("anthropic_disallows_sampling_settings")
        self._holds_to_schemas = bool(facts.get("supports_json_schema_output"))
        super().__init__(name, model=theirs, profile=profile or SEEING, bounds=bounds, read_file=read_file)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    def settings(self, request: Request, options: Mapping[str, Any]) -> AnthropicModelSettings:
        """The wire has no seed. The prompt is marked for the provider's cache, which no other wire needs."""
        settings = AnthropicModelSettings(max_tokens=request.max_output_tokens, anthropic_cache=True)
        if request.temperature is not None and self._takes_temperature:
            settings["temperature"] = request.temperature
        if options:
            settings["extra_body"] = dict(options)
        return settings

    def holds_to(self, request: Request) -> bool:
        """This wire's decoding knows closed objects alone: a schema with free keys would become one without any."""
        return self._holds_to_schemas and request.answer_schema is not None and _is_closed(request.answer_schema)


SEEING = Profile(sees_images=True, sees_pdfs=True)


def _is_closed(schema: Any) -> bool:
    """Whether every object in the schema lists all of its keys."""
    if isinstance(schema, list):
        return all(_is_closed(part) for part in schema)
    if not isinstance(schema, dict):
        return True
    is_open = "properties" not in schema or schema.get("additionalProperties") is not False
    if schema.get("type") == "object" and is_open:
        return False
    return all(_is_closed(part) for part in schema.values())
