"""Laws of doors: spellings of one door give one key, two doors give two (peers.md §5.3, 77)."""

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from dispatch.domain.household import address_key

HERE = UUID(int=1)
DIGITS = "零一二三四五六七八九"

doors = st.tuples(st.integers(1, 99), st.integers(1, 20), st.integers(101, 3299))


def in_han(number: int) -> str:
    """As a number up to 99 is said."""
    tens, ones = divmod(number, 10)
    if not tens:
        return DIGITS[ones]
    return (DIGITS[tens] if tens > 1 else "") + "十" + (DIGITS[ones] if ones else "")


def by_digit(number: int) -> str:
    return "".join(DIGITS[int(sign)] for sign in str(number))


def spelt(draw: st.DrawFn, door: tuple[int, int, int]) -> str:
    """One of the ways in which a door is written."""
    building, unit, room = door
    if draw(st.booleans()):
        return draw(st.sampled_from(BEFORE)) + "-".join(map(str, door)) + draw(st.sampled_from(AFTER))
    said = (
        draw(st.sampled_from([str(building), in_han(building), f"0{building}"])),
        draw(st.sampled_from(["栋", "幢", "号楼", "座", "#", "号"])),
        draw(st.sampled_from([str(unit), in_han(unit), f" {unit} "])),
        draw(st.sampled_from(["单元", "单元 "])),
        draw(st.sampled_from([str(room), by_digit(room)])),
        draw(st.sampled_from(["", "室", "户", "号", "房"])),
    )
    return draw(st.sampled_from(BEFORE)) + "".join(said) + draw(st.sampled_from(AFTER))


BEFORE = ("", "幸福小区", "幸福路18号", "五一路十八号", "三八大街7号院", "幸福小区（2期）", "2026年搬来，")
AFTER = ("", "（5楼）", "(电话13800001111)", " 13800001111", "，靠近菜场", "[3]")


@st.composite
def two_spellings(draw: st.DrawFn) -> tuple[str, str]:
    door = draw(doors)
    return spelt(draw, door), spelt(draw, door)


@st.composite
def two_doors(draw: st.DrawFn) -> tuple[str, str]:
    one = draw(doors)
    other = draw(doors.filter(lambda door: door != one))
    return spelt(draw, one), spelt(draw, other)


@given(two_spellings())
def test_however_a_door_is_written_it_has_one_key(said: tuple[str, str]):
    one, other = (address_key(HERE, text) for text in said)
    assert one is not None
    assert one == other


@given(two_doors())
def test_two_doors_have_two_keys_however_they_are_written(said: tuple[str, str]):
    one, other = (address_key(HERE, text) for text in said)
    assert one != other


@given(st.text(max_size=60))
def test_whatever_is_written_is_read(said: str):
    key = address_key(HERE, said)
    assert key is None or key.startswith(f"{HERE.hex} ")
