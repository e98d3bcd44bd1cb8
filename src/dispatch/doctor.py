"""``dispatch doctor``: whether this machine can serve, said in lines for people or for a monitor."""

import shutil
from collections.abc import AsyncIterator, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from pydantic import ValidationError
from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.auth.tables import credentials
from dispatch.db import outbox
from dispatch.db.checks import migrated_to, told_time
from dispatch.db.engine import Database, open_database
from dispatch.db.migrate import head
from dispatch.db.replica import Replica, seconds_behind
from dispatch.db.tenants import tenants
from dispatch.domain.refusal import Refusal
from dispatch.files.store import KEPT_FREE, Store
from dispatch.people.tables import identities
from dispatch.places.tables import places
from dispatch.settings import DEVELOPMENT_KEY, Settings
from dispatch.wechat.gateway import Gateway

MOST_SKEW = timedelta(seconds=5)
"""How far our clock may be from the database's: tokens and deadlines are judged by ours, several of ours differ."""


class Health(StrEnum):
    """How a check ended."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at."""

    name: str
    health: Health
    said: str


def report(checks: list[Check]) -> dict[str, object]:
    """All checks as a JSON object, with the worst of them in front."""
    worst = max((check.health for check in checks), key=list(Health).index, default=Health.OK)
    return {"health": worst, "checks": [asdict(check) for check in checks]}


async def examine(at: datetime, *, online: bool = False) -> list[Check]:
    """Look at everything. ``online``: ask WeChat for an access token too."""
    try:
        settings = Settings()
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
        return [Check("settings", Health.FAIL, wrong)]
    found = [Check("settings", Health.OK, "read"), *_settings(settings)]
    try:
        database = open_database(settings)
        try:
            async with database.reading() as db:
                found += [check async for check in _database(db, settings, at)]
            if database.replica is not None:
                found.append(await _replica(database.replica))
            if online and found[-1].health is not Health.FAIL:
                found += [check async for check in _wechat(settings, database, at)]
        finally:
            await database.close()
    except (SQLAlchemyError, OSError) as error:
        found.append(Check("database", Health.FAIL, f"cannot be reached: {type(error).__name__}"))
    return found


def _settings(settings: Settings) -> Iterator[Check]:
    keys = settings.session_keys
    if DEVELOPMENT_KEY in keys:
        yield Check("keys", Health.WARN, "DISPATCH_SESSION_KEY is the development key")
    else:
        yield Check("keys", Health.OK, f"{len(keys)} in use, the first signs")
    if settings.seals_as_in_development:
        yield Check("seal", Health.WARN, "DISPATCH_DATA_KEYS holds the development key")
    else:
        count = settings.data_keys.get_secret_value().count(",") + 1
        yield Check("seal", Health.OK, f"{count} data keys, the first seals")
    yield _files(Store(settings.files_dir))
    if not settings.production:
        yield Check("production", Health.WARN, "DISPATCH_PRODUCTION is not set")
    if "*" in settings.trusted_hosts:
        yield Check("hosts", Health.WARN, "DISPATCH_TRUSTED_HOSTS is open: any Host is answered")
    if "*" in settings.forwarded_allow_ips:
        yield Check(
            "proxies", Health.WARN, "DISPATCH_FORWARDED_ALLOW_IPS believes everybody's X-Forwarded-For"
        )
    if not settings.wechat_apps:
        yield Check("wechat", Health.WARN, "DISPATCH_WECHAT_APPS names no mini-program")
    for appid, app in settings.wechat_apps.items():
        push = "with message push" if app.push_token else "without message push"
        yield Check("wechat", Health.OK if app.push_token else Health.WARN, f"{appid}: set up, {push}")


def _files(store: Store) -> Check:
    try:
        store.open()
        free = shutil.disk_usage(store.root).free
    except OSError as error:
        return Check("files", Health.FAIL, f"DISPATCH_FILES_DIR cannot be written to: {error.strerror}")
    said = f"{free // 2**30} GiB free in {store.root}"
    return Check("files", Health.OK if free > 2 * KEPT_FREE else Health.FAIL, said)


async def _database(db: AsyncConnection, settings: Settings, at: datetime) -> AsyncIterator[Check]:
    revision = await migrated_to(db)
    if revision != head():
        yield Check(
            "database", Health.FAIL, f"stands at {revision or 'nothing'}, not at {head()}: dispatch migrate"
        )
        return
    yield Check("database", Health.OK, f"reached, at {revision}")
    skew = abs(await told_time(db) - at)
    said = f"{skew.total_seconds():.0f} s from the database's clock"
    yield Check("clock", Health.OK if skew <= MOST_SKEW else Health.FAIL, said)
    yield _told(await outbox.census(db), at)
    known = set((await db.execute(select(tenants.c.code))).scalars())
    named = {app.tenant for app in settings.wechat_apps.values()} - {None}
    named |= {provider.tenant for provider in settings.oidc_providers.values()}
    if missing := sorted(str(code) for code in named - known):
        yield Check("tenants", Health.FAIL, f"set up, but not there: {', '.join(missing)}")
    else:
        yield Check("tenants", Health.OK if known else Health.WARN, f"{len(known)}: dispatch tenant add")
    for app in settings.wechat_apps.values():
        there = select(places.c.id).join(tenants, tenants.c.id == places.c.tenant_id)
        there = there.where(tenants.c.code == app.tenant, places.c.code == app.place)
        if app.place and await db.scalar(there) is None:
            yield Check("places", Health.FAIL, f"{app.tenant} has no place {app.place}")
    counted = select(func.count()).select_from(credentials).execution_options(fanout=True)
    linked = select(func.count()).select_from(identities)
    able = int(await db.scalar(counted) or 0) + int(await db.scalar(linked) or 0)
    yield Check("people", Health.OK if able else Health.WARN, f"{able} can sign in: dispatch user add")


async def _replica(replica: Replica) -> Check:
    try:
        async with replica.engine.connect() as db:
            behind = await seconds_behind(db)
    except (SQLAlchemyError, OSError) as error:
        return Check("replica", Health.WARN, f"cannot be reached, is not read: {type(error).__name__}")
    if behind is None:
        return Check("replica", Health.WARN, "is no replica (or has replayed nothing), is not read")
    return Check("replica", Health.OK, f"last replayed what is {behind:.0f} s old")


def _told(waiting: dict[str, object], at: datetime) -> Check:
    oldest = waiting["oldest"]
    if waiting["dead"]:
        return Check("outbox", Health.FAIL, f"{waiting['dead']} facts are dead: see operations")
    if isinstance(oldest, datetime) and oldest < at - outbox.LATE:
        return Check(
            "outbox", Health.FAIL, f"{waiting['pending']} facts wait, the oldest since {oldest}: no worker?"
        )
    return Check("outbox", Health.OK, f"{waiting['pending']} facts wait")


async def _wechat(settings: Settings, database: Database, at: datetime) -> AsyncIterator[Check]:
    gateway = Gateway(settings, database)
    try:
        for appid in settings.wechat_apps:
            try:
                await gateway.token(appid, at=at)
                yield Check("wechat", Health.OK, f"{appid}: an access token was given")
            except Refusal as refusal:
                yield Check("wechat", Health.FAIL, f"{appid}: {refusal.code}; the log has WeChat's code")
    finally:
        await gateway.close()
