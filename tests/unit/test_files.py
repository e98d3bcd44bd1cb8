"""What is made of files from outside: real bytes, made here."""

import asyncio
import contextlib
import hashlib
import io
import os
import resource
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from dispatch.domain.attachments import FileKind
from dispatch.domain.refusal import (
    AttachmentBroken,
    AttachmentTypeUnknown,
    BodyTooLarge,
    HeicUnsupported,
    Refusal,
    StorageFull,
    UploadIncomplete,
    ValidationFailed,
)
from dispatch.files import copies, films, pictures, sniffing, store
from dispatch.files.incoming import received
from dispatch.files.store import Store
from tests.pictures import SECRET, animated, encoded, heic, jpeg, mp3, mp4, pdf, picture, png_bomb


def drawn(data: bytes) -> Image.Image:
    photo = pictures.drawn(io.BytesIO(data))
    for written in (photo.picture, photo.preview):
        told = written.getvalue()
        assert SECRET not in told
        image = Image.open(io.BytesIO(told))
        assert (image.format, image.mode, dict(image.getexif())) == ("JPEG", "RGB", {})
        assert not {"exif", "comment", "xmp", "icc_profile", "photoshop"} & set(image.info)
    image = Image.open(photo.picture)
    assert image.size == (photo.width, photo.height)
    return image


def shade(image: Image.Image, x: float, y: float) -> int:
    return image.convert("L").getpixel((int(image.width * x), int(image.height * y)))


DARK_SIDE = {
    1: (0.2, 0.5),
    2: (0.8, 0.5),
    3: (0.8, 0.5),
    4: (0.2, 0.5),
    5: (0.5, 0.2),
    6: (0.5, 0.2),
    7: (0.5, 0.8),
    8: (0.5, 0.8),
}
"""Where the dark half of ``picture`` is to be seen, by the orientation that the file claims (EXIF 2.3, tag 274)."""


@pytest.mark.parametrize("orientation", DARK_SIDE)
def test_a_photo_stands_upright_whichever_way_the_phone_was_held(orientation: int):
    image = drawn(jpeg(orientation=orientation))
    x, y = DARK_SIDE[orientation]
    assert shade(image, x, y) < 60 < 180 < shade(image, 1 - x, 1 - y)
    assert image.size == ((64, 48) if orientation < 5 else (48, 64))


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(jpeg(mode="CMYK"), id="cmyk"),
        pytest.param(jpeg(mode="L"), id="grey"),
        pytest.param(encoded(picture(), "JPEG", progressive=True), id="progressive"),
        pytest.param(encoded(picture(), "PNG"), id="png"),
        pytest.param(encoded(picture().convert("P"), "PNG"), id="palette"),
        pytest.param(encoded(picture(mode="1"), "PNG"), id="bits"),
        pytest.param(encoded(picture(mode="I;16"), "PNG"), id="sixteen bits"),
        pytest.param(encoded(picture(), "WEBP", lossless=True), id="webp"),
        pytest.param(animated("WEBP"), id="animated webp"),
        pytest.param(animated("PNG"), id="animated png"),
        pytest.param(jpeg() + pdf(), id="a pdf behind it"),
        pytest.param(jpeg() + b"PK\x03\x04<script>alert(1)</script>" + SECRET, id="a page behind it"),
    ],
)
def test_133_what_phones_and_strangers_send_is_drawn_anew_or_refused(data: bytes):
    """Peers' 133: CMYK, grey, palette, sixteen bits, animated (the first frame), two things at once."""
    image = drawn(data)
    assert image.size == (64, 48)
    assert b"PK\x03\x04" not in pictures.drawn(io.BytesIO(data)).picture.getvalue()


def test_133_dark_and_light_stay_where_they_are_in_every_colour_space():
    for mode in ("CMYK", "L", "RGB"):
        image = drawn(jpeg(mode=mode))
        assert shade(image, 0.2, 0.5) < 60 < 180 < shade(image, 0.8, 0.5), mode
    first = drawn(animated("WEBP"))
    assert shade(first, 0.2, 0.5) < 60


def test_what_can_be_seen_through_is_put_on_white():
    image = drawn(encoded(Image.new("RGBA", (40, 40), (0, 0, 0, 0)), "PNG"))
    assert shade(image, 0.5, 0.5) > 250


@pytest.mark.parametrize(
    ("data", "refusal", "why"),
    [
        pytest.param(heic(), HeicUnsupported, None, id="heic"),
        pytest.param(png_bomb(), AttachmentBroken, "too_many_pixels", id="bomb"),
        pytest.param(png_bomb(5000, 4900), AttachmentBroken, "too_many_pixels", id="just too many"),
        pytest.param(jpeg(400, 300)[:-600], AttachmentBroken, "unreadable", id="cut off"),
        pytest.param(b"", AttachmentTypeUnknown, None, id="nothing"),
        pytest.param(pdf(), AttachmentTypeUnknown, None, id="pdf"),
        pytest.param(encoded(picture(), "GIF"), AttachmentTypeUnknown, None, id="gif"),
        pytest.param(encoded(picture(), "TIFF"), AttachmentTypeUnknown, None, id="tiff"),
        pytest.param(b"<svg xmlns='http://www.w3.org/2000/svg'/>", AttachmentTypeUnknown, None, id="svg"),
        pytest.param(b"MZ" + bytes(500), AttachmentTypeUnknown, None, id="program"),
    ],
)
def test_133_what_is_no_photo_is_refused_with_a_sentence(
    data: bytes, refusal: type[Refusal], why: str | None
):
    with pytest.raises(refusal) as told:
        pictures.drawn(io.BytesIO(data))
    assert told.value.public.get("why") == why
    assert told.value.text


def test_a_large_photo_of_a_phone_becomes_one_that_a_phone_shows_and_memory_stays_within_bounds():
    image = picture(8160, 6120)  # fifty million pixels
    data = encoded(image, quality=60)
    del image
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert drawn(data).size == (2560, 1920)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert grown < 200  # MiB


@settings(max_examples=150, deadline=None)
@given(cut=st.integers(0, 3000), at=st.integers(0, 3000), noise=st.binary(max_size=40))
def test_no_damage_makes_more_than_a_refusal(cut: int, at: int, noise: bytes):
    data = jpeg(90, 70)
    hurt = data[: at % len(data)] + noise + data[at % len(data) + cut % 50 :]
    with contextlib.suppress(AttachmentBroken, AttachmentTypeUnknown):
        drawn(hurt)


@pytest.mark.parametrize(
    ("kind", "data", "mime"),
    [
        (FileKind.DOCUMENT, pdf(), "application/pdf"),
        (FileKind.AUDIO, mp3(), "audio/mpeg"),
        (FileKind.AUDIO, mp3(tag=False), "audio/mpeg"),
        (FileKind.AUDIO, mp4(b"M4A "), "audio/mp4"),
        (FileKind.VIDEO, mp4(), "video/mp4"),
        (FileKind.VIDEO, mp4(b"mp42"), "video/mp4"),
        (FileKind.DOCUMENT, jpeg(), None),
        (FileKind.DOCUMENT, b"<html>" + pdf(), None),
        (FileKind.DOCUMENT, mp4(), None),
        (FileKind.DOCUMENT, pdf()[:30], "broken"),
        (FileKind.DOCUMENT, pdf(tail=b"<script>alert(1)</script>"), "not_alone"),
        (FileKind.DOCUMENT, pdf(text=b"PK\x05\x06" + bytes(18)), "not_alone"),
        (FileKind.AUDIO, pdf(), None),
        (FileKind.AUDIO, b"ID3\x04\x00\x00\x00\x00\x00\x05hello, no frame", None),
        (FileKind.AUDIO, b"\xff\xd8\xff\xe0" + bytes(400), None),
        (FileKind.VIDEO, heic(), None),
        (FileKind.VIDEO, mp3(), None),
        (FileKind.VIDEO, b"", None),
    ],
)
def test_papers_sound_and_film_are_known_by_their_bytes(kind: FileKind, data: bytes, mime: str | None):
    file = io.BytesIO(data)
    if mime is None:
        with pytest.raises(AttachmentTypeUnknown):
            sniffing.mime_of(file, kind)
    elif "/" not in mime:
        with pytest.raises(AttachmentBroken):
            sniffing.mime_of(file, kind)
    else:
        assert sniffing.mime_of(file, kind) == mime


def test_the_notes_of_a_film_are_blanked_and_nothing_moves():
    data = mp4()
    assert data.count(SECRET) == 3
    file = io.BytesIO(data)
    films.blank(file)
    kept = file.getvalue()
    assert len(kept) == len(data)
    assert SECRET not in kept
    assert b"+31.2301" not in kept
    assert kept.index(b"mdat") == data.index(b"mdat")
    films.blank(file)  # what is blank stays so
    assert file.getvalue() == kept


@settings(max_examples=200, deadline=None)
@given(at=st.integers(0, 400), noise=st.binary(min_size=1, max_size=12))
def test_boxes_that_do_not_add_up_are_refused_and_never_walked_for_ever(at: int, noise: bytes):
    data = mp4(size=50)
    hurt = io.BytesIO(data[:at] + noise + data[at + len(noise) :])
    try:
        films.blank(hurt)
    except AttachmentBroken:
        return
    assert len(hurt.getvalue()) == len(data)


def test_boxes_within_boxes_without_end_are_refused():
    nested = b""
    for _ in range(500):
        nested = len(nested + b"12345678").to_bytes(4, "big") + b"moov" + nested
    with pytest.raises(AttachmentBroken):
        films.blank(io.BytesIO(nested))


def form(data: bytes, name: str = "file", more: bytes = b"", end: bytes = b"--\r\n") -> bytes:
    head = f'--edge\r\nContent-Disposition: form-data; name="{name}"; filename="a.jpg"\r\n\r\n'.encode()
    return more + head + data + b"\r\n--edge" + end


FIELD = b'--edge\r\nContent-Disposition: form-data; name="token"\r\n\r\nabc\r\n'


async def pieces(data: bytes, size: int) -> AsyncIterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


async def taken(body: bytes, size: int, piece: int = 7, edge: str = "edge") -> bytes:
    file = io.BytesIO()
    kind = f"multipart/form-data; boundary={edge}"
    told = await received(pieces(body, piece), kind, file, size=size, too_large=BodyTooLarge(limit_bytes=1))
    assert told == hashlib.sha256(file.getvalue()).hexdigest()
    return file.getvalue()


@settings(max_examples=60, deadline=None)
@given(data=st.binary(min_size=1, max_size=4000), piece=st.integers(1, 900))
def test_a_form_is_read_whole_however_it_is_cut(data: bytes, piece: int):
    assert asyncio.run(taken(form(data, more=FIELD), len(data), piece)) == data


@pytest.mark.parametrize(
    ("body", "refusal"),
    [
        (form(b"1234567"), UploadIncomplete),
        (form(b"12345678", end=b""), UploadIncomplete),
        (form(b"123456789"), BodyTooLarge),
        (form(b"12345678", name="other"), ValidationFailed),
        (form(b"12345678", more=form(b"12345678", end=b"\r\n")), ValidationFailed),
        (b"12345678", ValidationFailed),
        (form(b"12345678", more=FIELD * 60), ValidationFailed),
        (b"--edge\r\n" + b"x" * 10_000 + b": 1\r\n\r\n", ValidationFailed),
        (b"", ValidationFailed),
    ],
)
async def test_a_form_that_is_not_one_file_as_announced_is_refused(body: bytes, refusal: type[Refusal]):
    with pytest.raises(refusal):
        await taken(body, 8)


async def test_what_is_too_much_is_not_read_to_its_end():
    asked = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal asked
        yield form(b"")[:-12]
        while True:
            asked += 1
            yield bytes(1000)

    with pytest.raises(BodyTooLarge):
        await received(
            endless(),
            "multipart/form-data; boundary=edge",
            io.BytesIO(),
            size=5000,
            too_large=BodyTooLarge(limit_bytes=5000),
        )
    assert asked <= 6


def test_a_file_lies_under_the_hash_of_its_bytes_and_goes_exactly(tmp_path: Path):
    files, one, other = Store(tmp_path / "files"), uuid4(), uuid4()
    assert not files.there
    with files.receive(3) as came:
        came.write(b"abc")
        kept = files.put(7, one, came)
        again = files.put(7, other, came)
    assert kept == again
    assert (kept.sha256, kept.size) == (hashlib.sha256(b"abc").hexdigest(), 3)
    path = files.path(7, one, kept.sha256)
    assert path.read_bytes() == b"abc"
    assert path.stat().st_mode & 0o077 == 0
    assert list((files.root / store.INCOMING).iterdir()) == []  # what comes in has no name
    files.drop(7, one)
    files.drop(7, one)
    assert not path.exists()
    assert files.path(7, other, kept.sha256).read_bytes() == b"abc"  # no bytes are shared


def test_what_a_process_that_died_left_half_written_goes(tmp_path: Path):
    files = Store(tmp_path)
    files.open()
    old, new = (tmp_path / store.INCOMING / name for name in ("tmp_old", "tmp_new"))
    for path in (old, new):
        path.write_bytes(b"half")
    now = datetime.now(UTC)
    os.utime(old, (0, (now - timedelta(hours=2)).timestamp()))
    assert files.clear_incoming(now - timedelta(hours=1)) == 1
    assert [path.name for path in (tmp_path / store.INCOMING).iterdir()] == ["tmp_new"]


def test_a_disk_without_room_is_told_before_anything_comes(tmp_path: Path):
    with pytest.raises(StorageFull):
        Store(tmp_path).receive(2**60)


def test_copies_prove_themselves_and_go_only_into_an_empty_place(tmp_path: Path):
    files, id = Store(tmp_path / "files"), uuid4()
    with files.receive(3) as came:
        came.write(b"abc")
        kept = files.put(7, id, came)
    assert copies.copy(files, tmp_path / "copy") == 1
    back = Store(tmp_path / "back")
    assert copies.bring_back(tmp_path / "copy", back) == 1
    assert back.path(7, id, kept.sha256).read_bytes() == b"abc"
    with pytest.raises(copies.CopyBroken, match="holds files already"):
        copies.bring_back(tmp_path / "copy", back)
    files.path(7, id, kept.sha256).write_bytes(b"abd")
    with pytest.raises(copies.CopyBroken, match="not what its name says"):
        copies.copy(files, tmp_path / "again")
