"""Photos, decoded and drawn again: what a phone writes beside the picture (place, device, time) does not survive it.

Whatever comes as JPEG, PNG or WebP leaves as a JPEG, upright, of at most ``LONGEST`` pixels; so does the tail of
a file that is two things at once. Recipe: libraries.md §19.
"""

import io
from typing import BinaryIO

import structlog
from PIL import Image, ImageOps, UnidentifiedImageError

from dispatch.domain.refusal import AttachmentBroken, AttachmentTypeUnknown, HeicUnsupported, Refusal
from dispatch.files.sniffing import is_heic

log = structlog.get_logger(__name__)

READ = ("JPEG", "PNG", "WEBP")
MOST_PIXELS = {"JPEG": 50_000_000, "PNG": 24_000_000, "WEBP": 24_000_000}
"""Of a photo, asked before anything is decoded: the cameras of phones make JPEGs of 12 to 50 million, which are decoded
at a part of their size; screens have fewer than 10, and are decoded whole, four bytes each."""
LONGEST = 2560
"""Longest side as kept, pixels: a page of A4 stays readable."""
LONGEST_PREVIEW = 480
QUALITY, PREVIEW_QUALITY = 85, 75
PAPER = (255, 255, 255)

# Pillow warns from here on and refuses from twice of it on; we ask for the size ourselves.
Image.MAX_IMAGE_PIXELS = max(MOST_PIXELS.values())


class Drawn:
    """A photo as it is kept, and a small one of it; JPEG, from their beginning."""

    def __init__(self, picture: Image.Image) -> None:
        self.width, self.height = picture.size
        self.picture = _written(picture, QUALITY)
        picture.thumbnail((LONGEST_PREVIEW, LONGEST_PREVIEW))
        self.preview = _written(picture, PREVIEW_QUALITY)


def drawn(file: BinaryIO) -> Drawn:
    """Draw a photo again.

    Raises:
        HeicUnsupported, AttachmentTypeUnknown: it is none of ``READ``.
        AttachmentBroken: it cannot be decoded, or has too many pixels.
    """
    file.seek(0)
    if is_heic(file.read(64)):
        raise HeicUnsupported()
    file.seek(0)
    try:
        with Image.open(file, formats=READ) as image:
            if image.width * image.height > MOST_PIXELS[str(image.format)]:
                raise AttachmentBroken(why="too_many_pixels")
            # A JPEG is decoded at a half, a quarter or an eighth where that is enough.
            image.draft("RGB", (LONGEST, LONGEST))
            return Drawn(_upright(image))
    except Refusal:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise AttachmentBroken(why="too_many_pixels") from None
    except UnidentifiedImageError:
        raise AttachmentTypeUnknown() from None
    except Exception as error:
        # A decoder says in many ways, by format and place, that a file is cut off or made up.
        log.info("files.unreadable", error=type(error).__name__)
        raise AttachmentBroken() from None


def _upright(image: Image.Image) -> Image.Image:
    """The first frame, as it is meant to be looked at, in RGB on white."""
    turned = ImageOps.exif_transpose(image)
    turned.thumbnail((LONGEST, LONGEST))
    if turned.has_transparency_data:
        whole = turned.convert("RGBA")
        paper = Image.new("RGB", whole.size, PAPER)
        paper.paste(whole, mask=whole.getchannel("A"))
        return paper
    return turned.convert("RGB")


def _written(picture: Image.Image, quality: int) -> io.BytesIO:
    """A JPEG with nothing but the picture: no EXIF, XMP, comment, colour profile."""
    bare = Image.new("RGB", picture.size)
    bare.paste(picture)
    written = io.BytesIO()
    bare.save(written, "JPEG", quality=quality, optimize=True)
    written.seek(0)
    return written
