"""Why this one: the parts of a score as sentences that can be read aloud."""

from collections.abc import Iterable, Mapping
from datetime import date

from dispatch.domain import freetime
from dispatch.domain.matching import (
    WEIGHTS,
    Candidate,
    Need,
    Scored,
    able,
    level,
    metres,
    parts,
    qualifying,
    value,
)

NEAR, WALKABLE = 500.0, 1500.0
"""Metres: a stone's throw, and a quarter of an hour on foot with something to carry."""
DAYS = ("周一", "周二", "周三", "周四", "周五", "周六", "周日")
TREE = ("同在一个网格", "同在一个社区", "同在一个街道", "在本区，不在同一街道")


def scored(need: Need, who: Candidate, weights: Mapping[str, float] = WEIGHTS) -> Scored:
    """A candidate's value with its parts and reasons."""
    found = parts(need, who)
    return Scored(round(value(found, weights), 1), found, reasons(need, who))


def reasons(need: Need, who: Candidate) -> tuple[str, ...]:
    """What speaks for a candidate, and what the score took off; the most telling first."""
    return tuple(
        said
        for said in (*_familiar(who), *_fit(need, who), *_way(need, who), *_time(need, who), *_hands(who))
    )


def _familiar(who: Candidate) -> Iterable[str]:
    if who.helped:
        yield f"以前帮过这位居民{who.helped}次，彼此熟悉"


def _fit(need: Need, who: Candidate) -> Iterable[str]:
    if who.body:
        if who.people:
            yield f"名下有{len(able(need, who))}人能做“{need.item_name}”"
        else:
            yield "还没有登记人员名单，能不能做需先问一声"
        return
    chosen = sorted(who.offers & need.offers)
    if chosen:
        yield f"报到时选了“{who.offer_names.get(chosen[0], chosen[0])}”，对得上“{need.item_name}”"
    for skill in qualifying(need, who):
        if skill.stands(need.at.date()):
            until = f"，有效期到{_day(skill.expires_on)}" if skill.expires_on else ""
            yield f"有资质：{skill.name}{until}"
            break


def _way(need: Need, who: Candidate) -> Iterable[str]:
    way, measured = metres(need, who)
    if not measured:
        yield TREE[level(need, who)]
        return
    told = f"约{max(round(way / 50) * 50, 50)}米" if way < 950 else f"约{way / 1000:.1f}公里"
    yield f"{'住得近' if way <= NEAR else '离得不远' if way <= WALKABLE else '离得稍远'}：{told}"


def _time(need: Need, who: Candidate) -> Iterable[str]:
    if who.body:
        return
    if who.free is None:
        yield "没有登记空闲时间，要先问一声"
    elif need.wanted and need.wanted.whole:
        yield f"{spoken(need.wanted)}有空"
    else:
        free = freetime.hours(freetime.within(who.free, need.window))
        span = "这段时间里" if need.wanted else "两天之内"
        yield f"{span}有{free:g}小时空闲" if free else f"{span}没有登记空闲时间"


def spoken(wanted: freetime.Window) -> str:
    """周三上午9点到11点."""
    day, begins = divmod(wanted.first, 96)
    ends = (begins + wanted.count - 1) % 96 + 1
    same = _part(begins) == _part(ends - 1)
    return f"{DAYS[day]}{_part(begins)}{_clock(begins)}到{'' if same else _part(ends - 1)}{_clock(ends)}"


def _part(quarter: int) -> str:
    return "凌晨" if quarter < 24 else "上午" if quarter < 48 else "下午" if quarter < 72 else "晚上"


def _clock(quarter: int) -> str:
    hour, rest = divmod(quarter, 4)
    told = hour - 12 if hour > 12 else hour
    return f"{told}点" if not rest else f"{told}点半" if rest == 2 else f"{told}点{rest * 15}分"


def _day(day: date) -> str:
    return f"{day.year}年{day.month}月{day.day}日"


def _hands(who: Candidate) -> Iterable[str]:
    yield f"手上还有{who.active}单" if who.active else "手上没有别的单"
    if who.verdicts:
        yield f"以往{who.verdicts}次评价，平均{who.verdict_sum / who.verdicts:.1f}分"
    else:
        yield "还没有居民评价"
