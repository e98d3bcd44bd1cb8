"""Who and what the demonstration is made of. Every name is made up; the phones are of a range that nobody has."""

from dataclasses import dataclass, field
from random import Random

from dispatch.domain.matchrule import QUALIFICATIONS
from dispatch.domain.people import Role

TENANT_CODE, TENANT_NAME = "demo", "安和区"
SEED = 20261122
"""The same district on every machine: only instants follow the day it is made, and ids are new."""

_PLACES: tuple[tuple[str, str | None, str, str], ...] = (
    # (code, code above, kind, name)
    ("D", None, "district", "安和区"),
    ("S1", "D", "street", "柳溪街道"),
    ("S2", "D", "street", "望山街道"),
    ("C1", "S1", "community", "春晓社区"),
    ("C2", "S1", "community", "翠竹社区"),
    ("C3", "S1", "community", "学苑社区"),
    ("C4", "S2", "community", "南湖社区"),
    ("C5", "S2", "community", "朝晖社区"),
    ("C1-G1", "C1", "grid", "春晓第一网格"),
    ("C1-G2", "C1", "grid", "春晓第二网格"),
    ("C1-G3", "C1", "grid", "春晓第三网格"),
    ("C2-G1", "C2", "grid", "翠竹第一网格"),
    ("C2-G2", "C2", "grid", "翠竹第二网格"),
    ("C3-G1", "C3", "grid", "学苑第一网格"),
    ("C3-G2", "C3", "grid", "学苑第二网格"),
    ("C4-G1", "C4", "grid", "南湖第一网格"),
    ("C4-G2", "C4", "grid", "南湖第二网格"),
    ("C4-G3", "C4", "grid", "南湖第三网格"),
    ("C5-G1", "C5", "grid", "朝晖第一网格"),
    ("C5-G2", "C5", "grid", "朝晖第二网格"),
    ("C1-X1", "C1", "compound", "春晓花园"),
    ("C1-X2", "C1", "compound", "柳溪新村"),
)

BUILDINGS_A_GRID = 3


def _buildings() -> tuple[tuple[str, str, str, str], ...]:
    """Every grid's buildings, counted through within a community."""
    made: list[tuple[str, str, str, str]] = []
    count: dict[str | None, int] = {}
    for code, above, kind, _ in _PLACES:
        for _ in range(BUILDINGS_A_GRID if kind == "grid" else 0):
            count[above] = count.get(above, 0) + 1
            made.append((f"{code}-B{count[above]}", code, "building", f"{count[above]}栋"))
    return tuple(made)


BUILDINGS = _buildings()
PLACES = (*_PLACES, *BUILDINGS)

LINKS = (("C1-X1", "C1-G1"), ("C1-X2", "C1-G2"), ("C1-X2", "C1-G3"))
"""Which grids a compound lies in: 柳溪新村 lies in two, so its orders have no grid until somebody says which."""

BODIES: tuple[tuple[str, str, str, str], ...] = (
    # (code, kind, name, code of the place it serves)
    ("unit-1", "unit", "安和区图书馆", "C1"),
    ("unit-2", "unit", "安和区实验中学", "C2"),
    ("unit-3", "unit", "安和区供水服务中心", "C1"),
    ("team-1", "team", "春晓邻里互助队", "C1"),
    ("team-2", "team", "翠竹银龄志愿队", "C2"),
    ("provider-1", "provider", "春晓物业服务中心", "C1"),
    ("provider-2", "provider", "安和社会工作服务中心", "S1"),
    ("department-1", "department", "安和区城市管理局", "D"),
    ("department-2", "department", "安和区人力资源和社会保障局", "D"),
)


@dataclass(frozen=True, slots=True)
class Part:
    """An account with one grant: at a place, or for a body."""

    login: str
    role: Role
    place: str | None = None
    body: str | None = None
    home: str | None = None
    """Where the person lives, if it is not where the grant holds."""


PARTS: tuple[Part, ...] = (
    *(Part(f"resident-{number}", Role.RESIDENT, "C1") for number in (1, 2, 3)),
    *(Part(f"resident-{number}", Role.RESIDENT, "C2") for number in (4, 5)),
    Part("resident-6", Role.RESIDENT, "C3"),
    Part("resident-7", Role.RESIDENT, "C4"),
    Part("resident-8", Role.RESIDENT, "C5"),
    Part("agent-1", Role.AGENT, "C1"),
    *(Part(f"grid-{number}", Role.GRID_WORKER, f"C1-G{number}") for number in (1, 2, 3)),
    *(Part(f"grid-{number}", Role.GRID_WORKER, f"C2-G{number - 3}") for number in (4, 5)),
    Part("branch-1", Role.GRID_SECRETARY, "C1-G1"),
    *(Part(f"dispatcher-{number}", Role.DISPATCHER, f"C{number}") for number in (1, 2, 3, 4, 5)),
    Part("secretary-1", Role.COMMUNITY_SECRETARY, "C1"),
    Part("street-1", Role.STREET, "S1"),
    Part("street-2", Role.STREET, "S2"),
    Part("district-1", Role.DISTRICT, "D"),
    Part("supervisor-1", Role.SUPERVISOR, "S1"),
    Part("reporter-1", Role.REPORTER, "D"),
    Part("admin-1", Role.ADMIN, "D"),
    *(Part(f"unit-{number}", Role.UNIT_ADMIN, body=f"unit-{number}") for number in (1, 2, 3)),
    *(Part(f"team-{number}", Role.TEAM_LEAD, body=f"team-{number}") for number in (1, 2)),
    *(Part(f"provider-{number}", Role.PROVIDER, body=f"provider-{number}") for number in (1, 2)),
    *(Part(f"department-{number}", Role.DEPARTMENT, body=f"department-{number}") for number in (1, 2)),
    *(Part(f"member-{number}", Role.MEMBER, "C1") for number in range(1, 21)),
    *(Part(f"member-{number}", Role.MEMBER, "C2") for number in range(21, 26)),
)

STAFF_OF: dict[str, tuple[str, ...]] = {
    "unit-1": tuple(f"member-{number}" for number in range(1, 6)),
    "team-1": tuple(f"member-{number}" for number in range(6, 11)),
    "unit-3": ("member-11", "member-12"),
    "unit-2": ("member-21", "member-22"),
    "team-2": ("member-23", "member-24"),
}
"""Whom a body may staff."""

SKILLS = (
    ("electrician", "持证电工"),
    ("plumber", "管道维修"),
    ("locksmith", "持证开锁"),
    ("nurse", "护士"),
    ("doctor", "医师"),
    ("counsellor", "心理咨询师"),
    ("lawyer", "律师"),
    ("teacher", "教师"),
    ("barber", "理发师"),
    ("it_support", "电脑网络维护"),
    ("driver", "驾驶员"),
    ("social_worker", "社会工作师"),
)

DEMANDED = frozenset[str]().union(*QUALIFICATIONS.values())

_SURNAMES = (
    "王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗梁宋郑谢韩唐冯于董萧程曹袁邓许傅沈曾彭吕苏卢蒋蔡贾丁魏薛叶阎"
    "余潘杜戴夏钟汪田任姜范方石姚谭廖邹熊金陆郝孔白崔康毛邱秦江史顾侯邵孟龙万段雷钱汤尹黎易常武乔贺赖龚文"
)
_GIVEN = [
    "建国",
    "秀英",
    "桂兰",
    "志强",
    "丽娟",
    "国华",
    "玉梅",
    "海燕",
    "晓东",
    "春梅",
    "立新",
    "淑珍",
    "永康",
    "红霞",
    "文斌",
    "雅琴",
    "学军",
    "美玲",
    "振华",
    "凤英",
    "子涵",
    "宇轩",
    "欣怡",
    "浩然",
    "思远",
    "佳宁",
    "俊杰",
    "雨桐",
    "明哲",
    "若曦",
    "天佑",
    "诗雨",
    "嘉懿",
    "梓萱",
    "鹏飞",
    "婉清",
    "承志",
    "静怡",
    "卓然",
    "心怡",
]
RARE_NAMES = {"resident-3": "阿依古丽·买买提", "member-7": "欧阳𬱖", "member-20": "司马青山"}
"""Names that systems get wrong: a dot, a sign beyond the basic plane, a surname of two signs."""


@dataclass(frozen=True, slots=True)
class Trait:
    """What the dice say about one account."""

    name: str
    phone: str
    items: tuple[str, ...] = ()
    skills: tuple[tuple[str, str], ...] = ()
    free_times: tuple[dict[str, object], ...] = field(default=())


def traits(checkin_codes: tuple[str, ...]) -> dict[str, Trait]:
    """Name, phone, offers, skills and free times of everyone, by login; the same on every call."""
    dice = Random(SEED)  # noqa: S311 - made-up people, no secrets
    names: dict[str, str] = dict(RARE_NAMES)
    for part in PARTS:
        while part.login not in names:
            name = dice.choice(_SURNAMES) + dice.choice(_GIVEN)
            if name not in names.values():
                names[part.login] = name
    found: dict[str, Trait] = {}
    for number, part in enumerate(PARTS, start=1):
        items: tuple[str, ...] = ()
        skills: tuple[tuple[str, str], ...] = ()
        times: tuple[dict[str, object], ...] = ()
        if part.role is Role.MEMBER:
            left_out = set(dice.sample(checkin_codes, dice.randint(1, 4)))
            items = tuple(code for code in checkin_codes if code not in left_out)
            # Whatever the catalogue demands: whoever tries the demonstration takes what he likes.
            besides = dice.choice([skill for skill in SKILLS if skill[0] not in DEMANDED])
            skills = (*(skill for skill in SKILLS if skill[0] in DEMANDED), besides)
            # Round the clock: whoever looks at the demonstration at night finds somebody free.
            times = tuple({"weekday": day, "from": "00:00", "to": "24:00"} for day in range(1, 8))
        found[part.login] = Trait(names[part.login], f"1990000{number:04d}", items, skills, times)
    return found
