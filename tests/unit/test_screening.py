"""Names, phones and identity numbers, masked as the platform asks (wechat.md §2.9, §7 test 26)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatch.domain.privacy import masked_name, masked_phone
from dispatch.domain.screening import holds_numbers, screened, screened_whole


@pytest.mark.parametrize(
    ("name", "masked"),
    [
        ("三", "*"),
        ("王三", "*三"),
        ("王小四", "王*四"),
        ("欧阳文五", "欧**五"),
        ("阿卜杜热合曼·买买提", "阿*****·**提"),
        ("𬱖某", "*某"),
        ("O'Neil", "O****l"),
    ],
)
def test_names_are_masked_by_the_platforms_table(name: str, masked: str):
    assert masked_name(name) == masked


@pytest.mark.parametrize(
    ("phone", "masked"),
    [
        ("15600001177", "156******77"),
        ("0731-82345678", "073*-******78"),
        ("0731-82345678-123", "073*-********-*23"),
        ("12345", "12*45"),
        ("82345678", "82****78"),
    ],
)
def test_phones_are_masked_by_the_platforms_table(phone: str, masked: str):
    assert masked_phone(phone) == masked


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("打13800001111找我", "打138******11找我"),
        ("138 0000 1111", "138********11"),
        ("138-0000-1111", "138********11"),
        ("＋86１３８００００１１１１", "＋86*********１１"),
        ("8613800001111", "861********11"),
        ("一三八零零零零一一一一", "一三八******一一"),
        ("壹叁捌〇〇〇〇幺幺幺幺", "壹叁捌******幺幺"),
        ("0731-82345678", "073********78"),
        ("家里电话82345678", "家里电话82****78"),
        ("身份证11010519491231002x", "身份证1****************x"),
        ("身份证 110105 19491231 002X", "身份证 1******************X"),
        ("老证110105491231002", "老证1*************2"),
    ],
)
def test_numbers_are_masked_however_they_are_written(said: str, shown: str):
    assert screened(said) == shown
    assert holds_numbers(said)


@pytest.mark.parametrize(
    "said",
    [
        "三号楼二单元五零一，住了三四五年",
        "订单D20261122-000123，2026年11月22日9点30分",
        "0190a3c4-0000-7000-8000-013800001111",
        "药费1380.50元，门牌1380000",
        "",
    ],
)
def test_what_is_no_number_of_a_person_stays(said: str):
    assert screened(said) == said


_PHONES = st.builds(lambda a, b: f"1{a}{b:09d}", st.integers(3, 9), st.integers(0, 10**9 - 1))
_WORDS = st.text(st.sampled_from("找我请楼下电器王 ，。\n😀𬱖ab"), max_size=8)


@given(st.lists(st.tuples(_WORDS, _PHONES, st.sampled_from(["", " ", "-", "."])), max_size=3), _WORDS)
def test_no_mobile_survives_and_nothing_else_changes(parts, end):
    said = (
        "".join(f"{words}，{gap.join((phone[:3], phone[3:7], phone[7:]))}，" for words, phone, gap in parts)
        + end
    )
    shown = screened(said)
    assert len(shown) == len(said)
    assert screened(shown) == shown
    for _, phone, _ in parts:
        assert phone not in shown.replace(" ", "").replace("-", "").replace(".", "")
    assert all(old == new or new == "*" for old, new in zip(said, shown, strict=True))


def test_answers_are_screened_at_any_depth():
    answers = {"phone": "13800001111", "list": [{"x": "电话 13800001111"}], "n": 3, "none": None}
    assert screened_whole(answers) == {
        "phone": "138******11",
        "list": [{"x": "电话 138******11"}],
        "n": 3,
        "none": None,
    }
