"""A log that was changed does not fit its hashes; one whose words were forgotten does."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from dispatch.domain.chain import Broken, at_rest_since, audit, link, words_hash

ORDER = UUID(int=9)
AT = datetime(2026, 11, 22, 1, 30, tzinfo=UTC)
Log = list[dict[str, Any]]


def written(count: int, words: str | None = "请打电话") -> tuple[Log, str]:
    """A log of so many entries and its head."""
    log: Log = []
    head = None
    for seq in range(1, count + 1):
        step = {
            "seq": seq,
            "move": "progress",
            "state_from": "taken",
            "state_to": "taken",
            "at": AT + timedelta(seconds=seq),
            "account_id": UUID(int=seq),
            "grant_id": None,
            "role": "member",
            "text": words,
            "detail": {"n": [1, {"b": 2, "a": "三"}]},
            "salt": f"salt-{seq}" if words else None,
        }
        step["text_hash"] = words_hash(step["salt"], words) if words else None
        head = step["hash"] = link(head, ORDER, step)
        log.append(step)
    return log, head or ""


def checked(
    log: Log,
    head: str | None,
    version: int | None = None,
    erased: set[int] = frozenset(),  # type: ignore[assignment]
    older: bool = False,
) -> Any:
    count = len(log) if version is None else version
    return audit(ORDER, log, version=count, head=head, erased=erased, older=older)


def test_a_log_as_it_was_written_holds():
    log, head = written(4)
    assert checked(log, head).broken is None


@given(
    nth=st.integers(0, 3),
    name=st.sampled_from(
        ["move", "state_from", "state_to", "account_id", "grant_id", "role", "at", "detail"]
    ),
)
def test_whatever_is_changed_in_an_entry_is_found_at_that_entry(nth: int, name: str):
    log, head = written(4)
    log[nth][name] = {"at": AT, "detail": {}, "account_id": UUID(int=99)}.get(name, "other")
    assert checked(log, head).broken == Broken(nth + 1, "altered")


@given(nth=st.integers(0, 2))
def test_an_entry_that_is_taken_out_or_changed_with_its_own_hash_is_found(nth: int):
    log, head = written(4)
    assert checked(log[:nth] + log[nth + 1 :], head).broken == Broken(nth + 2, "gap")
    log[nth]["role"] = "street"
    log[nth]["hash"] = link(log[nth - 1]["hash"] if nth else None, ORDER, log[nth])
    assert checked(log, head).broken == Broken(nth + 2, "altered")


def test_a_log_that_lost_its_end_or_got_one_does_not_fit_its_order():
    log, head = written(4)
    assert checked(log[:3], head, version=4).broken == Broken(3, "head")
    assert checked(log, "0" * 64).broken == Broken(4, "head")
    assert audit(UUID(int=8), log, version=4, head=head, erased=set()).broken == Broken(1, "altered")
    assert audit(ORDER, [], version=0, head=None, erased=set()).broken is None


def test_words_may_be_forgotten_but_neither_changed_nor_lost():
    log, head = written(3)
    log[1]["text"] = "别的话"
    assert checked(log, head).broken == Broken(2, "words_altered")
    log[1]["text"] = log[1]["salt"] = None
    assert checked(log, head).broken == Broken(2, "words_missing")
    lawful = checked(log, head, erased={2})
    assert (lawful.broken, lawful.erased) == (None, 1)
    bare, end = written(2, words=None)
    bare[0]["text"] = "补上的话"
    assert checked(bare, end).broken == Broken(1, "words_altered")


def test_a_log_from_before_chains_begins_one_and_never_ends_one():
    log, _ = written(4)
    for step in log[:2]:
        step["hash"] = step["text_hash"] = step["salt"] = None
    head = None
    for step in log[2:]:
        head = step["hash"] = link(head, ORDER, step)
    found = checked(log, head, older=True)
    assert (found.broken, found.unchained) == (None, 2)
    assert checked(log, head).broken == Broken(1, "unchained")  # of an order made since
    log[3]["hash"] = None
    assert checked(log, log[2]["hash"], version=4, older=True).broken == Broken(4, "unchained")


def test_how_long_an_order_is_at_rest_is_read_from_its_log():
    log, _ = written(4)
    assert at_rest_since(log) is None
    for step, state in zip(log, ("closed", "redo", "cancelled", "cancelled"), strict=True):
        step["state_to"] = state
    assert at_rest_since(log) == log[2]["at"]
    assert at_rest_since([]) is None


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda part: st.lists(part) | st.dictionaries(st.text(), part),
    )
)
def test_what_a_database_writes_otherwise_is_hashed_alike(detail: Any):
    step, _ = written(1)
    one, other = {**step[0], "detail": {"d": detail, "n": 5}}, {**step[0], "detail": {"n": 5.0, "d": detail}}
    for moved in (one, other):
        moved["account_id"] = str(moved["account_id"])
    assert link(None, ORDER, one) == link(
        None, str(ORDER), {**other, "at": AT + timedelta(seconds=1, microseconds=7)}
    )
