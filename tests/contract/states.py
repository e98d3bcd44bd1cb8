"""One order in each state, and what to send with each move."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Table, func, select

from dispatch.db.idempotency import idempotency_keys
from dispatch.db.outbox import outbox
from dispatch.domain.order import State
from dispatch.orders.tables import (
    dispatch_targets,
    dispatches,
    order_bodies,
    order_steps,
    orders,
    ratings,
    requests,
    take_people,
    takes,
)
from tests.town import Hands, Town

Order = dict[str, Any]
HAPPY = {"score": 5, "solved": True, "contacted": True}
UNHAPPY = {"score": 1, "solved": False, "contacted": True}
DONE = {"result": "已办理。", "closing": "solved"}
WHY = {"reason_code": "other", "text": "情况说明"}
FOLLOW_UP = {"channel": "phone", "at": "2026-11-22T09:00:00+08:00", "note": "电话回访本人"}


class States:
    """Drives orders of resident-1 in grid-11 to wherever a test wants them; member-1 holds what is held."""

    def __init__(self, hands: Hands) -> None:
        self.hands, self.town = hands, hands.town

    async def every(self) -> dict[State, Order]:
        """One order in each state."""
        return {state: await self.at(state) for state in State}

    async def at(self, state: State) -> Order:
        """An order in a state."""
        order = await self._driven(state)
        now = (await self.hands.get("district-1", f"/v1/orders/{order['id']}")).json()
        assert now["state"] == state, (state, now["state"])
        found: Order = now
        return found

    async def filed(self) -> Order:
        """A new order."""
        return await self.hands.file(place_id=str(self.town.places["grid-11"]))

    async def _driven(self, state: State) -> Order:
        move, order = self.hands.move, await self.filed()
        if state is State.SUBMITTED:
            return order
        first = {
            State.NEED_INFO: ("dispatcher-1", "ask", {"text": "请补充"}),
            State.REJECTED: ("dispatcher-1", "reject", WHY),
            State.CANCELLED: ("resident-1", "cancel", {}),
            State.MERGED: ("dispatcher-1", "merge", {}),
        }
        if state in first:
            login, verb, body = first[state]
            parent = {"parent_id": (await self.at(State.DONE))["id"]} if state is State.MERGED else {}
            return await move(login, order, verb, **body, **parent)
        order = await move("dispatcher-1", order, "accept")
        return order if state is State.ACCEPTED else await self._handed_out(state, order)

    async def _handed_out(self, state: State, order: Order) -> Order:
        move = self.hands.move
        if state is State.OFFERED:
            named = [
                {"kind": "member", "id": str(self.town["member-1"].id)},
                {"kind": "unit", "id": str(self.town.bodies["unit-1"])},
            ]
            body = {"mode": "offer", "targets": named, "parallel": True, "slots_min": 2}
        else:
            least = 2 if state is State.OPEN else 1
            body = {"mode": "open", "slots_min": least, "slots_max": least + 1}
        await move("dispatcher-1", order, "dispatch", **body)
        order = (await move("member-1", order, "take"))["order"]
        if state in (State.OPEN, State.OFFERED, State.TAKEN):
            return order
        return await self._worked_on(state, order)

    async def _worked_on(self, state: State, order: Order) -> Order:
        move = self.hands.move
        if state is State.IN_SERVICE:
            return await move("member-1", order, "start")
        if state is State.PAUSED:
            await self.park(order)
            return order
        if state is State.ESCALATED:
            await move("dispatcher-1", order, "escalate", level="community", text="提请研究")
            called = [{"kind": "provider", "id": str(self.town.bodies["provider-1"])}]
            return await move("dispatcher-1", order, "deliberate", decision="联合上门", bodies=called)
        order = await move("member-1", order, "finish", **DONE)
        if state is State.REDO:
            return await move("dispatcher-1", order, "redo", **WHY)
        if state in (State.EVALUATED, State.CLOSED):
            return await move("resident-1", order, "rate", **(HAPPY if state is State.CLOSED else UNHAPPY))
        return order

    async def park(self, order: Order) -> None:
        """Have it parked until next year."""
        asked = await self.ask("member-1", order, "park", until="2027-01-31")
        approved = await self.hands.post("street-1", f"/v1/requests/{asked['id']}/approve")
        assert approved.status_code == 200, approved.text

    async def ask(self, login: str, order: Order, kind: str, **more: Any) -> Order:
        """File a request that must succeed, and return it."""
        body = {"kind": kind, **WHY, **more}
        answer = await self.hands.post(login, f"/v1/orders/{order['id']}/requests", body)
        assert answer.status_code == 201, answer.text
        asked: Order = answer.json()
        return asked


def bodies(town: Town, parent_id: str, take_id: str) -> dict[str, dict[str, Any]]:
    """A body for each move of the API that is right wherever the move is."""
    return {
        "ask": {"text": "请补充"},
        "supplement": {"text": "补充"},
        "accept": {},
        "reject": WHY,
        "merge": {"parent_id": parent_id},
        "unmerge": {"text": "单独办理"},
        "resolve": DONE,
        "dispatch": {"mode": "open"},
        "recall": WHY,
        "take": {},
        "proceed": {},
        "decline": {},
        "release": WHY,
        "staff": {"member_ids": [str(town["member-2"].id)]},
        "lead": {"take_id": take_id},
        "contact": {"reached": True},
        "start": {},
        "progress": {"text": "进展"},
        "finish": DONE,
        "escalate": {"level": "street", "text": "上报"},
        "deliberate": {"decision": "研究决定"},
        "resume": {},
        "rate": {**HAPPY, "follow_up": FOLLOW_UP},
        "close": {"exit": "solved"},
        "redo": WHY,
        "cancel": WHY,
        "urge": {"text": "催办"},
        "supervise": {"text": "督办"},
    }


KEPT: tuple[Table, ...] = (
    *(orders, order_steps, dispatches, dispatch_targets, takes, take_people, order_bodies),
    *(requests, ratings, outbox, idempotency_keys),
)


async def traces(town: Town) -> Mapping[str, Any]:
    """All that a tenant's orders have left behind: every row of every table, and how many of each."""
    found: dict[str, Any] = {}
    for table in KEPT:
        mine = select(table).where(table.c.tenant_id == town.tenant_id)
        found[table.name] = sorted(repr(tuple(row)) for row in await town.rows(mine))
    return found


async def counted(town: Town, table: Table, *conditions: Any) -> int:
    """How many rows of a table a tenant has."""
    rows = select(func.count()).select_from(table).where(table.c.tenant_id == town.tenant_id, *conditions)
    return int((await town.rows(rows))[0][0])
