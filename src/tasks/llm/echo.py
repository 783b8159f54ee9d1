"""The model of the echo definition: answers at once with the first thing that the user said."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tasks.llm.protocol import Answer, Profile, Request, Usage


class EchoModel:
    """Answers with the text of the first user message; counts its characters as tokens. No network."""

    name = "echo"
    profile = Profile()

    async def ask(self, request: Request, options: Mapping[str, Any] | None = None) -> Answer:
        """The first user message's text."""
        text = next((message.text for message in request.messages if message.role == "user"), "")
        asked = sum(len(message.text) for message in request.messages)
        return Answer(text=text, model=self.name, usage=Usage(input_tokens=asked, output_tokens=len(text)))

    async def close(self) -> None:
        """Nothing is held."""
