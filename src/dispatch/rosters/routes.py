"""Rosters over HTTP."""

import asyncio
import base64
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Depends, Response

from dispatch.domain.refusal import PlaceNotFound, RosterInvalid, wrong
from dispatch.domain.roster import Line, Problem, read
from dispatch.rosters import actions, spreadsheets
from dispatch.rosters.planning import Does
from dispatch.rosters.schemas import RosterAskIn, RosterIn, RosterOut, RosterProblemOut
from dispatch.rosters.spreadsheets import CannotRead
from dispatch.web.deps import Caller, Now, Writing
from dispatch.web.etag import PERSONAL_CACHE_CONTROL
from dispatch.web.problems import responses
from dispatch.web.wire import normal_name, normal_phone

router = APIRouter(prefix="/v1/rosters", tags=["checkin"])

MOST_PROBLEMS = 500
TYPES = {
    "csv": "text/csv",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}


@dataclass(frozen=True, slots=True)
class Table:
    """A file that was read, and how it is to be taken."""

    dry_run: bool
    lines: list[Line]
    problems: list[Problem]


async def _table(caller: Caller, body: RosterIn) -> Table:
    """The file, read for who registers only, and before a connection is held."""
    actions.check_registers(caller)
    try:
        data = base64.b64decode(body.content, validate=True)
    except ValueError:
        raise wrong("content", "应为Base64编码") from None
    try:
        lines, problems = await asyncio.to_thread(_read, body.filename, data)
    except CannotRead as error:
        raise RosterInvalid(errors=actions.errors([error.problem])) from None
    return Table(body.dry_run, lines, problems)


@router.post("/import", summary="导入名册", responses=responses(RosterInvalid))
async def import_roster(
    caller: Caller, table: Annotated[Table, Depends(_table)], db: Writing, now: Now
) -> RosterOut:
    """导入名册: all lines or none. The same file again changes nothing; who is there already is found, not doubled."""
    made = await actions.take_in(db, caller, table.lines, table.problems, dry=table.dry_run, at=now)
    return RosterOut(
        dry_run=table.dry_run,
        created=made.count(Does.CREATES),
        invited=made.count(Does.INVITES),
        updated=made.count(Does.UPDATES),
        unchanged=made.count(Does.UNCHANGED),
        problems=[
            RosterProblemOut(line=one.line, column=one.column, message=one.message)
            for one in made.problems[:MOST_PROBLEMS]
        ],
    )


def _read(filename: str, data: bytes) -> tuple[list[Line], list[Problem]]:
    return read(spreadsheets.rows_of(filename, data), phone=normal_phone, name=normal_name)


@router.post(
    "/export",
    summary="导出名册",
    response_class=Response,
    responses={
        **responses(PlaceNotFound),
        200: {"description": "表格文件", "content": {kind: {} for kind in TYPES.values()}},
    },
)
async def export_roster(db: Writing, caller: Caller, now: Now, body: RosterAskIn) -> Response:
    """导出名册: of a place and all below. Whole phones for the community's desk only, and every member sees who had them."""
    table = await actions.give_out(
        db, caller, body.place_id, whole=body.phones == "whole", purpose=body.purpose, at=now
    )
    if body.format == "csv":
        data = await asyncio.to_thread(spreadsheets.as_csv, table)
    else:
        data = await asyncio.to_thread(spreadsheets.as_xlsx, table, "名册")
    return Response(
        data,
        media_type=TYPES[body.format],
        headers={
            "Cache-Control": PERSONAL_CACHE_CONTROL,
            "Content-Disposition": f"attachment; filename*=UTF-8''{quote('名册')}.{body.format}",
        },
    )
