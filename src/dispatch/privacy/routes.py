"""Contact data for a purpose, consents, and what people ask of their own data, over HTTP."""

import asyncio
import base64
from collections.abc import Iterator
from datetime import datetime
from typing import BinaryIO
from uuid import UUID

from fastapi import APIRouter, Response, status
from fastapi.responses import StreamingResponse
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.attachments.answers import Desk
from dispatch.attachments.queries import of_person
from dispatch.domain.keeping import PURPOSES, Purpose
from dispatch.domain.people import Actor
from dispatch.domain.refusal import (
    AccountNotFound,
    BodyNotFound,
    ConsentNotWithdrawable,
    ExportNotFound,
    ExportNotReady,
    OfficeHeld,
    OrderMoved,
    PolicyChanged,
    RateLimited,
    RecusedAtWork,
    RequestDecided,
    RequestNotFound,
    RequestPending,
    RoleForbidden,
    SecondPersonRequired,
    TooLate,
)
from dispatch.files.store import PIECE
from dispatch.privacy import queries, rendering
from dispatch.privacy.actions import asking, confirming, consenting, exporting, recusing, revealing
from dispatch.privacy.schemas import (
    ConsentIn,
    ConsentOut,
    ConsentsOut,
    ContactOut,
    CorrectionIn,
    DataRequestOut,
    DisclosureOut,
    PrivacyPolicyIn,
    PrivacyPolicyOut,
    PurposeOut,
    RecusalIn,
    RecusalOut,
    RecusalsOut,
    RevealAskIn,
    RevealDecisionIn,
    RevealIn,
    RevealRequestOut,
    RevealRequestsOut,
    StaffPhoneIn,
    ViewOut,
)
from dispatch.web.deps import Caller, Known, Now, Reading, Writing, WritingOwn
from dispatch.web.etag import PERSONAL_CACHE_CONTROL
from dispatch.web.paging import DEFAULT_LIMIT, Cursor, Key, Limit, Page, cut, fingerprint, read_cursor
from dispatch.web.problems import responses
from dispatch.web.wire import IdIn

router = APIRouter(prefix="/v1", tags=["privacy"])


@router.post(
    "/orders/{order_id}/reveal",
    summary="查看联系方式（留痕）",
    responses=responses(RoleForbidden, SecondPersonRequired, TooLate, RateLimited),
)
async def reveal_order(db: Writing, caller: Caller, now: Now, order_id: IdIn, body: RevealIn) -> ContactOut:
    """查看联系方式: show contact data for a purpose; each look is recorded and the requester sees it."""
    done = await revealing.reveal(db, caller, order_id, body.purpose, at=now)
    return rendering.contact(done, caller, now)


@router.post(
    "/orders/{order_id}/reveal-requests",
    summary="申请查看联系方式（区级，须另一人核准）",
    status_code=status.HTTP_201_CREATED,
    responses=responses(RoleForbidden, TooLate, RequestPending),
)
async def ask_reveal(
    db: Writing, caller: Caller, now: Now, order_id: IdIn, body: RevealAskIn
) -> RevealRequestOut:
    """申请查看: the district asks for contact data, on record; street or another of the district confirms."""
    id = await confirming.ask(db, caller, order_id, body.purpose, body.text, at=now)
    return rendering.reveal_request(await queries.reveal_request(db, caller, id), caller, at=now)


@router.get(
    "/orders/{order_id}/reveal-requests",
    summary="这件需求单的查看申请",
    responses=responses(RoleForbidden),
)
async def list_order_reveal_requests(
    db: Reading, caller: Caller, now: Now, order_id: IdIn
) -> RevealRequestsOut:
    """Who of the district asked for the contact data and who confirmed; for filer, beneficiary, street and auditors."""
    rows = await queries.reveal_requests_of(db, caller, order_id)
    return RevealRequestsOut(items=[rendering.reveal_request(row, caller, at=now) for row in rows])


@router.get("/reveal-requests", summary="查看联系方式的申请")
async def list_reveal_requests(
    db: Reading, caller: Caller, now: Now, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None
) -> Page[RevealRequestOut]:
    """Requests for contact data in the caller's street or district, newest first."""
    query = fingerprint("reveal-requests")
    after = read_cursor(cursor, query)
    found = await queries.reveal_request_page(
        db, caller, after=(after.at, after.id) if after else None, limit=limit
    )
    rows, next_cursor = cut(found, limit, query, lambda row: Key(row.asked_at, row.id))
    shown = [rendering.reveal_request(row, caller, at=now) for row in rows]
    return Page(items=shown, next_cursor=next_cursor)


@router.post(
    "/reveal-requests/{reveal_request_id}/approve",
    summary="核准查看联系方式",
    responses=responses(RequestNotFound, RoleForbidden, SecondPersonRequired, RequestDecided),
)
async def approve_reveal(
    db: Writing, caller: Caller, now: Now, reveal_request_id: IdIn, body: RevealDecisionIn
) -> RevealRequestOut:
    """核准: as the second person, let the one who asked have the contact data shown for half an hour."""
    return await _decided(db, caller, reveal_request_id, body, approve=True, at=now)


@router.post(
    "/reveal-requests/{reveal_request_id}/refuse",
    summary="不核准查看联系方式",
    responses=responses(RequestNotFound, RoleForbidden, SecondPersonRequired, RequestDecided),
)
async def refuse_reveal(
    db: Writing, caller: Caller, now: Now, reveal_request_id: IdIn, body: RevealDecisionIn
) -> RevealRequestOut:
    """不核准: as the second person, keep the contact data closed."""
    return await _decided(db, caller, reveal_request_id, body, approve=False, at=now)


async def _decided(
    db: AsyncConnection, caller: Actor, id: UUID, body: RevealDecisionIn, *, approve: bool, at: datetime
) -> RevealRequestOut:
    await confirming.decide(db, caller, id, approve=approve, text=body.text, at=at)
    return rendering.reveal_request(await queries.reveal_request(db, caller, id), caller, at=at)


@router.get("/orders/{order_id}/views", summary="谁看过联系方式", responses=responses(RoleForbidden))
async def list_views(
    db: Reading, caller: Caller, order_id: IdIn, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None
) -> Page[ViewOut]:
    """谁看过: who looked at the contact data, newest first; for filer, beneficiary and auditors."""
    query = fingerprint("views", order=order_id)
    after = read_cursor(cursor, query)
    found = await queries.views(
        db, caller, order_id, after=(after.at, after.id) if after else None, limit=limit
    )
    rows, next_cursor = cut(found, limit, query, lambda row: Key(row.at, row.id))
    return Page(items=[rendering.look(row, caller) for row in rows], next_cursor=next_cursor)


@router.get("/orders/{order_id}/recusals", summary="回避名单", responses=responses(RoleForbidden))
async def list_recusals(db: Reading, caller: Caller, order_id: IdIn) -> RecusalsOut:
    """回避: who is kept from the order; for the dispatcher and the secretary of the community."""
    return await _recusals(db, caller, order_id)


@router.post(
    "/orders/{order_id}/recusals",
    summary="回避：不让被反映的人看到需求单",
    responses=responses(RoleForbidden, AccountNotFound, BodyNotFound, OrderMoved, RecusedAtWork),
)
async def recuse(db: Writing, caller: Caller, now: Now, order_id: IdIn, body: RecusalIn) -> RecusalsOut:
    """回避: keep the order from whom it complains of, in lists, counts, notices and by its id; safe to repeat."""
    await recusing.recuse(db, caller, order_id, body.kind, body.id, at=now)
    return await _recusals(db, caller, order_id)


@router.delete(
    "/orders/{order_id}/recusals/{party_id}",
    summary="解除回避",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=responses(RoleForbidden),
)
async def end_recusal(db: Writing, caller: Caller, order_id: IdIn, party_id: IdIn) -> None:
    """Undo a recusal that was a mistake; safe to repeat."""
    await recusing.end(db, caller, order_id, party_id)


async def _recusals(db: AsyncConnection, caller: Actor, order_id: UUID) -> RecusalsOut:
    return RecusalsOut(
        items=[
            RecusalOut(
                kind=row.kind, id=row.party_id, name=name or "", at=row.at.astimezone(caller.tenant.zone)
            )
            for row, name in await recusing.listed(db, caller, order_id)
        ]
    )


@router.get("/privacy-policies/current", summary="现行隐私政策")
async def get_policy(db: Reading, caller: Caller) -> PrivacyPolicyOut:
    """隐私政策: what people are told, in its current words, and what their data is asked for."""
    return await _policy(db, caller)


@router.post("/privacy-policies", summary="发布隐私政策", responses=responses(RoleForbidden))
async def publish_policy(db: Writing, caller: Caller, now: Now, body: PrivacyPolicyIn) -> PrivacyPolicyOut:
    """Publish the next version; consents to an earlier one are outdated. An admin of the whole tenant."""
    await consenting.publish(db, caller, body.title, body.text, at=now)
    return await _policy(db, caller)


@router.get("/me/consents", summary="我的授权同意")
async def list_consents(db: Reading, caller: Caller) -> ConsentsOut:
    """How the caller stands to every purpose."""
    current = await queries.policy(db, caller.tenant.id)
    given = await queries.consents_of(db, caller.tenant.id, caller.account_id)
    latest = {row.purpose: row for row in given}
    return ConsentsOut(
        items=[
            rendering.consent(purpose, latest.get(purpose), current.version, caller) for purpose in Purpose
        ]
    )


@router.post("/me/consents/{purpose}", summary="同意一项用途", responses=responses(PolicyChanged))
async def give_consent(
    db: WritingOwn, caller: Known, now: Now, purpose: Purpose, body: ConsentIn
) -> ConsentOut:
    """同意: agree to a purpose, as the current policy words it; safe to repeat."""
    await consenting.consent(db, caller, purpose, body.version, at=now)
    given = await queries.consents_of(db, caller.tenant.id, caller.account_id)
    latest = next(row for row in reversed(given) if row.purpose == purpose)
    return rendering.consent(purpose, latest, body.version, caller)


@router.delete(
    "/me/consents/{purpose}",
    summary="撤回同意",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=responses(ConsentNotWithdrawable),
)
async def withdraw_consent(db: WritingOwn, caller: Known, now: Now, purpose: Purpose) -> None:
    """撤回同意: what rested on it alone is erased where no open order needs it; safe to repeat."""
    await consenting.withdraw(db, caller, purpose, at=now)


@router.post(
    "/accounts/{account_id}/phone",
    summary="代录联系电话（留痕）",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=responses(RoleForbidden, AccountNotFound),
)
async def enter_phone(db: Writing, caller: Caller, now: Now, account_id: IdIn, body: StaffPhoneIn) -> None:
    """代录: write down the phone that somebody without WeChat gave to staff, with who, how verified and the consent."""
    await consenting.record_phone(db, caller, account_id, body.model_dump(exclude_none=True), at=now)


@router.get("/me/data-requests", summary="我的个人信息申请")
async def list_data_requests(
    db: Reading, caller: Caller, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None
) -> Page[DataRequestOut]:
    """What the caller asked of his own data, and how it was answered; newest first."""
    query = fingerprint("data-requests")
    after = read_cursor(cursor, query)
    found = await queries.data_request_page(
        db, caller, after=(after.at, after.id) if after else None, limit=limit
    )
    rows, next_cursor = cut(found, limit, query, lambda row: Key(row.asked_at, row.id))
    return Page(items=[rendering.data_request(row, caller) for row in rows], next_cursor=next_cursor)


@router.post("/me/exports", summary="申请导出个人信息", status_code=status.HTTP_202_ACCEPTED)
async def ask_export(db: WritingOwn, caller: Known, now: Now) -> DataRequestOut:
    """导出: ask for a file with all that the service holds of the caller; the one being made is found."""
    return await _request(db, caller, await asking.export(db, caller, at=now))


@router.get("/me/exports/{export_id}", summary="导出进度")
async def get_export(db: Reading, caller: Caller, export_id: IdIn) -> DataRequestOut:
    """Whether the file is ready, and until when."""
    return await _request(db, caller, export_id)


@router.get(
    "/me/exports/{export_id}/file",
    summary="下载导出的文件",
    response_class=Response,
    responses={
        **responses(ExportNotReady),
        200: {"description": "压缩包", "content": {"application/zip": {}}},
    },
)
async def get_export_file(
    db: Reading, desk: Desk, caller: Caller, now: Now, export_id: IdIn
) -> StreamingResponse:
    """The file itself, a zip of JSON, with one's photos and other files."""
    row = await queries.export_file(db, caller.tenant.id, caller.account_id, export_id)
    if row.status != "done":
        raise ExportNotReady()
    if row.content is None or row.expires_at <= now:
        raise ExportNotFound()
    sent = await of_person(db, caller.tenant.id, caller.account_id)
    packed = await asyncio.to_thread(exporting.with_files, base64.b64decode(row.content), sent, desk.store)
    return StreamingResponse(
        _pieces(packed),
        media_type="application/zip",
        headers={
            "Cache-Control": PERSONAL_CACHE_CONTROL,
            "Content-Disposition": f'attachment; filename="{export_id}.zip"',
        },
    )


def _pieces(file: BinaryIO) -> Iterator[bytes]:
    """Read by a thread, and closed when the client has it or has gone."""
    with file:
        while piece := file.read(PIECE):
            yield piece


@router.post("/me/corrections", summary="更正个人信息")
async def correct_data(db: WritingOwn, caller: Known, now: Now, body: CorrectionIn) -> DataRequestOut:
    """更正: put one's own name right or take one's phone out, at once."""
    data = body.model_dump(exclude_unset=True)
    return await _request(db, caller, await asking.correct(db, caller, data, at=now))


@router.post(
    "/me/deletion", summary="注销账号", status_code=status.HTTP_202_ACCEPTED, responses=responses(OfficeHeld)
)
async def delete_me(db: WritingOwn, caller: Known, now: Now) -> DataRequestOut:
    """注销: the account and all that names its person go, now or when nothing of theirs is open (``reason``)."""
    return await _request(db, caller, await asking.delete_account(db, caller, at=now))


@router.get("/me/disclosures", summary="我的信息提供给了哪些单位")
async def list_disclosures(
    db: Reading, caller: Caller, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None
) -> Page[DisclosureOut]:
    """Which organisations were told of the caller, because they took an order of his; newest first."""
    query = fingerprint("disclosures")
    after = read_cursor(cursor, query)
    found = await queries.disclosures(db, caller, after=(after.at, after.id) if after else None, limit=limit)
    rows, next_cursor = cut(found, limit, query, lambda row: Key(row.taken_at, row.id))
    return Page(items=[rendering.disclosure(row, caller) for row in rows], next_cursor=next_cursor)


async def _policy(db: AsyncConnection, caller: Actor) -> PrivacyPolicyOut:
    current = await queries.policy(db, caller.tenant.id)
    return PrivacyPolicyOut(
        version=current.version,
        hash=current.hash,
        title=current.title,
        text=current.text,
        published_at=rendering.zoned(current.published_at, caller),
        purposes=[
            PurposeOut(code=code, name=of.name, text=of.text, basis=of.basis, sensitive=of.sensitive)
            for code, of in PURPOSES.items()
        ],
    )


async def _request(db: AsyncConnection, caller: Actor, id: UUID) -> DataRequestOut:
    return rendering.data_request(
        await queries.data_request(db, caller.tenant.id, caller.account_id, id), caller
    )
