"""The page that shows everything: which routes are served, what follows from facts, what runs by the clock."""

from collections.abc import Mapping, Sequence
from datetime import datetime

import httpx
from fastapi import APIRouter
from pydantic import SecretStr

from dispatch.attachments import routes as attachments
from dispatch.attachments import timers as attachment_timers
from dispatch.attachments.actions import Uploads
from dispatch.auth import reactions as auth_reactions
from dispatch.auth import routes as auth
from dispatch.auth import timers as auth_timers
from dispatch.auth.actions import door as doors
from dispatch.bulk import routes as bulk
from dispatch.catalog import routes as catalog
from dispatch.census import timers as census
from dispatch.checkin import reactions as checkin_reactions
from dispatch.checkin import routes as checkin
from dispatch.checkin import timers as checkin_timers
from dispatch.db.engine import Database
from dispatch.demo import routes as demo
from dispatch.dispatching import routes as dispatching
from dispatch.domain.facts import Fact
from dispatch.files.store import Store
from dispatch.finding import routes as finding
from dispatch.grants import routes as grants
from dispatch.home import routes as home
from dispatch.jobs import housekeeping, relay, sweep
from dispatch.jobs.relay import Reaction
from dispatch.jobs.schedule import Every
from dispatch.matching import automatic
from dispatch.matching import routes as matching
from dispatch.meters import Meters
from dispatch.notices import reactions as notices
from dispatch.notices import routes as notice_routes
from dispatch.orders import reactions as order_reactions
from dispatch.orders import routes as orders
from dispatch.people import identity as people_identity
from dispatch.people import routes as people
from dispatch.places import routes as places
from dispatch.privacy import reactions as privacy_reactions
from dispatch.privacy import routes as privacy
from dispatch.privacy import timers as privacy_timers
from dispatch.ratings import routes as ratings
from dispatch.registering import reactions as registering_reactions
from dispatch.registering import routes as registering
from dispatch.registering import timers as registering_timers
from dispatch.reports import routes as reports
from dispatch.reports import timers as report_timers
from dispatch.resources import reactions as resource_reactions
from dispatch.resources import routes as resources
from dispatch.rosters import routes as rosters
from dispatch.settings import Settings, WechatApp
from dispatch.sla import reactions as sla_reactions
from dispatch.sla import routes as sla
from dispatch.sla import timers as sla_timers
from dispatch.sla.actions import firing
from dispatch.web.deps import Identity
from dispatch.wechat import fake
from dispatch.wechat.gateway import Gateway

ROUTERS: Sequence[APIRouter] = (
    # The busiest first: a request is compared with one after the other. Paths without an id before those with one.
    bulk.router,
    finding.router,
    orders.router,
    dispatching.general,
    dispatching.router,
    home.router,
    notice_routes.router,
    ratings.router,
    attachments.router,
    dispatching.units,
    matching.router,
    auth.router,
    people.router,
    grants.router,
    places.router,
    catalog.router,
    sla.router,
    checkin.router,
    registering.router,
    rosters.router,
    privacy.router,
    resources.router,
    reports.router,
)

DEMO_ROUTERS: Sequence[APIRouter] = (demo.router,)
"""Served in demonstration mode only."""

PUBLIC = home.PUBLIC | auth.PUBLIC | reports.PUBLIC | demo.PUBLIC
"""Paths that ask for no credentials."""

REACTIONS: Mapping[Fact, Sequence[Reaction]] = {
    Fact.ORDER_MOVED: (notices.tell_of_move, privacy_reactions.came_to_rest),
    Fact.REQUEST_ASKED: (notices.tell_deciders,),
    Fact.REQUEST_DECIDED: (notices.tell_asker,),
    Fact.REVEAL_ASKED: (notices.tell_second,),
    Fact.REVEAL_DECIDED: (notices.tell_revealed,),
    Fact.PHONE_WITHDRAWN: (privacy_reactions.phone_withdrawn,),
    Fact.POINT_WITHDRAWN: (privacy_reactions.location_withdrawn,),
    Fact.IDENTITY_ENDED: (auth_reactions.forget_identity, privacy_reactions.phone_withdrawn),
    Fact.HANDOVER_CHANGED: (notices.tell_of_handover,),
    Fact.CLOCK_STEP: (notices.tell_of_step, order_reactions.act_on_step),
    Fact.CHECKIN_MOVED: (
        checkin_reactions.tell_of_checkin,
        registering_reactions.tell_of_registration,
    ),
    Fact.CALENDAR_CHANGED: (sla_reactions.follow_calendar,),
    Fact.POLICIES_CHANGED: (sla_reactions.follow_policies,),
    Fact.CLAIM_MOVED: (resource_reactions.tell_of_claim,),
}
"""What follows from a fact. Each may be told twice and must then do nothing."""


async def _relay(database: Database, at: datetime) -> None:
    await relay.relay(database, at, REACTIONS)


async def _sweep(database: Database, at: datetime) -> None:
    await sweep.sweep(database, at, firing.fire)


JOBS: Sequence[Every] = (
    Every("outbox.relay", 1.0, _relay),
    Every("matching.dispatch", 5.0, automatic.look_again),
    Every("timers.sweep", 5.0, _sweep),
    Every("idempotency.forget", 3600.0, housekeeping.forget_keys),
    Every("privacy.exports", 5.0, privacy_timers.make_exports),
    Every("privacy.deletions", 600.0, privacy_timers.finish_deletions),
    Every("privacy.memberships", 600.0, privacy_timers.end_memberships),
    Every("privacy.keeping", 21_600.0, privacy_timers.keep_no_longer),
    Every("outbox.sweep", 3600.0, housekeeping.drop_told),
    Every("auth.forget", 3600.0, auth_timers.forget),
    Every("database.statistics", 3600.0, housekeeping.refresh_statistics),
    Every("checkin.renewals", 3600.0, checkin_timers.renewals),
    Every("registering.agreements", 3600.0, registering_timers.agreements),
    Every("reports.publish", 3600.0, report_timers.publish),
    Every("calendar.keep", 3600.0, sla_timers.keep_calendars),
)


def measuring(meters: Meters) -> Every:
    """The job that tells the meters of a worker how the whole service stands."""
    return Every("census.measure", census.SECONDS, census.Measuring(meters))


def sweeping(settings: Settings) -> Every:
    """The job that takes files off the disk."""
    return Every(
        "attachments.sweep", attachment_timers.SECONDS, attachment_timers.Sweeping(Store(settings.files_dir))
    )


def uploads(settings: Settings, database: Database) -> Uploads:
    """Where files come in."""
    return Uploads(database, Store(settings.files_dir))


def identity(settings: Settings, database: Database) -> Identity:
    """How tokens become actors."""
    return people_identity.Identifier(settings, database)


def door(settings: Settings, database: Database) -> doors.Door:
    """How people sign in. The demonstration asks a WeChat of its own, in this process."""
    if not settings.demo:
        return doors.door(settings, database)
    apps = {fake.APPID: WechatApp(secret=SecretStr(fake.DEMO_SECRET), registers=False)}
    shown = settings.model_copy(update={"wechat_apps": apps, "wechat_api": "http://wechat.demo"})
    transport = httpx.ASGITransport(fake.demo_wechat().app)
    return doors.door(shown, database, Gateway(shown, database, transport=transport))
