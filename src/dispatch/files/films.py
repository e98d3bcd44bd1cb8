"""What a phone writes into a film or a recording beside picture and sound: place, device, owner. It is blanked.

Such notes stand in boxes of their own (ISO/IEC 14496-12 §8.10: ``udta``, ``meta``, ``uuid``). A box is turned into
``free`` space of the same length, so that nothing else in the file moves.
"""

from collections.abc import Iterator
from typing import BinaryIO

from dispatch.domain.refusal import AttachmentBroken

NOTES = frozenset({b"udta", b"meta", b"uuid"})
HOLDING = frozenset({b"moov", b"trak", b"mdia", b"minf", b"edts"})
MOST_BOXES, DEEPEST = 10_000, 8
PIECE = 64 * 1024


def blank(file: BinaryIO) -> None:
    """Blank the notes of an MP4, in place.

    Raises:
        AttachmentBroken: its boxes do not add up, or it has no film or sound in it.
    """
    end = file.seek(0, 2)
    kinds = set()
    for place, header, length, kind in _boxes(file, 0, end, [MOST_BOXES], DEEPEST):
        kinds.add(kind)
        if kind in NOTES:
            file.seek(place + 4)
            file.write(b"free")
            file.seek(place + header)
            left = length - header
            while left:
                left -= file.write(bytes(min(left, PIECE)))
    if not {b"ftyp", b"moov"} <= kinds:
        raise AttachmentBroken()


def _boxes(
    file: BinaryIO, start: int, end: int, left: list[int], levels: int
) -> Iterator[tuple[int, int, int, bytes]]:
    """(place, length of the header, length, kind) of every box, those inside others too."""
    while start < end:
        left[0] -= 1
        file.seek(start)
        head = file.read(16)
        length, kind, header = int.from_bytes(head[:4]), head[4:8], 8
        if length == 1:
            length, header = int.from_bytes(head[8:16]), 16
        elif length == 0:
            length = end - start
        if left[0] < 0 or not levels or len(head) < 8 or length < header or start + length > end:
            raise AttachmentBroken()
        yield start, header, length, kind
        if kind in HOLDING:
            yield from _boxes(file, start + header, start + length, left, levels - 1)
        start += length
