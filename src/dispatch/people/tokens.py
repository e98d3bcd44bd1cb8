"""Access tokens: what they say, and the keys that sign them."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import jwt

from dispatch.domain.refusal import TokenExpired, TokenInvalid

ALGORITHM = "HS256"


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


def write_token(claims: Claims, key: str) -> str:
    """A signed token. The same claims give the same token. Instants are cut to whole seconds."""
    said = {
        "sub": str(claims.account_id),
        "tid": claims.tenant_id,
        "sid": str(claims.session_id),
        "gv": claims.version,
        "iat": int(claims.issued_at.timestamp()),
        "exp": int(claims.expires_at.timestamp()),
    }
    return jwt.encode(said, key, algorithm=ALGORITHM, headers={"kid": key_id(key)})


def read_token(token: str, keys: Keys, *, at: datetime) -> Claims:
    """What a token says, if it is ours and has not run out.

    Raises:
        TokenInvalid: damaged, or signed by somebody else.
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
