"""Stands in for a model server that fails: `python fragile_server.py FOLDER DEED…`, one deed per question.

A deed is die, hang, hang_deaf (also to its input's end), refuse, garbage, endless or an answer's text. FOLDER counts
the questions over restarts.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

FOLDER = Path(sys.argv[1])
DEEDS = sys.argv[2:]


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        number = len(list(FOLDER.iterdir()))
        (FOLDER / f"{number}-{os.getpid()}").touch()
        self.rfile.read(int(self.headers["Content-Length"]))
        match DEEDS[min(number, len(DEEDS) - 1)]:
            case "die":
                os.abort()
            case "hang" | "hang_deaf":
                threading.Event().wait()
            case "refuse":
                self.reply(400, b'{"error": {"message": "items: schema must be an object"}}')
            case "garbage":
                self.reply(200, b"[1]")
            case "endless":
                self.reply(200, b"x" * 2_000_000)
            case text:
                choice = {"finish_reason": "stop", "message": {"content": text}}
                self.reply(200, json.dumps({"choices": [choice]}).encode())

    def reply(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


if __name__ == "__main__":
    if DEEDS == ["stillborn"]:
        sys.exit(3)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(json.dumps({"url": f"http://127.0.0.1:{server.server_port}", "key": "k"}), flush=True)
    if "hang_deaf" in DEEDS:
        threading.Event().wait()
    sys.stdin.read()
    os._exit(0)
