"""The process that holds a local model: `python -m tasks.llm.local_server MODEL_FILE`.

It is a child of the worker because native code may crash or spin, and neither may take the worker's runs with it.
Prints one line of JSON, `{"url": …, "key": …}`, when it listens on a free loopback port, and ends when its standard
input closes or its parent dies, whichever comes first.
"""

from __future__ import annotations

import ctypes
import json
import os
import secrets
import signal
import sys
from typing import Any

CONTEXT_TOKENS = 4096
PARENT_DEATH_SIGNAL = 1


def main() -> None:
    """Serve until the parent closes our standard input."""
    _end_with_parent()
    key = secrets.token_hex(16)
    server = serve(sys.argv[1], key)
    sys.stdout.write(json.dumps({"url": server.listening_address, "key": key}) + "\n")
    sys.stdout.flush()
    sys.stdin.buffer.read()
    os._exit(0)  # the native threads have no state worth a clean stop, and a stop may hang


def serve(model_file: str, key: str) -> Any:
    """A llama.cpp server for one request at a time, ready when this returns (about half a second).

    One thread each for prompts and generation: more of them wait for each other in spin barriers, four times slower
    on busy cores. No prompt cache in memory beyond the slot's own, which grows by hundreds of megabytes.
    """
    import xllamacpp

    parameters = xllamacpp.CommonParams()
    parameters.model.path = model_file
    parameters.hostnames = ["127.0.0.1"]
    parameters.port = 0
    parameters.api_keys = [key]
    parameters.n_ctx = CONTEXT_TOKENS
    parameters.n_parallel = 1
    parameters.cpuparams.n_threads = 1
    parameters.cpuparams_batch.n_threads = 1
    parameters.cache_ram_mib = 0
    parameters.use_jinja = True
    return xllamacpp.Server(parameters)


def _end_with_parent() -> None:
    """Die by SIGKILL with the parent (Linux), and leave the signals of a terminal or a supervisor to it: it drains."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PARENT_DEATH_SIGNAL, signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


if __name__ == "__main__":
    main()
