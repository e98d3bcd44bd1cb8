"""What the command says when it cannot begin: one sentence for each mistake, and how it ends."""

import os
import subprocess
import sys

import pytest


def run(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("DISPATCH_")}
    return subprocess.run(
        [sys.executable, "-m", "dispatch", *arguments],
        env=clean | {f"DISPATCH_{name}": value for name, value in settings.items()},
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"PORT": "abc"}, ["DISPATCH_PORT: "]),
        ({"PORT": "70000", "SESSION_KEY": "short-secret"}, ["DISPATCH_PORT: ", "DISPATCH_SESSION_KEY "]),
        ({"DATABASE_URL": "mysql://root:secret@db/x"}, ["DISPATCH_DATABASE_URL: "]),
        ({"DATABASE_URL": "postgresql+asyncpg://root:secret@:no/x"}, ["DISPATCH_DATABASE_URL "]),
        ({"DATABASE_URL": "sqlite+aiosqlite:///"}, ["DISPATCH_DATABASE_URL "]),
        ({"MINIMUM_CLIENTS": "mp"}, ["DISPATCH_MINIMUM_CLIENTS: "]),
        ({"DEMO": "true", "PRODUCTION": "true"}, ["DISPATCH_DEMO and DISPATCH_PRODUCTION "]),
    ],
)
def test_a_wrong_setting_is_named_in_one_line_and_never_shown(settings: dict[str, str], said: list[str]):
    ended = run("serve", **settings)

    lines = ended.stderr.splitlines()
    assert (ended.returncode, ended.stdout, len(lines)) == (2, "", len(said))
    assert all(line.startswith(begins) for line, begins in zip(lines, said, strict=True))
    assert "secret" not in ended.stderr


@pytest.mark.parametrize("command", ["migrate", "serve"])
def test_an_unreachable_database_is_one_line(command: str):
    demo = {"DEMO": "true"} if command == "serve" else {}
    ended = run(command, DATABASE_URL="postgresql+asyncpg://nobody:secret@127.0.0.1:1/none", **demo)

    assert ended.returncode == 1
    assert len(ended.stderr.splitlines()) == 1
    assert ended.stderr.startswith("The database cannot be used: ")
    assert "secret" not in ended.stderr
