"""The vocabulary of no."""

import re
from collections import Counter

import pytest

from dispatch.domain import refusal
from dispatch.domain.refusal import ChangedMeanwhile, OrderMoved, RateLimited, Refusal, every_refusal

KINDS = {
    refusal.Unauthorised,
    refusal.Forbidden,
    refusal.Missing,
    refusal.Conflict,
    refusal.Stale,
    refusal.Invalid,
    refusal.TooLarge,
    refusal.TooOld,
    refusal.TooMany,
    refusal.Busy,
}


def test_every_refusal_has_a_code_of_its_own_in_capitals():
    codes = Counter(kind.code for kind in every_refusal())

    assert len(codes) >= 40
    assert [code for code, times in codes.items() if times > 1] == []
    assert [code for code in codes if not re.fullmatch(r"[A-Z][A-Z_]+[A-Z]", code)] == []


def test_every_refusal_is_of_exactly_one_kind_and_explained():
    for kind in every_refusal():
        assert len(KINDS & set(kind.__mro__)) == 1, kind
        assert (kind.__doc__ or "").strip(), kind
        assert re.search(r"[\u4e00-\u9fff]", kind.message), kind
        assert kind.message.endswith("。"), kind


def test_a_refusal_says_its_sentence_and_tells_only_public_facts():
    no = ChangedMeanwhile(version=7, seen=6)

    assert no.public == {"version": 7}
    assert no.facts == {"version": 7, "seen": 6}
    assert no.text == ChangedMeanwhile.message
    assert str(no) == f"CHANGED_MEANWHILE: {no.text}"


def test_an_order_that_moved_names_its_state_when_the_label_is_known():
    assert "待接单" in OrderMoved(state="open", state_label="待接单").text
    assert OrderMoved(state="open").text == OrderMoved.message


def test_an_order_is_called_by_one_word():
    assert [kind.code for kind in every_refusal() if "诉求" in kind.message] == []
    assert "需求单" in OrderMoved(state="open", state_label="待接单").text


def test_defaults_stand_until_told_otherwise():
    assert RateLimited().text == "操作太频繁，请60秒后再试。"
    assert RateLimited(retry_after=3).public == {"retry_after": 3}


def test_a_sentence_without_its_fact_is_a_mistake_of_ours():
    class Incomplete(Refusal):
        message = "还差{count}项。"

    with pytest.raises(TypeError, match="count"):
        Incomplete()
