"""Tables and statements that could not be spread over nodes are seen, each kind of them once."""

import pytest
from sqlalchemy import (
    Column,
    Enum,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    UniqueConstraint,
    func,
)

from dispatch.app import described
from dispatch.db import spread
from dispatch.db.base import metadata
from tests.straying import straying, tenants_tables

SPREAD = {"citus": ("distributed", "tenant_id")}


def test_every_table_can_be_spread():
    described()
    assert spread.complaints(metadata) == []
    assert len(tenants_tables()) >= 40


def tables(*columns: Column, info: dict | None = None, more: tuple = ()) -> MetaData:
    found = MetaData()
    Table(
        "tenants",
        found,
        Column("id", Integer, primary_key=True, autoincrement=False),
        info={"citus": ("reference",)},
    )
    key = (Column("tenant_id", Integer, primary_key=True), Column("id", Integer, primary_key=True))
    Table("parents", found, *key, info=SPREAD)
    Table("rows", found, *columns, *more, info=SPREAD if info is None else info)
    return found


def tenant(**options: object) -> Column:
    return Column("tenant_id", Integer, primary_key=True, **options)


def id_() -> Column:
    return Column("id", Integer, primary_key=True)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda: tables(id_(), info={}), "rows: neither distributed nor a reference table"),
        (lambda: tables(id_(), tenant()), "rows: primary key does not begin with tenant_id"),
        (
            lambda: tables(tenant(), Column("code", String), more=(UniqueConstraint("code", name="uq"),)),
            "rows: uq does not begin with tenant_id",
        ),
        (
            lambda: tables(tenant(), Column("code", String), more=(Index("ix", "code", "tenant_id"),)),
            "rows: ix does not begin with tenant_id",
        ),
        (
            lambda: tables(
                Column("key", String, primary_key=True),
                Column("code", String, unique=True),
                info={"citus": ("distributed", "key")},
            ),
            "rows: None is unique without key",
        ),
        (
            lambda: tables(tenant(), id_(), more=(ForeignKeyConstraint(["id"], ["parents.id"], name="fk"),)),
            "rows: fk leaves the tenant_id",
        ),
        (
            lambda: tables(
                tenant(),
                id_(),
                more=(
                    ForeignKeyConstraint(
                        ["tenant_id", "id"],
                        ["parents.tenant_id", "parents.id"],
                        name="fk",
                        ondelete="SET NULL",
                    ),
                ),
            ),
            "rows: fk acts by itself",
        ),
        (
            lambda: tables(
                Column("id", Integer, ForeignKey("parents.id", name="fk"), primary_key=True),
                info={"citus": ("reference",)},
            ),
            "rows: fk leads from a reference table to a distributed one",
        ),
        (lambda: tables(tenant(), Column("kind", Enum("a", "b"))), "rows: kind is of an enum type"),
        (lambda: tables(tenant(), Column("n", Integer, Identity())), "rows: n draws from a sequence"),
        (
            lambda: tables(tenant(), Column("at", String, server_default=func.now())),
            "rows: at is filled in by a function of the server",
        ),
        (
            lambda: tables(
                Column("id", Integer, primary_key=True, autoincrement=True), info={"citus": ("reference",)}
            ),
            "rows: id counts by a sequence",
        ),
    ],
)
def test_each_law_is_seen_broken(wrong, said: str):
    assert said in spread.complaints(wrong())


KNOWN = ("orders", "takes", "places", "outbox")


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT orders.id FROM orders WHERE orders.tenant_id = ? AND orders.id = ?",
        "SELECT 1 FROM orders JOIN takes ON takes.tenant_id = orders.tenant_id WHERE orders.tenant_id = $1::INTEGER",
        "SELECT 1 FROM orders AS o WHERE o.tenant_id = %(t)s AND EXISTS (SELECT 1 FROM takes "
        "WHERE takes.tenant_id = o.tenant_id AND takes.order_id = o.id)",
        "UPDATE orders SET state=?, places=? WHERE orders.tenant_id = ?",
        "DELETE FROM outbox WHERE outbox.tenant_id = :tenant",
        "INSERT INTO orders (tenant_id, places, id) VALUES (?, ?, ?) RETURNING id, places",
        "SELECT tenants.id FROM tenants",
        "SELECT 1 FROM orders JOIN tenants ON tenants.id = orders.tenant_id WHERE orders.tenant_id = ?",
    ],
)
def test_statements_within_a_tenant_pass(statement: str):
    assert straying(statement, KNOWN) == set()


@pytest.mark.parametrize(
    ("statement", "loose"),
    [
        ("SELECT orders.id FROM orders WHERE orders.id = ?", {"orders"}),
        ("SELECT 1 FROM orders, takes WHERE orders.tenant_id = ? AND takes.order_id = orders.id", {"takes"}),
        ("SELECT 1 FROM orders JOIN takes AS t ON t.order_id = orders.id WHERE orders.tenant_id = ?", {"t"}),
        ("SELECT 1 FROM orders JOIN takes ON takes.tenant_id = orders.tenant_id", {"orders", "takes"}),
        ("UPDATE orders SET state=? WHERE orders.id = ?", {"orders"}),
        ("DELETE FROM outbox WHERE outbox.ended_at < ?", {"outbox"}),
        (
            "SELECT 1 FROM orders WHERE orders.tenant_id = ? AND EXISTS (SELECT 1 FROM takes WHERE takes.order_id = "
            "orders.id)",
            {"takes"},
        ),
        (
            "SELECT 1 FROM orders WHERE orders.tenant_id = ? AND orders.id IN (SELECT orders.parent_id FROM orders)",
            {"orders"},
        ),
        (
            "SELECT 1 FROM usernames JOIN orders ON orders.tenant_id = usernames.tenant_id WHERE usernames.username = ?",
            {"orders"},
        ),
        ("SELECT 1 FROM orders AS child WHERE child.tenant_id IN (?, ?)", {"child"}),
    ],
)
def test_statements_that_stray_are_seen(statement: str, loose: set[str]):
    assert straying(statement, KNOWN) == loose
