"""What is written about the code is true of it."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from dispatch import pages
from dispatch.domain.facts import Fact
from dispatch.domain.order import EDGES_IN_ORDER, Ask, DispatchState, Move, Relation, State, TakeState
from dispatch.domain.people import Role
from dispatch.domain.refusal import Refusal
from dispatch.settings import Settings
from dispatch.wiring import REACTIONS

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
WRITTEN = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *DOCS.rglob("*.md")])
NAMED = (State, Move, Role, Relation, Fact, Ask, TakeState, DispatchState)


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def kinds_of(refusal: type[Refusal]) -> Iterator[type[Refusal]]:
    for kind in refusal.__subclasses__():
        yield kind
        yield from kinds_of(kind)


def blocks(text: str) -> list[str]:
    return re.findall(r"^```bash\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def anchors(page: Path) -> set[str]:
    heads = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head).strip().lower().replace(" ", "-") for head in heads}


def test_the_generated_pages_are_what_the_code_says():
    assert pages.differences(ROOT) == []


def test_a_changed_or_missing_page_is_named(tmp_path: Path):
    for page in pages.pages(ROOT):
        there = tmp_path / page.relative_to(ROOT)
        there.parent.mkdir(parents=True, exist_ok=True)
        there.write_text(page.read_text(encoding="utf-8"), encoding="utf-8")
    assert pages.differences(tmp_path) == []
    (tmp_path / "docs/errors.md").unlink()
    readme = tmp_path / "README.md"
    readme.write_text(readme.read_text(encoding="utf-8").replace("待受理", "待办"), encoding="utf-8")
    assert pages.differences(tmp_path) == ["docs/errors.md", "README.md"]
    pages.write(tmp_path)
    assert pages.differences(tmp_path) == []


def test_what_a_person_wrote_around_a_generated_part_stays(tmp_path: Path):
    page = tmp_path / "docs/words.md"
    page.parent.mkdir()
    page.write_text(f"before\n{pages.BEGIN}\n# of yesterday\n{pages.END}\nafter\n", encoding="utf-8")
    pages.write(tmp_path)
    written = page.read_text(encoding="utf-8")
    assert written.startswith(f"before\n{pages.BEGIN}\n")
    assert written.endswith(f"\n{pages.END}\nafter\n")
    assert "# of yesterday" not in written


@pytest.mark.parametrize("names", NAMED, ids=lambda names: names.__name__)
def test_every_name_of_the_rulebook_has_a_line_with_its_meaning(names):
    words = read("docs/words.md").partition(pages.BEGIN)[2]
    for name in names:
        lines = re.findall(rf"^\| `{re.escape(name)}` \| ([^|]+) \| ([^|]+) \|$", words, re.MULTILINE)
        assert lines, f"{names.__name__} {name} is not in words.md"


def test_every_edge_of_the_table_is_a_line_of_the_page():
    page = read("docs/life-of-an-order.md")
    moves = page.partition("## Moves")[2].partition("## Requests")[0]
    lines = [line for line in moves.splitlines() if line.startswith("| `")]
    assert len(lines) == len(EDGES_IN_ORDER)
    for edge, line in zip(EDGES_IN_ORDER, lines, strict=True):
        assert line.startswith(f"| `{edge.move}`")
        assert all(f"`{state}`" in line for state in edge.targets if state is not edge.source)
        assert all(need in line for need in edge.needs)


def test_every_refusal_is_explained():
    page = read("docs/errors.md")
    codes = {kind.code for kind in kinds_of(Refusal) if "code" in vars(kind)}
    assert len(codes) > 20
    assert {code for code in codes if f"| `{code}` |" not in page} == set()


def test_every_setting_is_explained_and_no_key_is_printed():
    page = read("docs/settings.md")
    assert all(f"`DISPATCH_{name.upper()}`" in page for name in Settings.model_fields)
    assert Settings().session_key.get_secret_value() not in page


def test_every_decision_is_listed_once_and_in_order():
    written = sorted(page.name for page in (DOCS / "adr").glob("0*.md"))
    assert re.findall(r"\]\((0[^)]+\.md)\)", read("docs/adr/index.md")) == written
    assert [name[:4] for name in written] == [f"{number:04}" for number in range(1, len(written) + 1)]


@pytest.mark.parametrize("page", WRITTEN, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path):
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), f"{target} leads nowhere"
        assert there.is_relative_to(ROOT), f"{target} leaves the project"
        assert not anchor or anchor in anchors(there), f"{target}: no such heading"


def test_every_page_can_be_reached_from_the_readme():
    seen: set[Path] = set()
    ahead = [ROOT / "README.md"]
    while ahead:
        page = ahead.pop()
        if page in seen or page.suffix != ".md":
            continue
        seen.add(page)
        links = re.findall(r"\]\(([^)#:\s]+)", page.read_text(encoding="utf-8"))
        ahead += [(page.parent / link).resolve() for link in links]
    assert {str(page.relative_to(ROOT)) for page in DOCS.rglob("*.md") if page not in seen} == set()


def test_the_readme_begins_with_the_two_commands():
    first = read("README.md").split("```")[1]
    assert [line.split("#")[0].strip() for line in first.strip().splitlines()] == ["make run", "make test"]
    assert read("README.md").index("```") < 200


def test_the_readme_shows_lines_of_the_examples_and_no_others():
    acts, cases = (read(f"examples/{name}.sh").splitlines() for name in ("four_acts", "real_cases"))
    walk, *rest = blocks(read("README.md"))
    wanted = [line for line in acts if not line.startswith(("#!", "# The four acts", "set -"))]
    assert walk.splitlines() == wanted
    shown = [block for block in rest if block.startswith("post ")]
    assert len(shown) == 4
    for block in shown:
        assert [line for line in block.splitlines() if line not in cases] == []


def test_paths_named_in_the_documentation_exist():
    names = "|".join(["src", "docs", "tests", "examples", "migrations", "openapi", *slices()])
    for page in WRITTEN:
        for path in re.findall(rf"`((?:{names})/[\w./-]+)`", page.read_text(encoding="utf-8")):
            assert (ROOT / path).exists() or (ROOT / "src/dispatch" / path).exists(), f"{page.name}: {path}"


def slices() -> list[str]:
    return [folder.name for folder in (ROOT / "src/dispatch").iterdir() if (folder / "__init__.py").exists()]


def test_log_events_are_listed():
    events = set()
    for module in (ROOT / "src/dispatch").rglob("*.py"):
        text = module.read_text(encoding="utf-8")
        events |= set(re.findall(r"\b(?:log\.\w+|line)\(\s*\"([a-z]+\.[a-z_]+)\"", text))
    assert events >= {"request.done", "outbox.failed"}
    listed = set(re.findall(r"`([a-z]+\.[a-z_]+)`", read("docs/operations/logs.md")))
    assert listed == events


def test_every_fact_has_its_line_in_the_wiring():
    assert set(REACTIONS) == set(Fact)


def test_every_test_that_the_table_of_threats_names_exists():
    written = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    rows = re.findall(r"^\| (?!threat|---).*\| (.+) \|$", read("docs/security.md"), re.MULTILINE)
    named = [re.findall(r"`(test_\w+)`", row) for row in rows]
    assert len(rows) >= 30
    assert all(named), "a threat without a test"
    assert [name for row in named for name in row if not re.search(rf"def {name}\(", written)] == []
