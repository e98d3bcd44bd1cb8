"""Consents, requests about one's own data, looks and disclosures in the words of the wire."""

from datetime import datetime
from typing import Any, Literal

from dispatch.domain.keeping import ASK_AGAIN, PURPOSES, Purpose
from dispatch.domain.people import ROLE_LABELS, Actor, Role
from dispatch.domain.privacy import SECOND_WAITS
from dispatch.domain.screening import screened
from dispatch.orders.rendering import NAMELESS
from dispatch.orders.schemas import BeneficiaryOut, OrderRef
from dispatch.orders.whole import number
from dispatch.people.queries import name_at
from dispatch.privacy.actions.revealing import Revealed
from dispatch.privacy.schemas import (
    ConsentOut,
    ContactOut,
    DataRequestOut,
    DisclosureOut,
    LookerOut,
    RecipientOut,
    RecordedOut,
    RevealRequestOut,
    ViewOut,
)
from dispatch.web.wire import LocationOut


def consent(purpose: Purpose, row: Any, version: int, caller: Actor) -> ConsentOut:
    """How the caller stands to a purpose, by the latest consent."""
    state: Literal["given", "outdated", "withdrawn", "none"] = "none"
    if row is not None:
        given: Literal["given", "outdated"] = "given" if row.version == version else "outdated"
        state = "withdrawn" if row.withdrawn_at else given
    refused = row is not None and row.withdrawn_at == row.given_at  # it was never given
    return ConsentOut(
        purpose=purpose,
        state=state,
        version=row.version if row else None,
        given_at=zoned(row.given_at if row and not refused else None, caller),
        withdrawn_at=zoned(row.withdrawn_at if row else None, caller),
        recorded=_recorded(row) if row and row.evidence else None,
        ask_again_at=zoned(row.withdrawn_at + ASK_AGAIN if row and row.withdrawn_at else None, caller),
    )


def data_request(row: Any, caller: Actor) -> DataRequestOut:
    """A request about one's own data."""
    return DataRequestOut(
        id=row.id,
        kind=row.kind,
        status=row.status,
        reason=row.reason,
        fields=row.fields,
        asked_at=row.asked_at.astimezone(caller.tenant.zone),
        due_at=row.due_at.astimezone(caller.tenant.zone),
        ended_at=zoned(row.ended_at, caller),
        expires_at=zoned(row.expires_at, caller),
    )


def disclosure(row: Any, caller: Actor) -> DisclosureOut:
    """An organisation that was told of the caller."""
    return DisclosureOut(
        id=row.id,
        at=row.taken_at.astimezone(caller.tenant.zone),
        recipient=RecipientOut(kind=row.kind, name=row.body_name),
        order=OrderRef(id=row.order_id, number=number(row.day, row.serial)),
        purpose=PURPOSES[Purpose.SERVICE].name,
        basis="duty",
    )


def zoned(at: datetime | None, caller: Actor) -> Any:
    """An instant in the tenant's zone."""
    return None if at is None else at.astimezone(caller.tenant.zone)


def contact(done: Revealed, caller: Actor, at: datetime) -> ContactOut:
    """Contact data that is shown once and on record."""
    row = done.whole.row
    nameless = not done.names_filer and not row.on_behalf
    return ContactOut(
        view_id=done.id,
        order_id=row.id,
        filer_name=row.filer_name if done.names_filer else NAMELESS,
        beneficiary=BeneficiaryOut(
            name=NAMELESS if nameless else row.beneficiary_name, phone=row.beneficiary_phone
        ),
        contact_phone=row.contact_phone,
        address=row.address,
        location=LocationOut(**{k: row.location[k] for k in ("lng", "lat", "crs")}) if row.location else None,
        shown_at=at.astimezone(caller.tenant.zone),
    )


def look(row: Any, caller: Actor) -> ViewOut:
    """One look at contact data."""
    return ViewOut(
        id=row.id,
        at=row.at.astimezone(caller.tenant.zone),
        kind=row.kind,
        who=_looker(row.role, name_at(row.former, row.account_id, row.at, row.account_name)),
        purpose=row.purpose,
        fields=row.fields,
        confirmed_by=_looker(row.second_role, name_at(row.former, row.second_id, row.at, row.second_name))
        if row.second_id
        else None,
    )


def reveal_request(row: Any, caller: Actor, *, at: datetime) -> RevealRequestOut:
    """A request of the district for contact data. Numbers in its texts stay hidden: it is read by many."""
    lapsed = row.status == "pending" and row.asked_at <= at - SECOND_WAITS
    return RevealRequestOut(
        id=row.id,
        order=OrderRef(id=row.order_id, number=number(row.day, row.serial)),
        status="lapsed" if lapsed else row.status,
        who=_looker(Role.DISTRICT, row.asker_name),
        purpose=row.purpose,
        text=screened(row.text) if row.text else None,
        asked_at=row.asked_at.astimezone(caller.tenant.zone),
        decided_by=_looker(row.decided_role, row.decider_name) if row.decided_by else None,
        decision=screened(row.decision) if row.decision else None,
        decided_at=zoned(row.decided_at, caller),
        open_until=zoned(row.open_until, caller),
    )


def _recorded(row: Any) -> RecordedOut:
    told = row.evidence
    by = _looker(told["role"], row.recorder_name)
    return RecordedOut(by=by, how=told["how"], note=told.get("note"), verified=told["verified"])


def _looker(role: str | None, name: str) -> LookerOut:
    known = Role(role) if role else None
    return LookerOut(role=known, role_label=ROLE_LABELS[known] if known else None, name=name)
