"""Codes of the rulebook in a statement (ADR 0069)."""

from sqlalchemy import String, column, select
from sqlalchemy.dialects import sqlite

from dispatch.db.types import Code
from dispatch.domain.order import RESTING, State, TakerKind

STATE = column("state", Code(16, frozenset(State)))
KIND = column("kind", Code(16, frozenset(TakerKind)))


def sent(*conditions) -> tuple[str, dict]:
    """The conditions as they are sent, and what is bound."""
    found = select(column("id", String)).where(*conditions).compile(dialect=sqlite.dialect())
    return str(found).partition("WHERE ")[2], found.params


def test_a_code_that_a_column_is_compared_with_is_written_out():
    assert sent(STATE == State.DONE, KIND != TakerKind.UNIT) == ("state = 'done' AND kind != 'unit'", {})


def test_codes_that_a_column_is_looked_for_in_are_written_out_in_one_order():
    assert sent(STATE.in_(RESTING)) == ("state IN ('cancelled', 'closed', 'merged', 'rejected')", {})
    assert sent(STATE.notin_([State.OPEN])) == ("(state NOT IN ('open'))", {})


def test_what_somebody_sent_is_bound():
    assert sent(STATE == "done' OR 1 = 1") == ("state = ?", {"state_1": "done' OR 1 = 1"})


def test_it_does_not_matter_who_says_it():
    assert sent(STATE == "done", STATE.in_(("open", "done"))) == (
        "state = 'done' AND state IN ('done', 'open')",
        {},
    )


def test_what_is_read_once_is_not_lost():
    _, bound = sent(STATE.in_(code for code in ["done", "unheard of"]))
    assert list(bound.values()) == [["done", "unheard of"]]


def test_nothing_and_another_column_stay_what_they_are():
    assert sent(STATE.is_(None), STATE == KIND) == ("state IS NULL AND state = kind", {})
