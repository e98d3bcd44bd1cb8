"""Words that speak for an item, and words that must not wait."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dispatch.catalog.actions import shipped
from dispatch.catalog.queries import keywords
from dispatch.domain.grams import normal
from dispatch.domain.suggestion import Emergency, emergency, suggest
from tests.unit.suggestion_corpus import ALARMS, CALM, EVERYDAY, UNSEEN

RULES = keywords()
CODES = [item["code"] for category in shipped()["categories"] for item in category["items"]]
PHONES = {"110", "119", "120", "12356"}


def codes(text: str) -> list[str]:
    return [suggestion.code for suggestion in suggest(text, RULES.items)]


def alarm(text: str) -> Emergency | None:
    return emergency(text, RULES.emergencies, RULES.doubt)


def share(corpus, right) -> float:
    return sum(right(code, codes(text)) for code, text in corpus) / len(corpus)


def test_the_right_item_comes_first_for_95_in_100_sentences_of_the_corpus():
    assert len(EVERYDAY) >= 100
    assert share(EVERYDAY, lambda code, found: found[:1] == [code]) >= 0.95


def test_of_unseen_sentences_70_in_100_are_right_at_once_and_few_mislead():
    assert share(UNSEEN, lambda code, found: found[:1] == [code]) >= 0.70
    assert share(UNSEEN, lambda code, found: bool(found) and code not in found) <= 0.05


def test_every_item_has_words_and_every_word_can_be_found():
    assert list(RULES.items) == CODES
    for code, words in RULES.items.items():
        assert len(words) >= 3, code
        for word, weight in words.items():
            assert 1 <= weight <= 9
            assert word == normal(word)


def test_longer_words_count_once():
    [first, *_] = suggest("帮忙给老人办医保缴费", {"a": {"缴费": 2, "医保缴费": 6}})
    assert (first.words, first.score) == (("医保缴费",), 0.6)


def test_equal_items_stand_by_code_and_weak_ones_are_left_out():
    assert [s.code for s in suggest("灯", {"b": {"灯": 3}, "a": {"灯": 3}, "c": {"灯": 1}})] == ["a", "b"]


@pytest.mark.parametrize(("kind", "text"), ALARMS, ids=[text[:9] for _, text in ALARMS])
def test_an_emergency_is_told(kind: str, text: str):
    found = alarm(text)
    assert found is not None
    assert found.kind == kind
    assert set(found.phones) <= PHONES
    assert found.phones[0] in found.message


def test_no_everyday_sentence_is_an_emergency():
    assert {text for _, text in (*EVERYDAY, *UNSEEN) if alarm(text)} == {"厨房总有股煤气味，阀门关了还有"}


@pytest.mark.parametrize("text", CALM, ids=[text[:9] for text in CALM])
def test_a_word_alone_is_no_emergency(text: str):
    assert alarm(text) is None


@pytest.mark.parametrize("kind", RULES.emergencies, ids=lambda kind: kind.kind)
def test_every_word_of_an_emergency_raises_it(kind: Emergency):
    for word in kind.words:
        assert alarm(f"快来，{word}！") is not None, word
        assert alarm(f"不是{word}") is None, word


@settings(deadline=None)
@given(st.text(max_size=200))
def test_any_text_gets_an_answer(text: str):
    assert all(0 < suggestion.score < 1 for suggestion in suggest(text, RULES.items))
    alarm(text)
