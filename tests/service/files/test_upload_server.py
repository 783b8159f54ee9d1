"""Uploads over real sockets into a server of its own process: memory stays flat, and lost clients leave nothing."""

from __future__ import annotations

import hashlib
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

HEAD = b'--XX\r\nContent-Disposition: form-data; name="files[]"; filename="a.txt"\r\n\r\n'
TAIL = b"\r\n--XX--\r\n"
PIECE = bytes(range(256)) * 4096


class Server:
    """One server process, looked at through /proc."""

    def __init__(self, address: tuple[str, int], pid: int) -> None:
        self.address, self.proc = address, Path("/proc") / str(pid)

    def send(self, length: int, pieces: Iterable[bytes]) -> socket.socket:
        """An open connection on which a form was announced and the pieces were sent."""
        client = socket.create_connection(self.address, timeout=30)
        client.sendall(
            b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
            b"Content-Type: multipart/form-data; boundary=XX\r\nContent-Length: %d\r\n\r\n" % length
        )
        for piece in pieces:
            client.sendall(piece)
        return client

    def upload(self, megabytes: int) -> bytes:
        length = len(HEAD) + len(PIECE) * megabytes + len(TAIL)
        return answer(self.send(length, (HEAD, *[PIECE] * megabytes, TAIL)))

    def peak_bytes(self) -> int:
        (line,) = [line for line in (self.proc / "status").read_text().splitlines() if line.startswith("VmHWM")]
        return int(line.split()[1]) * 1024

    def spooled_files(self) -> int:
        targets = []
        for link in (self.proc / "fd").iterdir():
            with suppress(FileNotFoundError):  # closed since it was listed
                targets.append(str(link.readlink()))
        return sum(target.endswith("(deleted)") for target in targets)


def answer(client: socket.socket) -> bytes:
    with client:
        received = b""
        while piece := client.recv(65_536):
            received += piece
        return received


def digest(megabytes: int) -> str:
    hashed = hashlib.sha256()
    for _ in range(megabytes):
        hashed.update(PIECE)
    return hashed.hexdigest()


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        command = [sys.executable, "-m", "tests.service.files.upload_server", str(listening.fileno())]
        quiet = subprocess.DEVNULL  # what pytest captures with are deleted files as well
        process = subprocess.Popen(command, pass_fds=[listening.fileno()], stdout=quiet, stderr=quiet)
        try:
            yield Server(listening.getsockname(), process.pid)
        finally:
            process.terminate()
            process.wait(20)


def test_upload_when_a_file_has_200_megabytes_then_memory_stays_flat(server: Server) -> None:
    server.upload(4)
    before = server.peak_bytes()
    received = server.upload(200)
    assert digest(200).encode() in received
    assert server.peak_bytes() - before < 16 * 1024 * 1024
    wait_until(lambda: server.spooled_files() == 0)


@pytest.mark.parametrize("ending", [socket.SHUT_WR, socket.SHUT_RDWR])
def test_upload_when_the_client_goes_half_way_then_its_file_is_closed(server: Server, ending: int) -> None:
    client = server.send(50_000_000, (HEAD, *[PIECE] * 5))
    with client:
        wait_until(lambda: server.spooled_files() == 1)
        client.shutdown(ending)
        wait_until(lambda: server.spooled_files() == 0)
    assert server.upload(1).startswith(b"HTTP/1.1 201")


def test_upload_when_the_form_ends_before_it_is_complete_then_400(server: Server) -> None:
    received = answer(server.send(len(HEAD) + 10, (HEAD, b"0123456789")))
    assert received.startswith(b"HTTP/1.1 400")
    assert b"malformed or was cut off" in received


def test_upload_when_the_announced_length_is_too_large_then_413_before_any_of_it_is_sent(server: Server) -> None:
    received = answer(server.send(400_000_000, ()))
    assert received.startswith(b"HTTP/1.1 413")
    assert b'"code"' not in received
    assert b"payload_too_large" in received
