"""Stands in for Citus where none is to be had: it spreads nothing, but refuses what Citus refuses.

The rules are those that were found by trying statements on Citus 13: a key must hold the column, a table of one node
must not point at a spread one or be pointed at by it, a reference table comes before what refers to it. That these are
all of Citus's rules is not claimed; for the real one give TEST_CITUS_URL.
"""

from tests import postgres as pg

FUNCTIONS = """
SET allow_system_table_mods = on;
INSERT INTO pg_extension (oid, extname, extowner, extnamespace, extrelocatable, extversion)
    VALUES (987654, 'citus', 10, 2200, false, 'stand-in');
CREATE SCHEMA stand_in;
CREATE TABLE stand_in.parts (nth serial, logicalrelid regclass PRIMARY KEY, by text, beside text);
CREATE VIEW pg_dist_partition AS SELECT logicalrelid FROM stand_in.parts;

CREATE FUNCTION stand_in.check_links(spread regclass) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM pg_constraint c WHERE contype = 'f' AND spread IN (conrelid, confrelid)
               AND EXISTS (SELECT 1 FROM unnest(ARRAY[conrelid, confrelid]) AS r (id)
                           WHERE r.id <> spread AND r.id NOT IN (SELECT logicalrelid FROM stand_in.parts))) THEN
        RAISE EXCEPTION 'relation % is linked with a local table', spread;
    END IF;
END $$;

CREATE FUNCTION create_reference_table(spread regclass) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM stand_in.check_links(spread);
    INSERT INTO stand_in.parts (logicalrelid) VALUES (spread);
END $$;

CREATE FUNCTION create_distributed_table(spread regclass, by text, colocate_with text DEFAULT 'default')
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM pg_index WHERE indrelid = spread AND indisunique AND NOT EXISTS (
        SELECT 1 FROM pg_attribute WHERE attrelid = spread AND attname = by AND attnum = ANY (indkey))) THEN
        RAISE EXCEPTION '% has a unique key without %', spread, by;
    END IF;
    IF colocate_with NOT IN ('default', 'none')
       AND NOT EXISTS (SELECT 1 FROM stand_in.parts WHERE logicalrelid = colocate_with::regclass) THEN
        RAISE EXCEPTION '% is not distributed', colocate_with;
    END IF;
    PERFORM stand_in.check_links(spread);
    INSERT INTO stand_in.parts (logicalrelid, by, beside) VALUES (spread, by, colocate_with);
END $$;
"""


def install(server: pg.Server, database: str) -> None:
    """Make a database believe that it is a coordinator."""
    server.execute(FUNCTIONS, database)
