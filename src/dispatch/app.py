"""The application: settings, database, mechanisms, routes."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import FastAPI

from dispatch import wiring
from dispatch.db.engine import Database
from dispatch.domain.refusal import ChangedMeanwhile, NotEligible, RequestPending
from dispatch.meters import Meters
from dispatch.settings import Settings
from dispatch.web import middleware, openapi, problems
from dispatch.web.rates import Rates
from dispatch.worker import working

CONSTRAINTS = {
    "uq_requests_pending": RequestPending,
    "pk_take_people": NotEligible,
    "pk_calendars": ChangedMeanwhile,
    "pk_policies": ChangedMeanwhile,
}
"""What a violated constraint means to people."""


def create_app(
    settings: Settings, database: Database, meters: Meters | None = None, *, works: bool = False
) -> FastAPI:
    """The application on a database that the caller opened and closes.

    Args:
        meters: of the process; they count into nothing if none are given.
        works: run the worker's jobs in this process too (demonstration mode).
    """

    meters = meters or Meters()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        try:
            if works:
                async with working(settings, database, meters):
                    yield
            else:
                yield
        finally:
            await app.state.door.close()

    app = openapi.application(version("sandanzhi-dispatch"), lifespan=lifespan)
    app.state.settings = settings
    app.state.database = database
    app.state.identity = wiring.identity(settings, database)
    app.state.door = wiring.door(settings, database)
    app.state.uploads = wiring.uploads(settings, database)
    app.state.rates = Rates(settings)
    app.state.leaving = False
    problems.install(app, CONSTRAINTS)
    middleware.install(app, settings, app.state.rates, meters)
    for router in (*wiring.ROUTERS, *(wiring.DEMO_ROUTERS if settings.demo else ())):
        app.include_router(router)
    return app


def described() -> FastAPI:
    """The whole application, demonstration routes included, for its description only: nothing is opened."""
    settings = Settings(demo=True)
    return create_app(settings, Database("sqlite+aiosqlite:///var/never-opened.db"))
