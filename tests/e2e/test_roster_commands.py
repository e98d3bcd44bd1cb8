"""The command that takes a roster in, as an operator runs it."""

from pathlib import Path

import pytest
from sqlalchemy import func, select

from dispatch.db.engine import Database
from dispatch.db.tenants import tenants
from dispatch.people.tables import members
from dispatch.rosters.spreadsheets import as_xlsx
from tests.conftest import Backends
from tests.e2e.test_calendar_commands import dispatch
from tests.town import found

pytestmark = pytest.mark.process

HEAD = ["姓名", "手机号", "报到社区"]


async def test_a_roster_is_tried_taken_in_once_and_a_wrong_one_not_at_all(backends: Backends, tmp_path: Path):
    url = backends.fresh("sqlite", "roster_commands")
    database = Database(url)
    town = await found(database, "k" * 32)
    code = (await town.rows(select(tenants.c.code).where(tenants.c.id == town.tenant_id)))[0].code
    many = select(func.count()).where(members.c.tenant_id == town.tenant_id)
    before = (await town.rows(many))[0][0]
    good, wrong = tmp_path / "名册.xlsx", tmp_path / "wrong.csv"
    good.write_bytes(
        as_xlsx(
            [HEAD, ["张三", "13800001111", "community-1"], ["李四", "13800002222", "community-3"]], "名册"
        )
    )
    wrong.write_bytes("姓名,手机号,报到社区\n王五,12,community-1\n".encode("gb18030"))
    try:
        told = dispatch(url, "roster", "import", good, "-t", code, "--dry-run")
        assert told[:2] == (0, "试算：新建2，邀请0，更新0，不变0\n"), told
        assert (await town.rows(many))[0][0] == before
        assert dispatch(url, "roster", "import", good, "-t", code)[:2] == (0, "新建2，邀请0，更新0，不变0\n")
        assert dispatch(url, "roster", "import", good, "-t", code)[:2] == (0, "新建0，邀请0，更新0，不变2\n")
        said = "第2行 手机号：请填写正确的手机号码或座机号码"
        status, lines, _ = dispatch(url, "roster", "import", wrong, "-t", code, "--dry-run")
        assert (status, lines.splitlines()[0]) == (1, said)
        status, _, complaint = dispatch(url, "roster", "import", wrong, "-t", code)
        assert (status, complaint.strip()) == (1, said)
        status, _, complaint = dispatch(url, "roster", "import", tmp_path / "none.csv", "-t", code)
        assert (status, "none.csv" in complaint) == (1, True)
        assert (await town.rows(many))[0][0] == before + 2
    finally:
        await database.close()
