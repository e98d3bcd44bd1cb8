"""A form with one file, as ``wx.uploadFile`` sends it (wechat.md §1.3), written away while it comes in.

Starlette's own parser reads the whole form before the route is asked; here the route decides first.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header

from dispatch.domain.refusal import Refusal, UploadIncomplete, wrong

FIELD = "file"
WRITTEN_FROM = 256 * 1024
"""Bytes gathered before a thread writes them."""
MOST_PARTS = 40
"""A file and what a client's ``formData`` may add."""


@dataclass(slots=True)
class _Form:
    """What the parser has seen so far."""

    most: int
    too_large: Refusal
    waiting: bytearray = field(default_factory=bytearray)
    size: int = 0
    parts: int = 0
    files: int = 0
    inside: bool = False
    whole: bool = False
    name: bytes = b""
    value: bytes = b""
    headers: dict[bytes, bytes] = field(default_factory=dict)

    def callbacks(self) -> Any:
        """For the parser."""
        return {
            "on_part_begin": self._begun,
            "on_header_field": self._named,
            "on_header_value": self._valued,
            "on_header_end": self._header,
            "on_headers_finished": self._headed,
            "on_part_data": self._data,
            "on_part_end": self._ended,
            "on_end": self._done,
        }

    def _begun(self) -> None:
        self.parts += 1
        self.headers = {}
        if self.parts > MOST_PARTS:
            raise wrong(FIELD, "表单的字段太多")

    def _named(self, data: bytes, start: int, end: int) -> None:
        self.name += data[start:end]

    def _valued(self, data: bytes, start: int, end: int) -> None:
        self.value += data[start:end]

    def _header(self) -> None:
        self.headers[self.name.lower()] = self.value
        self.name = self.value = b""

    def _headed(self) -> None:
        _, options = parse_options_header(self.headers.get(b"content-disposition"))
        self.inside = options.get(b"name") == FIELD.encode()
        self.files += self.inside
        if self.files > 1:
            raise wrong(FIELD, "一次只能上传一个文件")

    def _data(self, data: bytes, start: int, end: int) -> None:
        if not self.inside:
            return
        self.size += end - start
        if self.size > self.most:
            raise self.too_large
        self.waiting += data[start:end]

    def _ended(self) -> None:
        self.inside = False

    def _done(self) -> None:
        self.whole = True


async def received(
    body: AsyncIterator[bytes], content_type: str, file: BinaryIO, *, size: int, too_large: Refusal
) -> str:
    """Write the one file of a form. Returns its SHA-256 in hex.

    Args:
        body: the request as it comes in; not read further once something is wrong.
        size: what was announced, bytes.
        too_large: raised as soon as there are more.

    Raises:
        UploadIncomplete: fewer bytes came.
        ValidationFailed: no form, or no file in it.
    """
    kind, options = parse_options_header(content_type)
    if kind != b"multipart/form-data" or not options.get(b"boundary"):
        raise wrong(FIELD, "请用 multipart/form-data 上传文件")
    form, digest = _Form(size, too_large), hashlib.sha256()

    def write(data: bytes) -> None:
        digest.update(data)
        file.write(data)

    try:
        parser = MultipartParser(options[b"boundary"], form.callbacks())
        async for piece in body:
            parser.write(piece)
            if len(form.waiting) >= WRITTEN_FROM:
                data, form.waiting = bytes(form.waiting), bytearray()
                await asyncio.to_thread(write, data)
        parser.finalize()
    except MultipartParseError:
        raise wrong(FIELD, "请用 multipart/form-data 上传文件") from None
    await asyncio.to_thread(write, bytes(form.waiting))
    if not form.files:
        raise wrong(FIELD, "请选择文件", "MISSING")
    if not form.whole or form.size != size:
        raise UploadIncomplete()
    return digest.hexdigest()
