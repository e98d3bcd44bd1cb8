"""Statements that are made once: what differs from request to request is bound when they run (ADR 0063).

Putting a statement together costs several times what running it costs, and so does telling whether it is one that was
compiled before; both are paid once for a statement that is kept.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any, ParamSpec, TypeVar, cast
from uuid import UUID

from sqlalchemy import BindParameter, ColumnElement, Integer, Label, bindparam

from dispatch.db.types import Id, Instant

Made = TypeVar("Made")
Shapes = ParamSpec("Shapes")

TENANT: BindParameter[int] = bindparam("tenant_id", type_=Integer())
"""The tenant of whoever asks."""
ME: BindParameter[UUID] = bindparam("me", type_=Id())
"""The account that asks."""
AT: BindParameter[datetime] = bindparam("at", type_=Instant())
"""The instant of the request."""

MOST_KEPT = 256
"""Statements of one sort kept per process, the longest unused forgotten first."""


def made_once(build: Callable[Shapes, Made]) -> Callable[Shapes, Made]:
    """Keep what a function builds of statements, by its arguments: shapes, flags, names; never values."""
    return cast(Callable[Shapes, Made], lru_cache(maxsize=MOST_KEPT)(build))


class Columns:
    """Columns made once, by name, that a statement may bring along; known by identity."""

    def __init__(self, **columns: ColumnElement[Any]) -> None:
        self.labelled: tuple[Label[Any], ...] = tuple(column.label(name) for name, column in columns.items())


@dataclass(frozen=True, slots=True)
class Brought:
    """Columns that a statement brings along, and what is bound in them this time."""

    columns: Columns
    values: Mapping[str, Any] = field(default_factory=dict)
