"""Whatever is tried on an order, in the pure rulebook: the log tells the state, and slots hold."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from dispatch.domain.calendar import Calendar, Span
from dispatch.domain.catalog import Limit, Unit
from dispatch.domain.handing import asked_next, taken
from dispatch.domain.life import (
    THE_SYSTEM,
    Asked,
    Life,
    Party,
    Standing,
    Take,
    Target,
    Verdict,
    own_take,
)
from dispatch.domain.moved import Moved
from dispatch.domain.order import (
    ASKS,
    EDGES,
    HELD,
    RESTING,
    SYSTEM_MOVES,
    Ask,
    AskState,
    DispatchState,
    Level,
    Mode,
    Move,
    Relation,
    State,
    TakerKind,
    TakeState,
    TargetState,
)
from dispatch.domain.people import Role
from dispatch.domain.planning import Change, allowance, explain, key_of, plan, remaining, used
from dispatch.domain.refusal import Refusal
from dispatch.domain.replay import Logged, replay
from dispatch.domain.rules import ask_refusal, at_most, by_street, judge
from dispatch.domain.running import Run, expected, view
from dispatch.domain.sla import Basis, Clock, stage_limits
from dispatch.domain.step import step

T0 = datetime(2026, 11, 22, 1, 30, tzinfo=UTC)
PLACE = UUID(int=7)
MEMBERS = [UUID(int=number) for number in range(101, 106)]
UNITS = [UUID(int=number) for number in range(201, 204)]
EFFECTS = {
    Ask.RETURN: Move.RELEASE,
    Ask.PARK: Move.PARK,
    Ask.ESCALATION: Move.ESCALATE,
    Ask.OBJECTION: Move.ADMIT,
    Ask.REOPEN: Move.REDO,
}
"""The move that an approved request brings; an extension and an exclusion move nothing."""


PLACES: dict[Level, UUID | None] = {Level.COMMUNITY: PLACE, Level.STREET: UUID(int=8), Level.DISTRICT: None}
_HOURS = (Span(9 * 60, 12 * 60), Span(14 * 60, 18 * 60))
_WEEK = Calendar("test", 1, ZoneInfo("Asia/Shanghai"), (*(_HOURS,) * 5, (), ()), {}, date(2099, 12, 31))
BASIS = Basis(
    stage_limits(
        {
            "accept": Limit(Unit.WORKING_HOURS, 2),
            "dispatch": Limit(Unit.WORKING_HOURS, 4),
            "take": Limit(Unit.HOURS, 8),
            "contact": Limit(Unit.WORKING_DAYS, 1),
            "finish": Limit(Unit.WORKING_DAYS, 5),
            "level": Limit(Unit.WORKING_DAYS, 2),
            "evaluate": Limit(Unit.DAYS, 7),
            "review": Limit(Unit.WORKING_DAYS, 3),
        },
        1,
    ),
    _WEEK,
    {},
)


def boss(role: Role) -> Standing:
    return Standing(UUID(int=1), frozenset({role}), frozenset({role}), frozenset({Relation.IN_SCOPE}))


class OrderMachine(RuleBasedStateMachine):
    """An order, its dispatch and its takes, as storage would keep them."""

    def __init__(self) -> None:
        super().__init__()
        self.at, self.ids = T0, 1000
        self.returned: set[Party] = set()
        self.life = Life(UUID(int=9), State.SUBMITTED, 1, 1, frozenset({PLACE}), filer_id=UUID(int=2))
        self.log = [Logged(1, Move.SUBMIT, None, State.SUBMITTED, {})]
        self.runs: list[Run] = []
        self.armed: set[tuple[Any, ...]] = set()
        self.change(plan(view(self.life, [], PLACES), (), BASIS, [Move.SUBMIT], at=self.at))

    def change(self, changes: list[Change]) -> None:
        """What storage does with changes of clocks."""
        for change in changes:
            run = change.after
            if change.before is not None:
                self.runs.remove(change.before)
            self.runs.append(run)
            key = (run.clock, run.subject_id)
            if change.disarm:
                self.armed = {timer for timer in self.armed if timer[:2] != key}
            self.armed |= {(*key, run.deadline_no, step) for step, _ in change.arm}

    def new_id(self) -> UUID:
        self.ids += 1
        return UUID(int=self.ids)

    def taker(self, number: int) -> Standing:
        """A member or, after them, a unit's admin: what each is to the order now."""
        unit = number >= len(MEMBERS)
        me = UNITS[number - len(MEMBERS)] if unit else MEMBERS[number]
        party: Party = (TakerKind.UNIT if unit else TakerKind.MEMBER, me)
        life, relations = self.life, set()
        mine = next((take for take in life.active if take.party == party), None)
        if mine:
            relations.add(Relation.TAKER)
        if mine and life.lead is mine:
            relations.add(Relation.LEAD)
        if life.held and life.held.mode is Mode.OPEN:
            relations.add(Relation.AUDIENCE)
        elif life.held and any(
            t.party == party and t.state in (TargetState.ASKED, TargetState.TAKEN) for t in life.held.targets
        ):
            relations.add(Relation.INVITED)
        role = Role.UNIT_ADMIN if unit else Role.MEMBER
        return Standing(me, frozenset({role}), frozenset(), frozenset(relations), frozenset({party}))

    def everybody(self) -> list[Standing]:
        filer = Standing(
            self.life.filer_id, frozenset({Role.RESIDENT}), frozenset(), frozenset({Relation.FILER})
        )
        takers = [self.taker(number) for number in range(len(MEMBERS) + len(UNITS))]
        return [filer, boss(Role.DISPATCHER), boss(Role.STREET), *takers]

    def keep(self, moved: Moved) -> None:
        """What storage does with a decided move."""
        life, order = self.life, dict(moved.order)
        self.change(plan(view(life, [moved], PLACES), self.runs, BASIS, [moved.move], at=self.at))
        verdict = None if "round" in order else life.verdict
        if moved.move is Move.RATE:
            verdict = Verdict(moved.detail["score"], moved.detail["solved"], life.filer_id, self.at, 1)
        changed = {change.id: change.values for change in moved.takes}
        kept = ("state", "reached_at", "failed_tries", "last_try_at")
        takes = tuple(
            replace(take, **{name: value for name, value in changed.get(take.id, {}).items() if name in kept})
            for take in life.takes
        )
        last = life.last
        if moved.opens:
            last = moved.opens
        elif moved.dispatch is not None and last is not None:
            last = replace(last, **{k: v for k, v in moved.dispatch.items() if k != "ended_at"})
        if moved.targets and last is not None:
            said = {target.party: target for target in moved.targets}
            last = replace(last, targets=tuple(said.get(t.party, t) for t in last.targets))
        ended = dict(moved.requests)
        filed = (Asked(self.new_id(), moved.files.kind, life.filer_id),) if moved.files else ()
        self.returned |= {take.party for take in takes if take.state is TakeState.RETURNED}
        names = {
            "left_state": "left",
            "round": "round",
            "level": "level",
            "started": "started",
            "lead_id": "lead_id",
        }
        fields = {names[name]: value for name, value in order.items() if name in names}
        self.life = replace(
            life,
            state=moved.after,
            version=life.version + 1,
            flags=life.flags if moved.flags is None else moved.flags,
            takes=tuple(take for take in takes if take.state in (TakeState.ACTIVE, TakeState.DONE)),
            last=last,
            held=last if last and last.state in HELD else None,
            rested_at=order.get("rested_at", life.rested_at),
            done_at=order.get("done_at", life.done_at),
            barred=frozenset(self.returned),
            pending=(*(ask for ask in life.pending if ask.id not in ended), *filed),
            verdict=verdict,
            **fields,
        )
        self.log.append(Logged(self.life.version, moved.move, moved.before, moved.after, moved.detail))

    def possible(self) -> list[tuple[Move, Standing]]:
        """Every (move, somebody) that the rulebook lets pass now, in a fixed order."""
        people = self.everybody()
        found = []
        for move in Move:
            if (self.life.state, move) not in EDGES or move in (Move.TAKE, Move.STAFF, Move.FOLLOW):
                continue
            for who in [THE_SYSTEM] if move in SYSTEM_MOVES else people:
                try:
                    judge(self.life, move, who, at=self.at)
                except Refusal:
                    continue
                found.append((move, who))
        return found

    @rule(data=st.data(), rash=st.integers(0, 9))
    def somebody_moves(self, data: st.DataObject, rash: int) -> None:
        ends = (Move.CANCEL, Move.REJECT, Move.MERGE, Move.CLOSE, Move.RESOLVE)
        possible = [(move, who) for move, who in self.possible() if rash == 0 or move not in ends]
        if not possible:
            return
        move, who = data.draw(st.sampled_from(possible))
        slots = data.draw(st.integers(1, 4))
        body = {
            "text": "说明",
            "reason_code": "other",
            "mode": data.draw(st.sampled_from(["open", "offer", "assign"])),
            "parallel": data.draw(st.booleans()),
            "slots_min": slots,
            "slots_max": slots + data.draw(st.integers(0, 2)),
            "expires_in_seconds": data.draw(st.sampled_from([None, 3600])),
            "ring_id": PLACE,
            "dispatch_id": self.new_id(),
            "targets": [{"kind": "member", "id": id} for id in MEMBERS[:3]],
            "level": data.draw(st.sampled_from([level.value for level in Level])),
            "decision": "研究",
            "result": "已办",
            "closing": "solved",
            "exit": "solved",
            "reached": data.draw(st.booleans()),
            "score": data.draw(st.integers(1, 5)),
            "solved": data.draw(st.booleans()),
            "contacted": True,
            "until": (self.at + timedelta(days=9)).date(),
            "parent_id": UUID(int=5),
            "take_id": self.life.active[0].id if self.life.active else UUID(int=6),
            "same_takers": data.draw(st.booleans()),
            "able": True,
        }
        if body["mode"] == "open":
            body["targets"] = None
        elif body["mode"] == "assign":
            body["targets"] = [{"kind": "unit", "id": id} for id in UNITS[: data.draw(st.integers(1, 3))]]
        try:
            moved = step(self.life, move, who, body, at=self.at)
        except Refusal:
            return
        self.keep(moved)

    @rule(number=st.integers(0, len(MEMBERS) + len(UNITS) - 1))
    def somebody_takes(self, number: int) -> None:
        who, held = self.taker(number), self.life.held
        try:
            judge(self.life, Move.TAKE, who, at=self.at)
        except Refusal:
            return
        assert held is not None
        assert own_take(self.life, who) is None
        (party,) = who.parties
        take = Take(
            self.new_id(), held.id, TakerKind(party[0]), party[1], TakeState.ACTIVE, self.at, who.account_id
        )
        count = held.slots_taken + 1
        moved = taken(self.life, take.id, count)
        full = DispatchState.FILLED if count >= held.slots_max else DispatchState.RUNNING
        targets = tuple(replace(t, state=TargetState.TAKEN) if t.party == party else t for t in held.targets)
        following: dict[Party, Target] = (
            {t.party: t for t in asked_next(targets)} if count < held.slots_max else {}
        )
        targets = tuple(following.get(t.party, t) for t in targets)
        held = replace(held, slots_taken=count, state=full, targets=targets)
        self.life = replace(self.life, takes=(*self.life.takes, take), held=held, last=held)
        self.keep(moved)

    @rule(data=st.data(), kind=st.sampled_from([Ask.RETURN, Ask.EXTENSION, Ask.PARK, *Ask]))
    def somebody_asks(self, data: st.DataObject, kind: Ask) -> None:
        able = [who for who in self.everybody() if ask_refusal(self.life, kind, who, at=self.at) is None]
        if not able:
            return
        who = data.draw(st.sampled_from(able))
        assert who.account_id is not None
        party = next(iter(who.parties), None) if kind is Ask.RETURN else None
        asked = Asked(self.new_id(), kind, who.account_id, party, by_street(self.life, kind))
        self.life = replace(self.life, pending=(*self.life.pending, asked))

    @rule(data=st.data(), yes=st.booleans())
    def somebody_decides(self, data: st.DataObject, yes: bool) -> None:
        """As ``orders/actions/asking.py`` does: the move that the approved request brings, and the request."""
        if not self.life.pending:
            return
        ask = data.draw(st.sampled_from(self.life.pending))
        if not yes or at_most(self.life, ask.kind):
            self.settle(ask, AskState.REFUSED)
            return
        move = EFFECTS.get(ask.kind)
        if move is not None:
            body = {
                "text": "同意",
                "reason_code": "other",
                "until": (self.at + timedelta(days=9)).date(),
                "level": data.draw(st.sampled_from([level.value for level in Level])),
                "returned": ask.party,
            }
            who = boss(Role.STREET) if move is Move.ESCALATE else THE_SYSTEM
            try:
                moved = step(self.life, move, who, body, at=self.at)
            except Refusal:
                if ask.kind is not Ask.ESCALATION:
                    raise
                return  # the level is no longer higher
            others = (line for line in moved.requests if line[0] != ask.id)
            self.keep(replace(moved, requests=(*others, (ask.id, AskState.APPROVED))))
            if ask.kind is Ask.RETURN and ask.party:
                self.returned.add(ask.party)
        self.settle(ask, AskState.APPROVED)

    def settle(self, ask: Asked, status: AskState) -> None:
        counts = dict(self.life.asked)
        if status is AskState.APPROVED:
            counts[ask.kind] = counts.get(ask.kind, 0) + 1
        self.life = replace(
            self.life,
            asked=counts,
            barred=frozenset(self.returned),
            pending=tuple(other for other in self.life.pending if other.id != ask.id),
        )

    @rule(hours=st.integers(1, 30))
    def time_passes(self, hours: int) -> None:
        self.at += timedelta(hours=hours)

    @invariant()
    def the_log_tells_the_state(self) -> None:
        told, life = replay(self.log), self.life
        assert (told.state, told.version, told.round, told.flags) == (
            life.state,
            life.version,
            life.round,
            life.flags,
        )
        assert (told.level, told.left) == (life.level, life.left)

    @invariant()
    def exactly_the_clocks_run_that_the_state_asks_for(self) -> None:
        after = view(self.life, [], PLACES)
        running = [run for run in self.runs if run.stopped_at is None]
        owners = {key_of(after, run): run.owner for run in running}
        assert len(owners) == len(running)
        assert owners == expected(after, {run.clock for run in running})
        for run in running:
            waits = run.clock in (Clock.ANSWER, Clock.PAUSE)
            assert (run.paused_at is not None) == (after.paused and not waits)
        live = {(r.clock, r.subject_id, r.deadline_no) for r in running if r.paused_at is None}
        assert {timer[:3] for timer in self.armed} <= live

    def teardown(self) -> None:
        """Every second of every clock has its reason, and the counted ones add up."""
        for run in self.runs:
            end = run.stopped_at or self.at
            assert run.since <= run.started_at <= end
            pieces = explain(run, end, BASIS.calendar)
            assert all(before.end == after.start for before, after in pairwise(pieces))
            counted = sum((p.end - p.start for p in pieces if p.counted), timedelta())
            assert counted.total_seconds() == used(run, end, BASIS.calendar)
            rest = remaining(run, self.at, BASIS.calendar)
            if rest is not None:
                assert rest == max(
                    0, (allowance(run, BASIS.calendar) or 0) - used(run, self.at, BASIS.calendar)
                )

    @invariant()
    def slots_hold_and_ledgers_add_up(self) -> None:
        life = self.life
        if life.held:
            assert life.held.slots_taken == len(life.active) <= life.held.slots_max
            full = life.held.slots_taken == life.held.slots_max
            assert (life.held.state is DispatchState.FILLED) == full
        if life.state in RESTING or life.state in (State.ACCEPTED, State.DONE, State.EVALUATED):
            assert not life.active
        if life.state in RESTING:
            assert life.held is None
        if life.state in (State.TAKEN, State.IN_SERVICE):
            assert life.active

    @invariant()
    def whatever_pends_can_still_be_done(self) -> None:
        for ask in self.life.pending:
            assert self.life.state in ASKS[ask.kind].states, ask
            if ask.kind is Ask.RETURN:
                assert ask.party not in self.returned


TestOrder = OrderMachine.TestCase
TestOrder.settings = settings(max_examples=250, stateful_step_count=40, deadline=None)
