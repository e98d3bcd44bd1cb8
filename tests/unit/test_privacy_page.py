"""docs/privacy.md against the tables: no column that may hold personal data is forgotten."""

import re
from pathlib import Path

from sqlalchemy import JSON, Column, LargeBinary, MetaData, String, Table, Text

from dispatch.app import described
from dispatch.db.base import metadata
from dispatch.db.sealed import Hashed, Sealed
from dispatch.db.types import Code
from dispatch.orders.actions.viewing import CONTACT

PAGE = (Path(__file__).parents[2] / "docs/privacy.md").read_text(encoding="utf-8")
CLASSES = {"contact", "name", "words", "trait", "record", "secret"}
SEALED_CLASSES = {"contact", "name", "words", "secret"}
CODES = re.compile(
    r"^(kind|state|status|move|mode|role|level|closing|exit|channel|fact|urgency)$|_(from|to|state|kind|role)$"
)
"""Columns of closed sets of codes."""


def may_hold_words(column: Column) -> bool:
    """Whether somebody's words or traits fit in."""
    kind = column.type
    wordy = isinstance(kind, String | Text | JSON | LargeBinary | Sealed | Hashed)
    return wordy and not (
        type(kind) in (String, Code) and CODES.search(column.name) and column.name != "urgency"
    )


def wordy(tables: MetaData) -> set[str]:
    return {f"{t.name}.{c.name}" for t in tables.sorted_tables for c in t.c if may_hold_words(c)}


def part(name: str) -> list[list[str]]:
    text = PAGE.split(f"<!-- begin: {name} -->")[1].split(f"<!-- end: {name} -->")[0]
    rows = [line.strip("| ").split(" | ") for line in text.strip().splitlines()[2:]]
    return [[cell.strip() for cell in row] for row in rows]


PERSONAL = {row[0].strip("`"): row[1] for row in part("personal")}
IMPERSONAL = {
    f"{row[0].strip('`')}.{column}" for row in part("impersonal") for column in re.findall(r"`(\w+)`", row[1])
}


def test_every_column_that_may_hold_words_has_its_place_and_none_is_made_up():
    described()  # every slice's tables are there
    placed = set(PERSONAL) | IMPERSONAL
    assert placed == wordy(metadata)
    assert not set(PERSONAL) & IMPERSONAL


def test_the_check_sees_a_new_column():
    tables = MetaData()
    Table("people", tables, Column("id_number", Text), Column("state", String(16)), Column("n", JSON))
    assert wordy(tables) == {"people.id_number", "people.n"}


def test_classes_are_those_of_the_page_and_agree_with_what_is_sealed():
    classes = {
        row.split(" | ")[0].strip("| ")
        for row in PAGE.split("## Who sees whom")[0].splitlines()
        if "|" in row
    }
    assert classes >= CLASSES
    assert set(PERSONAL.values()) == CLASSES
    for table in metadata.sorted_tables:
        for column in table.c:
            said = PERSONAL.get(f"{table.name}.{column.name}")
            if isinstance(column.type, Sealed):
                assert said in SEALED_CLASSES, column
            elif isinstance(column.type, Hashed):
                assert said == "secret", column
            elif said in ("contact", "name"):
                assert str(column) == "members.location", f"{column} identifies a person and is not sealed"


def test_what_leads_to_a_person_is_what_a_reveal_shows_and_records():
    ours = {
        name.removeprefix("orders.")
        for name, kind in PERSONAL.items()
        if kind == "contact" and name.startswith("orders.")
    }
    assert ours == set(CONTACT)
