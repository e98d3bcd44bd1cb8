"""What every full replacement asks first: whose it is to do, whether it was done already, and what was seen."""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.db import idempotency
from dispatch.db.engine import start_over
from dispatch.db.idempotency import Key
from dispatch.domain.granting import rules_tenant
from dispatch.domain.people import Actor
from dispatch.domain.refusal import ChangedMeanwhile, RoleForbidden, ValidationFailed


@dataclass(frozen=True, slots=True)
class Asked:
    """How a replacement was asked for: its key, and the versions it was meant for."""

    key: Key | None
    match: AbstractSet[int] | None


async def repeated(db: AsyncConnection, actor: Actor, asked: Asked, *, at: datetime) -> bool:
    """Whether this very request was done before; if not, its key is claimed.

    Raises:
        RoleForbidden: only admins of the whole tenant replace rules.
    """
    only_for_admins(actor)
    if await idempotency.kept(db, asked.key) is not None:
        return True
    if await idempotency.claim(db, asked.key, status=200, order_id=None, outcome=None, at=at):
        return False
    await start_over(db)
    return True


def only_for_admins(actor: Actor) -> None:
    """Those of one street or community set nothing that holds for all.

    Raises:
        RoleForbidden: no admin of the whole tenant.
    """
    if not rules_tenant(actor):
        raise RoleForbidden()


def require_version(match: AbstractSet[int] | None, version: int) -> None:
    """Let a replacement pass only on the version that the client has seen.

    Raises:
        ValidationFailed: the client does not say which.
        ChangedMeanwhile: another version stands.
    """
    if match is None:
        field = {"loc": ["header", "If-Match"], "code": "MISSING", "message": "请说明依据的版本"}
        raise ValidationFailed(errors=[field])
    if version not in match:
        raise ChangedMeanwhile(version=version)
