"""What happened in the demonstration's district over the last 60 days, as scripts of moves.

A script is played through the real verbs (``demo/orders.py``), so whatever the rulebook would refuse
cannot be told here.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from random import Random
from typing import Any

from dispatch.demo.cast import BUILDINGS, SEED

DAYS = 60


@dataclass(frozen=True, slots=True)
class Act:
    """One move: hours after the one before, by whom, which, with what."""

    after: float
    who: str
    move: str
    data: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Story:
    """An order's life so far. ``age`` is how long before the seed's instant it was filed."""

    age: timedelta
    filer: str
    data: dict[str, Any]
    acts: Sequence[Act] = ()
    place: str | None = None
    """Where it is, by its code; without one the filer's community."""
    twin: str | None = None
    """Who filed the same once more; the double follows this order (``merge``)."""


DEMANDS: dict[str, tuple[str, ...]] = {
    "0101": (
        "独居的赵奶奶84岁，儿女在外地，想请人每周上门看看、说说话。",
        "楼上的孙大爷最近一个人住，希望有人打电话问候。",
    ),
    "0102": (
        "母亲周三上午要去市二医院复查，家里没人陪，请帮忙找人陪同。",
        "父亲腿脚不便，周五要去做透析，想请人陪着去。",
    ),
    "0103": ("降压药吃完了，下雨天不方便出门，请帮忙到社区药店代买。",),
    "0104": ("崴了脚不能下楼，请帮忙买些米面和蔬菜。",),
    "0105": ("老伴卧床半年，想请师傅上门理个发。",),
    "0108": ("手机收不到孙女的视频，不会用，请教一教。", "想学手机挂号和扫码乘车。"),
    "0202": ("厨房水龙头一直滴水，拧不紧。", "卫生间马桶漏水，水费涨了不少。"),
    "0203": ("厨房下水道堵了，水往外冒。", "一楼公共下水返味，疑似堵塞。"),
    "0206": ("家里网络时断时续，孩子上网课受影响。",),
    "0302": ("体检报告有几项指标偏高，想请医生帮忙看看。",),
    "0401": ("装修合同有纠纷，想咨询一下怎么维权。",),
    "0403": ("楼上半夜拖家具，沟通过两次没有用，希望帮忙调解。",),
    "0501": ("孩子上五年级，数学跟不上，想找志愿者周末辅导。",),
    "0601": ("下岗三个月了，想找一份家附近的工作。",),
    "0603": ("邻居家里有重病人，生活困难，请去走访了解。",),
    "0605": ("希望能有一张结实的学习桌。",),
    "0708": ("需要开具居住证明，孩子入学用。",),
    "0711": ("老人不会用手机缴费，请帮忙交电费和燃气费。",),
    "0801": ("三楼过道堆了很多纸箱，担心有火灾隐患。", "地下室通道堆满旧家具，推车过不去。"),
    "0802": ("垃圾桶旁边散落了一地垃圾，已经两天没清理。",),
    "0803": ("电动车把单元门口堵住了，婴儿车进不去。", "有人从楼上拉线给电动车充电。"),
    "0805": ("楼下烧烤店油烟很大，晚上开不了窗。",),
    "0806": ("楼前的树枝挡住了二楼窗户，请修剪。",),
    "0904": (
        "二单元楼道灯坏了，晚上老人上下楼看不见。",
        "单元门禁失灵，谁都能进。",
        "电梯运行有异响，中途停过一次。",
    ),
    "1001": ("小区健身器材的踏板松了，孩子玩不安全。",),
    "1002": ("小区门口路面坑洼，下雨积水没过脚面。",),
    "1003": ("建议在南门增加电动车充电桩。",),
    "1004": ("六号楼雨污管网老化，每年夏天都返水。",),
    "1105": ("想参加书法班，请问有没有老师教。",),
    "1201": ("想了解灵活就业人员社保补贴怎么申请。",),
    "1202": ("建议把活动室的开放时间延长到晚上八点。",),
    "1205": ("想借一辆轮椅车推老人去看花展，不知道归哪一类。",),
}
"""What people write, by item."""

SERVICE = (
    "0101",
    "0102",
    "0103",
    "0104",
    "0105",
    "0108",
    "0202",
    "0206",
    "0302",
    "0401",
    "0501",
    "0711",
    "1105",
)
"""Items that members and teams serve."""
REPAIR = ("0203", "0904", "1001", "1002", "0806")
"""Items that a provider or unit handles."""
COUNTER = ("0708", "0711", "1201", "1202", "0802", "0801")
"""Items that are settled on the spot."""
HARD = ("0805", "1002", "1004", "1003")
"""Items that go up, or wait."""

RESULTS = (
    "已上门办好，居民当面确认。",
    "已陪同往返并送回家中，家属表示感谢。",
    "更换了配件，试用正常。",
    "已清理完毕，并向周边住户做了提醒。",
    "电话和当面都已答复，材料一次办齐。",
)
PRAISE = ("办得又快又好，谢谢！", "师傅很细心。", "多亏了邻居们帮忙。", None, None)
COMPLAINTS = ("只来看了一次，问题还在。", "修完第二天又坏了。", "一直没有人联系我。")


class Dice(Random):
    """The demonstration's chance, the same on every machine."""

    def hours(self, least: float, most: float) -> float:
        """A pause, hours."""
        return round(self.uniform(least, most), 2)


@dataclass(frozen=True, slots=True)
class Crew:
    """Who acts in a community."""

    community: str
    dispatcher: str
    residents: tuple[str, ...]
    members: tuple[str, ...] = ()
    street: str = "street-1"
    grid_worker: str | None = None
    """Of the community's first grid."""
    team: str | None = None
    unit: tuple[str, str] | None = None
    """(unit's admin, one of its people)."""
    provider: str | None = None


CREWS = (
    Crew(
        "C1",
        "dispatcher-1",
        ("resident-1", "resident-2", "resident-3"),
        tuple(f"member-{number}" for number in range(1, 21)),
        grid_worker="grid-1",
        team="team-1",
        unit=("unit-1", "member-1"),
        provider="provider-1",
    ),
    Crew(
        "C2",
        "dispatcher-2",
        ("resident-4", "resident-5"),
        tuple(f"member-{number}" for number in range(21, 26)),
        grid_worker="grid-4",
        team="team-2",
        unit=("unit-2", "member-21"),
        provider="provider-2",
    ),
    Crew("C3", "dispatcher-3", ("resident-6",), provider="provider-2"),
    Crew("C4", "dispatcher-4", ("resident-7",), street="street-2"),
    Crew("C5", "dispatcher-5", ("resident-8",), street="street-2"),
)

Plot = Callable[[Dice, Crew, str], list[Act]]
"""What happens to an order, given who is there and who filed."""


def _accept(dice: Dice, crew: Crew) -> Act:
    return Act(dice.hours(0.2, 6), crew.dispatcher, "accept")


def _open(dice: Dice, crew: Crew, slots: int = 1) -> list[Act]:
    handed = Act(dice.hours(0.1, 3), crew.dispatcher, "dispatch", {"mode": "open", "slots_min": slots})
    return [_accept(dice, crew), handed]


def _named(dice: Dice, crew: Crew, mode: str, *logins: str) -> list[Act]:
    data = {"mode": mode, "targets": list(logins)}
    return [_accept(dice, crew), Act(dice.hours(0.1, 3), crew.dispatcher, "dispatch", data)]


def _take(dice: Dice, login: str) -> Act:
    return Act(dice.hours(0.1, 8), login, "take")


def _serve(dice: Dice, login: str) -> list[Act]:
    reached = Act(dice.hours(0.2, 6), login, "contact", {"reached": True, "text": "已电话约好上门时间。"})
    return [reached, Act(dice.hours(0.5, 12), login, "start")]


def _finish(dice: Dice, login: str) -> Act:
    return Act(dice.hours(0.5, 20), login, "finish", {"result": dice.choice(RESULTS), "closing": "solved"})


def _happy(dice: Dice, login: str) -> Act:
    data = {
        "score": dice.choice((5, 5, 5, 4, 4, 3)),
        "solved": True,
        "contacted": True,
        "text": dice.choice(PRAISE),
    }
    return Act(dice.hours(0.5, 30), login, "rate", data)


def _unhappy(dice: Dice, login: str) -> Act:
    data = {"score": dice.choice((1, 2)), "solved": False, "contacted": True, "text": dice.choice(COMPLAINTS)}
    return Act(dice.hours(0.5, 30), login, "rate", data)


def waiting(dice: Dice, crew: Crew, filer: str) -> list[Act]:
    """submitted"""
    return []


def asked_back(dice: Dice, crew: Crew, filer: str) -> list[Act]:
    """need_info"""
    return [Act(dice.hours(0.2, 5), crew.dispatcher, "ask", {"text": "请补充方便上门的时间和联系电话。"})]


def answered(dice: Dice, crew: Crew, filer: str) -> list[Act]:
    """accepted, after a question"""
    told = Act(dice.hours(0.5, 10), filer, "supplement", {"text": "工作日下午三点以后都在家。"})
    return [*asked_back(dice, crew, filer), told, _accept(dice, crew)]


def rejected(dice: Dice, crew: Crew, filer: str) -> list[Act]:
    """rejected"""
    data = {"reason_code": "not_our_service", "text": "该事项由供电部门直接受理，请拨打95598。"}
    return [Act(dice.hours(0.2, 6), crew.dispatcher, "reject", data)]


def cancelled(dice: Dice, crew: Crew, filer: str) -> list[Act]:
    """cancelled"""
    data = {"reason_code": dice.choice(("no_longer_needed", "solved_otherwise"))}
    return [_accept(dice, crew), Act(dice.hours(0.5, 10), filer, "cancel", data)]


def taken_in(dice: Dice, crew: Crew, filer: str) -> list[Act]:
    """accepted"""
    return [_accept(dice, crew)]


def up_for_grabs(dice: Dice, crew: Crew, filer: str) -> list[Act]:
    """open"""
    return _open(dice, crew, dice.choice((1, 1, 2)))


def offered(dice: Dice, crew: Crew, filer: str) -> list[Act]:
    """offered"""
    if crew.provider and dice.random() < 0.4:
        return _named(dice, crew, "assign", crew.provider)
    return _named(dice, crew, "offer", *dice.sample(crew.members, 3))


def released(dice: Dice, crew: Crew, filer: str) -> list[Act]:
    """open again, after one gave it back"""
    login = dice.choice(crew.members)
    back = Act(
        dice.hours(0.5, 4), login, "release", {"reason_code": "unavailable", "text": "临时出差，去不了了。"}
    )
    return [*_open(dice, crew), _take(dice, login), back]


def taken(dice: Dice, crew: Crew, filer: str) -> list[Act]:
    """taken"""
    return [*_open(dice, crew), _take(dice, dice.choice(crew.members))]


def under_way(dice: Dice, crew: Crew, filer: str) -> list[Act]:
    """in_service, by one or by two"""
    one, two = dice.sample(crew.members, 2)
    if dice.random() < 0.4:
        return [*_open(dice, crew, 2), _take(dice, one), _take(dice, two), *_serve(dice, one)]
    return [*_open(dice, crew), _take(dice, one), *_serve(dice, one)]


def returning(dice: Dice, crew: Crew, filer: str) -> list[Act]:
    """taken, with a return waiting for the dispatcher"""
    assert crew.provider
    data = {
        "kind": "return",
        "reason_code": "not_our_duty",
        "text": "设施属于市政，不在我方管护范围。",
        "suggestion": "市政管护单位",
    }
    return [
        *_named(dice, crew, "assign", crew.provider),
        _take(dice, crew.provider),
        Act(dice.hours(1, 6), crew.provider, "request", data),
    ]


def parked(dice: Dice, crew: Crew, filer: str) -> list[Act]:
    """paused"""
    data = {
        "kind": "park",
        "reason_code": "planned_works",
        "text": "已列入老旧管网改造计划，待施工队进场。",
        "until": timedelta(days=40),
    }
    return [
        _accept(dice, crew),
        Act(dice.hours(1, 10), crew.dispatcher, "request", data),
        Act(dice.hours(2, 20), crew.street, "approve", {"text": "同意挂账，按期复查。"}),
    ]


def escalated(dice: Dice, crew: Crew, filer: str) -> list[Act]:
    """escalated, with departments called"""
    up = Act(
        dice.hours(1, 12),
        crew.dispatcher,
        "escalate",
        {"level": "street", "text": "涉及多个部门，提请街道统筹。"},
    )
    decided = {"decision": "由城管部门牵头现场会商，三个工作日内答复。", "bodies": ["department-1"]}
    return [_accept(dice, crew), up, Act(dice.hours(1, 20), crew.street, "deliberate", decided)]


def done_by_member(dice: Dice, crew: Crew, filer: str) -> list[Act]:
    """done, verdict awaited"""
    login = dice.choice(crew.members)
    return [*_open(dice, crew), _take(dice, login), *_serve(dice, login), _finish(dice, login)]


def unhappy(dice: Dice, crew: Crew, filer: str) -> list[Act]:
    """evaluated, review awaited"""
    return [*done_by_member(dice, crew, filer), _unhappy(dice, filer)]


def again(dice: Dice, crew: Crew, filer: str) -> list[Act]:
    """redo"""
    data = {"reason_code": "not_solved", "text": "问题没有解决，请重新安排。"}
    return [*unhappy(dice, crew, filer), Act(dice.hours(1, 20), crew.dispatcher, "redo", data)]


def closed_by_member(dice: Dice, crew: Crew, filer: str) -> list[Act]:
    """closed, the usual way"""
    return [*done_by_member(dice, crew, filer), _happy(dice, filer)]


def closed_by_two(dice: Dice, crew: Crew, filer: str) -> list[Act]:
    """closed, done by two together"""
    one, two = dice.sample(crew.members, 2)
    ends = [*_serve(dice, one), _finish(dice, one), _happy(dice, filer)]
    return [*_open(dice, crew, 2), _take(dice, one), _take(dice, two), *ends]


def closed_by_unit(dice: Dice, crew: Crew, filer: str) -> list[Act]:
    """closed, done by a unit's people"""
    assert crew.unit
    admin, person = crew.unit
    ends = [*_serve(dice, admin), _finish(dice, admin), _happy(dice, filer)]
    staffed = Act(dice.hours(0.2, 3), admin, "staff", {"members": [person]})
    return [*_named(dice, crew, "assign", admin), _take(dice, admin), staffed, *ends]


def closed_by_team(dice: Dice, crew: Crew, filer: str) -> list[Act]:
    """closed, taken by a team that was asked"""
    assert crew.team
    ends = [*_serve(dice, crew.team), _finish(dice, crew.team), _happy(dice, filer)]
    return [*_named(dice, crew, "offer", crew.team), _take(dice, crew.team), *ends]


def closed_by_provider(dice: Dice, crew: Crew, filer: str) -> list[Act]:
    """closed, assigned to a provider"""
    assert crew.provider
    ends = [*_serve(dice, crew.provider), _finish(dice, crew.provider), _happy(dice, filer)]
    return [*_named(dice, crew, "assign", crew.provider), _take(dice, crew.provider), *ends]


def settled(dice: Dice, crew: Crew, filer: str) -> list[Act]:
    """closed, settled on the spot"""
    who = crew.grid_worker if crew.grid_worker and filer == crew.grid_worker else crew.dispatcher
    done = Act(dice.hours(0.2, 20), who, "resolve", {"result": dice.choice(RESULTS), "closing": "solved"})
    return [done, _happy(dice, filer)]


def reviewed(dice: Dice, crew: Crew, filer: str) -> list[Act]:
    """closed after an unhappy verdict was reviewed"""
    words = {"exit": "explained", "text": "已再次上门说明政策依据，居民表示理解。"}
    return [*unhappy(dice, crew, filer), Act(dice.hours(2, 40), crew.dispatcher, "close", words)]


@dataclass(frozen=True, slots=True)
class Lot:
    """How many orders of a plot there are, in which crews, of which items, how old (days)."""

    plot: Plot
    count: int
    items: tuple[str, ...]
    crews: tuple[int, ...]
    days: tuple[float, float]
    twin: bool = False


ALL, STAFFED, NEAR = (0, 0, 1, 2, 3, 4), (0, 0, 0, 1), (0, 1)
LONG_AGO = (9.0, float(DAYS))

LOTS = (
    Lot(waiting, 14, (*SERVICE, *REPAIR, "1205"), ALL, (0.05, 1)),
    Lot(asked_back, 6, (*SERVICE, *COUNTER), ALL, (0.5, 2)),
    Lot(answered, 3, SERVICE, ALL, (1.5, 3)),
    Lot(taken_in, 7, (*SERVICE, *REPAIR), ALL, (0.5, 2)),
    Lot(rejected, 10, ("1205", "1202", "0803"), ALL, (1, DAYS)),
    Lot(cancelled, 12, SERVICE, ALL, (2, DAYS)),
    Lot(up_for_grabs, 12, SERVICE, STAFFED, (0.5, 2)),
    Lot(released, 2, SERVICE, STAFFED, (1, 3)),
    Lot(offered, 9, (*SERVICE, *REPAIR), NEAR, (0.5, 2)),
    Lot(taken, 10, SERVICE, STAFFED, (1, 4)),
    Lot(taken, 4, ("0904", "0801", "0803"), (0,), (1, 4), twin=True),
    Lot(up_for_grabs, 3, ("0801",), (0,), (1, 3), twin=True),
    Lot(returning, 3, REPAIR, NEAR, (1, 3)),
    Lot(under_way, 11, SERVICE, STAFFED, (2, 5)),
    Lot(parked, 5, HARD, ALL, (5, 50)),
    Lot(escalated, 5, HARD, ALL, (3, 12)),
    Lot(done_by_member, 9, SERVICE, STAFFED, (3, 5.5)),
    Lot(unhappy, 6, SERVICE, STAFFED, (4, 7)),
    Lot(again, 4, SERVICE, STAFFED, (5, 9)),
    Lot(closed_by_member, 26, SERVICE, STAFFED, LONG_AGO),
    Lot(closed_by_two, 6, ("0101", "0105"), STAFFED, LONG_AGO),
    Lot(closed_by_unit, 5, ("0501", "1105", "0206"), NEAR, LONG_AGO),
    Lot(closed_by_team, 6, SERVICE, NEAR, LONG_AGO),
    Lot(closed_by_provider, 9, REPAIR, (0, 0, 1, 2), LONG_AGO),
    Lot(settled, 14, COUNTER, ALL, LONG_AGO),
    Lot(reviewed, 3, SERVICE, STAFFED, LONG_AGO),
)

BENEFICIARIES = ("赵桂香", "孙长福", "钱秀兰", "周德茂", "吴玉珍")


def stories() -> list[Story]:
    """Every order's script, the oldest first."""
    dice = Dice(SEED)
    told = [_story(dice, lot) for lot in LOTS for _ in range(lot.count)]
    return sorted(told, key=lambda story: story.age, reverse=True)


def _story(dice: Dice, lot: Lot) -> Story:
    crew = CREWS[dice.choice(lot.crews)]
    item = dice.choice(lot.items)
    filer = dice.choice(crew.residents)
    data: dict[str, Any] = {"item_code": item, "text": dice.choice(DEMANDS[item])}
    if dice.random() < 0.7:
        data["contact_phone"] = f"1990001{dice.randint(0, 9999):04d}"
    twin = dice.choice([login for login in crew.residents if login != filer]) if lot.twin else None
    # 代办: the grid worker files for somebody who has no phone. Whoever files so cannot judge, so only
    # orders that have not come to a verdict yet are told this way.
    if lot.plot in FOR_OTHERS and crew.grid_worker and dice.random() < 0.35:
        filer = crew.grid_worker
        consent = {"how": "oral", "note": "本人口头同意"}
        data["on_behalf_of"] = {
            "name": dice.choice(BENEFICIARIES),
            "relation": "网格居民",
            "consent": consent,
        }
    place, address = _where(dice, crew, filer)
    if address:
        data["address"] = address
    age = timedelta(days=dice.uniform(*lot.days))
    return Story(age, filer, data, lot.plot(dice, crew, filer), place, twin)


def _where(dice: Dice, crew: Crew, filer: str) -> tuple[str | None, str | None]:
    """Place and address: mostly a building, else a grid; few say no more than their community.

    A grid worker files in the own grid.
    """
    own = f"{crew.community}-G1" if filer == crew.grid_worker else None
    near = [b for b in BUILDINGS if b[1] == own or (own is None and b[1].startswith(f"{crew.community}-"))]
    code, grid, _, name = dice.choice(near)
    chance = dice.random()
    if chance >= 0.8:
        return (grid, None) if own or chance < 0.92 else (None, None)
    return code, f"{name}{dice.randint(1, 4)}单元{dice.randint(1, 18)}0{dice.randint(1, 4)}"


FOR_OTHERS: tuple[Plot, ...] = (waiting, asked_back, taken_in, up_for_grabs, offered, taken, under_way)
