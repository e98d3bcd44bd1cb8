"""Groups of orders that belong together."""

from dataclasses import replace
from datetime import timedelta
from random import Random
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from dispatch.domain.clusters import clusters
from dispatch.domain.duplicates import Report, likeness
from tests.unit.test_likeness import HOUR, REPORTS, T0, report

LAMPS = [
    report(text, nth, at=T0 + nth * HOUR)
    for nth, text in enumerate(
        ("三楼楼道灯不亮，晚上看不见。", "三楼的楼道灯坏了不亮。", "楼道灯三楼不亮了。"), start=1
    )
]
LIFT = [
    report(text, nth, at=T0 + nth * HOUR)
    for nth, text in enumerate(("2单元电梯坏了停在五楼。", "2单元电梯停在五楼不动。"), start=11)
]
GATE = report("门禁刷卡没反应，进不了单元门。", 21)


def test_orders_that_belong_together_are_one_group_oldest_first():
    told = clusters([GATE, *LIFT, *LAMPS[::-1]])
    assert [each.members for each in told] == [tuple(LAMPS), tuple(LIFT)]
    assert [each.households for each in told] == [3, 2]
    assert all(each.why and each.score >= 0.5 for each in told)


def test_the_order_in_which_they_come_makes_no_difference():
    mixed = [GATE, *LIFT, *LAMPS]
    Random(3).shuffle(mixed)
    assert clusters(mixed) == clusters([*LAMPS, *LIFT, GATE])


def test_a_group_grows_no_larger_and_no_longer_than_it_may():
    many = [
        replace(LAMPS[0], id=UUID(int=nth), filer_id=UUID(int=nth), beneficiary_id=None) for nth in range(9)
    ]
    assert [len(each.members) for each in clusters(many, largest=4)] == [4, 4]
    chain = [replace(each, at=T0 + nth * timedelta(days=5)) for nth, each in enumerate(many)]
    for each in clusters(chain, longest=timedelta(days=10)):
        assert each.members[-1].at - each.members[0].at <= timedelta(days=10)


def test_no_orders_and_a_lone_one_are_no_group():
    assert clusters([]) == []
    assert clusters([GATE]) == []


@settings(deadline=None)
@given(st.lists(REPORTS, max_size=12))
def test_every_member_has_a_link_in_its_group_and_stands_in_one_only(reports: list[Report]):
    reports = [replace(each, id=UUID(int=1000 + nth)) for nth, each in enumerate(reports)]
    told = clusters(reports)
    members = [each.id for group in told for each in group.members]
    assert len(members) == len(set(members))
    for group in told:
        for each in group.members:
            assert any(likeness(each, other) for other in group.members if other is not each)
