"""Tables in files: CSV and Excel, in and out. Slow work; call it off the event loop."""

import csv
import io
import re
import zipfile
import zlib
from collections.abc import Iterable, Sequence
from datetime import date, datetime

import xlsxwriter
from python_calamine import CalamineError, CalamineWorkbook

from dispatch.domain.roster import MOST_LINES, Problem, neutral, restored

ENCODINGS = ("utf-8-sig", "gb18030")
"""What spreadsheets write here."""
MOST_UNPACKED = 64 * 1024 * 1024
"""Bytes that an Excel file may unpack to: a small file can hold a very large one."""
WIDEST = b"BZ"
"""The last column that is read: 78, of which a roster has 15."""
SLACK = 1000
"""Empty rows that are looked past."""

DAMAGED = (
    *(CalamineError, zipfile.BadZipFile, zlib.error),
    *(RuntimeError, EOFError, ValueError, IndexError),  # of zipfile, for what it does not know or expect
)

Rows = list[tuple[int, list[str]]]


class CannotRead(Exception):
    """The file is no table of ours."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.problem = Problem(0, "", message)


def rows_of(filename: str, data: bytes) -> Rows:
    """The rows of a ``.csv`` or ``.xlsx`` file with their line numbers, cells as text.

    Raises:
        CannotRead: another kind, damaged, or too large.
    """
    kind = filename.rpartition(".")[2].lower()
    if kind == "csv":
        return _csv(data)
    if kind == "xlsx":
        return _xlsx(data)
    raise CannotRead("请上传.xlsx或.csv文件")


def _csv(data: bytes) -> Rows:
    reader = csv.reader(io.StringIO(_text(data), newline=""), strict=True)
    rows: Rows = []
    begins = 1
    try:
        for cells in reader:
            rows.append((begins, [restored(cell) for cell in cells]))
            begins = reader.line_num + 1
            _not_too_many(rows)
    except csv.Error:
        raise CannotRead(f"第{begins}行附近的CSV格式有误") from None
    return rows


def _text(data: bytes) -> str:
    for encoding in ENCODINGS:
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise CannotRead("文件应为UTF-8或GB18030编码")


def _xlsx(data: bytes) -> Rows:
    try:
        _bounded(data)
        book = CalamineWorkbook.from_filelike(io.BytesIO(data))
        sheet = book.get_sheet_by_index(0)
        start = sheet.start[0] if sheet.start else 0
        return [
            (start + number, [_cell(value) for value in cells])
            for number, cells in enumerate(sheet.to_python(skip_empty_area=True), start=1)
        ]
    except DAMAGED:
        raise CannotRead("这个Excel文件无法读取") from None


_PLACE = re.compile(rb"""\br\s*=\s*["']([A-Za-z]{1,3})([0-9]{1,7})["']""")


def _bounded(data: bytes) -> None:
    """Look before unpacking: a few bytes can stand for gigabytes, and two cells far apart for a table of all between.

    Raises:
        CannotRead: too large.
        BadZipFile: no Excel file.
    """
    with zipfile.ZipFile(io.BytesIO(data)) as packed:
        parts = packed.infolist()
        if sum(part.file_size for part in parts) > MOST_UNPACKED:
            raise CannotRead("文件过大")
        for part in parts:
            if part.filename.endswith(".xml"):
                _not_too_wide(packed.read(part))


def _not_too_wide(sheet: bytes) -> None:
    for place in _PLACE.finditer(sheet):
        if int(place[2]) > MOST_LINES + SLACK:
            raise CannotRead(f"一次最多导入{MOST_LINES}行")
        if len(place[1]) > 2 or (place[1].upper() > WIDEST and len(place[1]) == len(WIDEST)):
            raise CannotRead("列数过多")


def _cell(value: object) -> str:
    """A cell as its reader sees it: numbers without ``.0``, days as days."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, datetime):
        return value.date().isoformat()
    if isinstance(value, date):
        return value.isoformat()
    return str(value)


def _not_too_many(rows: Rows) -> None:
    if len(rows) > MOST_LINES + SLACK:
        raise CannotRead(f"一次最多导入{MOST_LINES}行")


def as_csv(table: Iterable[Sequence[str]]) -> bytes:
    """CSV that Excel opens without asking: UTF-8 with a mark, nothing that it would compute."""
    out = io.StringIO(newline="")
    csv.writer(out).writerows([neutral(cell) for cell in cells] for cells in table)
    return out.getvalue().encode("utf-8-sig")


def as_xlsx(table: Iterable[Sequence[str]], name: str) -> bytes:
    """An Excel file whose cells are texts, whatever they begin with: phones keep their zeros, nothing is computed."""
    out = io.BytesIO()
    options = {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
    with xlsxwriter.Workbook(out, {**options, "strings_to_numbers": False}) as book:
        sheet = book.add_worksheet(name)
        text = book.add_format({"num_format": "@"})
        for row, cells in enumerate(table):
            for column, cell in enumerate(cells):
                sheet.write_string(row, column, cell, text)
    return out.getvalue()
