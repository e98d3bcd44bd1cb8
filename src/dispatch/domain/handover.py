"""Handing a take over: the one gives it, the other consents, and both happen in one change."""

from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

from dispatch.domain.life import Dispatch, Life, Party, Take, Target, named
from dispatch.domain.moved import Moved, TakeChange
from dispatch.domain.order import HANDOVER, Ask, AskState, Move, TakeState, TargetState


def handed_over(life: Life, take: Take, to: Party, take_id: UUID, at: datetime) -> tuple[Moved, Moved]:
    """The two steps of a handover: the giver's release, and the other's take in the same place of the same dispatch.

    The count of slots stays, and so does where the order stands; the lead goes with the take.
    """
    held = life.held
    assert held is not None  # judged
    order: dict[str, Any] = {"lead_id": take_id} if life.led_by == take.id else {}
    void = tuple(
        (ask.id, AskState.WITHDRAWN)
        for ask in life.pending
        if ask.kind is Ask.RETURN and ask.party == take.party
    )
    gives = Moved(
        Move.RELEASE,
        life.state,
        life.state,
        None,
        order,
        {"take_id": str(take.id), "reason_code": HANDOVER},
        dispatch_id=held.id,
        dispatch={"state": held.state, "takes_made": held.takes_made + 1},
        takes=(TakeChange(take.id, {"state": TakeState.RELEASED, "ended_at": at}),),
        targets=_lines(held, take.party, to),
        requests=void,
    )
    takes = Moved(Move.TAKE, life.state, life.state, None, {}, {"take_id": str(take_id)})
    return gives, takes


def _lines(held: Dispatch, giver: Party, to: Party) -> tuple[Target, ...]:
    """Where the two were named: who gave it is out, who has it now has taken."""
    ends = ((giver, TargetState.DECLINED), (to, TargetState.TAKEN))
    return tuple(replace(line, state=state) for party, state in ends if (line := named(held, party)))
