"""API keys: how they are written, and what they reach."""

import hashlib
import secrets
from dataclasses import dataclass
from hmac import compare_digest

from dispatch.domain.people import Role

PREFIX = "sdz_"
"""What every key begins with, so that a scanner finds one that lies where it should not."""
AREAS = (
    "attachments",
    "catalog",
    "checkin",
    "clocks",
    "matching",
    "me",
    "moves",
    "orders",
    "places",
    "requests",
    "resources",
    "service",
)
SCOPES = frozenset(f"{area}:{act}" for area in AREAS for act in ("read", "write"))
"""A scope is a chapter of the API's description and whether it is read or written. No key signs in or hands out roles."""


KEY_ROLES = frozenset({Role.REPORTER, Role.AGENT})
"""What an admin may let an integration be: one counts, the other files for people and sees what it filed. An admin sees
no content, and could not be kept from it if he held the key of somebody who does."""


@dataclass(frozen=True, slots=True)
class Minted:
    """A fresh key: what its holder gets, once, and what is kept."""

    key: str
    key_id: str
    secret_hash: str


def mint() -> Minted:
    """Make a key: 48 random bits to find it by, 256 to prove it by."""
    key_id, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
    return Minted(f"{PREFIX}{key_id}_{secret}", key_id, _hashed(secret))


def parted(key: str) -> tuple[str, str]:
    """The id of a key and the hash of its secret; ids are empty in what is no key."""
    key_id, _, secret = key.removeprefix(PREFIX).partition("_")
    return (key_id, _hashed(secret)) if len(key_id) == 12 and key_id.isascii() else ("", "")


def same(kept: str, told: str) -> bool:
    """Whether two hashes are the same, in a time that tells nothing."""
    return compare_digest(kept.encode(), told.encode())


def _hashed(secret: str) -> str:
    """A plain hash: the secret is 256 random bits, which nobody guesses."""
    return hashlib.sha256(secret.encode()).hexdigest()
