"""Access tokens: what they say, and the keys that sign them.

A token for the prefetch of a mini-program says what it is for: it travels in an address, which lands in logs, so it
opens the first screen and nothing else, and no other token opens it there.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import jwt

from dispatch.domain.refusal import TokenExpired, TokenInvalid

ALGORITHM = "HS256"
PREFETCH = "prefetch"
"""What a token is for that WeChat's servers fetch the first screen with (wechat.md §1.4)."""
PREFETCH_LIFE = timedelta(hours=24)
"""WeChat fetches every twelve hours for those who came within a week; the client hands over a fresh one each time."""


@dataclass(frozen=True, slots=True)
class Claims:
    """What a token says."""

    account_id: UUID
    tenant_id: int
    session_id: UUID
    version: int
    issued_at: datetime
    expires_at: datetime


def key_id(key: str) -> str:
    """The name of a key, which tokens carry as ``kid``; it tells nothing of the key."""
    return hashlib.sha256(b"dispatch session key\n" + key.encode()).hexdigest()[:12]


class Keys:
    """The keys of the sessions: the first signs, all verify. Changing keys is adding one in front."""

    def __init__(self, keys: Iterable[str]) -> None:
        self._by_id = {key_id(key): key for key in keys}
        self.signing = next(iter(self._by_id.values()))

    def __getitem__(self, kid: str) -> str:
        return self._by_id[kid]


def write_token(claims: Claims, key: str, *, use: str | None = None) -> str:
    """A signed token. The same claims give the same token. Instants are cut to whole seconds.

    Args:
        use: the only thing it is good for; everything when absent.
    """
    said: dict[str, Any] = {} if use is None else {"use": use}
    said |= {
        "sub": str(claims.account_id),
        "tid": claims.tenant_id,
        "sid": str(claims.session_id),
        "gv": claims.version,
        "iat": int(claims.issued_at.timestamp()),
        "exp": int(claims.expires_at.timestamp()),
    }
    return jwt.encode(said, key, algorithm=ALGORITHM, headers={"kid": key_id(key)})


def read_token(token: str, keys: Keys, *, use: str | None = None, at: datetime) -> Claims:
    """What a token says, if it is ours, for this use, and has not run out.

    Raises:
        TokenInvalid: damaged, signed by somebody else, or for another use.
        TokenExpired: it has run out.
    """
    try:
        key = keys[jwt.get_unverified_header(token)["kid"]]
        # The time is the request's: PyJWT would read the clock itself.
        said = jwt.decode(
            token,
            key,
            algorithms=[ALGORITHM],
            options={"verify_exp": False, "verify_iat": False, "require": ["exp"]},
        )
        claims = _claims(said, at)
        if said.get("use") != use:
            raise TokenInvalid()
    except (jwt.PyJWTError, KeyError, TypeError, ValueError, AttributeError, OverflowError, OSError):
        raise TokenInvalid() from None
    if claims.expires_at <= at:
        raise TokenExpired()
    return claims


def _claims(said: dict[str, Any], at: datetime) -> Claims:
    tenant_id, version = said["tid"], said["gv"]
    if type(tenant_id) is not int or type(version) is not int:
        raise ValueError("no numbers")
    return Claims(
        account_id=UUID(said["sub"]),
        tenant_id=tenant_id,
        session_id=UUID(said["sid"]),
        version=version,
        issued_at=datetime.fromtimestamp(said["iat"], at.tzinfo),
        expires_at=datetime.fromtimestamp(said["exp"], at.tzinfo),
    )
