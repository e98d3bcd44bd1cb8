"""The gateway of the demonstration: a code names whom it signs in."""

from dispatch.domain.refusal import LoginCodeInvalid

APPID = "demo"
PREFIX = "demo:"


class DemoGateway:
    """``demo:<login>`` at the appid ``demo`` is ``<login>``; such a code never grows old. Demonstration mode only."""

    async def identity(self, appid: str, code: str) -> str:
        """The login that a code names. Raises: LoginCodeInvalid."""
        login = code.removeprefix(PREFIX)
        if appid != APPID or login == code or not login:
            raise LoginCodeInvalid()
        return login
