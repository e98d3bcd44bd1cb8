"""The tree of places on every database."""

from uuid import UUID, uuid4

import pytest
from sqlalchemy import select

from dispatch.db.engine import Database
from dispatch.domain.refusal import PlaceNotFound
from dispatch.places import actions, queries
from dispatch.places.queries import Located
from dispatch.places.tables import places
from tests.town import T0, Hands, Town, found


async def test_the_tree_is_walked_from_its_root(hands: Hands):
    town = hands.town
    roots = (await hands.get("resident-1", "/v1/places")).json()["items"]
    streets = (await hands.get("resident-1", "/v1/places", parent=roots[0]["id"])).json()["items"]

    assert [place["kind"] for place in roots] == ["district"]
    assert [place["id"] for place in streets] == [str(town.places["street-1"]), str(town.places["street-2"])]
    grid = (await hands.get("resident-1", f"/v1/places/{town.places['grid-11']}")).json()
    assert grid["community_id"] == str(town.places["community-1"])
    assert [place["name"] for place in grid["ancestors"]] == ["district", "street-1", "community-1"]
    assert grid["retired"] is False


async def test_children_come_in_pages_that_miss_none(hands: Hands, database: Database):
    town = hands.town
    async with database.writing() as db:
        for number in range(5):
            await actions.add_place(
                db, town.tenant_id, town.places["grid-31"], "building", f"b{number}", f"{number}号楼"
            )
    parent = town.places["grid-31"]
    seen, cursor = [], None
    while True:
        params = {"parent": parent, "limit": 2} | ({"cursor": cursor} if cursor else {})
        page = (await hands.get("resident-1", "/v1/places", **params)).json()
        seen += [place["code"] for place in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break

    assert seen == ["b0", "b1", "b2", "b3", "b4"]
    first = (await hands.get("resident-1", "/v1/places", parent=parent, limit=2)).json()
    elsewhere = await hands.get("resident-1", "/v1/places", cursor=first["next_cursor"])
    assert (elsewhere.status_code, elsewhere.json()["code"]) == (422, "CURSOR_INVALID")


async def test_what_is_unknown_or_another_tenants_is_not_there(hands: Hands, database: Database):
    other = await found(database, hands.town.key)

    for id in (uuid4(), other.places["street-1"], "nonsense"):
        answer = await hands.get("resident-1", f"/v1/places/{id}")
        assert (answer.status_code, answer.json()["code"]) == (404, "PLACE_NOT_FOUND")
    for id in (uuid4(), other.places["street-1"]):
        answer = await hands.get("resident-1", "/v1/places", parent=id)
        assert (answer.status_code, answer.json()["code"]) == (404, "PLACE_NOT_FOUND")
    leaf = await hands.get("resident-1", "/v1/places", parent=hands.town.places["grid-31"])
    assert leaf.json() == {"items": [], "next_cursor": None}


async def test_a_retired_place_takes_all_below_it_and_stays_readable(hands: Hands, database: Database):
    town = hands.town
    async with database.writing() as db:
        await actions.retire(db, town.tenant_id, town.places["community-3"], at=T0)

    listed = (await hands.get("resident-1", "/v1/places", parent=town.places["street-2"])).json()
    grid = (await hands.get("resident-1", f"/v1/places/{town.places['grid-31']}")).json()
    assert listed["items"] == []
    assert grid["retired"] is True
    assert (await hands.get("resident-1", f"/v1/places/{town.places['grid-21']}")).json()["retired"] is False
    async with database.reading() as db:
        with pytest.raises(PlaceNotFound):
            await queries.locate(db, town.tenant_id, town.places["grid-31"])


async def test_a_compound_has_a_grid_only_if_it_lies_in_one(town: Town, database: Database):
    street, community = town.places["street-1"], town.places["community-1"]
    async with database.writing() as db:
        compound = await actions.add_place(db, town.tenant_id, community, "compound", "x1", "春晓花园")
        assert await queries.locate(db, town.tenant_id, compound.id) == Located(street, community, None)

        await actions.link(db, town.tenant_id, compound.id, town.places["grid-11"])
        await actions.link(db, town.tenant_id, compound.id, town.places["grid-11"])
        in_one = await queries.locate(db, town.tenant_id, compound.id)
        await actions.link(db, town.tenant_id, compound.id, town.places["grid-12"])
        in_two = await queries.locate(db, town.tenant_id, compound.id)

    assert in_one == Located(street, community, town.places["grid-11"])
    assert in_two == Located(street, community, None)


async def test_a_subtree_is_the_place_and_all_below(town: Town, database: Database):
    async with database.reading() as db:
        path = (await queries.place(db, town.tenant_id, town.places["community-1"])).path
        rows = await db.execute(
            select(places.c.name).where(
                places.c.tenant_id == town.tenant_id, queries.under(places.c.id, town.tenant_id, path)
            )
        )

    assert {row.name for row in rows} == {"community-1", "grid-11", "grid-12"}
    assert queries.ids_of(path) == tuple(
        town.places[name] for name in ("district", "street-1", "community-1")
    )


async def test_a_tree_has_an_end(town: Town, database: Database):
    async with database.writing() as db:
        parent: UUID | None = None
        for number in range(actions.DEEPEST):
            made = await actions.add_place(
                db, town.tenant_id, parent, "node", f"deep{number}", f"第{number}层"
            )
            parent = made.id
        with pytest.raises(ValueError, match="levels"):
            await actions.add_place(db, town.tenant_id, parent, "node", "deeper", "太深")
        with pytest.raises(PlaceNotFound):
            await actions.add_place(db, town.tenant_id, uuid4(), "node", "nowhere", "无处")
