"""Calendars in writing: what is read, and what is refused with its line."""

import json
from datetime import date

import pytest

from dispatch.domain.calendar import DayKind, Span
from dispatch.domain.calendar_check import CalendarInvalid
from dispatch.domain.calendar_file import (
    Entry,
    Source,
    read_csv,
    read_entry,
    read_json,
    read_span,
    read_week,
    with_local,
    with_official,
    write_span,
    write_week,
)
from dispatch.sla import shipped

OFF, WORKED = DayKind.HOLIDAY, DayKind.MAKEUP
YEAR_2027 = """date,kind,name,hours
2027-01-01,holiday,元旦,
2027/2/14,调休上班,春节调休,09:00-12:00 14:00-18:00
2027-05-01,放假,劳动节
2027-10-01,holiday,国庆节
"""


def problems(read, text: str, source: Source = Source.OFFICIAL) -> dict[tuple, str]:
    with pytest.raises(CalendarInvalid) as refused:
        read(text, source)
    return {problem.where: problem.reason for problem in refused.value.problems}


def test_a_year_is_read_from_csv_and_from_json_alike():
    from_csv = read_csv("\ufeff" + YEAR_2027.replace("\n", "\r\n"), Source.OFFICIAL)
    rows = [line.split(",") for line in YEAR_2027.splitlines()[1:]]
    as_json = [dict(zip(("date", "kind", "name", "hours"), row, strict=False)) for row in rows]
    assert read_json(json.dumps(as_json, indent=1), Source.OFFICIAL) == from_csv
    assert from_csv[1] == Entry(
        date(2027, 2, 14), WORKED, "春节调休", (Span(540, 720), Span(840, 1080)), Source.OFFICIAL
    )
    assert [entry.kind for entry in from_csv] == [OFF, WORKED, OFF, OFF]
    assert [read_entry(entry.wire()) for entry in from_csv] == from_csv


def test_every_wrong_line_is_named():
    text = (
        "date,kind,name,hours\n"
        "2027-02-30,holiday,春节\n"
        "2027-02-06,holiday,春节\n"
        "\n"
        "2027-02-07,party,春节\n"
        "2027-02-06,holiday,春节\n"
        "2027-02-08,holiday,春节,09:00-12:00\n"
        "2027-02-14,makeup,,12:00-09:00\n"
        "2027-02-15,makeup,,09:00-12:00 11:00-13:00\n"
        "2027-02-16,makeup,,nine to five\n"
        "2027-02-17,makeup,,09:00-12:00,more\n"
        f"2027-02-18,makeup,{'长' * 33}\n"
    )
    found = problems(read_csv, text)
    assert set(found) == {("line", number) for number in (2, 5, 6, 7, 8, 9, 10, 11, 12)}
    assert "第3行" in found["line", 6]
    assert "时段应止于开始之后" in found["line", 8]


@pytest.mark.parametrize("text", ["", "day,what\n", "kind,date\n", "date,kind,date\n", "date,kind,colour\n"])
def test_a_csv_without_its_head_is_refused_in_line_1(text):
    assert set(problems(read_csv, text)) == {("line", 1)}


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", 1),
        ("{}", 1),
        ("[]", 1),
        ('[\n{"date": "2027-01-01", "kind": "holiday"},\n{"date": "2027-01-02" "kind"}\n]', 3),
        ('[{"date": "2027-01-01", "kind": "holiday"}\n', 2),
        ('[{"date": "2027-01-01", "kind": "holiday"}\n;', 2),
        ('[\n{"date": "2027-01-01", "kind": "holiday"},\n7]', 3),
        ('[\n{"date": 20270101, "kind": "holiday"}]', 2),
        ('[\n{"date": "2027-01-01", "kind": "holiday", "colour": "red"}]', 2),
        ('[\n{"date": "2027-01-01", "kind": "makeup", "hours": [9, 12]}]', 2),
        ('[\n{"date": "2027-01-01",\n"kind": "holiday"},\n{"date": "2027-01-01",\n"kind": "rest"}]', 4),
    ],
)
def test_what_is_wrong_in_json_is_named_by_its_line(text, line):
    assert set(problems(read_json, text)) == {("line", line)}


def test_reversed_hours_of_a_week_are_named_by_row():
    with pytest.raises(CalendarInvalid) as refused:
        read_week([["09:00-12:00", "18:00-14:00"], [], ["9-12"], [], [], [], []])
    assert [problem.where for problem in refused.value.problems] == [("weekly", 0, 1), ("weekly", 2, 0)]


def test_hours_past_midnight_go_on_counting():
    assert read_span("20:00-26:00") == Span(1200, 1560)
    assert write_span(Span(1200, 1560)) == "20:00-26:00"
    assert read_span("0:00 - 24:00") == Span(0, 1440)
    week = [["09:00-12:00", "14:00-18:00"], [], [], [], [], ["20:00-26:00"], []]
    assert write_week(read_week(week)) == week


def test_official_days_replace_the_guesses_of_their_years_and_no_days_of_the_tenants_own():
    guess = Entry(date(2027, 2, 5), OFF, "除夕", None, Source.STATUTORY)
    own = Entry(date(2027, 2, 14), WORKED, "本地", (Span(540, 600),), Source.LOCAL)
    other = Entry(date(2028, 1, 1), OFF, "元旦", None, Source.STATUTORY)
    told = read_csv(YEAR_2027, Source.OFFICIAL)
    merged = with_official([guess, own, other], told)
    assert merged == [told[0], own, told[2], told[3], other]
    assert with_official(merged, told) == merged, "once more changes nothing"


def test_half_a_year_is_not_taken_for_a_whole_one():
    with pytest.raises(CalendarInvalid) as refused:
        with_official([], [Entry(date(2027, 1, 1), OFF)])
    assert [problem.where for problem in refused.value.problems] == [
        ("days", "2027-05-01"),
        ("days", "2027-10-01"),
    ]


def test_a_tenants_own_day_replaces_what_stood_there():
    stood, own = Entry(date(2027, 5, 4), OFF, "五四", None, Source.OFFICIAL), Entry(date(2027, 5, 4), WORKED)
    assert with_local([stood], [own]) == [own]


# 国办发明电〔2025〕7号 for 2026, 〔2024〕12号 for 2025, 〔2023〕7号 for 2024: days off and worked as announced.
@pytest.mark.parametrize(("year", "off", "worked"), [(2024, 28, 8), (2025, 28, 5), (2026, 33, 6)])
def test_the_shipped_years_are_those_announced(year, off, worked):
    of_the_year = [entry for entry in shipped.official() if entry.on.year == year]
    assert sum(entry.kind is OFF for entry in of_the_year) == off
    assert sum(entry.kind is WORKED for entry in of_the_year) == worked


def test_the_shipped_days_of_2026_are_these():
    told = {entry.on: (entry.kind, entry.name) for entry in shipped.official()}
    assert told[date(2026, 2, 14)] == (WORKED, "春节调休")
    assert told[date(2026, 2, 23)] == (OFF, "春节")
    assert told[date(2026, 10, 10)] == (WORKED, "国庆节调休")
    assert date(2026, 2, 24) not in told


def test_years_without_a_notice_have_the_days_of_the_statute():
    told = {entry.on: entry for entry in shipped.statutory(range(2027, 2028))}
    # 除夕、初一至初三 of 2027 fall on Friday 5 to Monday 8 February; what falls on a weekend is moved behind.
    for day in (date(2027, 2, 5), date(2027, 2, 8), date(2027, 2, 9), date(2027, 6, 9), date(2027, 9, 15)):
        assert told[day].day.provisional
        assert told[day].kind is OFF
    assert all(entry.kind is OFF for entry in told.values()), "make-up days are nobody's guess"


def test_three_years_are_guessed_whatever_year_it_is():
    end = date(2026, 12, 31)
    assert list(shipped.guesses(end, date(2026, 11, 1))) == [2027, 2028, 2029]
    assert list(shipped.guesses(end, date(2028, 2, 1))) == [2027, 2028, 2029, 2030, 2031]
