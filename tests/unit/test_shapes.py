"""One statement serves everybody whose grants look alike, and holds nobody's ids (ADR 0063)."""

from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import Uuid
from sqlalchemy.sql.visitors import iterate

from dispatch.domain.people import Actor, Grant, Role, Tenant
from dispatch.orders import listing, queries
from dispatch.orders.listing import Wanted
from dispatch.people.shapes import shape_of, values


def actor(role: Role, *, depth: int = 3, kind: str = "community", body: bool = False) -> Actor:
    path = tuple(uuid4() for _ in range(depth))
    at = {"body_id": uuid4(), "body_kind": "unit"} if body else {"place_id": path[-1], "place_kind": kind}
    grant = Grant(uuid4(), role, path=path, **at)
    return Actor(
        uuid4(), "某人", Tenant(1, "t", "区", ZoneInfo("UTC")), (grant,), grant, 1, session_id=uuid4()
    )


ALIKE = [
    lambda: actor(Role.RESIDENT),
    lambda: actor(Role.MEMBER),
    lambda: actor(Role.DISPATCHER),
    lambda: actor(Role.DISTRICT, depth=1, kind="district"),
    lambda: actor(Role.UNIT_ADMIN, body=True),
]


@pytest.mark.parametrize("one", ALIKE)
def test_who_is_of_one_shape_is_served_by_one_statement_that_holds_no_ids(one):
    a, b = one(), one()
    assert shape_of(a) == shape_of(b)
    assert values(a).keys() == values(b).keys()
    for view in ("all", "mine", "queue", "pool", "taken", "unit"):
        form = Wanted(view=view, place_id=uuid4()).form()
        statement = listing._page(shape_of(a), form, True)
        assert statement is listing._page(shape_of(b), Wanted(view=view, place_id=uuid4()).form(), True)
        assert_no_ids(statement)
    assert_no_ids(queries._whole(shape_of(a), False, ()))


def assert_no_ids(statement) -> None:
    binds = [element for element in iterate(statement) if element.__visit_name__ == "bindparam"]
    ids = [bind for bind in binds if isinstance(bind.type, Uuid) or isinstance(bind.value, UUID)]
    assert ids, "nothing was looked at"
    assert [bind.key for bind in ids if bind.value is not None] == []


def test_what_decides_of_sight_is_part_of_the_shape():
    others = [
        actor(Role.DISPATCHER),
        actor(Role.SUPERVISOR),
        actor(Role.DISPATCHER, kind="street"),
        actor(Role.DISPATCHER, depth=2),
        actor(Role.MEMBER),
        actor(Role.UNIT_ADMIN, body=True),
        actor(Role.PROVIDER, body=True),
    ]
    assert len({shape_of(one) for one in others}) == len(others)
