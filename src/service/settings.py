"""One immutable Settings, read once from the environment. Nothing else in the project reads the environment.

A variable whose name ends in _FILE names a file that holds the value: for secrets, whose place is not an environment.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any

from service.egress import Allowed, read_networks
from service.errors import SetupError
from service.profiles import Profiles, read_profiles
from service.sealing import Keys, read_keys

LONGEST_SHOWN = 60
"""Characters of a value that is quoted where it cannot be read: a whole document is not, it may hold anything."""


def variable(name: str, default: str, doc: str, *, is_secret: bool = False) -> Any:
    """A setting: the environment variable it is read from, its default as written there, and its meaning with unit."""
    return field(default=MISSING, metadata={"variable": name, "default": default, "doc": doc, "is_secret": is_secret})


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything that can be configured; `Settings.read(environment)` makes one; docs/operations.md lists all."""

    database_url: str = variable(
        "DATABASE_URL",
        "",
        "libpq URL, used as it is; may point at a transaction pooler. Empty: the database that `agentic up` runs here.",
    )
    database_direct_url: str = variable(
        "DATABASE_DIRECT_URL",
        "",
        "libpq URL for LISTEN, migrations and the worker's queue. Empty: the same as DATABASE_URL.",
    )
    owner_role: str = variable(
        "AGENTIC_OWNER_ROLE",
        "agentic_owner",
        "Role that owns the tables; migrations act as it where the connecting role is a member.",
    )
    app_role: str = variable(
        "AGENTIC_APP_ROLE",
        "agentic_app",
        "Role that the API and the worker connect as; is granted what they need if it exists.",
    )
    reporting_role: str = variable(
        "AGENTIC_REPORTING_ROLE",
        "reporting_reader",
        "Role that reads the reporting schema and nothing else; is granted that if it exists.",
    )
    public_url: str = variable(
        "PUBLIC_URL",
        "",
        "Scheme and host that links in answers start with. Empty: taken from the request's Host header.",
    )
    trusted_proxies: tuple[str, ...] = variable(
        "AGENTIC_TRUSTED_PROXIES",
        "",
        "Comma-separated addresses whose X-Forwarded-* headers count.",
    )
    cors_origins: tuple[str, ...] = variable(
        "AGENTIC_CORS_ORIGINS",
        "",
        "Comma-separated origins that browsers may call the API from. Empty: none.",
    )
    open_docs: bool = variable(
        "AGENTIC_OPEN_DOCS",
        "true",
        "Whether /api/schema.json and /api/docs/ answer without a token.",
    )
    pool_size: int = variable("AGENTIC_POOL_SIZE", "10", "Connections per pool and process.")
    pool_timeout_seconds: float = variable(
        "AGENTIC_POOL_TIMEOUT_SECONDS",
        "10",
        "Seconds after which the API gives up waiting for a database connection, or for answers over one.",
    )
    max_body_bytes: int = variable("AGENTIC_MAX_BODY_BYTES", "1048576", "Bytes that a JSON body may have.")
    max_batch_bytes: int = variable("AGENTIC_MAX_BATCH_BYTES", "8388608", "Bytes that the body of a batch may have.")
    idempotency_seconds: float = variable(
        "AGENTIC_IDEMPOTENCY_SECONDS",
        "86400",
        "Seconds that an Idempotency-Key and the answer to its request are kept.",
    )
    max_files: int = variable("AGENTIC_MAX_FILES", "10", "Files that one start may carry.")
    max_file_bytes: int = variable("AGENTIC_MAX_FILE_BYTES", "26214400", "Bytes that one file may have.")
    max_upload_bytes: int = variable(
        "AGENTIC_MAX_UPLOAD_BYTES",
        "104857600",
        "Bytes that all files of one start may have together.",
    )
    max_image_pixels: int = variable("AGENTIC_MAX_IMAGE_PIXELS", "40000000", "Pixels that an image may have.")
    max_text_characters: int = variable(
        "AGENTIC_MAX_TEXT_CHARACTERS",
        "200000",
        "Characters of text that are kept of one file; the rest is cut, and the model is told.",
    )
    parse_seconds: float = variable(
        "AGENTIC_PARSE_SECONDS",
        "30",
        "Seconds that turning one file into text may take before its process is killed.",
    )
    parse_memory_bytes: int = variable(
        "AGENTIC_PARSE_MEMORY_BYTES",
        "1073741824",
        "Bytes of address space that the process that reads one file may take.",
    )
    model: str = variable(
        "AGENTIC_MODEL",
        "",
        "Model of agents that name none, such as openai:gpt-5-mini, local:smollm2 or "
        "scripted:/path. Empty: such agents fail with an explanation.",
    )
    openai_api_key: str = variable(
        "OPENAI_API_KEY",
        "",
        "Key for models named openai:…; never used unless a model names it.",
    )
    openai_base_url: str = variable(
        "OPENAI_BASE_URL",
        "",
        "Base URL of an OpenAI-compatible server. Empty: the provider's own.",
    )
    anthropic_api_key: str = variable(
        "ANTHROPIC_API_KEY",
        "",
        "Key for models named anthropic:…; never used unless a model names it.",
    )
    anthropic_base_url: str = variable(
        "ANTHROPIC_BASE_URL",
        "",
        "Base URL of a server that speaks Anthropic's wire. Empty: the provider's own.",
    )
    profiles: Profiles = variable(  # noqa: RUF009 - a field, as the others
        "AGENTIC_PROFILES",
        "",
        "Named models for agents to choose from, as JSON or TOML; see Models. Empty: none.",
    )
    max_shown_bytes: int = variable(
        "AGENTIC_MAX_SHOWN_BYTES",
        "20971520",
        "Bytes of images and PDFs that one request to a model may carry; the rest is named to it, not shown.",
    )
    provider_waits: int = variable(
        "AGENTIC_PROVIDER_WAITS",
        "8",
        "Times that a run whose model provider is away gives up its slot and waits before it fails.",
    )
    turn_seconds: float = variable(
        "AGENTIC_TURN_SECONDS",
        "120",
        "Seconds that one request to a model may take.",
    )
    max_answer_bytes: int = variable(
        "AGENTIC_MAX_ANSWER_BYTES",
        "1048576",
        "Bytes of an answer or of a tool result that are read and kept.",
    )
    egress_allow: Allowed = variable(  # noqa: RUF009 - a field, as the others
        "AGENTIC_EGRESS_ALLOW",
        "",
        "Comma-separated networks, such as 10.20.0.0/16, that requests to clients' URLs may reach although they are "
        "not public. Empty: public addresses only.",
    )
    secret_keys: Keys = variable(  # noqa: RUF009 - a field, as the others
        "AGENTIC_SECRET_KEY",
        "",
        "Comma-separated keys, each 32 bytes in URL-safe Base64, that secrets of webhooks are encrypted under: the "
        "first seals, all open. Needed by the API and the worker. Empty: webhooks are refused.",
        is_secret=True,
    )
    webhook_concurrency: int = variable(
        "AGENTIC_WEBHOOK_CONCURRENCY",
        "20",
        "Webhooks that one worker delivers side by side, beside its executions.",
    )
    webhook_seconds: float = variable(
        "AGENTIC_WEBHOOK_SECONDS",
        "15",
        "Seconds that a receiver of a webhook may take to answer.",
    )
    delivery_seconds: float = variable(
        "AGENTIC_DELIVERY_SECONDS",
        "2592000",
        "Seconds that a delivery of a webhook which has ended is kept, with its attempts.",
    )
    worker_name: str = variable(
        "AGENTIC_WORKER_NAME",
        "",
        "Name of this worker in records and in `agentic doctor --worker`. Empty: host name and process id.",
    )
    worker_concurrency: int = variable(
        "AGENTIC_WORKER_CONCURRENCY",
        "20",
        "Executions that one worker runs side by side; the stock --concurrency flag wins.",
    )
    drain_seconds: float = variable(
        "AGENTIC_DRAIN_SECONDS",
        "60",
        "Seconds that a worker told to stop gives its runs to end their turn; the stock --shutdown- "
        "graceful-timeout flag wins.",
    )
    lease_seconds: float = variable(
        "AGENTIC_LEASE_SECONDS",
        "10",
        "Seconds for which a worker counts as alive without renewing; all processes need the same value.",
    )
    poll_seconds: float = variable(
        "AGENTIC_POLL_SECONDS",
        "1",
        "Seconds between looks at the queue, and at events that are watched, when no notification comes.",
    )
    heartbeat_seconds: float = variable(
        "AGENTIC_HEARTBEAT_SECONDS",
        "15",
        "Seconds of silence after which a stream of events sends a sign of life and looks whether its token holds.",
    )
    max_losses: int = variable(
        "AGENTIC_MAX_LOSSES",
        "3",
        "Times that a run may lose its worker before it ends as worker_lost.",
    )
    unavailable_seconds: float = variable(
        "AGENTIC_UNAVAILABLE_SECONDS",
        "3600",
        "Seconds after which a run whose definition no live worker has ends as definition_unavailable.",
    )
    log_level: str = variable(
        "AGENTIC_LOG_LEVEL",
        "INFO",
        "Least level of log lines written to standard error.",
    )
    data_root: str = variable(
        "AGENTIC_DATA_ROOT",
        ".data",
        "Folder of the embedded database and of `.data/cli.json`; used by `agentic up` and by commands beside it.",
    )
    pg_bin: str = variable(
        "PG_BIN",
        "",
        "Folder of PostgreSQL's programs for the embedded database. Empty: those of the wheel.",
    )
    runtime_directory: str = variable(
        "XDG_RUNTIME_DIR",
        "",
        "Folder for the embedded database's socket. Empty: the folder for temporary files.",
    )
    url: str = variable(
        "AGENTIC_URL",
        "",
        "Where `agentic run` and `cancel` find the API. Empty: what `agentic up` wrote to cli.json.",
    )
    token: str = variable(
        "AGENTIC_TOKEN",
        "",
        "Token for `agentic run` and `cancel`. Empty: what `agentic up` wrote to cli.json.",
    )

    @property
    def direct_url(self) -> str:
        """The URL for LISTEN, migrations and the worker's queue."""
        return self.database_direct_url or self.database_url

    @property
    def has_direct_url(self) -> bool:
        """Whether there is a way past DATABASE_URL: then that is a pooler's, and nothing is prepared there."""
        return self.direct_url != self.database_url

    @classmethod
    def read(cls, environment: Mapping[str, str] | None = None) -> Settings:
        """Settings from the environment (default: this process's). Raises SetupError naming a bad variable."""
        values = os.environ if environment is None else environment
        read: dict[str, Any] = {}
        for setting in fields(cls):
            name = setting.metadata["variable"]
            text = _given(values, name) or setting.metadata["default"]
            try:
                read[setting.name] = READERS[str(setting.type)](text)
            except ValueError as error:
                is_shown = len(text) <= LONGEST_SHOWN and not setting.metadata["is_secret"]
                shown = f"={text!r}" if is_shown else ""
                raise SetupError(f"{name}{shown} cannot be read: {error}") from error
        read["profiles"] = read["profiles"].with_keys(lambda name: _given(values, name))
        return cls(**read)


def _given(values: Mapping[str, str], name: str) -> str:
    """The variable's text, or that of the file which NAME_FILE names, without its last newline; "" for neither."""
    path = values.get(f"{name}_FILE")
    if not path:
        return values.get(name, "")
    if values.get(name):
        raise SetupError(f"{name} and {name}_FILE are both set: remove one.")
    try:
        return Path(path).read_text().rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise SetupError(f"{name}_FILE={path!r} cannot be read: {error}") from error


def _read_bool(text: str) -> bool:
    words = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
    if text.lower() not in words:
        raise ValueError("expected true or false")
    return words[text.lower()]


def _read_names(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


READERS: dict[str, Callable[[str], object]] = {
    "str": str,
    "int": int,
    "float": float,
    "bool": _read_bool,
    "tuple[str, ...]": _read_names,
    "Profiles": read_profiles,
    "Allowed": read_networks,
    "Keys": read_keys,
}
