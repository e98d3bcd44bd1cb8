"""Where measurements are written."""

import csv
import platform
from collections.abc import Sequence
from pathlib import Path

FOLDER = Path(__file__).parent / "results"


def write(
    name: str, title: str, said: str, head: Sequence[str], rows: Sequence[Sequence[object]], more: str = ""
) -> None:
    """One table as ``<name>.csv``, and as ``<name>.md`` with what is said about it; the latter is printed too."""
    FOLDER.mkdir(exist_ok=True)
    with (FOLDER / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
        lines = csv.writer(file, lineterminator="\n")
        lines.writerow(head)
        lines.writerows(rows)
    table = [f"| {' | '.join(map(str, line))} |" for line in (head, ["---"] * len(head), *rows)]
    text = "\n".join([f"# {title}", "", said, "", *table, "", *([more] if more else [])])
    page = f"{text}\nPython {platform.python_version()}, {platform.machine()}; `make bench`.\n"
    (FOLDER / f"{name}.md").write_text(page, encoding="utf-8")
    print(page)
