"""Identifiers: UUIDv7, made by the application, ordered by time, not guessable."""

from uuid import UUID

import uuid_utils.compat


def new_id() -> UUID:
    """A fresh UUIDv7."""
    return uuid_utils.compat.uuid7()
