"""Named models of an installation: where each is served, with which key, within which bounds.

An operator writes them into the environment of the workers; agents choose one by its name and can define none, so
that nobody can send files and prompts to an address of their own.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
KINDS = ("openai", "anthropic", "local", "scripted", "echo")
KEYS = {"openai": "OPENAI_API_KEY", "anthropic": "ANTHROPIC_API_KEY"}
"""The variables whose keys belong to the providers themselves."""


class Price(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """US dollars per million tokens."""

    input: float
    output: float
    cached: float | None = None
    written: float | None = None


class ModelProfile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One named model. None is "as it is usual for that provider".

    `api_key_variable` names the environment variable with the key; without it the provider's own key is used, and
    none at all where `base_url` leads elsewhere. `fallback`: profiles that are asked while this one is away.
    `concurrency`: questions that one worker has open at a time. `attempt_seconds`: after how long a request is given
    up and sent again, within the time limit of the turn. `silence_seconds`: the same for a streamed answer of which
    nothing more comes. `options`: further members of the request's body.
    """

    model: str
    base_url: str = ""
    api_key_variable: str = ""
    fallback: tuple[str, ...] = ()
    concurrency: int = 0
    sees_images: bool | None = None
    sees_pdfs: bool | None = None
    stream: bool = False
    attempt_seconds: float | None = None
    silence_seconds: float = 60.0
    max_output_tokens: int = 4096
    price: Price | None = None
    options: dict[str, Any] = msgspec.field(default_factory=dict)

    @property
    def kind(self) -> str:
        """What comes before the colon of `model`."""
        return self.model.partition(":")[0]

    @property
    def key_variable(self) -> str:
        """The variable whose key is sent; "" for none."""
        return self.api_key_variable or ("" if self.base_url else KEYS.get(self.kind, ""))


@dataclass(frozen=True)
class Profiles:
    """All profiles by name, and beside them the keys that they name, by variable; one that is not set is ""."""

    by_name: Mapping[str, ModelProfile] = field(default_factory=dict)
    keys: Mapping[str, str] = field(default_factory=dict, repr=False)

    def with_keys(self, read: Callable[[str], str]) -> Profiles:
        """The same with the keys that `read` gives for a variable's name."""
        named = {profile.key_variable for profile in self.by_name.values()} - {""}
        return Profiles(self.by_name, {name: read(name) for name in sorted(named)})

    def knows(self, name: str, *, kinds: Collection[str] = KINDS) -> bool:
        """Whether a model may be named so: by a profile, or by its kind and a name."""
        kind, _, model = name.partition(":")
        return name in self.by_name or (kind in kinds and bool(kind == "echo" or model))

    def key(self, profile: ModelProfile) -> str:
        """The key for a profile; "" where it names none, or names one that is not set."""
        return self.keys.get(profile.key_variable, "")


def read_profiles(text: str) -> Profiles:
    """Profiles from a JSON object or a TOML document. Raises ValueError that says what is wrong where."""
    if not text.strip():
        return Profiles()
    raw = json.loads(text) if text.lstrip().startswith("{") else tomllib.loads(text)
    profiles = {name: _profile(name, value) for name, value in raw.items()}
    for name, profile in profiles.items():
        unknown = [other for other in profile.fallback if other not in profiles or other == name]
        if unknown:
            raise ValueError(f"profile {name}: fallback {unknown[0]!r} is no other profile")
    return Profiles(profiles)


def _profile(name: str, value: Any) -> ModelProfile:
    if not NAME.fullmatch(name) or name in KINDS:
        raise ValueError(f"{name[:70]!r} is no name of a profile: a-z, 0-9, dot, hyphen and underscore")
    try:
        profile = msgspec.convert(value, ModelProfile)
    except msgspec.ValidationError as error:
        raise ValueError(f"profile {name}: {error}") from error
    kind, _, model = profile.model.partition(":")
    if kind not in KINDS or (kind != "echo" and not model):
        raise ValueError(f"profile {name}: model must be one of {', '.join(KINDS[:-1])} with ':' and a name, or echo")
    bounds = {
        "concurrency": profile.concurrency >= 0,
        "attempt_seconds": profile.attempt_seconds is None or profile.attempt_seconds > 0,
        "silence_seconds": profile.silence_seconds > 0,
        "max_output_tokens": profile.max_output_tokens > 0,
    }
    for bound, holds in bounds.items():
        if not holds:
            raise ValueError(f"profile {name}: {bound} must be positive")
    return profile
