"""The PostgreSQL that `agentic up` and the tests bring along: binaries from a wheel, run as a child of ours.

Standard library only, and nothing here is imported when DATABASE_URL is set. The wheel's own server helper is never
called: run by root it creates an account on the host and opens every parent directory of the data, and after a crash
it takes a dead process for a running server.
"""

from service.embedded.binaries import find_binaries
from service.embedded.cluster import Cluster, attach, default_data_root
from service.embedded.errors import AlreadyRunning, EmbeddedError, EmbeddedUnavailable

__all__ = [
    "AlreadyRunning",
    "Cluster",
    "EmbeddedError",
    "EmbeddedUnavailable",
    "attach",
    "default_data_root",
    "find_binaries",
]
