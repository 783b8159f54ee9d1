"""The child process that turns one document into text: bytes on stdin, one JSON object on stdout.

It is run by path and imports nothing of ours, so that whatever a hostile file does to the PDF library, or a bug in
it, happens to a process that has no secrets, little memory, little time and no part in anything else.
`documents.py` is its only caller; `{"problem": …}` in the answer is one of its reasons.
"""

from __future__ import annotations

import codecs
import json
import re
import resource
import signal
import sys
import time
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any, TypedDict

_WIDE_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
# All control characters but tab and line feed; lone surrogates and the noncharacters that pdfium puts for hyphens.
_UNWANTED = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufeff\ufffe\uffff]")
_LINE_ENDS = re.compile("\r\n?|[\x0b\x0c\x85\u2028\u2029]")
_ENCODING_SAMPLE_BYTES = 256 * 1024
_WESTERN, _CENTRAL_EUROPEAN = "cp1252", "cp1250"
# Encodings that files are still written in. With all that exist allowed, "größe" is taken for Urdu (cp1006).
_LEGACY_ENCODINGS = [
    *(_WESTERN, _CENTRAL_EUROPEAN, "cp1251", "cp1253", "cp1254", "cp1255", "cp1256", "koi8_r"),
    *("shift_jis", "euc_jp", "iso2022_jp", "gb18030", "big5", "cp949"),
]
# Signs inside words: what Polish ą, ł, ż, Ł, Ą and Czech ľ look like when read as Windows Western.
_NOT_WESTERN = re.compile("[^\\W\\d_][¹³¿£¥¾]|[³¿£][^\\W\\d_]")
_HTML_CHARSET = re.compile(rb"<meta[^>]{0,200}charset=[\"'\s]*([\w-]{2,40})", re.IGNORECASE)
_HTML_HEAD_BYTES = 4096
_SPACE = re.compile(r"\s+")
_SILENT = frozenset({"script", "style", "noscript", "template", "svg", "math", "object", "iframe", "title"})
_BLOCKS = frozenset(
    {"address", "article", "aside", "blockquote", "body", "br", "caption", "dd", "details", "dialog", "div", "dl", "dt"}
    | {"fieldset", "figcaption", "figure", "footer", "form", "h1", "h2", "h3", "h4", "h5", "h6", "header", "hr", "li"}
    | {"main", "nav", "ol", "option", "p", "pre", "section", "summary", "table", "tbody", "tfoot", "thead", "tr", "ul"}
)
_TOLD_METAS = ("description", "og:title", "product:")
_MACHINE_DATA = "application/ld+json"
_LEFT_OUT_OF_PRODUCTS = frozenset({"review", "reviews", "isRelatedTo", "isSimilarTo", "@context"})
PRODUCT_DATA = "Product data that the page carries for machines:"
"""The line above a page's schema.org products, one of them a line."""

# A cut goes to the last line end, if that loses at most this share of the text.
_LINE_CUT_SHARE = 0.1


class Limits(TypedDict):
    memory_bytes: int
    seconds: float
    max_pages: int
    max_characters: int


class Answer(TypedDict, total=False):
    text: str
    characters: int
    pages: int
    pages_read: int
    problem: str


def main() -> None:
    content_type, limits = sys.argv[1], json.loads(sys.argv[2])
    _confine(limits)
    try:
        answer = _answer(content_type, sys.stdin.buffer.read(), limits)
    except MemoryError:
        answer = {"problem": "too_large"}
    sys.stdout.buffer.write(json.dumps(answer, ensure_ascii=False).encode())


def _answer(content_type: str, data: bytes, limits: Limits) -> Answer:
    # The parent kills us at its limit; if the parent is gone by then, the alarm does, even inside native code.
    signal.alarm(int(limits["seconds"]) + 2)
    if not data:
        return {"problem": "empty"}
    kind, _, parameters = content_type.partition(";")
    if kind == "application/pdf":
        answer = _read_pdf(data, limits)
    elif kind in ("text/html", "application/xhtml+xml"):
        answer = _read_html(data, parameters)
    else:
        answer = _read_text(data)
    if "text" in answer:
        answer["characters"] = len(answer["text"])
        answer["text"] = _cut(answer["text"], limits["max_characters"])
    return answer


def _confine(limits: Limits) -> None:
    """No core dump, no file written, bounded memory and processor time."""
    seconds = int(limits["seconds"]) + 2
    for what, value in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_AS, limits["memory_bytes"]),
        (resource.RLIMIT_CPU, seconds),
    ):
        hard = resource.getrlimit(what)[1]
        allowed = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(what, (allowed, allowed))


def _read_pdf(data: bytes, limits: Limits) -> Answer:
    import pypdfium2
    from pypdfium2.raw import FPDF_ERR_PASSWORD, FPDF_ERR_SECURITY

    try:
        document = pypdfium2.PdfDocument(data)
        page_count = len(document)
    except pypdfium2.PdfiumError as error:
        encrypted = getattr(error, "err_code", None) in (FPDF_ERR_PASSWORD, FPDF_ERR_SECURITY)
        return {"problem": "encrypted" if encrypted else "broken"}
    if page_count == 0:
        return {"problem": "broken"}
    texts, unreadable = _read_pages(document, page_count, limits)
    if unreadable == len(texts):
        return {"problem": "broken"}
    text = "\n\n".join(text for text in texts if text)
    if not text:
        return {"problem": "no_text"}
    return {"text": text, "pages": page_count, "pages_read": len(texts)}


def _read_pages(document: Any, page_count: int, limits: Limits) -> tuple[list[str], int]:
    """The text of each page in turn, until a cap is reached or half the time is gone, and how many were unreadable."""
    from pypdfium2 import PdfiumError

    stop_at = time.monotonic() + limits["seconds"] / 2
    texts: list[str] = []
    characters = unreadable = 0
    for index in range(min(page_count, limits["max_pages"])):
        try:
            page = document[index]
            text = _clean(page.get_textpage().get_text_bounded()).strip()
            page.close()
        except PdfiumError:
            text, unreadable = "", unreadable + 1
        texts.append(text)
        characters += len(text)
        if characters > limits["max_characters"] or time.monotonic() > stop_at:
            break
    return texts, unreadable


def _read_text(data: bytes) -> Answer:
    text = _clean(_decode(data)).strip()
    return {"text": text} if text else {"problem": "empty"}


def _read_html(data: bytes, parameters: str) -> Answer:
    """A page as somebody reads it, after what it says of itself for machines: a cut takes the page's end."""
    page = _Page()
    page.feed(_decode_html(data, parameters))
    page.close()
    products = [json.dumps(product, ensure_ascii=False) for script in page.scripts for product in _products(script)]
    parts = [f"Title: {page.title.strip()}" if page.title.strip() else "", *page.metas]
    parts += ["\n".join([PRODUCT_DATA, *dict.fromkeys(products)])] if products else []
    text = _clean("\n\n".join(part for part in (*parts, page.text()) if part)).strip()
    return {"text": text} if text else {"problem": "empty"}


class _Page(HTMLParser):
    """The words of a page in their order; its title, what its head says of a product, its blocks of machine data."""

    def __init__(self) -> None:
        super().__init__()
        self.title = ""
        self.metas: list[str] = []
        self.scripts: list[str] = []
        self._words: list[str] = []
        self._silent: list[str] = []
        self._is_machine_data = False

    def text(self) -> str:
        """What is shown, a block a line, without empty lines."""
        lines = (_SPACE.sub(" ", line).strip(" |") for line in "".join(self._words).split("\n"))
        return "\n".join(line for line in lines if line)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag in _SILENT:
            self._silent.append(tag)
            self._is_machine_data = tag == "script" and given.get("type", "").strip().lower() == _MACHINE_DATA
            self.scripts += [""] if self._is_machine_data else []
        elif tag == "meta" and "itemprop" not in given:
            self._told(given.get("name") or given.get("property") or "", given.get("content", ""))
        elif given.get("itemprop") and given.get("content"):
            self._words.append(f"\n{given['itemprop']}: {given['content']}\n")
        self._separate(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in self._silent:
            del self._silent[self._silent.index(tag) :]
            self._is_machine_data = False
        self._separate(tag)

    def handle_data(self, data: str) -> None:
        if self._is_machine_data:
            self.scripts[-1] += data
        elif self._silent[-1:] == ["title"]:
            self.title = self.title or _SPACE.sub(" ", data)
        elif not self._silent:
            self._words.append(_SPACE.sub(" ", data))

    def _told(self, name: str, content: str) -> None:
        if content.strip() and name.lower().startswith(_TOLD_METAS):
            self.metas.append(f"{name}: {_SPACE.sub(' ', content).strip()}")

    def _separate(self, tag: str) -> None:
        if tag in _BLOCKS:
            self._words.append("\n")
        elif tag in ("td", "th"):
            self._words.append(" | ")


def _products(script: str) -> Iterator[dict[str, Any]]:
    """The schema.org products in a block of JSON-LD, outermost ones first; none where it is no JSON."""
    try:
        waiting = [json.loads(script)]
    except (ValueError, RecursionError):
        return
    while waiting:
        part = waiting.pop(0)
        if isinstance(part, list):
            waiting += part
        elif isinstance(part, dict):
            types = part.get("@type")
            if any("Product" in str(name) for name in (types if isinstance(types, list) else [types])):
                yield {key: value for key, value in part.items() if key not in _LEFT_OUT_OF_PRODUCTS}
            else:
                waiting += part.values()


def _decode_html(data: bytes, parameters: str) -> str:
    """By its mark, else by the charset that the server, else the page itself, names."""
    told = re.search(r"charset=[\"'\s]*([\w-]+)", parameters, re.IGNORECASE)
    written = _HTML_CHARSET.search(data[:_HTML_HEAD_BYTES])
    name = told[1] if told else written[1].decode() if written else ""
    if name and not data.startswith(tuple(_WIDE_MARKS)):
        try:
            return data.decode(_WESTERN if name.lower() in ("iso-8859-1", "latin1") else name, errors="replace")
        except LookupError:
            pass
    return _decode(data)


def _decode(data: bytes) -> str:
    for mark, codec in _WIDE_MARKS.items():
        if data.startswith(mark):
            return data.decode(codec, errors="replace")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return _decode_legacy(data)


def _decode_legacy(data: bytes) -> str:
    """Judged by a sample: over 25 MB the detector takes minutes. What it cannot name is read as Windows Western."""
    from charset_normalizer import from_bytes

    sample = data[:_ENCODING_SAMPLE_BYTES]
    best = from_bytes(sample, cp_isolation=_LEGACY_ENCODINGS).best()
    encoding = best.encoding if best else _WESTERN
    # The two share most letters and the detector leans to the latter: it reads "año" as "ańo".
    if encoding == _CENTRAL_EUROPEAN and not _NOT_WESTERN.search(sample.decode(_WESTERN, errors="replace")):
        encoding = _WESTERN
    return data.decode(encoding, errors="replace")


def _clean(text: str) -> str:
    return _UNWANTED.sub("", _LINE_ENDS.sub("\n", text))


def _cut(text: str, max_characters: int) -> str:
    if len(text) <= max_characters:
        return text
    line_end = text.rfind("\n", int(max_characters * (1 - _LINE_CUT_SHARE)), max_characters)
    return text[: line_end if line_end > 0 else max_characters]


if __name__ == "__main__":
    main()
