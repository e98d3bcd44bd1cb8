"""What we ask of WeChat when somebody signs in."""

from typing import Protocol


class Gateway(Protocol):
    """Exchanges a login code for an identity. Talks to the outside: never inside a transaction."""

    async def identity(self, appid: str, code: str) -> str:
        """The subject (openid) behind a code of ``wx.login``.

        Raises:
            LoginCodeInvalid: unknown, used or too old.
        """
