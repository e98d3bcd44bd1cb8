"""What a roster would do, line by line: whom each line means, and what stands in its way. Writes nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.db.sealed import keys_of
from dispatch.domain.cells import as_told
from dispatch.domain.checkin import limit_problems
from dispatch.domain.household import address_key
from dispatch.domain.people import Actor
from dispatch.domain.roster import HEADINGS, TOLD, Line, Problem
from dispatch.rosters import queries
from dispatch.rosters.queries import Ground, Known, People


class Does(StrEnum):
    """What becomes of a line."""

    CREATES = "creates"
    INVITES = "invites"
    UPDATES = "updates"
    UNCHANGED = "unchanged"


@dataclass(frozen=True, slots=True)
class Entry:
    """A line with what it means here.

    ``form`` is as a check-in keeps it; ``changes`` are those of its fields that a known member's row has otherwise,
    with ``grid_id``, ``phone``, ``id_number`` and ``address``.
    """

    line: Line
    does: Does
    account_id: UUID | None
    grid_id: UUID | None
    form: dict[str, Any]
    since: datetime | None
    changes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Plan:
    """All lines, and everything that is wrong; with a problem nothing is written."""

    entries: Sequence[Entry]
    problems: Sequence[Problem]

    def of(self, does: Does) -> list[Entry]:
        """The lines that do this."""
        return [entry for entry in self.entries if entry.does is does]

    def count(self, does: Does) -> int:
        """How many they are."""
        return len(self.of(does))


class _Wrong(Exception):
    def __init__(self, column: str, message: str) -> None:
        super().__init__(message)
        self.column, self.message = HEADINGS[column], message


async def plan(
    db: AsyncConnection, actor: Actor, lines: Sequence[Line], problems: Sequence[Problem], *, at: datetime
) -> Plan:
    """Compare the lines with what is known. The same for a dry run and for the deed."""
    ground = await queries.ground(db, actor)
    units = {id for line in lines if line.unit for id in ground.units.get(line.unit, ())}
    people = await queries.people(db, actor.tenant.id, lines, units)
    planner = _Planner(
        actor,
        ground,
        people,
        lambda column, text: keys_of(db.dialect).hashed(actor.tenant.id, column, text),
        at,
    )
    entries: list[Entry] = []
    found = list(problems)
    taken: dict[UUID, int] = {}
    for line in lines:
        try:
            entry = planner.entry(line)
            if entry.account_id is not None and entry.account_id in taken:
                raise _Wrong("name", f"与第{taken[entry.account_id]}行是同一人")
        except _Wrong as wrong:
            found.append(Problem(line.number, wrong.column, wrong.message))
            continue
        entries.append(entry)
        if entry.account_id is not None:
            taken[entry.account_id] = line.number
    return Plan(entries, sorted(found, key=lambda problem: problem.line))


class _Planner:
    def __init__(self, actor: Actor, ground: Ground, people: People, hashed: Any, at: datetime) -> None:
        self.actor, self.ground, self.people, self.hashed, self.at = actor, ground, people, hashed, at

    def entry(self, line: Line) -> Entry:
        """Raises: _Wrong."""
        community_id = self._community(line.community, "community")
        if community_id not in self.ground.within:
            raise _Wrong("community", "不在您的辖区内")
        grid_id = self._one(self.ground.grids[(community_id, line.grid)], "grid") if line.grid else None
        work_id = self._community(line.work_community, "work_community") if line.work_community else None
        unit_id = self._one(self.ground.units.get(line.unit, []), "unit") if line.unit else None
        told = dict(line.told)
        if "items" in told:
            told["items"] = [self._offer(word) for word in told["items"]]
        known = self._known(line, unit_id)
        if known is not None and known.id == self.actor.account_id:
            raise _Wrong("name", "不能为自己办理报到")
        since = self._since(line.since)
        form = {
            "community_id": str(community_id),
            "unit_id": str(unit_id) if unit_id else None,
            "work_community_id": str(work_id) if work_id else None,
            "address": line.address,
            **told,
        }
        return self._against(line, known, grid_id, form, since)

    def _community(self, name: str, column: str) -> UUID:
        ids = self.ground.communities.get(name, [])
        ours = [id for id in ids if id in self.ground.within]
        return self._one(ours if len(ours) == 1 else ids, column)

    def _one(self, ids: Sequence[UUID], column: str) -> UUID:
        if len(ids) != 1:
            raise _Wrong(column, "有多个同名，请填写编码" if ids else "没有找到，请核对名称")
        return ids[0]

    def _offer(self, word: str) -> str:
        if word not in self.ground.offers:
            raise _Wrong("items", f"没有“{word}”这个服务项目")
        return self.ground.offers[word]

    def _since(self, day: date | None) -> datetime | None:
        if day is None:
            return None
        since = datetime.combine(day, time(), self.actor.tenant.zone)
        if since > self.at:
            raise _Wrong("since", "不能晚于今天")
        return since

    def _known(self, line: Line, unit_id: UUID | None) -> Known | None:
        """Whom a line means: by id number, by phone and name, by name and unit.

        Raises:
            _Wrong: somebody else has the phone, or it cannot be told which of two people is meant.
        """
        number = self.hashed("accounts.id_number", line.id_number) if line.id_number else None
        by_id = self.people.by_id.get(number) if number else None
        same_phone = self.people.by_phone.get(line.phone, []) if line.phone else []
        by_phone = [one for one in same_phone if one.name == line.name]
        by_phone = [one for one in by_phone if not (number and one.id_number_hash not in (None, number))]
        if by_id is not None:
            if by_id.name != line.name:
                raise _Wrong("id_number", "身份证号已登记在另一人名下")
            if any(one.id != by_id.id for one in by_phone):
                raise _Wrong("phone", "手机号与身份证号分属两个账号")
            return by_id
        if len(by_phone) > 1:
            raise _Wrong("phone", "同名同号的账号不止一个，请填写身份证号")
        if by_phone:
            return by_phone[0]
        if same_phone and not number:
            raise _Wrong("phone", "手机号已登记在另一人名下；确为共用的，请填写身份证号")
        return self._of_unit(line, unit_id, number)

    def _of_unit(self, line: Line, unit_id: UUID | None, number: str | None) -> Known | None:
        namesakes = self.people.by_unit.get((unit_id, line.name), []) if unit_id else []
        if number:
            namesakes = [one for one in namesakes if one.id_number_hash in (None, number)]
        if not namesakes:
            return None
        if len(namesakes) > 1 or (line.phone and namesakes[0].phone not in (None, line.phone)):
            raise _Wrong("name", "同一单位已有同名人员，请核对；确为两人的，请填写身份证号")
        return namesakes[0]

    def _against(
        self,
        line: Line,
        known: Known | None,
        grid_id: UUID | None,
        form: dict[str, Any],
        since: datetime | None,
    ) -> Entry:
        """What the line changes of what stands."""
        empty: dict[str, Any] = {"items": [], "skills": [], "free_times": [], "languages": []}
        if known is None:
            return Entry(line, Does.CREATES, None, grid_id, {**empty, **form}, since)
        row = known.member
        if row is None or row.state == "ended":
            return Entry(line, Does.INVITES, known.id, grid_id, {**empty, **form}, None)
        if str(row.community_id) != form["community_id"]:
            raise _Wrong("community", "已在其他社区报到，请本人办理转移")
        stands = {name: row._mapping[name] for name in TOLD}
        stands |= {
            "community_id": str(row.community_id),
            "unit_id": str(row.unit_id) if row.unit_id else None,
            "work_community_id": str(row.work_community_id) if row.work_community_id else None,
            "location": row.location,
            "born_on": row.born_on,
            "guardian_consent_on": row.guardian_consent_on,
        }
        changes = {
            name: value
            for name, value in form.items()
            if name != "address" and value is not None and value != as_told(name, stands[name])
        }
        changes |= self._of_account(line, known)
        if grid_id not in (None, row.grid_id):
            changes["grid_id"] = grid_id
        if problems := limit_problems({**stands, **changes}):
            raise _Wrong(*problems[0])
        does = Does.UPDATES if changes else Does.UNCHANGED
        whole = {**stands, **{name: value for name, value in form.items() if value is not None}}
        return Entry(line, does, known.id, grid_id or row.grid_id, whole, None, changes)

    def _of_account(self, line: Line, known: Known) -> dict[str, Any]:
        """What the line tells otherwise of phone, id number and door."""
        changes = {}
        if line.phone and known.phone != line.phone:
            changes["phone"] = line.phone
        if line.id_number and known.id_number_hash is None:
            changes["id_number"] = line.id_number
        if line.address:
            key = address_key(known.member.community_id, line.address)
            if key is not None and known.address_key != self.hashed("address_key", key):
                changes["address"] = line.address
        return changes
