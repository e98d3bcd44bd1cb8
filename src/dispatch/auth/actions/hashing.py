"""Passwords and second factors: what is slow and what is secret about them."""

import asyncio
import base64
import binascii
import secrets
from collections.abc import Callable
from typing import TypeVar

import pyotp
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher

from dispatch.domain.refusal import ServiceBusy
from dispatch.settings import Settings

T = TypeVar("T")

LONGEST_QUEUE = 20
"""Passwords that may wait to be checked, per worker; who comes later is told to come back."""
LANES = 4
TOTP_SECONDS = 30


class Hasher:
    """Argon2id off the event loop, a few at a time: one hash takes 64 MiB and some 150 ms.

    State: how many wait. A stranger's name costs as much as a known one: it is checked against a hash
    that no password has.
    """

    def __init__(self, settings: Settings) -> None:
        argon2 = Argon2Hasher(
            time_cost=settings.password_passes, memory_cost=settings.password_memory_kib, parallelism=LANES
        )
        self._hash = PasswordHash((argon2,))
        self._free = asyncio.Semaphore(settings.password_workers)
        self._most = settings.password_workers * LONGEST_QUEUE
        self._waiting = 0
        cost = f"m={settings.password_memory_kib},t={settings.password_passes},p={LANES}"
        self._nobodys = f"$argon2id$v=19${cost}${_base64(16)}${_base64(32)}"

    async def hash(self, password: str) -> str:
        """The hash to keep."""
        return await self._apart(self._hash.hash, password)

    async def verify(self, password: str, kept: str | None) -> tuple[bool, str | None]:
        """Whether it is the password, and its hash anew if it was made with older settings."""
        right, anew = await self._apart(self._hash.verify_and_update, password, kept or self._nobodys)
        return (right and kept is not None), (anew if right and kept is not None else None)

    async def _apart(self, work: Callable[..., T], *given: str) -> T:
        if self._waiting >= self._most:
            raise ServiceBusy(retry_after=2)
        self._waiting += 1
        try:
            async with self._free:
                return await asyncio.to_thread(work, *given)
        finally:
            self._waiting -= 1


def _base64(size: int) -> str:
    return base64.b64encode(secrets.token_bytes(size)).decode().rstrip("=")


def totp_step(secret: str, code: str, seconds: int) -> int | None:
    """The time step that a code belongs to (RFC 6238), this one or a neighbour; None for a wrong code or no secret.

    Args:
        seconds: the time, since 1970.
    """
    now = seconds // TOTP_SECONDS
    steps = (now, now - 1, now + 1)
    try:
        factor = pyotp.TOTP(secret)
        right = [pyotp.utils.strings_equal(factor.generate_otp(step), code) for step in steps]
    except binascii.Error:  # sealed by a version from before: it needs a fresh one
        return None
    return next((step for step, good in zip(steps, right, strict=True) if good), None)
