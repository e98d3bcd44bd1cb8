"""``dispatch audit``: whether the log of every order is as it was written, and its heads, to be kept elsewhere.

The chain (domain.chain) shows what was changed inside a log. Whoever can rewrite a whole log, or take away its end,
is found by heads that were exported before, to where he cannot reach.
"""

import json
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from itertools import islice
from typing import Any, TextIO
from uuid import UUID

from sqlalchemy import and_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.db.engine import Database
from dispatch.db.tenants import tenants_by_code
from dispatch.domain.chain import at_rest_since, audit
from dispatch.domain.keeping import ALL_GONE, CONTENT_DAYS, gone_login
from dispatch.orders.tables import order_steps, orders
from dispatch.orders.whole import number
from dispatch.people.tables import accounts

BATCH = 500
"""Orders read at a time."""

_for = accounts.alias("beneficiary")
"""Whom an order is for."""


@dataclass(slots=True)
class Report:
    """What was found; ``broken`` has a line for each order, with its first broken entry. ``erased_since``: entries
    whose words have been erased since the heads were written, each of them lawfully if none is broken."""

    orders: int = 0
    entries: int = 0
    erased: int = 0
    erased_since: int = 0
    unchained: int = 0
    broken: list[dict[str, Any]] = field(default_factory=list)


async def examine(
    database: Database,
    *,
    tenant: str | None = None,
    heads: TextIO | None = None,
    against: TextIO | None = None,
    chained_since: date | None = None,
    at: datetime,
) -> Report:
    """Check every log, of one tenant or of all.

    Args:
        heads: where to write the newest hash of every order and how many entries lost their words, one line of JSON
            each.
        against: such lines from before: each entry must be there still, with the same hash.
        chained_since: the day from which every order is chained; numbers of earlier days may be without hashes.
            None: every order is. It is told by who asks, since whoever takes hashes away can take away a note of it.
        at: when it is asked; words leave by the clock.

    Raises:
        KeyError: no such tenant.
        ValueError: ``against`` holds something else.
    """
    report = Report()
    async with database.reading() as db:
        known = await tenants_by_code(db)
    for code in [tenant] if tenant else sorted(known):
        async for row, steps in _logs(database, known[code]):
            older = chained_since is not None and row.day < f"{chained_since:%Y%m%d}"
            erased = _examined(report, code, row, steps, older=older, at=at)
            if heads is not None and row.head:
                heads.write(json.dumps(_head(code, row, erased)) + "\n")
    if against is not None:
        await _compared(database, report, known, _lines(against, tenant))
    return report


def _examined(report: Report, code: str, row: Any, steps: list[Any], *, older: bool, at: datetime) -> int:
    """Check one order. Returns how many of its entries have lost their words."""
    entries = [step._mapping for step in steps]
    lawful = _lawful(row, steps, entries, at)
    found = audit(row.id, entries, version=row.version, head=row.head, erased=lawful, older=older)
    report.orders += 1
    report.entries += len(steps)
    report.erased += found.erased
    report.unchained += found.unchained
    if found.broken:
        report.broken.append(
            _told(code, row.id, number(row.day, row.serial), found.broken.seq, found.broken.why)
        )
    return sum(step.text_hash is not None and step.text is None for step in steps)


def _lawful(row: Any, steps: list[Any], entries: list[Mapping[str, Any]], at: datetime) -> set[int]:
    """Entries whose words may be gone: all of an order that is about somebody who was forgotten, or that has been at
    rest for as long as content is kept (by the log, not by what the row says of itself); else those of an author who was."""
    filer = steps[0] if steps else None
    forgotten = [row.beneficiary_login == gone_login(row.beneficiary_id)] if row.beneficiary_id else []
    if filer is not None and not row.on_behalf:
        forgotten.append(filer.login == gone_login(filer.account_id))
    rested = at_rest_since(entries)
    over = any(forgotten) or (rested is not None and rested <= at - CONTENT_DAYS)
    whole = row.cleared == ALL_GONE and over
    return {s.seq for s in steps if whole or (s.account_id and gone_login(s.account_id) == s.login)}


def _told(code: str, order_id: UUID | str, name: str, seq: int, why: str) -> dict[str, Any]:
    return {"tenant": code, "order_id": str(order_id), "number": name, "seq": seq, "why": why}


def _head(code: str, row: Any, erased: int) -> dict[str, Any]:
    told = {"tenant": code, "order_id": str(row.id), "number": number(row.day, row.serial)}
    return {**told, "seq": row.version, "hash": row.head, "erased": erased}


async def _logs(database: Database, tenant_id: int) -> AsyncIterator[tuple[Any, list[Any]]]:
    """Every order with its log, oldest entry first. A batch is read in one snapshot of row and log."""
    after: UUID | None = None
    while True:
        async with database.reading() as db:
            found = await _batch(db, tenant_id, after)
        for row, steps in found:
            yield row, steps
        if len(found) < BATCH:
            return
        after = found[-1][0].id


async def _batch(db: AsyncConnection, tenant_id: int, after: UUID | None) -> list[tuple[Any, list[Any]]]:
    rows = (
        select(orders.c.id, orders.c.day, orders.c.serial, orders.c.version, orders.c.head, orders.c.cleared)
        .add_columns(orders.c.on_behalf, orders.c.beneficiary_id)
        .where(orders.c.tenant_id == tenant_id)
        .order_by(orders.c.id)
        .limit(BATCH)
    )
    if after is not None:
        rows = rows.where(orders.c.id > after)
    these = rows.subquery()
    # One statement: an order that moves meanwhile is seen before or after, not between.
    logged = (
        select(these, order_steps.c.seq.label("seq"), *_entry(), accounts.c.login)
        .add_columns(_for.c.login.label("beneficiary_login"))
        .select_from(
            these.outerjoin(
                order_steps, and_(order_steps.c.tenant_id == tenant_id, order_steps.c.order_id == these.c.id)
            )
            .outerjoin(
                accounts, and_(accounts.c.tenant_id == tenant_id, accounts.c.id == order_steps.c.account_id)
            )
            .outerjoin(_for, and_(_for.c.tenant_id == tenant_id, _for.c.id == these.c.beneficiary_id))
        )
        .order_by(these.c.id, order_steps.c.seq)
    )
    found: dict[UUID, tuple[Any, list[Any]]] = {}
    for line in await db.execute(logged):
        _, steps = found.setdefault(line.id, (line, []))
        if line.seq is not None:
            steps.append(line)
    return list(found.values())


def _entry() -> Iterator[Any]:
    kept = ("move", "state_from", "state_to", "at", "account_id", "grant_id", "role")
    return (order_steps.c[name] for name in (*kept, "detail", "text", "salt", "text_hash", "hash"))


def _lines(against: Iterable[str], tenant: str | None) -> Iterator[dict[str, Any]]:
    for line in against:
        told = json.loads(line)
        if not isinstance(told, dict) or not {"tenant", "order_id", "number", "seq", "hash"} <= told.keys():
            raise ValueError("a line is not a head")
        if tenant in (None, told["tenant"]):
            yield told


async def _compared(
    database: Database, report: Report, known: dict[str, int], lines: Iterator[dict[str, Any]]
) -> None:
    """Each exported entry must be there still; one that is not was rewritten, cut off or taken away with its order."""
    while some := list(islice(lines, BATCH)):
        async with database.reading() as db:
            for code in {line["tenant"] for line in some}:
                theirs = [line for line in some if line["tenant"] == code]
                now = await _hashes(db, known.get(code, 0), theirs)
                gone = await _wordless(db, known.get(code, 0), theirs)
                for line in theirs:
                    found = now.get((UUID(line["order_id"]), line["seq"]))
                    if found != line["hash"]:
                        why = "gone" if found is None else "rewritten"
                        told = _told(code, line["order_id"], line["number"], line["seq"], why)
                        report.broken.append(told)
                        continue
                    # Heads from before this was counted say nothing of it.
                    erased = sum(seq <= line["seq"] for seq in gone.get(UUID(line["order_id"]), ()))
                    since = erased - line.get("erased", erased)
                    report.erased_since += max(since, 0)
                    if (
                        since < 0
                    ):  # forgotten then, and there again: what was restored is older than the heads
                        report.broken.append(
                            _told(code, line["order_id"], line["number"], line["seq"], "words_back")
                        )


async def _wordless(
    db: AsyncConnection, tenant_id: int, lines: list[dict[str, Any]]
) -> dict[UUID, list[int]]:
    """Which entries of a tenant's orders have lost their words."""
    rows = select(order_steps.c.order_id, order_steps.c.seq).where(
        order_steps.c.tenant_id == tenant_id,
        order_steps.c.order_id.in_({UUID(line["order_id"]) for line in lines}),
        order_steps.c.text_hash.is_not(None),
        order_steps.c.text.is_(None),
    )
    found: dict[UUID, list[int]] = {}
    for row in await db.execute(rows):
        found.setdefault(row.order_id, []).append(row.seq)
    return found


async def _hashes(
    db: AsyncConnection, tenant_id: int, lines: list[dict[str, Any]]
) -> dict[tuple[UUID, int], str | None]:
    """The hashes of a tenant's entries, by order and seq."""
    entry = (order_steps.c.order_id, order_steps.c.seq)
    these = [(UUID(line["order_id"]), line["seq"]) for line in lines]
    rows = select(*entry, order_steps.c.hash).where(
        order_steps.c.tenant_id == tenant_id, tuple_(*entry).in_(these)
    )
    return {(row.order_id, row.seq): row.hash for row in await db.execute(rows)}
