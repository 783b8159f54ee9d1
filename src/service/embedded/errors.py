"""What can keep the embedded PostgreSQL from running.

EmbeddedError
├── EmbeddedUnavailable   no binaries on this machine
└── AlreadyRunning        another supervisor runs this cluster; carries its URL
"""


class EmbeddedError(Exception):
    """The embedded PostgreSQL could not be started or stopped; the message says what to do."""


class EmbeddedUnavailable(EmbeddedError):
    """No PostgreSQL binaries were found."""


class AlreadyRunning(EmbeddedError):
    """Another process supervises this cluster. `url` is None while that one is still starting or stopping."""

    def __init__(self, message: str, *, url: str | None) -> None:
        super().__init__(message)
        self.url = url
