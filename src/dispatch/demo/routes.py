"""Signing in at the demonstration. Mounted in demonstration mode only."""

from typing import Any

from fastapi import APIRouter

from dispatch.demo import queries
from dispatch.demo.schemas import DemoAccountOut
from dispatch.domain.refusal import LoginCodeInvalid
from dispatch.people import actions as people
from dispatch.people.rendering import shown_account, shown_grants
from dispatch.people.schemas import BodyOut, GrantPlaceOut, SessionOut, WechatLoginIn
from dispatch.web.deps import Now, Set, Store
from dispatch.web.problems import responses
from dispatch.wechat.fake import DemoGateway
from dispatch.wechat.gateway import Gateway

router = APIRouter(prefix="/v1", tags=["demo"])

PUBLIC = frozenset({"/v1/auth/wechat/login", "/v1/demo/accounts"})
"""Paths that ask for no credentials."""

GATEWAY: Gateway = DemoGateway()


@router.post(
    "/auth/wechat/login", summary="登录：用小程序 wx.login 得到的凭证", responses=responses(LoginCodeInvalid)
)
async def login_with_wechat(database: Store, settings: Set, now: Now, body: WechatLoginIn) -> SessionOut:
    """Sign in with what ``wx.login`` gave. The same code within 60 s gives the same session."""
    subject = await GATEWAY.identity(body.appid, body.code)
    async with database.writing() as db:
        signed = await people.sign_in(
            db,
            body.appid,
            subject,
            body.code,
            tenant=body.tenant,
            key=settings.session_key.get_secret_value(),
            seconds=settings.access_token_seconds,
            at=now,
        )
    person = signed.person
    return SessionOut(
        access_token=signed.token,
        expires_in=signed.expires_in,
        refresh_token=None,
        account=shown_account(person.account_id, person.name, person.tenant),
        grants=shown_grants(grant for grant in person.grants if grant.stands(now)),
    )


@router.get("/demo/accounts", summary="演示账号一览")
async def list_demo_accounts(database: Store) -> list[DemoAccountOut]:
    """Whom to sign in as."""
    async with database.reading() as db:
        return [_shown(row) for row in await queries.everyone(db)]


def _shown(row: Any) -> DemoAccountOut:
    body = BodyOut(kind=row.body_kind, id=row.body_id, name=row.body_name) if row.body_id else None
    place = GrantPlaceOut(id=row.place_id, name=row.place_name, kind=row.place_kind)
    return DemoAccountOut(
        login=row.login,
        name=row.name,
        role=row.role,
        place=place,
        grant_id=row.grant_id,
        account_id=row.account_id,
        body=body,
    )
