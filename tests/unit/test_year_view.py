"""The year as a picture says what the calendar says."""

import re
from datetime import date, timedelta
from xml.etree import ElementTree
from zoneinfo import ZoneInfo

from dispatch.domain.calendar import Calendar, Day, DayKind, Span
from dispatch.domain.year_view import COLOURS, drawn, kind_of
from dispatch.sla import shipped

SVG = "{http://www.w3.org/2000/svg}"
DAYS = {entry.on: entry.day for entry in (*shipped.official(), *shipped.statutory(range(2027, 2028)))}
CALENDAR = Calendar("c", 1, ZoneInfo("Asia/Shanghai"), shipped.WEEK, DAYS, shipped.KNOWN_UNTIL)


def cells(calendar: Calendar, year: int) -> dict[str, tuple[str, str, bool]]:
    """Date to its words, its colour, and whether it is pale."""
    root = ElementTree.fromstring(drawn(calendar, year))
    found = {}
    for group in root.iter(f"{SVG}g"):
        title, box = group.find(f"{SVG}title").text, group.find(f"{SVG}rect").get("fill")
        on, _, words = title.partition(" ")
        found[on] = (words, box, group.get("opacity") is not None)
    return found


def test_every_date_of_a_year_is_there_once_in_the_colour_of_its_kind():
    for year, length in ((2026, 365), (2028, 366)):
        told = cells(CALENDAR, year)
        assert len(told) == length
        for ahead in range(length):
            on = date(year, 1, 1) + timedelta(days=ahead)
            assert told[on.isoformat()][1] == COLOURS[kind_of(CALENDAR, on)][0]
            works = kind_of(CALENDAR, on) in ("work", "makeup", "local")
            assert works == bool(CALENDAR.hours(on)), on


def test_known_days_are_named_and_guesses_are_pale():
    told = cells(CALENDAR, 2026)
    assert told["2026-02-14"] == ("春节调休", COLOURS["makeup"][0], False)
    assert told["2026-10-01"] == ("国庆节", COLOURS["holiday"][0], False)
    assert told["2026-11-24"] == ("工作日", COLOURS["work"][0], False)
    assert all(pale for _, _, pale in cells(CALENDAR, 2027).values())
    assert cells(CALENDAR, 2027)["2027-02-05"][0] == "农历除夕"


def test_hours_of_its_own_and_strange_names_are_drawn():
    own = {date(2026, 12, 1): Day(DayKind.WORKDAY, '<停电> & "more"', False, (Span(540, 600),))}
    told = cells(Calendar("c", 1, CALENDAR.zone, shipped.WEEK, own, shipped.KNOWN_UNTIL), 2026)
    assert told["2026-12-01"] == ('<停电> & "more"', COLOURS["local"][0], False)


def test_the_pictures_of_the_documentation_are_of_the_shipped_calendar(pytestconfig):
    for year in (2026, 2027):
        text = (pytestconfig.rootpath / f"docs/calendar-{year}.svg").read_text(encoding="utf-8")
        assert re.findall(r"<title>(\d{4})年工作日历</title>", text) == [str(year)]
        assert text == drawn(CALENDAR, year)
