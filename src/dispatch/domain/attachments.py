"""Photos, papers, sound and film that hang on orders: what is taken, how much of it, and for how long it waits."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from enum import StrEnum
from uuid import UUID

from dispatch.domain.people import Role
from dispatch.domain.refusal import (
    AttachmentTooLarge,
    AttachmentTypeUnknown,
    HeicUnsupported,
    Refusal,
    TooManyAttachments,
)


class FileKind(StrEnum):
    """What a file is to people."""

    PHOTO = "photo"
    DOCUMENT = "document"
    AUDIO = "audio"
    VIDEO = "video"


class FileState(StrEnum):
    """How far a file is. ``gone``: nobody reads it any more, and its bytes are about to be taken off the disk."""

    PENDING = "pending"
    READY = "ready"
    FAILED = "failed"
    GONE = "gone"


class Use(StrEnum):
    """What a file was handed in with: a move, or a request."""

    SUBMIT = "submit"
    SUPPLEMENT = "supplement"
    PROGRESS = "progress"
    FINISH = "finish"
    RATE = "rate"
    REQUEST = "request"


MIMES: Mapping[FileKind, tuple[str, ...]] = {
    FileKind.PHOTO: ("image/jpeg", "image/png", "image/webp"),
    FileKind.DOCUMENT: ("application/pdf",),
    FileKind.AUDIO: ("audio/mpeg", "audio/mp4"),
    FileKind.VIDEO: ("video/mp4",),
}
"""What is taken of each kind; a photo is kept as a JPEG, whatever it came as."""
ENDINGS: Mapping[str, str] = {
    "image/jpeg": "jpg",
    "application/pdf": "pdf",
    "audio/mpeg": "mp3",
    "audio/mp4": "m4a",
    "video/mp4": "mp4",
}
"""What a kept file is called at the end, by its type."""
HEIC = frozenset({"image/heic", "image/heif", "image/heic-sequence", "image/heif-sequence"})

MIB = 1024 * 1024
LARGEST: Mapping[FileKind, int] = {
    FileKind.PHOTO: 10 * MIB,
    FileKind.DOCUMENT: 20 * MIB,
    FileKind.AUDIO: 10 * MIB,
    FileKind.VIDEO: 50 * MIB,
}
"""Bytes. Photos 10 MB (what WeChat's content check takes) and films 50 MB: wechat.md §3.6. Papers and sound: ours."""
AROUND = 64 * 1024
"""Bytes that a form may add around its file: boundaries, headers, ``formData``."""

PHOTOS_OF_A_RESIDENT = 9
"""Photos with one move of somebody at home: what a mini-program lets one choose at once (wechat.md §3.6)."""
MOST_AT_ONCE = 20
"""Files with one move of anybody (the same)."""
MOST_UNUSED = 60
"""Files of one account that hang on nothing yet: three moves' worth. A brake; two at the same instant may pass it."""

UPLOAD_WAITS = timedelta(hours=24)
"""A file that was announced may be sent until then, then it is forgotten."""
UNUSED_WAITS = timedelta(days=7)
"""A file that was sent and handed in with nothing is kept so long: an order may be written without a network for days
(wechat.md §3.2 keeps the keys of submissions as long)."""

AT_HOME = frozenset({Role.RESIDENT, Role.AGENT})
"""Who files from home; whoever serves shows more."""


def announcing_refusal(kind: FileKind, mime: str, size: int) -> Refusal | None:
    """Why a file is not even asked for; None if it may be sent."""
    if mime not in MIMES[kind]:
        return HeicUnsupported() if mime in HEIC else AttachmentTypeUnknown()
    most = LARGEST[kind]
    return AttachmentTooLarge(limit_bytes=most, limit_mb=most // MIB) if size > most else None


def handing_in(ids: Sequence[UUID], role: Role | None) -> list[UUID]:
    """The files that come with a move, each once.

    Raises:
        TooManyAttachments: more than somebody of this role hands in at once.
    """
    once = list(dict.fromkeys(ids))
    most = PHOTOS_OF_A_RESIDENT if role in AT_HOME else MOST_AT_ONCE
    if len(once) > most:
        raise TooManyAttachments(most=most)
    return once
