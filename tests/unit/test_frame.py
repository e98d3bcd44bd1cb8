"""The frame holds: locks, Makefile, CI, container and the chain of migrations."""

import ast
import re
import shlex
from pathlib import Path

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory

from dispatch.db import migrate

ROOT = Path(__file__).parents[2]
TARGETS = {"help", "setup", "run", "work", "check", "test", "fix", "openapi", "migration", "bench", "docs"}
REVISIONS = sorted((ROOT / "migrations" / "versions").glob("*.py"))


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def pins(lock: str) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9.-]+)(?:\[.*?\])?==([^ ;\\]+)", text(lock), re.MULTILINE))


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-dev.lock", "requirements-ha.lock"])
def test_a_lock_names_no_address_and_hashes_every_release(lock: str) -> None:
    releases = re.split(r"\n(?=[a-z0-9])", text(lock).strip())

    assert "://" not in text(lock)
    assert len(releases) > 30
    assert [release for release in releases if "--hash=sha256:" not in release] == []


@pytest.mark.parametrize("lock", ["requirements-dev.lock", "requirements-ha.lock"])
def test_what_is_developed_with_is_what_runs(lock: str) -> None:
    run, more = pins("requirements.lock"), pins(lock)

    assert len(run) > 30
    assert {name: more.get(name) for name in run} == run


def test_every_dependency_is_locked() -> None:
    declared = re.search(r"^dependencies = \[(.*?)^\]", text("pyproject.toml"), re.MULTILINE | re.DOTALL)

    assert declared is not None
    names = set(re.findall(r'^  "([a-z0-9-]+)', declared[1], re.MULTILINE))
    assert len(names) > 10
    assert names <= set(pins("requirements.lock"))


def test_help_tells_every_target() -> None:
    phony = re.search(r"^\.PHONY: (.*)$", text("Makefile"), re.MULTILINE)
    told = set(re.findall(r"^([a-z-]+):.*## \S", text("Makefile"), re.MULTILINE))

    assert phony is not None
    assert told >= TARGETS
    assert told == set(phony[1].split())


def test_ci_runs_the_checks_and_then_the_tests() -> None:
    lines = text(".ci/run").splitlines()

    assert lines[0].endswith("bash")
    assert "set -euo pipefail" in lines
    assert [line for line in lines if line.startswith("make")] == ["make check", "make test"]
    assert (ROOT / ".ci" / "run").stat().st_mode & 0o111


def test_the_image_serves_as_nobody_special_and_migrates_only_when_told() -> None:
    recipe = re.sub(r"\\\n", " ", text("Dockerfile"))
    steps = [
        line.split(maxsplit=1) for line in recipe.splitlines() if line.strip() and not line.startswith("#")
    ]
    last = dict(steps)
    copied = [
        part
        for name, value in steps
        if name == "COPY" and "--from" not in value
        for part in shlex.split(value)[:-1]
    ]
    let_in = text(".dockerignore").splitlines()

    names = [name for name, _ in steps]
    assert names.count("FROM") == 3
    assert last["USER"] not in {"root", "0"}
    assert "/v1/healthz" in last["HEALTHCHECK"]
    assert [value for name, value in steps if name == "CMD"] == [
        '["dispatch", "work"]',
        '["dispatch", "serve"]',
    ]
    assert names.index("HEALTHCHECK") > names.index("CMD"), "a worker listens nowhere"
    assert "ENTRYPOINT" not in last
    assert "--require-hashes" in recipe
    assert [part for part in copied if f"!{part}" not in let_in or not (ROOT / part).exists()] == []


def test_hooks_are_local_and_their_runner_is_installed() -> None:
    assert "pre-commit" in pins("requirements-dev.lock")
    assert "pre-commit install" in text("README.md")
    assert set(re.findall(r"repo: (\S+)", text(".pre-commit-config.yaml"))) == {"local"}


def test_head_names_the_only_end_of_the_chain() -> None:
    config = Config()
    config.set_main_option("script_location", str(migrate.FOLDER))
    config.set_main_option("path_separator", "os")

    assert ScriptDirectory.from_config(config).get_heads() == [migrate.head()]


@pytest.mark.parametrize("path", REVISIONS, ids=lambda path: path.stem)
def test_a_migration_stands_without_the_code(path: Path) -> None:
    imported: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            imported |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add(node.module or ".")

    assert {name for name in imported if name.split(".")[0] not in {"alembic", "sqlalchemy"}} == set()


@pytest.mark.parametrize("path", REVISIONS, ids=lambda path: path.stem)
def test_a_migration_has_its_note(path: Path) -> None:
    revision = "_".join(path.stem.split("_")[:2])

    note = re.search(rf"^## {revision} .*?(?=^## |\Z)", text("migrations/NOTES.md"), re.MULTILINE | re.DOTALL)

    assert note is not None
    assert re.findall(r"^- (\w+):\s*$", note[0], re.MULTILINE) == [], "a line is still empty"
