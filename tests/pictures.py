"""Real files, made here: photos with what phones write into them, papers, sound, film."""

import io
import struct
import zlib
from typing import Any

from PIL import Image

SECRET = b"SECRET-OF-THE-PHONE"
"""Stands wherever a file can say more than its picture; nothing of ours may hold it."""
GPS = {1: "N", 2: (31.0, 13.0, 48.42), 3: "E", 4: (121.0, 28.0, 25.21)}
ORIENTATION, MAKER, GPS_IFD = 0x0112, 0x010F, 0x8825


def picture(width: int = 64, height: int = 48, mode: str = "RGB") -> Image.Image:
    """The left half dark, the right half light: so that turning shows."""
    image = Image.new("L", (width, height), 20)
    image.paste(230, (width // 2, 0, width, height))
    return image.convert(mode)


def encoded(image: Image.Image, format: str = "JPEG", **more: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, format, **more)
    return file.getvalue()


def exif(orientation: int = 1) -> Image.Exif:
    told = Image.Exif()
    told[MAKER] = SECRET.decode()
    told[ORIENTATION] = orientation
    told.get_ifd(GPS_IFD).update(GPS)
    return told


def jpeg(width: int = 64, height: int = 48, *, orientation: int = 1, mode: str = "RGB") -> bytes:
    """As a phone makes it: where, with what, a comment."""
    image = picture(width, height, mode)
    return encoded(image, exif=exif(orientation), comment=SECRET, xmp=SECRET, quality=90)


def png_bomb(width: int = 30_000, height: int = 30_000) -> bytes:
    """A small file of nine hundred million pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    rows = zlib.compress(bytes(1 + width // 8) * 1000, 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def animated(format: str = "WEBP") -> bytes:
    first, second = picture(), picture().rotate(180)
    return encoded(first, format, save_all=True, append_images=[second], duration=100)


def heic() -> bytes:
    return struct.pack(">I", 24) + b"ftypheic" + bytes(4) + b"mif1heic" + bytes(200)


def pdf(text: bytes = b"", tail: bytes = b"") -> bytes:
    body = b"%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\n" + text
    return body + b"trailer<</Root 1 0 R>>\nstartxref\n9\n%%EOF\n" + tail


def mp3(frames: int = 4, tag: bool = True) -> bytes:
    frame = b"\xff\xfb\x90\x00" + bytes(413)  # MPEG 1, layer III, 128 kbit/s, 44.1 kHz
    head = b"ID3\x04\x00\x00" + bytes([0, 0, 0, 20]) + bytes(20) if tag else b""
    return head + frame * frames


def box(kind: bytes, *inside: bytes) -> bytes:
    data = b"".join(inside)
    return struct.pack(">I", 8 + len(data)) + kind + data


def mp4(brand: bytes = b"isom", size: int = 2000) -> bytes:
    """Boxes as a phone writes them, with the place in two of them."""
    where = box(b"udta", box(b"\xa9xyz", b"+31.2301+121.4737/", SECRET))
    track = box(b"trak", box(b"tkhd", bytes(84)), box(b"udta", SECRET))
    moov = box(b"moov", box(b"mvhd", bytes(100)), track, where, box(b"meta", SECRET))
    return box(b"ftyp", brand, bytes(4), brand) + moov + box(b"mdat", b"\x55" * size)
