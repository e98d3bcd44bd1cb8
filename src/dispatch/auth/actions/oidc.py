"""Staff sign in at the house's own provider: OpenID Connect, the code flow with PKCE (the extra ``[oidc]``).

The provider vouches for a person; which account that is, an operator has said before (``dispatch user
link``). State, nonce and verifier lie in a row that is good once, and only for the device that began: a
stranger's answer cannot be slipped into somebody's browser.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import httpx
import structlog
from sqlalchemy import delete, select

from dispatch.auth.actions.opening import SignedIn, Signing, hashed, issue, open_session
from dispatch.auth.tables import oidc_attempts
from dispatch.db.engine import Database
from dispatch.db.tenants import tenants
from dispatch.domain.refusal import IdentityUnknown, OidcRefused, OidcUnavailable, ProviderNotFound
from dispatch.people import queries
from dispatch.people.tables import identities
from dispatch.settings import OidcProvider, Settings

log = structlog.get_logger(__name__)

ATTEMPT_LIVES = timedelta(minutes=10)
METADATA_LIVES = timedelta(hours=1)
LEEWAY_SECONDS = 60
TIMEOUT_SECONDS = 5.0
ALGORITHMS = ["RS256", "ES256", "PS256"]
"""Public keys only: with a shared secret whoever holds it could vouch for anybody."""


@dataclass(frozen=True, slots=True)
class Metadata:
    """What a provider says of itself, and its keys."""

    read_at: datetime
    authorization_endpoint: str
    token_endpoint: str
    keys: Any


class Oidc:
    """The providers of a process.

    State: what each provider said of itself within the last hour. A token signed by an unknown key makes
    it be read again, so a provider may change its keys.

    Raises:
        RuntimeError: providers are set up and the extra is not installed.
    """

    def __init__(self, settings: Settings) -> None:
        self._providers = settings.oidc_providers
        if self._providers and find_spec("authlib") is None:
            raise RuntimeError(
                "DISPATCH_OIDC_PROVIDERS needs the extra: pip install sandanzhi-dispatch[oidc]"
            )
        self._client: httpx.AsyncClient | None = None
        self._known: dict[str, Metadata] = {}

    async def close(self) -> None:
        """Give the connections back."""
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    def _provider(self, name: str) -> OidcProvider:
        if name not in self._providers:
            raise ProviderNotFound()
        return self._providers[name]

    async def start(self, database: Database, name: str, device_id: str, *, at: datetime) -> str:
        """Remember the attempt. Returns the provider's page.

        Raises:
            ProviderNotFound: none of that name.
            OidcUnavailable: the provider does not answer.
        """
        provider = self._provider(name)
        metadata = await self._metadata(name, provider, at=at)
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        row = {
            "state_hash": hashed(state),
            "provider": name,
            "nonce": nonce,
            "verifier": verifier,
            "device_hash": hashed(device_id),
            "created_at": at,
        }
        async with database.writing() as db:
            await db.execute(oidc_attempts.insert().values(row))
        pkce, parameters = import_module("authlib.oauth2.rfc7636"), import_module("authlib.oauth2.rfc6749")
        url: str = parameters.parameters.prepare_grant_uri(
            metadata.authorization_endpoint,
            provider.client_id,
            "code",
            redirect_uri=provider.redirect_uri,
            scope="openid",
            state=state,
            nonce=nonce,
            code_challenge=pkce.create_s256_code_challenge(verifier),
            code_challenge_method="S256",
        )
        return url

    async def finish(
        self,
        database: Database,
        name: str,
        code: str,
        state: str,
        device_id: str,
        *,
        signing: Signing,
        at: datetime,
    ) -> SignedIn:
        """Exchange the code, believe the token only if every rule holds, and sign the linked account in.

        Raises:
            ProviderNotFound, OidcUnavailable: as for ``start``.
            OidcRefused: the attempt, the code or the token is not good.
            IdentityUnknown: no account is linked with the person.
        """
        provider = self._provider(name)
        async with database.writing() as db:
            spent = delete(oidc_attempts).where(
                oidc_attempts.c.state_hash == hashed(state),
                oidc_attempts.c.provider == name,
                oidc_attempts.c.device_hash == hashed(device_id),
                oidc_attempts.c.created_at > at - ATTEMPT_LIVES,
            )
            attempt = (
                await db.execute(spent.returning(oidc_attempts.c.nonce, oidc_attempts.c.verifier))
            ).one_or_none()
        if attempt is None:
            raise OidcRefused()
        answer = await self._exchanged(name, provider, code, attempt.verifier, at=at)
        subject = await self._subject(name, provider, answer, attempt.nonce, at=at)
        return await _enter(
            database, provider.tenant, f"oidc:{name}", subject, hashed(device_id), signing, at=at
        )

    async def _exchanged(
        self, name: str, provider: OidcProvider, code: str, verifier: str, *, at: datetime
    ) -> Mapping[str, Any]:
        metadata = await self._metadata(name, provider, at=at)
        said = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": provider.redirect_uri,
            "code_verifier": verifier,
        }
        auth = None
        if provider.client_secret is None:
            said["client_id"] = provider.client_id
        else:
            auth = httpx.BasicAuth(provider.client_id, provider.client_secret.get_secret_value())
        return await self._asked("POST", metadata.token_endpoint, refused=(400, 401), data=said, auth=auth)

    async def _subject(
        self, name: str, provider: OidcProvider, answer: Mapping[str, Any], nonce: str, *, at: datetime
    ) -> str:
        """Whom the id token names, if it holds: signature, issuer, audience, times, nonce, at_hash."""
        jose, core = import_module("joserfc.jwt"), import_module("authlib.oidc.core")
        wrong: Exception | None = None
        for fresh in (False, True):
            metadata = await self._metadata(name, provider, at=at, fresh=fresh)
            try:
                token = jose.decode(answer.get("id_token") or "", metadata.keys, algorithms=ALGORITHMS)
                claims = core.CodeIDToken(
                    token.claims,
                    token.header,
                    options={"iss": {"value": provider.issuer}, "aud": {"value": provider.client_id}},
                    params={
                        "nonce": nonce,
                        "client_id": provider.client_id,
                        "access_token": answer.get("access_token"),
                    },
                )
                claims.validate(now=int(at.timestamp()), leeway=LEEWAY_SECONDS)
                subject = claims["sub"]
                if isinstance(subject, str) and 1 <= len(subject) <= 128:
                    return subject
                raise ValueError("sub")
            except (import_module("joserfc.errors").JoseError, ValueError) as error:
                wrong = error
        log.warning("oidc.refused", provider=name, error=type(wrong).__name__)
        raise OidcRefused()

    async def _metadata(
        self, name: str, provider: OidcProvider, *, at: datetime, fresh: bool = False
    ) -> Metadata:
        known = self._known.get(name)
        if known is not None and not fresh and abs(at - known.read_at) < METADATA_LIVES:
            return known
        issuer = provider.issuer.rstrip("/")
        said = await self._asked("GET", f"{issuer}/.well-known/openid-configuration")
        if said.get("issuer") != provider.issuer:  # OpenID Connect Discovery §4.3
            log.warning("oidc.refused", provider=name, error="issuer")
            raise OidcUnavailable(retry_after=60)
        try:
            keys = import_module("joserfc.jwk").KeySet.import_key_set(
                await self._asked("GET", said["jwks_uri"])
            )
            known = Metadata(at, said["authorization_endpoint"], said["token_endpoint"], keys)
        except (KeyError, ValueError):
            raise OidcUnavailable() from None
        self._known[name] = known
        return known

    async def _asked(
        self, method: str, url: str, *, refused: tuple[int, ...] = (), **said: Any
    ) -> dict[str, Any]:
        if self._client is None:
            self._client = httpx.AsyncClient(timeout=TIMEOUT_SECONDS)
        try:
            response = await self._client.request(method, url, **said)
            if response.status_code in refused:
                log.warning("oidc.refused", error="token_endpoint", status=response.status_code)
                raise OidcRefused()
            response.raise_for_status()
            answer = response.json()
        except (httpx.HTTPError, ValueError) as error:
            log.warning("oidc.unanswered", error=type(error).__name__)
            raise OidcUnavailable() from None
        if not isinstance(answer, dict):
            raise OidcUnavailable()
        return answer


async def _enter(
    database: Database,
    tenant: str,
    appid: str,
    subject: str,
    device_hash: str | None,
    signing: Signing,
    *,
    at: datetime,
) -> SignedIn:
    async with database.writing() as db:
        known = await db.execute(
            select(identities.c.tenant_id, identities.c.account_id)
            .join(tenants, tenants.c.id == identities.c.tenant_id)
            .where(identities.c.appid == appid, identities.c.subject == subject, tenants.c.code == tenant)
        )
        row = known.one_or_none()
        person = await queries.person(db, row.tenant_id, row.account_id) if row else None
        if person is None:
            raise IdentityUnknown()
        session = await open_session(db, person, "oidc", appid=appid, device_hash=device_hash, at=at)
        return await issue(db, person, session, signing, at=at)
