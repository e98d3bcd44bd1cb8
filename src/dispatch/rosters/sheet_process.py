"""A process of its own that reads one Excel file and ends: what a hostile file costs, it costs here.

Run by path, so that it imports nothing of ours and holds no key or connection: the file on its standard input, the
answer as JSON on its standard output, ``{"rows": [[line, [cell, …]], …]}`` or ``{"refused": "size"}``.

Two cells far apart make the reader lay out a table of all between, before anybody can look at its size; where
memory ends it ends the process by a signal. No look at the file beforehand sees it as the reader does: cells may
leave out where they stand, parts may have any name.
"""

import io
import json
import resource
import sys
import zipfile
from datetime import date, datetime
from typing import Any

MEMORY = 160 * 1024 * 1024
"""Bytes that reading may take: a roster of 10,000 lines and 15 columns took 68 MiB. A server has a few hundred."""
CPU_SECONDS = 20
MOST_UNPACKED = 64 * 1024 * 1024
"""Bytes that the file may say to unpack to."""
MOST_TEXT = 4 * 1024 * 1024
"""Signs of all cells together: many cells can share one long text."""


class Refused(Exception):
    """Readable, and too large: rows, columns or size."""


def limit(memory: int, cpu_seconds: int) -> None:
    """Bound what this process may take, for good."""
    for what, most in ((resource.RLIMIT_AS, memory), (resource.RLIMIT_CPU, cpu_seconds)):
        resource.setrlimit(what, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def read(data: bytes, most_rows: int, most_columns: int) -> list[tuple[int, list[str]]]:
    """The rows of the first sheet with their line numbers.

    Raises:
        Refused: too large.
        Exception: of the reader, for what it cannot read.
    """
    from python_calamine import CalamineWorkbook  # the limits hold before it is loaded

    with zipfile.ZipFile(io.BytesIO(data)) as packed:
        if sum(part.file_size for part in packed.infolist()) > MOST_UNPACKED:
            raise Refused("size")
    sheet = CalamineWorkbook.from_filelike(io.BytesIO(data)).get_sheet_by_index(0)
    if sheet.total_width > most_columns:
        raise Refused("columns")
    if sheet.total_height > most_rows:
        raise Refused("rows")
    start = sheet.start[0] if sheet.start else 0
    rows, left = [], MOST_TEXT
    for number, values in enumerate(sheet.to_python(skip_empty_area=True), start + 1):
        cells = [written(value) for value in values]
        left -= sum(map(len, cells))
        if left < 0:
            raise Refused("size")
        rows.append((number, cells))
    return rows


def written(value: object) -> str:
    """A cell as its reader sees it: numbers without ``.0``, days as days."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, datetime):
        return value.date().isoformat()
    if isinstance(value, date):
        return value.isoformat()
    return str(value)


def main() -> None:
    """Read, answer, end; what cannot be read ends it with an error of the reader."""
    limit(MEMORY, CPU_SECONDS)
    answer: dict[str, Any]
    try:
        answer = {"rows": read(sys.stdin.buffer.read(), int(sys.argv[1]), int(sys.argv[2]))}
    except Refused as error:
        answer = {"refused": str(error)}
    except MemoryError:
        answer = {"refused": "size"}
    sys.stdout.buffer.write(json.dumps(answer, ensure_ascii=False).encode())


if __name__ == "__main__":
    main()
