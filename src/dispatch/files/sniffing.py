"""What a file is by its first bytes, whatever it is said to be: PDF, MP3, MP4. Photos are decoded instead."""

import os
from typing import BinaryIO

from dispatch.domain.attachments import FileKind
from dispatch.domain.refusal import AttachmentBroken, AttachmentTypeUnknown

FILM_BRANDS = frozenset(
    {b"isom", b"iso2", b"iso4", b"iso5", b"iso6", b"mp41", b"mp42", b"avc1", b"M4V ", b"MSNV"}
)
SOUND_BRANDS = frozenset({b"M4A ", b"M4B "}) | FILM_BRANDS
HEIC_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"})
"""Brands of ISO/IEC 14496-12 §4.3, as mp4ra.org lists them."""
TAIL = 66_000
"""Bytes at the end of a file in which a ZIP's directory ends (22 and a comment of at most 65,535)."""
ZIP_END = b"PK\x05\x06"


def is_heic(head: bytes) -> bool:
    """Whether a file begins as a photo of newer iPhones does."""
    return head[4:8] == b"ftyp" and head[8:12] in HEIC_BRANDS


def mime_of(file: BinaryIO, kind: FileKind) -> str:
    """What a paper, sound or film is.

    Raises:
        AttachmentTypeUnknown: nothing that is taken as this kind.
        AttachmentBroken: it begins well and is cut off, or is something else besides.
    """
    head, tail = _ends(file)
    if kind is FileKind.DOCUMENT and head.startswith(b"%PDF-"):
        if b"%%EOF" not in tail[-1024:]:
            raise AttachmentBroken()
        # A PDF may carry a ZIP (a JAR, an Office file) that other programs open: such a file is two things.
        if ZIP_END in tail or tail.rsplit(b"%%EOF", 1)[1].strip(b"\r\n\t \0"):
            raise AttachmentBroken(why="not_alone")
        return "application/pdf"
    brand = head[8:12] if head[4:8] == b"ftyp" else b""
    if kind is FileKind.VIDEO and brand in FILM_BRANDS:
        return "video/mp4"
    if kind is FileKind.AUDIO and brand in SOUND_BRANDS:
        return "audio/mp4"
    if kind is FileKind.AUDIO and _is_mp3(file, head):
        return "audio/mpeg"
    raise AttachmentTypeUnknown()


def _ends(file: BinaryIO) -> tuple[bytes, bytes]:
    file.seek(0)
    head = file.read(16)
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - TAIL))
    return head, file.read()


def _is_mp3(file: BinaryIO, head: bytes) -> bool:
    """Whether the first frame of MPEG audio, layer III, stands at the beginning or behind an ID3v2 tag."""
    start = 0
    if head.startswith(b"ID3") and len(head) >= 10:
        a, b, c, d = head[6:10]  # four times seven bits (id3.org, ID3v2.4 §3.1)
        start = 10 + (a << 21 | b << 14 | c << 7 | d)
    file.seek(start)
    frame = file.read(3)
    return (
        len(frame) == 3
        and frame[0] == 0xFF
        and frame[1] & 0xE6 == 0xE2  # eleven bits of sync, layer III
        and frame[1] & 0x18 != 0x08  # a version that exists
        and frame[2] & 0xF0 not in (0x00, 0xF0)  # a bit rate
        and frame[2] & 0x0C != 0x0C  # a sampling rate
    )
