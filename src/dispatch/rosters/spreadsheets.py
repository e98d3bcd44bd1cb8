"""Tables in files: CSV and Excel, in and out. Slow work; call it off the event loop."""

import csv
import io
import json
import subprocess
import sys
import threading
from collections.abc import Iterable, Sequence

import xlsxwriter

from dispatch.domain.cells import neutral, restored
from dispatch.domain.refusal import ServiceBusy
from dispatch.domain.roster import MOST_LINES, Problem
from dispatch.rosters import sheet_process

ENCODINGS = ("utf-8-sig", "gb18030")
"""What spreadsheets write here."""
MOST_COLUMNS = 78
"""Of which a roster has 15."""
SLACK = 1000
"""Empty rows that are looked past."""
SECONDS = 30
"""How long one Excel file may be read; one of 10,000 lines takes about one."""
READER = threading.Lock()
"""One Excel file is read at a time, by a process that may take ``sheet_process.MEMORY``."""
TOO_LARGE = {"rows": f"一次最多导入{MOST_LINES}行", "columns": "列数过多", "size": "文件过大"}

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
        ServiceBusy: another is being read.
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
    """Read by a process of its own, which a file made to break its reader breaks (``sheet_process``)."""
    asked = [sys.executable, "-I", sheet_process.__file__, str(MOST_LINES + SLACK), str(MOST_COLUMNS)]
    if not READER.acquire(timeout=SECONDS):
        raise ServiceBusy(retry_after=SECONDS)
    try:
        done = subprocess.run(  # noqa: S603 - our own file, numbers of ours
            asked, input=data, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env={}, timeout=SECONDS
        )
    except subprocess.TimeoutExpired:
        raise CannotRead(TOO_LARGE["size"]) from None
    finally:
        READER.release()
    if done.returncode:
        ran_out = done.returncode < 0  # a signal: of memory, or of time
        raise CannotRead(TOO_LARGE["size"] if ran_out else "这个Excel文件无法读取")
    answer = json.loads(done.stdout)
    if "refused" in answer:
        raise CannotRead(TOO_LARGE[answer["refused"]])
    return [(number, cells) for number, cells in answer["rows"]]


def _not_too_many(rows: Rows) -> None:
    if len(rows) > MOST_LINES + SLACK:
        raise CannotRead(TOO_LARGE["rows"])


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
