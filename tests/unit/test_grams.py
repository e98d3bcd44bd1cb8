"""Text as grams: every word of an order can be found, and nobody's number."""

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from dispatch.domain.grams import (
    LONGEST,
    MOST_SOUGHT,
    NOTHING,
    STOP,
    compared,
    grams,
    jaccard,
    normal,
    sought,
)

SIGNS = st.text(alphabet=st.characters(min_codepoint=0x4E00, max_codepoint=0x4E40), min_size=1, max_size=30)
ANYTHING = st.text(max_size=80)


def finds(question: str, text: str) -> bool:
    """The index by hand."""
    asked, there = sought(question), grams(text)
    return bool(asked) and (
        all(gram in there for gram in asked.grams)
        and all(any(gram.startswith(sign) for gram in there) for sign in asked.begins)
    )


def test_pairs_words_and_numbers_are_indexed():
    assert grams("3栋路灯不亮，WiFi也断了") == {"3", "栋路", "路灯", "灯不", "不亮", "亮", "wifi"} | {
        "也断",
        "断了",
        "了",
    }


def test_full_width_case_and_invisible_signs_make_no_difference():
    assert grams("ＷＩＦＩ 路\u200b灯") == grams("wifi 路灯")
    assert normal("Straße ①") == "strasse 1"


def test_signs_beyond_the_basic_plane_are_one_sign():
    assert "\U00020bb7野" in grams("\U00020bb7野家门口积水")
    assert finds("\U00020bb7野", "\U00020bb7野家门口积水")
    assert finds("\U00020bb7", "在\U00020bb7")


def test_a_single_sign_is_found_wherever_it_stands():
    assert all(finds("灯", text) for text in ("灯坏了", "路灯坏了", "楼道没有灯"))
    assert not finds("灯", "电梯坏了")


@pytest.mark.parametrize(
    "number",
    [
        "13800001111",
        "138 0000 1111",
        "138-0000-1111",
        "0731-82345678",
        "１３８００００１１１１",
        "43010219490101123X",
    ],
)
def test_nobodys_number_is_indexed_or_sought(number: str):
    assert grams(f"请打{number}联系我") == grams("请打。联系我")
    assert sought(number) == NOTHING
    assert sought(f"路灯 {number}") == NOTHING


def test_a_number_in_han_digits_is_not_found_either():
    spoken = "一三八零零零零一一一一"
    assert not {"零零", "零一"} & grams(f"请打{spoken}联系我")
    assert sought(spoken) == NOTHING


def test_doors_and_floors_are_no_private_numbers():
    assert {"501", "502", "503"} <= grams("501 502 503室漏水")
    assert finds("12", "12栋3单元漏水")


@pytest.mark.parametrize("question", ["。。。", "🙂", "您好", "谢谢 请问", " "])
def test_a_question_without_a_word_finds_nothing(question: str):
    assert sought(question) == NOTHING


def test_of_a_long_word_three_pairs_are_sought_and_no_short_word_is_left_out():
    assert sought("老人上下楼看不见").grams == ("老人", "下楼", "不见")
    assert sought("路灯不亮").grams == ("路灯", "灯不", "不亮")
    assert sought("电梯 困人 报警 电话 打不通").grams == ("电梯", "困人", "报警", "电话", "打不", "不通")


def test_courtesy_is_ignored_beside_words():
    assert sought("您好 路灯").grams == ("路灯",)
    assert not grams("您好，谢谢") & STOP


@settings(deadline=None)
@given(SIGNS, SIGNS, SIGNS)
@example("丁", "一", "下")  # 一下 is courtesy and left out; 一 is found all the same
def test_whatever_is_part_of_a_text_is_found_in_it(before: str, word: str, after: str):
    assume(sought(word))  # not courtesy only
    assert finds(word, before + word + after)


@settings(deadline=None)
@given(ANYTHING)
def test_any_text_is_cut_without_complaint_and_into_short_grams(text: str):
    assert all(1 <= len(gram) <= LONGEST for gram in grams(text))
    assert len(sought(text).grams) + len(sought(text).begins) <= MOST_SOUGHT
    assert grams(text) == grams(normal(text))


@settings(deadline=None)
@given(ANYTHING, ANYTHING)
def test_likeness_is_symmetric_between_0_and_1_and_1_of_itself(one: str, other: str):
    a, b = compared(one), compared(other)
    assert 0 <= jaccard(a, b) == jaccard(b, a) <= 1
    assert jaccard(a, a) == (1.0 if a else 0.0)
