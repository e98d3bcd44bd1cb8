"""The commands of the calendar, as an operator runs them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import func, select

from dispatch.db.engine import Database
from dispatch.sla.tables import calendars
from tests.conftest import Backends
from tests.town import Town, found
from tests.unit.test_calendar_file import YEAR_2027

pytestmark = pytest.mark.process


def dispatch(url: str, *arguments: str | Path) -> tuple[int, str, str]:
    environment = {**os.environ, "DISPATCH_DATABASE_URL": url, "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run(
        [sys.executable, "-m", "dispatch", *map(str, arguments)],
        env=environment,
        capture_output=True,
        text=True,
    )
    return done.returncode, done.stdout, done.stderr


async def versions(town: Town) -> int:
    mine = select(func.count()).select_from(calendars).where(calendars.c.tenant_id == town.tenant_id)
    return int((await town.rows(mine))[0][0])


async def test_a_year_is_imported_once_and_a_wrong_file_not_at_all(backends: Backends, tmp_path: Path):
    url = backends.fresh("sqlite", "calendar_commands")
    database = Database(url)
    town, other = await found(database, "k" * 32), await found(database, "k" * 32)
    file, wrong = tmp_path / "2027.csv", tmp_path / "wrong.csv"
    file.write_bytes(YEAR_2027.encode("gb18030"))
    wrong.write_text(YEAR_2027.replace("2027/2/14", "2027/2/31"), encoding="utf-8")
    try:
        code, told, _ = dispatch(url, "calendar", "import", file, "--dry-run")
        assert (code, told.count("would change"), await versions(town)) == (0, 2, 1)
        assert "2027-02-14  –  →  调休上班 春节调休 09:00-12:00 14:00-18:00" in told
        assert "2027-02-05  放假 农历除夕（暂定）  →  –" in told
        code, _, complaint = dispatch(url, "calendar", "import", wrong)
        assert (code, await versions(town)) == (1, 1)
        assert complaint.strip() == f"{wrong}: line/3: “2027/2/31”不是2027-02-06这样的日期"
        code, told, _ = dispatch(url, "calendar", "import", file)
        assert (code, await versions(town), await versions(other)) == (0, 2, 2)
        code, told, _ = dispatch(url, "calendar", "import", file)
        assert (code, told.count(": 0 changed"), await versions(town)) == (0, 2, 2)
        code, _, complaint = dispatch(url, "calendar", "import", file, "--tenant", "nowhere")
        assert (code, complaint.strip()) == (1, "there is no tenant nowhere")
        codes = told.split(":")[0]
        code, picture, _ = dispatch(url, "calendar", "draw", "2027", "--tenant", codes)
        assert code == 0
        assert "<title>2027-02-14 春节调休</title>" in picture
    finally:
        await database.close()
