"""What can be set, and what may not."""

import pytest
from pydantic import ValidationError

from dispatch.db.sealed import new_key
from dispatch.settings import DEVELOPMENT_DATA_KEYS, DEVELOPMENT_KEY, Settings

KEY = DEVELOPMENT_DATA_KEYS.partition(":")[2]
GOOD_KEY = "k" * 32


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch):
    import os

    for name in list(os.environ):
        if name.startswith("DISPATCH_"):
            monkeypatch.delenv(name)


def test_without_any_setting_a_sqlite_file_is_used_and_only_this_machine_is_served():
    settings = Settings()

    assert settings.database_url == "sqlite+aiosqlite:///var/dispatch.db"
    assert (settings.host, settings.port) == ("127.0.0.1", 8000)
    assert (settings.demo, settings.production) == (False, False)
    assert (settings.access_token_seconds, settings.body_limit_bytes) == (1800, 262_144)


def test_the_environment_sets_with_the_prefix(monkeypatch):
    monkeypatch.setenv("DISPATCH_PORT", "9000")
    monkeypatch.setenv("DISPATCH_MINIMUM_CLIENTS", '{"mp": "1.4.0"}')
    monkeypatch.setenv("DISPATCH_HOST", "")

    settings = Settings()

    assert settings.port == 9000
    assert settings.minimum_clients == {"mp": "1.4.0"}
    assert settings.host == "127.0.0.1"


def test_production_refuses_the_development_key_and_the_demonstration():
    with pytest.raises(ValidationError, match="DISPATCH_SESSION_KEY must be set"):
        Settings(production=True)
    with pytest.raises(ValidationError, match="exclude each other"):
        Settings(production=True, demo=True, session_key=GOOD_KEY)

    with pytest.raises(ValidationError, match="DISPATCH_DATA_KEYS must be set"):
        Settings(production=True, session_key=GOOD_KEY)
    data_keys = f"k1:{new_key()},{DEVELOPMENT_DATA_KEYS}"
    with pytest.raises(ValidationError, match="DISPATCH_DATA_KEYS must be set"):
        Settings(production=True, session_key=GOOD_KEY, data_keys=data_keys)
    with pytest.raises(ValidationError, match="DISPATCH_LOOKUP_KEY must be set"):
        Settings(production=True, session_key=GOOD_KEY, data_keys=f"k1:{new_key()}")

    good = {"session_key": GOOD_KEY, "data_keys": f"k1:{new_key()}", "lookup_key": GOOD_KEY}
    assert Settings(production=True, **good).production


@pytest.mark.parametrize("wrong", ["k1", "k1:abc", f"K1:{KEY}", f"k1:{KEY},k1:{KEY}"])
def test_data_keys_of_another_form_are_refused_and_not_repeated(wrong: str):
    with pytest.raises(ValidationError, match="DISPATCH_DATA_KEYS") as refused:
        Settings(data_keys=wrong)
    assert wrong not in str(refused.value)
    with pytest.raises(ValidationError, match="DISPATCH_LOOKUP_KEY must have"):
        Settings(lookup_key="short")


def test_a_short_key_is_refused_everywhere_and_counted_in_bytes():
    with pytest.raises(ValidationError, match="at least 32 bytes"):
        Settings(session_key="k" * 31)

    assert Settings(session_key="密" * 11).session_key.get_secret_value() == "密" * 11


def test_secrets_are_not_shown():
    settings = Settings(database_url="postgresql+asyncpg://u:p4ss@h/d")

    assert DEVELOPMENT_KEY not in repr(settings)
    assert "p4ss" not in repr(settings)


@pytest.mark.parametrize(
    "wrong",
    [
        {"database_url": "mysql://x"},
        {"port": 70000},
        {"access_token_seconds": 1},
        {"body_limit_bytes": 0},
        {"worker_tick_seconds": 0},
        {"minimum_clients": {"mp": "new"}},
        {"log_level": "LOUD"},
        {"unknown": 1},
    ],
)
def test_nonsense_is_refused(wrong):
    with pytest.raises(ValidationError):
        Settings(**wrong)


def test_settings_never_change_and_every_one_is_described():
    settings = Settings()

    with pytest.raises(ValidationError, match="frozen"):
        settings.port = 1  # type: ignore[misc]
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


def test_addresses_beside_the_first_one_are_addresses_and_a_replica_is_of_postgresql():
    assert Settings().owner_url == Settings().database_url
    pooled = {
        "database_url": "postgresql+psycopg://u@pooler/d",
        "migration_url": "postgresql+psycopg://u@db/d",
    }
    assert Settings(**pooled).owner_url.endswith("@db/d")
    assert Settings(**pooled, replica_url="postgresql+asyncpg://u:p4ss@copy/d").replica_url
    with pytest.raises(ValidationError, match="DISPATCH_REPLICA_URL needs a PostgreSQL"):
        Settings(replica_url="postgresql+asyncpg://u:p4ss@copy/d")
    for wrong in ({"migration_url": "mysql://h/d"}, {"replica_url": "sqlite+aiosqlite:///x"}):
        with pytest.raises(ValidationError):
            Settings(**wrong)
    for address in ("9464", "somewhere"):
        with pytest.raises(ValidationError):
            Settings(metrics_address=address)
