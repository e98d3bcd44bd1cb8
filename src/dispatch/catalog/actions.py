"""Loading the catalogue that ships with the service."""

import json
from functools import cache
from importlib import resources
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.catalog.tables import categories, checkin_items, items, reasons
from dispatch.db.dialect import insert_or_ignore
from dispatch.domain.catalog import KINDS, Urgency, read_flags, read_limits, write_limits


@cache
def shipped() -> dict[str, Any]:
    """The default catalogue: ``categories`` with their ``items``, ``checkin_items``, ``reasons`` per act.

    The 12 categories and 82 items are those of domain research §7.2, with these readings: "at once" is
    the shortest limit of that table (0.5 h); "by plan", "monthly", "next meeting" and an exam's date are
    ``planned``; where two limits stand ("2h 围护, 15wd 修") the first is the contact's, the second the
    finish's (product decision §8). The reason codes are ours.
    """
    text = resources.files("dispatch.catalog").joinpath("default/catalog.json").read_text("utf-8")
    loaded: dict[str, Any] = json.loads(text)
    return loaded


async def load_defaults(db: AsyncConnection, tenant_id: int) -> None:
    """Give a tenant what ships with the service. Safe to repeat: what is there already stays as it is."""
    given = shipped()
    groups = [
        {"tenant_id": tenant_id, "code": group["code"], "name": group["name"], "position": position}
        for position, group in enumerate(given["categories"], start=1)
    ]
    await insert_or_ignore(db, categories, groups)
    rows = [_item(tenant_id, group["code"], item) for group in given["categories"] for item in group["items"]]
    await insert_or_ignore(db, items, rows)
    offers = [
        {"tenant_id": tenant_id, "position": position, **offer}
        for position, offer in enumerate(given["checkin_items"], start=1)
    ]
    await insert_or_ignore(db, checkin_items, offers)
    told = [
        {"tenant_id": tenant_id, "act": act, "position": position, **reason}
        for act, listed in given["reasons"].items()
        for position, reason in enumerate(listed, start=1)
    ]
    await insert_or_ignore(db, reasons, told)


def _item(tenant_id: int, category_code: str, item: dict[str, Any]) -> dict[str, Any]:
    if item["kind"] not in KINDS:
        raise ValueError(f"item {item['code']} is of no known kind")
    return {
        "tenant_id": tenant_id,
        "code": item["code"],
        "category_code": category_code,
        "name": item["name"],
        "kind": item["kind"],
        "urgency": Urgency(item["urgency"]).value,
        "limits": write_limits(read_limits(item["limits"])),
        "flags": [flag.value for flag in read_flags(item["flags"])],
        "form": item.get("form"),
        "stop_message": item.get("stop_message"),
        "version": 1,
    }
