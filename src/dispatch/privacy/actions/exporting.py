"""A file with all that the service holds of one person, as that person may see it."""

import base64
import io
import json
import shutil
import zipfile
from collections.abc import Sequence
from datetime import datetime
from typing import Any, BinaryIO
from uuid import UUID

import structlog
from sqlalchemy import ColumnElement, Select, and_, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.checkin.queries import filed_by, form_of, history
from dispatch.db.engine import Database
from dispatch.db.sealed import private
from dispatch.dispatching.tables import drafts
from dispatch.domain.attachments import ENDINGS
from dispatch.domain.keeping import EXPORT_DAYS
from dispatch.domain.people import Actor
from dispatch.files.store import PIECE, Store
from dispatch.notices.queries import TOLD
from dispatch.notices.tables import notices
from dispatch.orders import queries as order_queries
from dispatch.orders.rendering import shown, told
from dispatch.orders.tables import orders
from dispatch.orders.whole import number
from dispatch.people import queries as people
from dispatch.people.rendering import shown_account, shown_grants
from dispatch.people.shapes import values
from dispatch.people.tables import FOREVER, accounts, former_names, members
from dispatch.privacy import queries
from dispatch.privacy.tables import data_requests

log = structlog.get_logger(__name__)

MOST_TRIES = 5
"""Then a file is given up: its person reads so and asks again, an operator finds it in the log."""
MOST_LOOKS = 1000
"""Looks listed per order."""
README = (
    "这是您在本服务中的全部个人信息：account.json 账号、报到与同意记录；orders/ 您为自己提交的、或他人为您提交的每一条需求，"
    "及其经过和查看记录；filed_for_others.json 您代他人或单位提交的需求，只列编号和状态；"
    "notices.json 收到的提醒；files/ 您上传的、或附在您的需求上的照片和其他文件。时间均带时区。文件在七天后失效。\n"
)


async def make(database: Database, tenant_id: int, row: Any, *, at: datetime) -> None:
    """Make the file of a pending export and keep it, sealed, until it expires; or give up after ``MOST_TRIES``.

    Only the try and the result are written: what is read meanwhile keeps nobody from writing. ``row``: id,
    account_id, tries; of workers that saw the same try one makes it.
    """
    asked = data_requests.c
    mine = asked.tenant_id == tenant_id, asked.id == row.id, asked.content.is_(None)
    this_try = update(data_requests).where(*mine, asked.status == "pending", asked.tries == row.tries)
    async with database.writing() as db:
        if row.tries >= MOST_TRIES:
            await db.execute(this_try.values(status="done", reason="failed", ended_at=at))
            log.error("privacy.export_given_up", tenant=tenant_id, id=str(row.id))
            return
        taken = await db.execute(this_try.values(tries=row.tries + 1).returning(asked.id))
        if taken.one_or_none() is None:
            return
    content = None
    async with database.reading() as db:
        person = await people.person(db, tenant_id, row.account_id)
        if person is not None:  # else the account was disabled meanwhile: nobody can fetch it
            actor = Actor(row.account_id, person.name, person.tenant, (), None, person.version)
            content = base64.b64encode(await _zipped(db, actor, person, at=at)).decode()
    made = {"content": private(tenant_id, content), "expires_at": at + EXPORT_DAYS}
    async with database.writing() as db:
        await db.execute(
            update(data_requests).where(*mine).values(status="done", reason=None, ended_at=at, **made)
        )


async def _zipped(db: AsyncConnection, actor: Actor, person: people.Person, *, at: datetime) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("说明.txt", README)
        file.writestr("account.json", _json(await _account(db, actor, person)))
        file.writestr("notices.json", _json(await _notices(db, actor)))
        file.writestr("drafts.json", _json(await _drafts(db, actor)))
        file.writestr("filed_for_others.json", _json(await _for_others(db, actor)))
        for order_id in await _orders(db, actor):
            order = await _order(db, actor, order_id, at=at)
            file.writestr(f"orders/{order['order']['number']}.json", _json(order))
    return packed.getvalue()


def with_files(packed: bytes, files: Sequence[Any], store: Store) -> BinaryIO:
    """The file as it is fetched, with what its person sent: read now, so that nothing is kept twice and nothing is in
    it that was deleted since. Waits for a disk. ``files``: rows of attachments.
    """
    whole = store.receive(len(packed) + sum(row.size for row in files))
    whole.write(packed)
    with zipfile.ZipFile(whole, "a") as file:
        for row in files:
            name = f"files/{row.id}.{ENDINGS[row.mime]}"
            try:
                source = store.path(row.tenant_id, row.id, row.sha256).open("rb")
            except FileNotFoundError:
                log.error("files.missing", attachment=str(row.id))
                continue
            with source, file.open(name, "w") as target:
                shutil.copyfileobj(source, target, PIECE)
    whole.seek(0)
    return whole


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=1, default=str)


async def _account(db: AsyncConnection, actor: Actor, person: people.Person) -> dict[str, Any]:
    """The account itself; the phone is the owner's to see whole (wechat.md §6.2)."""
    tenant_id, account_id = actor.tenant.id, actor.account_id
    mine = accounts.c.tenant_id == tenant_id, accounts.c.id == account_id
    row = (
        await db.execute(select(accounts.c.login, accounts.c.phone, accounts.c.created_at).where(*mine))
    ).one()
    member = (
        await db.execute(
            select(members.c.state, members.c["items"], members.c.skills, members.c.free_times)
            .add_columns(members.c.location, members.c.born_on, members.c.guardian_consent_on)
            .add_columns(members.c.languages, members.c.leaves, members.c.most_a_day, members.c.most_a_week)
            .where(members.c.tenant_id == tenant_id, members.c.account_id == account_id)
        )
    ).one_or_none()
    return {
        "account": shown_account(account_id, person.name, person.tenant).model_dump(mode="json"),
        **row._asdict(),
        "former_names": [row._asdict() for row in await db.execute(_former_names(tenant_id, account_id))],
        "grants": [grant.model_dump(mode="json") for grant in shown_grants(person.grants)],
        "member": member._asdict() if member else None,
        "checkins": [
            {"filed_at": line.filed_at, "state": line.state, "reason": line.text, "form": form_of(line)}
            for line in await filed_by(db, tenant_id, account_id)
        ],
        "belongings": [
            {"kind": line.kind, "of": line.place_name or line.body_name}
            | {"from": line.from_at, "until": None if line.until_at == FOREVER else line.until_at}
            for line in await history(db, tenant_id, account_id)
        ],
        "consents": [
            {
                name: getattr(line, name)
                for name in ("purpose", "version", "given_at", "withdrawn_at", "evidence")
            }
            for line in await queries.consents_of(db, tenant_id, account_id)
        ],
    }


def _former_names(tenant_id: int, account_id: UUID) -> Select[Any]:
    return (
        select(former_names.c.until_at, former_names.c.name)
        .where(former_names.c.tenant_id == tenant_id, former_names.c.account_id == account_id)
        .order_by(former_names.c.until_at)
    )


async def _notices(db: AsyncConnection, actor: Actor) -> list[dict[str, Any]]:
    rows = (
        select(notices.c.created_at, notices.c.text, notices.c.read_at)
        .where(TOLD)
        .order_by(notices.c.created_at)
    )
    return [row._asdict() for row in await db.execute(rows, values(actor))]


async def _drafts(db: AsyncConnection, actor: Actor) -> list[dict[str, Any]]:
    rows = (
        select(drafts.c.kept_at, drafts.c.order_id, drafts.c.move, drafts.c.content)
        .where(drafts.c.tenant_id == actor.tenant.id, drafts.c.account_id == actor.account_id)
        .order_by(drafts.c.kept_at)
    )
    return [row._asdict() for row in await db.execute(rows)]


def _about(actor: Actor) -> ColumnElement[bool]:
    """Orders about the person: filed for oneself, or by another for one. What was filed for others is theirs."""
    own = (
        orders.c.filer_id == actor.account_id,
        orders.c.on_behalf.is_(False),
        orders.c.filer_body_id.is_(None),
    )
    return or_(and_(*own), orders.c.beneficiary_id == actor.account_id)


async def _orders(db: AsyncConnection, actor: Actor) -> list[UUID]:
    mine = orders.c.tenant_id == actor.tenant.id, _about(actor)
    rows = select(orders.c.id).where(*mine).order_by(orders.c.created_at)
    return list((await db.execute(rows)).scalars())


async def _for_others(db: AsyncConnection, actor: Actor) -> list[dict[str, Any]]:
    """That one filed them, and how they stand; nothing of whom they are for."""
    rows = (
        select(orders.c.day, orders.c.serial, orders.c.state)
        .where(
            orders.c.tenant_id == actor.tenant.id,
            orders.c.filer_id == actor.account_id,
            or_(orders.c.on_behalf.is_(True), orders.c.filer_body_id.is_not(None)),
            orders.c.beneficiary_id.is_distinct_from(actor.account_id),
        )
        .order_by(orders.c.created_at)
    )
    return [{"number": number(row.day, row.serial), "state": row.state} for row in await db.execute(rows)]


async def _order(db: AsyncConnection, actor: Actor, order_id: UUID, *, at: datetime) -> dict[str, Any]:
    whole, _ = await order_queries.whole(db, actor, order_id)
    steps = await order_queries.timeline(db, actor, order_id)
    looks = await queries.views(db, actor, order_id, after=None, limit=MOST_LOOKS)
    return {
        "order": shown(whole, actor, at=at).model_dump(mode="json", exclude={"moves"}),
        "timeline": told(steps, whole, actor, at=at).model_dump(mode="json")["items"],
        "views": [
            {"at": look.at, "kind": look.kind, "by": look.account_name, "purpose": look.purpose}
            | ({"confirmed_by": look.second_name} if look.second_id else {})
            for look in looks
        ],
    }
