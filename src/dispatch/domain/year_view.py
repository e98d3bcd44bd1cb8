"""A year of a calendar as a picture: what is worked, what is off, what is only a guess."""

from collections.abc import Iterator
from datetime import date, timedelta

from dispatch.domain.calendar import Calendar, DayKind

CELL, LEFT, TOP, GAP = 22, 46, 58, 14
COLUMNS, MONTHS_DOWN = 4, 3
MONTH_WIDTH, MONTH_HEIGHT = 7 * CELL + GAP, 7 * CELL + 30
COLOURS = {
    "work": ("#ffffff", "#1f2933", "工作日"),
    "rest": ("#e4e7eb", "#7b8794", "休息日"),
    "holiday": ("#e12d39", "#ffffff", "放假"),
    "makeup": ("#2186eb", "#ffffff", "调休上班"),
    "local": ("#f7c948", "#1f2933", "本地时段"),
}
WIDTH = LEFT * 2 + COLUMNS * MONTH_WIDTH - GAP
HEIGHT = TOP + MONTHS_DOWN * MONTH_HEIGHT + 40


def drawn(calendar: Calendar, year: int) -> str:
    """The year as SVG. Dates after the official data are pale: they may still change."""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}" '
        'font-family="sans-serif" font-size="11">',
        f"<title>{year}年工作日历</title>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#f9fafb"/>',
        f'<text x="{LEFT}" y="30" font-size="18" fill="#1f2933">{year}年工作日历</text>',
        f'<text x="{WIDTH - LEFT}" y="30" text-anchor="end" fill="#52606d">{_summary(calendar, year)}</text>',
    ]
    for month in range(1, 13):
        parts += _month(calendar, year, month)
    return "\n".join([*parts, *_legend(), "</svg>"]) + "\n"


def _summary(calendar: Calendar, year: int) -> str:
    worked = sum(bool(calendar.hours(on)) for on in _dates(year))
    return f"工作日{worked}天，数据至{calendar.known_until}（第{calendar.version}版）"


def _dates(year: int) -> Iterator[date]:
    first = date(year, 1, 1)
    return (first + timedelta(days=ahead) for ahead in range((date(year + 1, 1, 1) - first).days))


def _month(calendar: Calendar, year: int, month: int) -> Iterator[str]:
    left = LEFT + (month - 1) % COLUMNS * MONTH_WIDTH
    top = TOP + (month - 1) // COLUMNS * MONTH_HEIGHT
    yield f'<text x="{left}" y="{top}" font-size="13" fill="#1f2933">{month}月</text>'
    for column, name in enumerate("一二三四五六日"):
        yield f'<text x="{left + column * CELL + 10}" y="{top + 16}" text-anchor="middle" fill="#9aa5b1">{name}</text>'
    first = date(year, month, 1).weekday()
    for on in (day for day in _dates(year) if day.month == month):
        row, column = divmod(first + on.day - 1, 7)
        yield _cell(calendar, on, left + column * CELL, top + 22 + row * CELL)


def _cell(calendar: Calendar, on: date, x: int, y: int) -> str:
    fill, ink, label = COLOURS[kind_of(calendar, on)]
    day = calendar.days.get(on)
    told = f"{on} {day.name or label}" if day else f"{on} {label}"
    pale = ' opacity="0.55"' if on > calendar.known_until or (day and day.provisional) else ""
    return (
        f'<g{pale}><title>{_escaped(told)}</title><rect x="{x}" y="{y}" width="20" height="20" rx="3" fill="{fill}" '
        f'stroke="#cbd2d9"/><text x="{x + 10}" y="{y + 14}" text-anchor="middle" fill="{ink}">{on.day}</text></g>'
    )


def kind_of(calendar: Calendar, on: date) -> str:
    """What colour a date has: a key of ``COLOURS``."""
    day = calendar.days.get(on)
    if day is None or day.kind in (DayKind.WORKDAY, DayKind.REST):
        if day is not None and day.spans is not None:
            return "local"
        return "work" if calendar.hours(on) else "rest"
    return day.kind.value


def _legend() -> Iterator[str]:
    y = HEIGHT - 26
    for place, (fill, _, label) in enumerate(COLOURS.values()):
        x = LEFT + place * 96
        yield f'<rect x="{x}" y="{y}" width="14" height="14" rx="3" fill="{fill}" stroke="#cbd2d9"/>'
        yield f'<text x="{x + 20}" y="{y + 11}" fill="#52606d">{label}</text>'
    yield f'<text x="{LEFT + len(COLOURS) * 96}" y="{y + 11}" fill="#52606d">浅色：暂定</text>'


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
