"""Publishing a month: counted once, cut down to what may be told, written for good."""

import asyncio
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import insert

from dispatch.db.dialect import yielding_insert
from dispatch.db.engine import Database
from dispatch.domain.publishing import Event, Path, Shown, bounds, tellable
from dispatch.reports import queries
from dispatch.reports.queries import MEASURES, Happened, Tree
from dispatch.reports.tables import publications


async def publish(
    database: Database, tenant_id: int, month: str, zone: ZoneInfo, least: int, *, at: datetime
) -> None:
    """Publish a month of a tenant. Of two who do it at once one writes; what is written stays as it is."""
    begin, end = bounds(month, zone)
    async with database.reading() as db:
        tree = await queries.tree(db, tenant_id)
        if tree is None:
            return
        found = await queries.happened(db, tenant_id, begin, end)
    # Seconds for a large month: nothing else of the worker waits for it.
    cells = await asyncio.to_thread(rows, found, tree, least)
    whole, *others = ({"tenant_id": tenant_id, "month": month, "published_at": at, **cell} for cell in cells)
    async with database.writing() as db:
        first = yielding_insert(db, publications).values(whole).on_conflict_do_nothing()
        written = await db.execute(first.returning(publications.c.month))
        if others and written.one_or_none() is not None:
            await db.execute(insert(publications), others)


def rows(found: dict[str, list[Happened]], tree: Tree, least: int) -> list[dict[str, Any]]:
    """One row for the whole, for each of its categories, and for each street and community."""

    def placed(event: Happened) -> Path:
        here = event.community_id or event.street_id
        if here is None or here not in tree.above:
            return (None,)
        return _path(here, tree) if event.community_id else (*_path(here, tree), None)

    by_place = {name: _tellable(events, placed, least) for name, events in found.items()}
    by_category = {
        name: _tellable(events, lambda event: (event.category_code,), least) for name, events in found.items()
    }
    whole: dict[str, Any] = {"place_id": tree.root_id, "above_id": None, "category_code": ""}
    told = [whole | _numbers(by_place, ())]
    told += [whole | {"category_code": code} | _numbers(by_category, (code,)) for code in tree.categories]
    for place_id, above_id in tree.above.items():
        cell: dict[str, Any] = {"place_id": place_id, "above_id": above_id, "category_code": ""}
        told.append(cell | _numbers(by_place, _path(place_id, tree)))
    return told


def _path(place_id: UUID, tree: Tree) -> Path:
    above = tree.above[place_id]
    return (place_id,) if above == tree.root_id else (*_path(above, tree), place_id)


def _tellable(events: Iterable[Happened], path: Callable[[Happened], Path], least: int) -> dict[Path, Shown]:
    return tellable([Event(path(event), event.household, event.part) for event in events], least)


def _numbers(cells: dict[str, dict[Path, Shown]], path: Path) -> dict[str, int | None]:
    """Every measure of a cell and its parts; None where it is left out."""
    told: dict[str, int | None] = {}
    for measure, parts in MEASURES.items():
        shown = cells[measure].get(path)
        told[measure] = shown.number if shown else None
        for part in parts:
            told[part] = shown.parts.get(part, 0) if shown and shown.parts is not None else None
    return told
