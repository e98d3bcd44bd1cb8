"""What counts as likely the same: pairs as they come in, labelled by hand."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dispatch.domain.duplicates import LIKELY, REACH, Report, likeness
from dispatch.domain.geo import Point

T0 = datetime(2026, 11, 22, 1, 30, tzinfo=UTC)
COMMUNITY, GRID, OTHER_GRID, HOUSE = (UUID(int=n) for n in (100, 101, 102, 103))
HERE = Point(112.9388, 28.2283)


def north(metres: float) -> Point:
    return Point(HERE.lng, HERE.lat + metres / 111_195)


def report(text: str, nth: int = 1, item: str = "0904", kind: str = "Q", **more) -> Report:
    """By default of a house without a point; ``nth`` is who filed it."""
    return Report(
        **{
            "id": UUID(int=nth),
            "item_code": item,
            "category_code": item[:2],
            "kind": kind,
            "personal": False,
            "filer_id": UUID(int=nth),
            "beneficiary_id": UUID(int=nth),
            "place_id": HOUSE,
            "grid_id": GRID,
            "community_id": COMMUNITY,
            "point": None,
            "at": T0,
            "text": text,
            **more,
        }
    )


LAMP = report("三楼楼道灯不亮，晚上老人上下楼看不见。")
HOUR = timedelta(hours=1)

SAME = [
    (LAMP, report("三楼的楼道灯坏了，晚上黑看不见路。", 2, at=T0 + 3 * HOUR)),
    (LAMP, report("楼道灯不亮，请尽快修。", 2, item="0201", kind="V", at=T0 + 5 * HOUR)),
    (
        report("小区北门井盖松动，车一压就响。", 1, "0901", place_id=COMMUNITY, point=HERE),
        report("北门口的井盖松动了，很危险。", 2, "0901", place_id=COMMUNITY, point=north(80), at=T0 + HOUR),
    ),
    (
        report("2单元电梯坏了停在五楼不动。", 1),
        report("2单元电梯停在五楼，坏了两天没人修。", 2, at=T0 + 20 * HOUR),
    ),
    (
        report("凉亭旁边垃圾堆了好几天没人清，很臭。", 1, "0802", place_id=GRID),
        report("凉亭边上的垃圾没人清理，太臭了。", 2, "0802", place_id=GRID, at=T0 + 9 * HOUR),
    ),
    (
        report("楼下广场舞音响声音太大，晚上十点还在跳，吵得孩子睡不着。", 1, "0805"),
        report("广场舞音响太吵，晚上十点还不停，孩子睡不着觉。", 2, "0805", at=T0 + 26 * HOUR),
    ),
    (
        report("希望社区组织一次义诊，给老人量量血压。", 1, "0301", "E", place_id=COMMUNITY, grid_id=None),
        report(
            "能不能组织义诊，给老人量血压测血糖。", 2, "0301", "E", place_id=COMMUNITY, grid_id=OTHER_GRID
        ),
    ),
]

DIFFERENT = [
    (LAMP, report("门禁刷卡没反应，进不了单元门。", 2, at=T0 + HOUR)),
    (LAMP, replace(report("三楼楼道灯不亮，晚上看不见。", 2), at=T0 + timedelta(days=8))),
    (
        report("北门井盖松动，车一压就响。", 1, "0901", point=HERE),
        report("井盖松动，车一压就响。", 2, "0901", point=north(400), at=T0 + HOUR),
    ),
    (
        report("李奶奶周三要去市二医院复查，请找人陪同。", 1, "0102", "V", personal=True),
        report("王奶奶周三要去市二医院复查，请找人陪同。", 2, "0102", "V", personal=True, at=T0 + HOUR),
    ),
    (
        report("厨房水龙头一直滴水。", 1, "0202", "V"),
        report("马桶堵了，水漫出来。", 2, "0202", "V", at=T0 + HOUR),
    ),
    (
        LAMP,
        report(
            "三楼楼道灯不亮，晚上看不见。", 2, community_id=UUID(int=9), grid_id=None, place_id=UUID(int=9)
        ),
    ),
    (
        report("想咨询高龄津贴怎么申请。", 1, "0703", "A", personal=True),
        report("想咨询高龄津贴怎么申请。", 2, "0703", "A", personal=True, at=T0 + HOUR),
    ),
    (
        report("楼上装修噪音太大。", 1, "0805", place_id=GRID),
        report("烧烤店油烟直往家里飘。", 2, "0805", place_id=GRID, at=T0 + HOUR),
    ),
]


@pytest.mark.parametrize(("one", "other"), SAME, ids=lambda report: report.text[:8])
def test_pairs_that_are_one_thing_are_told(one: Report, other: Report):
    found = likeness(one, other)
    assert found is not None
    assert found.score >= LIKELY
    assert all(found.why)


@pytest.mark.parametrize(("one", "other"), DIFFERENT, ids=lambda report: report.text[:8])
def test_pairs_that_are_two_things_are_not(one: Report, other: Report):
    assert likeness(one, other) is None


def test_reasons_are_read_aloud():
    other = report("三楼的楼道灯坏了，晚上黑看不见路。", 2, at=T0 + 3 * HOUR, point=north(40))
    told = likeness(replace(LAMP, point=HERE), other)
    assert told is not None
    assert told.why[:3] == ("同一事项", "相距约40米", "相隔3小时")
    assert told.why[3].startswith("描述相近（")


def test_a_double_tap_is_named_whatever_the_kind():
    mine = report("李奶奶周三要去医院复查。", 1, "0102", "V", personal=True)
    tap = replace(mine, id=UUID(int=7), at=T0 + timedelta(minutes=2))
    found = likeness(mine, tap)
    assert found is not None
    assert (found.score, found.why) == (1.0, ("同一人2分钟内提交了相同内容",))
    late = likeness(mine, replace(tap, at=T0 + timedelta(minutes=2, milliseconds=1)))
    assert late is not None
    assert late.why == ("同一人10分钟内就同一地点提交了同一事项",)
    another = replace(tap, beneficiary_id=None, text="王爷爷的药吃完了，请代取。")
    assert likeness(mine, another) is None


@pytest.mark.parametrize("kind", REACH)
def test_the_limits_of_a_kind_include_their_edge(kind: str):
    reach, text = REACH[kind], "三楼楼道灯不亮，晚上看不见。"
    one = report(text, 1, kind=kind, point=HERE)
    inside = report(text, 2, kind=kind, point=north(reach.metres - 1))
    assert likeness(one, inside) is not None
    assert likeness(one, replace(inside, point=north(reach.metres + 1))) is None
    assert likeness(one, replace(inside, at=T0 + reach.span)) is not None
    assert likeness(one, replace(inside, at=T0 + reach.span + timedelta(seconds=1))) is None


@pytest.mark.parametrize("kind", REACH)
def test_of_two_kinds_the_wider_reach_counts_from_either_side(kind: str):
    text = "三楼楼道灯不亮，晚上看不见。"
    one = report(text, 1, point=HERE)
    other = report(text, 2, kind=kind, point=north(max(REACH[kind].metres, REACH["Q"].metres) - 1))
    assert likeness(one, other) == likeness(other, one) is not None


REPORTS = st.builds(
    lambda text, nth, item, kind, personal, point, hours: report(
        text, nth, item, kind, personal=personal, point=point, at=T0 + timedelta(hours=hours)
    ),
    st.sampled_from([pair[0].text for pair in SAME + DIFFERENT]),
    st.integers(1, 3),
    st.sampled_from(["0904", "0802", "0102"]),
    st.sampled_from(sorted(REACH)),
    st.booleans(),
    st.none() | st.integers(0, 600).map(north),
    st.integers(0, 900),
)


@settings(deadline=None)
@given(REPORTS, REPORTS)
def test_likeness_is_symmetric_and_between_the_limit_and_1(one: Report, other: Report):
    there, back = likeness(one, other), likeness(other, one)
    assert there == back
    assert there is None or LIKELY <= there.score <= 1


@settings(deadline=None)
@given(REPORTS)
def test_nearer_and_sooner_is_never_less_alike(one: Report):
    mine = replace(one, point=HERE, personal=False, kind="Q")
    scores = [
        found.score if (found := likeness(mine, replace(mine, filer_id=UUID(int=9), point=north(way)))) else 0
        for way in (0, 20, 60, 149, 200)
    ]
    assert scores == sorted(scores, reverse=True)
