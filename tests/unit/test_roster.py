"""Rosters: what a line may say, what is wrong with it, and cells that no spreadsheet computes."""

import contextlib
import io
import resource
import zipfile
from datetime import date
from random import Random

import pytest
import xlsxwriter
from hypothesis import given, settings
from hypothesis import strategies as st

from dispatch.domain.cells import (
    as_told,
    neutral,
    plain,
    read_date,
    read_free_times,
    read_id_number,
    read_skills,
    restored,
    write_free_times,
    write_skills,
)
from dispatch.domain.checkin import after_hours
from dispatch.domain.roster import HEADINGS, MOST_LINES, read
from dispatch.rosters.spreadsheets import CannotRead, as_csv, as_xlsx, rows_of
from dispatch.web.wire import normal_name, normal_phone

HEAD = ["姓名*", "手机号", "报到社区", "每日上限"]


def told(*rows: list[str], head: list[str] = HEAD):
    return read(list(enumerate([head, *rows], start=1)), phone=normal_phone, name=normal_name)


def test_a_good_line_is_made_uniform():
    lines, problems = told(["阿依古丽•买买提", "１３８ 0000 1111", "春晓社区", "2"])
    assert problems == []
    assert (lines[0].name, lines[0].phone, lines[0].told) == (
        "阿依古丽·买买提",
        "13800001111",
        {"most_a_day": 2},
    )


def test_every_wrong_cell_is_told_with_its_line_and_heading_and_the_others_are_read():
    lines, problems = told(
        ["张三", "12", "春晓社区", ""],
        ["", "", "", ""],
        ["李四", "13800001111", "", "0"],
        ["王五", "13800002222", "春晓社区", "1"],
        ["赵六", "", "春晓社区", ""],
    )
    assert [line.number for line in lines] == [5]
    assert [(one.line, one.column) for one in problems] == [
        (2, "手机号"),
        (4, "报到社区"),
        (4, "每日上限"),
        (6, "手机号"),
    ]


def test_headings_that_are_unknown_double_or_missing_stop_the_reading():
    assert [one.column for one in told(["张三"], head=["姓名", "星座"])[1]] == ["星座", "报到社区"]
    assert told(["张三"], head=["姓名", "姓名", "报到社区"])[1][0].message == "这一列出现了两次"
    assert told(head=HEAD)[1][0].message == "名册里没有人员"


@pytest.mark.parametrize(
    ("one", "other", "double"),
    [
        ({"手机号": "13800001111"}, {"手机号": "138-0000-1111"}, True),
        ({"身份证号": "11010519491231002X"}, {"身份证号": "11010519491231002x"}, True),
        ({"单位": "图书馆"}, {"单位": "图书馆"}, True),
        ({"单位": "图书馆"}, {"单位": "实验中学"}, False),
        ({"手机号": "13800001111"}, {"手机号": "13800002222"}, False),
    ],
)
def test_the_same_person_twice_in_a_file_is_told_with_the_first_line(one: dict, other: dict, double: bool):
    head = ["姓名", "报到社区", *one]
    rows = [["张三", "春晓社区", *one.values()], ["张三", "春晓社区", *other.values()]]
    found = [(problem.line, problem.message) for problem in told(*rows, head=head)[1]]
    assert found == ([(3, "与第2行重复")] if double else [])


def test_a_phone_is_shared_by_two_whom_their_id_numbers_tell_apart():
    head = ["姓名", "报到社区", "手机号", "身份证号"]
    phone, ids = "13800001111", ["11010519491231002X", "110105194912310011"]
    rows = [["张三", "春晓社区", phone, ids[0]], ["李四", "春晓社区", phone, ids[1]]]
    assert told(*rows, head=head)[1] == []
    found = told(*rows, ["王五", "春晓社区", phone, ""], head=head)[1]
    assert [(one.line, one.message) for one in found] == [(4, "与第2行重复")]


def test_full_width_signs_are_read_as_plain_ones():
    head = ["姓名", "报到社区", "手机号", "身份证号", "空闲时间", "资质", "报到日期", "每周上限"]
    cells = [
        *("张三", "春晓社区", "１３８００００１１１１", "１１０１０５１９４９１２３１００２Ｘ"),
        *(
            "周一18：30-21：00",
            "nurse 护士；electrician 电工 Ｔ４３０ ２０２８-05-31",
            "２０２６-12-01",
            "３",
        ),
    ]
    lines, problems = told(cells, head=head)
    assert problems == []
    line = lines[0]
    assert (line.phone, line.id_number, line.since) == (
        "13800001111",
        "11010519491231002X",
        date(2026, 12, 1),
    )
    assert line.told["free_times"] == [{"weekday": 1, "from": "18:30", "to": "21:00"}]
    assert [skill["expires_on"] for skill in line.told["skills"]] == [None, "2028-05-31"]
    assert line.told["most_a_week"] == 3


def test_days_are_read_as_spreadsheets_and_people_write_them_within_two_centuries():
    for text in ("2026-12-01", "2026/12/1", "2026年12月1日", "20261201", "46357"):
        assert read_date(text) == date(2026, 12, 1), text
    for wrong in ("0001-01-01", "9999-12-31", "2200-01-01", "20261301", "99999999", "46", "明天"):
        with pytest.raises(ValueError, match="日期"):
            read_date(wrong)


@pytest.mark.parametrize(
    ("skill", "text"),
    [
        ({"proof": "2023-0456", "expires_on": None}, "electrician 电工 2023-0456"),
        ({"proof": "2023-04-05", "expires_on": None}, "electrician 电工 2023-04-05 -"),
        ({"proof": None, "expires_on": "2028-05-31"}, "electrician 电工 2028-05-31"),
        ({"proof": "2023-04-05", "expires_on": "2028-05-31"}, "electrician 电工 2023-04-05 2028-05-31"),
    ],
)
def test_a_proof_that_looks_like_a_day_stays_a_proof(skill: dict, text: str):
    skills = [{"code": "electrician", "name": "电工", **skill}]
    assert write_skills(skills) == text
    assert read_skills(text) == skills


spoken = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=12).filter(
    lambda text: plain(text).strip(" ;,-")
)


@given(st.lists(st.builds(lambda name, proof: {"name": name, "proof": proof}, spoken, st.none() | spoken)))
def test_skills_come_back_from_a_file_as_they_are_compared(found: list[dict]):
    skills = [{"code": f"s{n}", **one, "expires_on": None} for n, one in enumerate(found)]
    once = as_told("skills", skills)
    assert [skill["code"] for skill in once] == [skill["code"] for skill in skills]
    assert as_told("skills", once) == once


def test_id_numbers_are_checked_by_their_last_sign():
    assert read_id_number("11010519491231002x") == "11010519491231002X"
    for wrong in ("110105194912310021", "1.10105E+17", "11010519491231002"):
        with pytest.raises(ValueError, match="身份证号"):
            read_id_number(wrong)


def test_free_times_and_skills_read_what_they_write():
    times = read_free_times("周一18:30-21:00、星期六 9:00–12:00")
    assert times == [
        {"weekday": 1, "from": "18:30", "to": "21:00"},
        {"weekday": 6, "from": "09:00", "to": "12:00"},
    ]
    assert read_free_times(write_free_times(times)) == times
    assert read_free_times("八小时之外") == after_hours()
    assert write_free_times(after_hours()) == "八小时之外"
    skills = read_skills("electrician 持证电工 T430 2028-05-31；nurse 护士")
    assert [skill["expires_on"] for skill in skills] == [date(2028, 5, 31).isoformat(), None]
    assert read_skills(write_skills(skills)) == skills
    for wrong in ("周八18:00-19:00", "周一19:00-18:00", "周一9:00-11:00、周一10:00-12:00", "随时"):
        with pytest.raises(ValueError, match=r"应|空闲|结束|小时"):
            read_free_times(wrong)


@pytest.mark.parametrize(
    "text",
    [
        "=1+1",
        "+cmd",
        "-2+3",
        "@x",
        "\tx",
        "\rx",
        "＝1",
        " =1",
        '"=1',
        "'=1",
        "　@a",
        "\n=1",
        "\u00a0=1",
        "\u200b=1",
        "\x00=1",
        "\ufeff@a",
        " \n\u2060'=1",
    ],
)
def test_what_a_spreadsheet_would_compute_is_neutralised(text: str):
    assert neutral(text) == f"'{text}"


@pytest.mark.parametrize("text", ["-5", "+8613800001111", "0731-82345678", "张三", "", "'90后"])
def test_numbers_and_plain_texts_stay_as_they_are(text: str):
    assert neutral(text) == text


dangerous = st.text(st.sampled_from("=+-@\t\r\n\u00a0\u200b'\" ＝　ab1中"), max_size=8)


@given(dangerous)
def test_re_import_restores_the_original_text(text: str):
    assert restored(neutral(text)) == text


cells = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=12)


@settings(max_examples=25, deadline=None)  # each starts a process
@given(
    st.lists(
        st.lists(cells | dangerous.map(str.strip).filter(bool), min_size=2, max_size=2),
        min_size=1,
        max_size=4,
    )
)
def test_a_table_comes_back_from_csv_and_excel_as_it_went(table: list[list[str]]):
    assert [row for _, row in rows_of("名册.csv", as_csv(table))] == table
    assert [row for _, row in rows_of("名册.xlsx", as_xlsx(table, "名册"))] == table


def test_lines_are_counted_as_the_reader_sees_them():
    said = '姓名,居住地址\r\n张三,"3栋\r\n501"\r\n\r\n李四,x\r\n'
    assert [number for number, _ in rows_of("a.csv", said.encode("gb18030"))] == [1, 2, 4, 5]


@pytest.mark.parametrize(
    ("name", "data"),
    [("a.xls", b"x"), ("a.xlsx", b"PK no"), ("a.csv", b"\xff\xfe\x00"), ("a.csv", b'"open'), ("a.xlsx", b"")],
)
def test_what_is_no_table_is_refused(name: str, data: bytes):
    with pytest.raises(CannotRead):
        rows_of(name, data)


def test_a_small_file_that_unpacks_to_a_very_large_one_is_refused():
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("xl/worksheets/sheet1.xml", b"0" * (65 * 1024 * 1024))
    with pytest.raises(CannotRead, match="过大"):
        rows_of("a.xlsx", packed.getvalue())


def test_every_column_has_one_heading():
    assert len(set(HEADINGS.values())) == len(HEADINGS)


def test_two_cells_far_apart_are_no_table():
    for cell, said in (((0, 16_000), "列数"), ((900_000, 1), "最多导入")):
        out = io.BytesIO()
        with xlsxwriter.Workbook(out) as book:
            sheet = book.add_worksheet()
            sheet.write_string(0, 0, "姓名")
            sheet.write_string(*cell, "x")
        with pytest.raises(CannotRead, match=said):
            rows_of("a.xlsx", out.getvalue())


def test_a_roster_as_long_as_may_be_is_read_within_the_memory_there_is():
    line = [
        "张三",
        "13800001111",
        "幸福路18号3栋2单元501",
        "electrician 持证电工 T430 2028-05-31",
        "八小时之外",
    ]
    table = [[*line, *line, *line] for _ in range(MOST_LINES)]
    assert len(rows_of("a.xlsx", as_xlsx(table, "名册"))) == MOST_LINES


CONTENT_TYPES = """<?xml version="1.0"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">
<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>
<Default Extension="xml" ContentType="application/xml"/><Override PartName="/xl/workbook.xml"
 ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/></Types>"""
RELATION = """<?xml version="1.0"?><Relationships
 xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1"
 Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/{}" Target="{}"/></Relationships>"""
BOOK = """<?xml version="1.0"?><workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"
 xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"><sheets>
<sheet name="a" sheetId="1" r:id="rId1"/></sheets></workbook>"""
SHEET = """<?xml version="1.0"?><worksheet
 xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>{}</sheetData></worksheet>"""
FAR = '<row r="1"><c r="A1"><v>1</v></c></row><row r="600000"><c r="{}"><v>2</v></c></row>'
NOWHERE = '<row r="1"><c><v>1</v></c></row><row r="1048576">' + "<c><v>2</v></c>" * 3000 + "</row>"


@pytest.mark.parametrize(
    ("rows", "part"),
    [
        (FAR.format("AZ600000"), "sheet1.xml"),
        (FAR.format("A600000"), "sheet1.bin"),
        (FAR.format("AZ600000"), "sheet1.XML"),
        (FAR.format("AZ000600000"), "sheet1.xml"),
        (FAR.format("&#65;600000"), "sheet1.xml"),
        ('<row r="1"><c><v>1</v></c></row><row r="600000"><c><v>2</v></c></row>', "sheet1.xml"),
        (NOWHERE, "sheet1.xml"),
    ],
    ids=["far", "named otherwise", "capitals", "zeros", "entity", "no places", "three thousand columns"],
)
def test_no_file_of_a_few_bytes_takes_the_service_down_however_it_is_written(rows: str, part: str):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("[Content_Types].xml", CONTENT_TYPES)
        packed.writestr("_rels/.rels", RELATION.format("officeDocument", "xl/workbook.xml"))
        packed.writestr("xl/workbook.xml", BOOK)
        packed.writestr("xl/_rels/workbook.xml.rels", RELATION.format("worksheet", f"worksheets/{part}"))
        packed.writestr(f"xl/worksheets/{part}", SHEET.format(rows))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(CannotRead):
        rows_of("a.xlsx", out.getvalue())
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 64 * 1024, "KiB of this process: another one pays for it"


def test_a_damaged_file_is_refused_or_read_and_never_breaks():
    dice = Random(20261125)
    whole = as_xlsx([HEAD, *([f"张{n}", "13800001111", "春晓社区", "1"] for n in range(20))], "名册")
    for _ in range(40):
        damaged = bytearray(whole)
        for _ in range(dice.randint(1, 6)):
            damaged[dice.randrange(len(damaged))] = dice.randrange(256)
        with contextlib.suppress(CannotRead):
            rows_of("a.xlsx", bytes(damaged))
