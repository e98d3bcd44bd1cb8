"""What signing in needs in a process: the keys, the gateway, the hasher."""

from dataclasses import dataclass

from dispatch.auth.actions.hashing import Hasher
from dispatch.auth.actions.oidc import Oidc
from dispatch.auth.actions.opening import Signing
from dispatch.db.engine import Database
from dispatch.domain.refusal import PushRefused
from dispatch.people.tokens import Keys
from dispatch.settings import Settings
from dispatch.sms.gateway import Sms
from dispatch.wechat.gateway import Gateway


@dataclass(frozen=True, slots=True)
class Door:
    """Made once per process from its settings."""

    settings: Settings
    gateway: Gateway
    signing: Signing
    hasher: Hasher
    oidc: Oidc
    sms: Sms

    def push_secrets(self, appid: str) -> tuple[str, str | None]:
        """Token and key of a mini-program's message push; without a key it comes in the plain.

        Raises:
            PushRefused: no such mini-program, or none of its messages are awaited.
        """
        app = self.settings.wechat_apps.get(appid)
        if app is None or app.push_token is None:
            raise PushRefused()
        key = app.push_key.get_secret_value() if app.push_key else None
        return app.push_token.get_secret_value(), key

    async def close(self) -> None:
        """Give connections back."""
        await self.gateway.close()
        await self.oidc.close()
        await self.sms.close()


def door(settings: Settings, database: Database, gateway: Gateway | None = None) -> Door:
    """The door of a process. ``gateway``: how to reach WeChat, unless it is the network."""
    return Door(
        settings,
        gateway or Gateway(settings, database),
        Signing(Keys(settings.session_keys), settings.access_token_seconds),
        Hasher(settings),
        Oidc(settings),
        Sms(settings),
    )
