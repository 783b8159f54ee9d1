"""Files that a model is shown: on the wire as they are, in the record by reference."""

from __future__ import annotations

import base64
import json
from typing import Any

import msgspec
import pytest

from service.definitions.context import AttachedFile, FileReference
from tasks.llm.attachments import MAX_SHOWN, can_be_shown, shown
from tasks.llm.protocol import Message, Profile, Request
from tests.tasks.llm.provider import Provider, serving
from tests.tasks.llm.wires import ANTHROPIC, OPENAI, WIRES, Wire

SEES = Profile(sees_images=True, sees_pdfs=True)
PHOTO = FileReference(blob_id=1, filename="photo.png", content_type="image/png", size_bytes=4, sha256="a" * 64)
SCAN = FileReference(blob_id=2, filename='sc"an.pdf', content_type="application/pdf", size_bytes=5, sha256="b" * 64)
BYTES = {1: b"\x89PNG", 2: b"%PDF-"}
ASKED = Request(
    messages=(Message(role="system", text="s"), Message(role="user", text="What is it?", attachments=(PHOTO, SCAN)))
)


async def read_file(reference: FileReference) -> bytes:
    return BYTES[reference.blob_id]


def content(provider: Provider) -> list[dict[str, Any]]:
    message: dict[str, Any] = next(each for each in provider.bodies[0]["messages"] if each["role"] == "user")
    return list(message["content"])


def test_files_on_the_openai_wire_come_before_the_question_each_under_its_name() -> None:
    with serving(OPENAI.said()) as provider:
        OPENAI.ask(provider, ASKED, profile=SEES, read_file=read_file)

    name, image, other, document, question = content(provider)
    assert '"photo.png"' in name["text"]
    assert image["image_url"]["url"] == f"data:image/png;base64,{base64.b64encode(BYTES[1]).decode()}"
    assert r'"sc\"an.pdf"' in other["text"]
    assert document["file"]["file_data"].endswith(base64.b64encode(BYTES[2]).decode())
    assert question["text"] == "What is it?"


def test_files_on_the_anthropic_wire_come_before_the_question_each_under_its_name() -> None:
    with serving(ANTHROPIC.said()) as provider:
        ANTHROPIC.ask(provider, ASKED, profile=SEES, read_file=read_file)

    name, image, _, document, question = content(provider)
    assert '"photo.png"' in name["text"]
    assert (image["type"], image["source"]["data"]) == ("image", base64.b64encode(BYTES[1]).decode())
    assert (document["type"], document["source"]["media_type"]) == ("document", "application/pdf")
    assert question["text"] == "What is it?"


@pytest.mark.parametrize("wire", WIRES)
def test_files_that_the_model_does_not_see_are_named_to_it_and_not_read(wire: Wire) -> None:
    async def never(reference: FileReference) -> bytes:
        raise AssertionError(reference)

    with serving(wire.said()) as provider:
        wire.ask(provider, ASKED, profile=Profile(), read_file=never)

    assert "cannot be shown" in json.dumps(content(provider))


def test_record_of_a_message_holds_the_reference_and_no_bytes() -> None:
    recorded = msgspec.json.encode(ASKED.messages[1])

    assert msgspec.json.decode(recorded, type=Message) == ASKED.messages[1]
    assert b"PNG" not in recorded.replace(b"image/png", b"").upper().replace(b"PHOTO.PNG", b"")
    assert b"attachments" not in msgspec.json.encode(ASKED.messages[0])


def test_shown_are_the_files_that_the_profile_sees_in_their_order() -> None:
    files = [
        AttachedFile("a.txt", "text/plain", "hello"),
        AttachedFile(PHOTO.filename, PHOTO.content_type, reference=PHOTO),
        AttachedFile(SCAN.filename, SCAN.content_type, reference=SCAN),
    ]

    assert shown(files, SEES) == (PHOTO, SCAN)
    assert shown(files, Profile(sees_images=True)) == (PHOTO,)
    assert shown(files, Profile(sees_pdfs=True)) == (SCAN,)
    assert shown(files, Profile()) == ()


@pytest.mark.parametrize(
    ("content_type", "size", "left", "already", "fits"),
    [
        ("image/png", 3_900_000, 20_000_000, 0, True),
        ("image/png", 3_900_001, 20_000_000, 0, False),
        ("application/pdf", 20_000_000, 20_000_000, 0, True),
        ("application/pdf", 20_000_001, 20_000_000, 0, False),
        ("image/png", 10, 20_000_000, MAX_SHOWN, False),
        ("text/plain", 10, 20_000_000, 0, False),
        ("image/tiff", 10, 20_000_000, 0, False),
    ],
)
def test_file_can_be_shown_where_it_is_of_a_kind_that_is_seen_and_there_is_room(
    content_type: str, size: int, left: int, already: int, fits: bool
) -> None:
    assert can_be_shown(content_type, size, bytes_left=left, shown_already=already) is fits
