"""Accounts and grants in the words of the wire."""

from collections.abc import Iterable
from uuid import UUID

from dispatch.domain.people import ROLE_LABELS, Grant, Tenant
from dispatch.people.schemas import AccountOut, BodyOut, GrantOut, GrantPlaceOut, TenantOut


def shown_account(account_id: UUID, name: str, tenant: Tenant) -> AccountOut:
    """An account as its owner sees it."""
    at_home = TenantOut(code=tenant.code, name=tenant.name, zone=tenant.zone.key)
    return AccountOut(id=account_id, name=name, tenant=at_home)


def shown_grants(grants: Iterable[Grant]) -> list[GrantOut]:
    """Grants as their owner sees them."""
    return [_shown(grant) for grant in grants]


def _shown(grant: Grant) -> GrantOut:
    place = body = None
    if grant.place_id and grant.place_name and grant.place_kind:
        place = GrantPlaceOut(id=grant.place_id, name=grant.place_name, kind=grant.place_kind)
    if grant.body_id and grant.body_name and grant.body_kind:
        body = BodyOut(kind=grant.body_kind, id=grant.body_id, name=grant.body_name)
    return GrantOut(id=grant.id, role=grant.role, role_label=ROLE_LABELS[grant.role], place=place, body=body)
