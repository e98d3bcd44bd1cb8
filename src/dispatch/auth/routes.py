"""Signing in and out over HTTP."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request, status
from fastapi.responses import PlainTextResponse

from dispatch.auth import queries as auth_queries
from dispatch.auth import rendering, schemas
from dispatch.auth.actions import keys, opening, password, phones, pushes, wechat
from dispatch.auth.actions.door import Door
from dispatch.auth.actions.opening import SignedIn, hashed
from dispatch.domain.privacy import masked_phone
from dispatch.domain.refusal import (
    AccountNotFound,
    CredentialsInvalid,
    GrantImpossible,
    IdentityUnknown,
    KeyNotFound,
    LoginBlocked,
    LoginCodeInvalid,
    OidcRefused,
    OidcUnavailable,
    PhoneCodeInvalid,
    PhoneForeign,
    PlaceNotFound,
    ProviderNotFound,
    PushRefused,
    RateLimited,
    RoleForbidden,
    SecondFactorMissing,
    SmsCodeInvalid,
    SmsUnavailable,
    TenantRequired,
    TokenExpired,
    TokenInvalid,
    TokenRevoked,
    WechatBusy,
    WechatRequired,
    WechatUnavailable,
)
from dispatch.people import actions as people
from dispatch.people import queries
from dispatch.people.rendering import shown_account, shown_grants
from dispatch.people.tokens import PREFETCH_LIFE
from dispatch.web.deps import Caller, Known, Now, Reading, Store, Writing
from dispatch.web.paging import DEFAULT_LIMIT, Cursor, Key, Limit, Page, cut, fingerprint, read_cursor
from dispatch.web.problems import responses
from dispatch.wechat import push

router = APIRouter(prefix="/v1")

PUBLIC = frozenset(
    {
        "/v1/auth/wechat/login",
        "/v1/auth/password/login",
        "/v1/auth/oidc/{provider}/start",
        "/v1/auth/oidc/{provider}/finish",
        "/v1/auth/refresh",
    }
)
"""Paths that ask for no credentials."""


async def _door(request: Request) -> Door:
    door: Door = request.app.state.door
    return door


TheDoor = Annotated[Door, Depends(_door)]


@router.post(
    "/auth/wechat/login",
    tags=["auth"],
    summary="微信登录",
    responses=responses(LoginCodeInvalid, LoginBlocked, TenantRequired, WechatBusy, WechatUnavailable),
)
async def login_with_wechat(
    database: Store, door: TheDoor, now: Now, body: schemas.WechatLoginIn
) -> schemas.SessionOut:
    """Sign in with what ``wx.login`` gave. The same code within 60 s gives the same session.

    A stranger becomes a resident; neither a name nor a phone is asked for.
    """
    signed = await wechat.sign_in(
        database,
        door.gateway,
        body.appid,
        body.code,
        tenant=body.tenant,
        device_id=body.device_id,
        signing=door.signing,
        at=now,
    )
    return _shown(signed, now)


@router.post(
    "/auth/password/login",
    tags=["auth"],
    summary="账号密码登录（工作人员）",
    responses=responses(CredentialsInvalid, SecondFactorMissing),
)
async def login_with_password(
    request: Request, database: Store, door: TheDoor, now: Now, body: schemas.PasswordLoginIn
) -> schemas.SessionOut:
    """Sign in with a password, and a second factor where there is one. For staff."""
    attempt = password.Attempt(
        username=body.username,
        password=body.password,
        totp=body.totp,
        tenant=body.tenant,
        device_id=body.device_id,
        address=request.client.host if request.client else None,
    )
    signed = await password.sign_in(database, door.hasher, attempt, signing=door.signing, at=now)
    return _shown(signed, now)


@router.post(
    "/auth/oidc/{provider}/start",
    tags=["auth"],
    summary="单位统一身份登录：开始",
    responses=responses(ProviderNotFound, OidcUnavailable),
)
async def start_oidc(
    database: Store, door: TheDoor, now: Now, provider: str, body: schemas.OidcStartIn
) -> schemas.OidcStartOut:
    """Begin to sign in at the house's own provider (OpenID Connect, code flow with PKCE). For staff."""
    url = await door.oidc.start(database, provider, body.device_id, at=now)
    return schemas.OidcStartOut(authorization_url=url)


@router.post(
    "/auth/oidc/{provider}/finish",
    tags=["auth"],
    summary="单位统一身份登录：完成",
    responses=responses(ProviderNotFound, OidcRefused, IdentityUnknown, OidcUnavailable),
)
async def finish_oidc(
    database: Store, door: TheDoor, now: Now, provider: str, body: schemas.OidcFinishIn
) -> schemas.SessionOut:
    """Sign in with what the provider's page sent back, within ten minutes and once."""
    signed = await door.oidc.finish(
        database, provider, body.code, body.state, body.device_id, signing=door.signing, at=now
    )
    return _shown(signed, now)


@router.post(
    "/auth/refresh",
    tags=["auth"],
    summary="续期会话",
    responses=responses(TokenExpired, TokenInvalid, TokenRevoked),
)
async def refresh_session(
    database: Store, door: TheDoor, now: Now, body: schemas.RefreshIn
) -> schemas.SessionOut:
    """Use a refresh token; the answer holds the next one.

    Used again within 60 s it gives the same answer; used later, or from another device, it was copied, and
    the session ends for everybody (AUTH_TOKEN_REVOKED).
    """
    async with database.writing() as db:
        renewed = await opening.renew(
            db, body.refresh_token, device_hash=hashed(body.device_id), signing=door.signing, at=now
        )
    if renewed is None:  # the session's end is on disk now
        raise TokenRevoked()
    return _shown(renewed, now)


@router.post(
    "/auth/logout",
    tags=["auth"],
    summary="退出登录",
)
async def logout(
    database: Store, caller: Known, now: Now, body: schemas.LogoutIn | None = None
) -> schemas.LoggedOutOut:
    """End this session, or all of the account's. Its tokens end at once, in every process."""
    session_id = None if body is not None and body.everywhere else caller.session_id
    async with database.writing() as db:
        await queries.prove(db, caller)
        ended = await people.revoke_sessions(
            db, caller.tenant.id, caller.account_id, session_id=session_id, at=now
        )
    return schemas.LoggedOutOut(ended=ended)


@router.post(
    "/me/phone",
    tags=["me"],
    summary="提供手机号",
    responses=responses(
        PhoneCodeInvalid, PhoneForeign, SmsCodeInvalid, WechatRequired, WechatBusy, WechatUnavailable
    ),
)
async def give_phone(
    database: Store, door: TheDoor, caller: Known, now: Now, body: schemas.PhoneIn
) -> schemas.PhoneOut:
    """Write down the phone that the person hands over by WeChat's button, or proves by a code. Nobody has to."""
    if body.phone is not None and body.sms_code is not None:
        await phones.give_phone(database, caller, body.phone, body.sms_code, at=now)
        return schemas.PhoneOut(phone=masked_phone(body.phone))
    async with database.reading() as db:
        await queries.prove(db, caller)
        appid, openid = await wechat.openid_of(db, caller.tenant.id, caller.session_id)
    phone = await door.gateway.phone(appid, body.code or "", openid, at=now)
    async with database.writing() as db:
        await queries.prove(db, caller)
        await people.set_phone(db, caller.tenant.id, caller.account_id, phone)
    return schemas.PhoneOut(phone=masked_phone(phone))


@router.post(
    "/me/phone/code",
    tags=["auth"],
    summary="发送手机验证码",
    status_code=status.HTTP_202_ACCEPTED,
    responses=responses(RateLimited, SmsUnavailable),
)
async def send_phone_code(
    database: Store, door: TheDoor, caller: Known, now: Now, body: schemas.PhoneCodeIn
) -> schemas.PhoneCodeOut:
    """发送验证码: prove a phone without WeChat's button. Without a sender it is refused, and staff may write it down."""
    await phones.send_code(database, door.sms, caller, body.phone, at=now)
    return schemas.PhoneCodeOut(
        expires_in=int(phones.CODE_LIVES.total_seconds()), again_in=int(phones.APART.total_seconds())
    )


@router.get("/api-keys", tags=["grants"], summary="接口密钥", responses=responses(RoleForbidden))
async def list_keys(
    db: Reading, caller: Caller, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None
) -> Page[schemas.KeyOut]:
    """Keys of integrations that the caller administers, newest first, ended ones included; never their secrets."""
    query = fingerprint("api-keys")
    after = read_cursor(cursor, query)
    found = await auth_queries.key_page(
        db, caller, after=(after.at, after.id) if after else None, limit=limit
    )
    rows, next_cursor = cut(found, limit, query, lambda row: Key(row.created_at, row.session_id))
    items = [schemas.KeyOut(**rendering.shown_key(row, caller)) for row in rows]
    return Page(items=items, next_cursor=next_cursor)


@router.post(
    "/api-keys",
    tags=["grants"],
    summary="生成接口密钥",
    status_code=status.HTTP_201_CREATED,
    responses=responses(RoleForbidden, GrantImpossible, PlaceNotFound, AccountNotFound),
)
async def make_key(db: Writing, caller: Caller, now: Now, body: schemas.KeyIn) -> schemas.MadeKeyOut:
    """Make a key for an integration, which is an account of its own; an admin. The key is told here and never again."""
    minted = await keys.make(db, caller, body.model_dump(exclude_none=True), at=now)
    row = await auth_queries.key(db, caller, minted.key_id)
    return schemas.MadeKeyOut(**rendering.shown_key(row, caller), key=minted.key)


@router.post(
    "/api-keys/{key_id}/revoke",
    tags=["grants"],
    summary="收回接口密钥",
    responses=responses(KeyNotFound, RoleForbidden),
)
async def revoke_key(
    db: Writing, caller: Caller, now: Now, key_id: Annotated[str, Path(pattern="^[0-9a-f]{12}$")]
) -> schemas.KeyOut:
    """Call a key back: it is refused from the next request on, in every process; safe to repeat."""
    await keys.call_back(db, caller, key_id, at=now)
    return schemas.KeyOut(**rendering.shown_key(await auth_queries.key(db, caller, key_id), caller))


@router.post("/me/prefetch-token", tags=["auth"], summary="数据预拉取令牌")
async def make_prefetch_token(database: Store, door: TheDoor, caller: Known, now: Now) -> schemas.PrefetchOut:
    """数据预拉取: a token by which WeChat's servers may fetch the first screen for the caller, and nothing else."""
    async with database.reading() as db:
        await queries.prove(db, caller)
    return schemas.PrefetchOut(
        token=opening.prefetch_token(caller, door.signing, at=now),
        expires_in=int(PREFETCH_LIFE.total_seconds()),
    )


@router.get("/wechat/push/{appid}", include_in_schema=False)
async def verify_push(
    door: TheDoor,
    appid: str,
    signature: Annotated[str, Query()] = "",
    timestamp: Annotated[str, Query()] = "",
    nonce: Annotated[str, Query()] = "",
    echostr: Annotated[str, Query()] = "",
) -> PlainTextResponse:
    """WeChat's console asks whether this is us."""
    token, _ = door.push_secrets(appid)
    push.check(signature, token, timestamp, nonce)
    return PlainTextResponse(echostr)


@router.post("/wechat/push/{appid}", include_in_schema=False)
async def take_push(
    request: Request,
    database: Store,
    door: TheDoor,
    now: Now,
    appid: str,
    signature: Annotated[str, Query()] = "",
    timestamp: Annotated[str, Query()] = "",
    nonce: Annotated[str, Query()] = "",
    msg_signature: Annotated[str, Query()] = "",
) -> PlainTextResponse:
    """A message of WeChat. It is kept, once, and acknowledged at once; what follows is the worker's."""
    token, key = door.push_secrets(appid)
    push.check_fresh(timestamp, at=now)
    body = _decoded(await request.body())
    message = push.parsed(body)
    if key is not None:
        encrypted = str(message.get("Encrypt", ""))
        push.check(msg_signature, token, timestamp, nonce, encrypted)
        body = push.decrypt(encrypted, key, appid)
        message = push.parsed(body)
    else:
        push.check(signature, token, timestamp, nonce)
    async with database.writing() as db:
        await pushes.take_in(db, appid, message, body, at=now)
    return PlainTextResponse("success")


def _decoded(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError:
        raise PushRefused() from None


def _shown(signed: SignedIn, now: datetime) -> schemas.SessionOut:
    person = signed.person
    return schemas.SessionOut(
        access_token=signed.token,
        expires_in=signed.expires_in,
        refresh_token=signed.refresh_token,
        refresh_expires_in=signed.refresh_expires_in,
        account=shown_account(person.account_id, person.name, person.tenant),
        grants=shown_grants(grant for grant in person.grants if grant.stands(now)),
    )
