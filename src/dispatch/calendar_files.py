"""Calendar files on the way in, and what they change, in lines for a terminal."""

from pathlib import Path

from dispatch.domain.calendar_check import CalendarInvalid, Problem
from dispatch.domain.calendar_file import KIND_LABELS, Entry, Source, read_csv, read_json, write_span
from dispatch.sla.actions.calendars import Change

ENCODINGS = ("utf-8-sig", "gb18030")
"""What spreadsheets write here."""


def read(file: Path, source: Source) -> list[Entry]:
    """The days of a CSV or JSON file.

    Raises:
        CalendarInvalid: every line that is wrong; a file that is neither, or cannot be read.
    """
    readers = {".csv": read_csv, ".json": read_json}
    if file.suffix.lower() not in readers:
        raise CalendarInvalid([Problem(("file",), "应为.csv或.json文件")])
    try:
        return readers[file.suffix.lower()](_text(file.read_bytes()), source)
    except OSError as error:
        raise CalendarInvalid([Problem(("file",), f"无法读取：{error.strerror}")]) from None


def _text(raw: bytes) -> str:
    for encoding in ENCODINGS:
        try:
            return raw.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise CalendarInvalid([Problem(("file",), "应为UTF-8或GB18030编码")])


def change_line(change: Change) -> str:
    """``2027-02-11  –  →  放假 春节``."""
    return f"{change.on}  {_said(change.before)}  →  {_said(change.after)}"


def _said(entry: Entry | None) -> str:
    if entry is None:
        return "–"
    hours = " ".join(write_span(span) for span in entry.spans or ())
    guess = "（暂定）" if entry.source is Source.STATUTORY else ""
    return " ".join(part for part in (KIND_LABELS[entry.kind], entry.name or "", hours) if part) + guess
