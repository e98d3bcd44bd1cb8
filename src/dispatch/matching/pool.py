"""A district's members as columns of numbers: filters and scores of all of them at once.

The formulas are those of ``domain.matching``; a property test holds that both ways agree.
"""

from collections.abc import Mapping, Sequence
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from dispatch.domain import matching
from dispatch.domain.ability import ADULT_YEARS, age, consented
from dispatch.domain.freetime import QUARTERS, Window
from dispatch.domain.matching import Candidate, Need

Mask = NDArray[np.bool_]
Numbers = NDArray[np.float64]


class Pool:
    """Members in columns."""

    def __init__(self, members: Sequence[Candidate]) -> None:
        self.members = members
        self.size = len(members)
        self._columns()
        self._places()
        self._able()
        self._doors()

    def _columns(self) -> None:
        members = self.members

        def numbers(values: list[float]) -> Numbers:
            return np.array(values, dtype=np.float64)

        self.active = numbers([one.active for one in members])
        self.free_slots = np.array([one.free_slots for one in members], dtype=np.int64)
        self.in_hand = np.array([one.in_hand for one in members], dtype=np.int64)
        self._of_items: dict[str, NDArray[np.int64]] = {}
        self.weekly = numbers([one.weekly_hours for one in members])
        self.served = np.array([one.served for one in members], dtype=np.int64)
        self.last_at = numbers([one.last_at for one in members])
        self.esteem = matching.esteem(
            numbers([one.verdicts for one in members]), numbers([one.verdict_sum for one in members])
        )
        self.familiarity = matching.familiarity(numbers([one.helped for one in members]))
        self.lng = numbers([one.point.lng if one.point else np.nan for one in members])
        self.lat = numbers([one.point.lat if one.point else np.nan for one in members])
        self.key = np.array([one.id.int & matching.MASK64 for one in members], dtype=np.uint64)
        raw = b"".join((one.free or 0).to_bytes(QUARTERS // 8, "little") for one in members)
        self._week = np.frombuffer(raw, dtype=np.uint8).reshape(self.size, QUARTERS // 8)
        self.declared = np.array([one.free is not None for one in members], dtype=bool)

    def _places(self) -> None:
        """Communities, streets and grids as small numbers; paths once per community."""
        self.row = {one.party: at for at, one in enumerate(self.members)}
        self._paths: dict[tuple[UUID, ...], int] = {}
        self.path = np.array(
            [self._paths.setdefault(one.path, len(self._paths)) for one in self.members], int
        )
        self._codes: dict[UUID | None, int] = {None: -1}

        def coded(ids: list[UUID | None]) -> NDArray[np.int64]:
            return np.array([self._codes.setdefault(id, len(self._codes)) for id in ids], dtype=np.int64)

        self.grid = coded([one.grid_id for one in self.members])
        self.community = coded([one.community_id for one in self.members])
        self.street = coded([one.street_id for one in self.members])

    def _able(self) -> None:
        self.standing = np.array([one.state == "active" for one in self.members], dtype=bool)
        self.offers: dict[str, Mask] = {}
        self.skills: dict[str, list[tuple[int, int]]] = {}
        for at, one in enumerate(self.members):
            for code in one.offers:
                self.offers.setdefault(code, np.zeros(self.size, dtype=bool))[at] = True
            for skill in one.skills:
                last = skill.expires_on.toordinal() if skill.expires_on else np.iinfo(np.int32).max
                self.skills.setdefault(skill.code, []).append((at, int(last)))
        self.on_leave = [at for at, one in enumerate(self.members) if one.leaves]
        self.young = [at for at, one in enumerate(self.members) if one.born_on is not None]

    def _doors(self) -> None:
        self.households: dict[UUID, list[int]] = {}
        self.addresses: dict[str, list[int]] = {}
        for at, one in enumerate(self.members):
            if one.household_id:
                self.households.setdefault(one.household_id, []).append(at)
            if one.address_key:
                self.addresses.setdefault(one.address_key, []).append(at)

    # --- filters ----------------------------------------------------------------------------

    def eligible(self, need: Need) -> Mask:
        """Whom the order may be offered to: exactly those against whom ``why_not`` finds nothing."""
        if need.staff_only or not self.size:
            return np.zeros(self.size, dtype=bool)
        within = np.array([need.ring_id in path for path in self._paths], dtype=bool)
        offered, qualified = self._offered(need), self._qualified(need)
        mask: Mask = within[self.path] & self.standing & (self.hands(need) > 0) & (offered | qualified)
        if need.qualifications is not None:
            mask &= qualified
        mask[self._excluded(need)] = False
        if need.wanted is not None:
            left = np.flatnonzero(mask)
            mask[left] = self._fits(left, need.wanted)
        return mask

    def hands(self, need: Need) -> NDArray[np.int64]:
        """How many more orders like this one each may be offered."""
        left = self.free_slots
        if need.capacity is not None:
            left = np.minimum(left, need.capacity - self.in_hand)
        if need.member_limit is not None:
            left = np.minimum(left, need.member_limit - self._of_item(need.item_code))
        return left

    def give(self, need: Need, rows: Sequence[int]) -> None:
        """These take the order into their hands."""
        at = list(rows)
        np.subtract.at(self.free_slots, at, 1)
        np.add.at(self.in_hand, at, 1)
        np.add.at(self.active, at, 1)
        np.add.at(self._of_item(need.item_code), at, 1)

    def _of_item(self, item_code: str) -> NDArray[np.int64]:
        if item_code not in self._of_items:
            counts = [one.of_items.get(item_code, 0) for one in self.members]
            self._of_items[item_code] = np.array(counts, dtype=np.int64)
        return self._of_items[item_code]

    def _offered(self, need: Need) -> Mask:
        found = np.zeros(self.size, dtype=bool)
        for code in need.offers:
            if code in self.offers:
                found |= self.offers[code]
        return found

    def _qualified(self, need: Need) -> Mask:
        found = np.zeros(self.size, dtype=bool)
        if need.qualifications is None:
            return found
        today = need.at.date().toordinal()
        for code in need.qualifications or self.skills:
            found[[at for at, last in self.skills.get(code, ()) if today <= last]] = True
        return found

    def _excluded(self, need: Need) -> list[int]:
        """Single rows: conflicts, the past with this order, the young."""
        parties = {*need.returned, *need.said_no, *need.on_it}
        parties |= {("member", id) for id in (*need.concerned.kept, need.concerned.beneficiary_id) if id}
        found = [self.row[party] for party in parties if party in self.row]
        for household in need.concerned.households:
            found += self.households.get(household, [])
        for key in need.concerned.address_keys:
            found += self.addresses.get(key, [])
        found += [at for at in self.on_leave if any(self.members[at].away(day) for day in need.days)]
        on = need.at.date()
        for at in self.young:
            one = self.members[at]
            years = age(one.born_on, on)
            minor = years is not None and years < ADULT_YEARS
            if minor and (need.minors or not consented(one.guardian_consent_on, on)):
                found.append(at)
        return found

    def _quarters(self, rows: NDArray[np.int64], wanted: Window) -> Mask:
        quarters = np.array(wanted.quarters)
        bits: Mask = (self._week[np.ix_(rows, quarters // 8)] >> (quarters % 8) & 1).astype(bool)
        return bits

    def _fits(self, rows: NDArray[np.int64], wanted: Window) -> Mask:
        if wanted.whole:
            columns, mask = _bytes(wanted)
            fitting = ((self._week[np.ix_(rows, columns)] & mask) == mask).all(axis=1)
        else:
            free = self._quarters(rows, wanted)
            fitting = (free[:, :-3] & free[:, 1:-2] & free[:, 2:-1] & free[:, 3:]).any(axis=1)
        result: Mask = fitting | ~self.declared[rows]
        return result

    # --- scores -----------------------------------------------------------------------------

    def best(
        self,
        need: Need,
        weights: Mapping[str, float] = matching.WEIGHTS,
        limit: int | None = None,
        helped: Mapping[int, int] | None = None,
    ) -> tuple[NDArray[np.int64], Numbers]:
        """Rows and values of those to whom the order may be offered, best first, at most ``limit``.

        Args:
            helped: by row, how often this order's beneficiary was helped, where the members themselves do
                not say (a pool that serves many orders).
        """
        rows = np.flatnonzero(self.eligible(need))
        values = np.round(matching.value(self._parts(need, rows, helped), weights), 1)
        if limit is not None and len(rows) > 4 * limit:  # sort only those that can be among the first
            border = np.partition(values, len(values) - limit)[len(values) - limit]
            kept = values >= border
            rows, values = rows[kept], values[kept]
        order_key = np.uint64(need.order_id.int & matching.MASK64)
        turns = (self.key[rows] ^ order_key) * np.uint64(matching.GOLDEN)
        line = np.lexsort((turns, self.last_at[rows], self.served[rows], -values))[:limit]
        return rows[line], values[line]

    def _parts(
        self, need: Need, rows: NDArray[np.int64], helped: Mapping[int, int] | None
    ) -> dict[str, Numbers]:
        offered = self._offered(need)[rows]
        familiarity = self.familiarity[rows]
        if helped is not None:
            familiarity = matching.familiarity(
                np.array([helped.get(row, 0) for row in rows.tolist()], dtype=np.float64)
            )
        return {
            "item": np.where(offered, matching.FIT_BY_OFFER, matching.FIT_BY_SKILL),
            "distance": matching.nearness(self.metres(need, rows)),
            "free": self._leisure(need, rows),
            "load": matching.lightness(self.active[rows], self.weekly[rows]),
            "verdict": self.esteem[rows],
            "continuity": familiarity,
        }

    def metres(self, need: Need, rows: NDArray[np.int64]) -> Numbers:
        """How far each has to go."""
        level = np.full(len(rows), 3)
        for number, ids, wanted in (
            (2, self.street, need.street_id),
            (1, self.community, need.community_id),
            (0, self.grid, need.grid_id),
        ):
            if wanted is not None:
                level[ids[rows] == self._codes.get(wanted, -2)] = number
        told: Numbers = np.array(matching.TREE_METRES)[level]
        if need.point is None:
            return told
        straight = matching.apart(need.point, self.lng[rows], self.lat[rows])
        result: Numbers = np.where(np.isnan(straight), told, straight)
        return result

    def _leisure(self, need: Need, rows: NDArray[np.int64]) -> Numbers:
        if need.window.whole:
            free = np.ones(len(rows))
        else:
            columns, mask = _bytes(need.window)
            count = np.bitwise_count(self._week[np.ix_(rows, columns)] & mask).sum(axis=1, dtype=np.int64)
            free = np.minimum(matching.leisure(count), 1.0)
        result: Numbers = np.where(self.declared[rows], free, matching.UNKNOWN_FREE)
        return result


def _bytes(wanted: Window) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """The bytes of a week that a window touches, and its bits in them."""
    bits = 0
    for quarter in wanted.quarters:
        bits |= 1 << quarter
    mask = np.frombuffer(bits.to_bytes(QUARTERS // 8, "little"), dtype=np.uint8)
    columns = np.flatnonzero(mask)
    return columns, mask[columns]
