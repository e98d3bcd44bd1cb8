"""The tree of places over HTTP."""

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query

from dispatch.domain.refusal import PlaceNotFound
from dispatch.places import queries
from dispatch.places.schemas import AncestorOut, PlaceOut, PlaceWithAncestorsOut
from dispatch.web.deps import Caller, Reading
from dispatch.web.paging import DEFAULT_LIMIT, Cursor, Key, Limit, Page, cut, fingerprint, read_cursor
from dispatch.web.problems import responses
from dispatch.web.wire import IdIn

router = APIRouter(prefix="/v1", tags=["places"])

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)  # places are listed by id alone: no instant counts


@router.get("/places", summary="下级地点列表", responses=responses(PlaceNotFound))
async def list_places(
    db: Reading,
    caller: Caller,
    parent: Annotated[IdIn | None, Query(description="The place above; without it the roots.")] = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> Page[PlaceOut]:
    """The places directly below another, in the order they were made."""
    query = fingerprint("places", parent=parent)
    after = read_cursor(cursor, query)
    found = await queries.children(
        db, caller.tenant.id, parent, after=after.id if after else None, limit=limit + 1
    )
    rows, next_cursor = cut(found, limit, query, _key)
    return Page(items=[PlaceOut.model_validate(row) for row in rows], next_cursor=next_cursor)


def _key(row: Any) -> Key:
    return Key(EPOCH, row.id)


@router.get("/places/{place_id}", summary="地点详情和所属上级")
async def get_place(db: Reading, caller: Caller, place_id: IdIn) -> PlaceWithAncestorsOut:
    """One place and those above it; a retired one too."""
    place = await queries.place(db, caller.tenant.id, place_id)
    above = await queries.ancestors(db, caller.tenant.id, place.path)
    return PlaceWithAncestorsOut(
        **PlaceOut.model_validate(place).model_dump(),
        ancestors=[AncestorOut.model_validate(each) for each in above],
        retired=place.retired_at is not None,
    )
