"""Which limits an order's clocks have: a tenant's policies by item, urgency and place, and the catalogue below them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from dispatch.domain.catalog import (
    CLOCKS,
    SCALE,
    Limit,
    Limits,
    Unit,
    Urgency,
    read_limit,
    scaled,
)

STAGES = ("accept", *CLOCKS, "level", "evaluate", "review")
"""The clocks that a policy may set (lifecycle.md, "Clocks")."""

FIXED: Limits = {
    "level": Limit(Unit.WORKING_DAYS, 2),
    "evaluate": Limit(Unit.DAYS, 7),
    "review": Limit(Unit.WORKING_DAYS, 3),
}
"""Limits that no item sets: lifecycle.md, from 绥江's two working days for whistles, 夏阳's three for a second handling
(domain research §2.3), and product decision §6 for the verdict."""

ACCEPT_SHARE = 0.5
"""Of the dispatch limit, what taking in may use (lifecycle.md, "Clocks")."""


@dataclass(frozen=True, slots=True)
class Policy:
    """Limits of some stages, for what its conditions name; a condition that is None asks for nothing.

    Limits of a policy without an urgency are those at the item's own urgency, and scale like the item's.
    """

    code: str
    name: str
    limits: Limits
    item_code: str | None = None
    urgency: Urgency | None = None
    place_id: UUID | None = None

    @property
    def conditions(self) -> tuple[str | None, Urgency | None, UUID | None]:
        """What it asks for."""
        return self.item_code, self.urgency, self.place_id


@dataclass(frozen=True, slots=True)
class Policies:
    """All policies of a tenant at one version, and its table for urgency."""

    version: int
    rules: tuple[Policy, ...] = ()
    scale: Mapping[int, float] = field(default_factory=lambda: SCALE)


@dataclass(frozen=True, slots=True)
class Case:
    """What an order is, as far as policies ask. ``places``: ids from the root to its place."""

    item_code: str
    limits: Limits
    own: Urgency
    wanted: Urgency
    places: Sequence[UUID] = ()


@dataclass(frozen=True, slots=True)
class Chosen:
    """The limit of a stage and why: ``source`` is a policy's code, ``item`` or ``default``; ``reason`` says it in words."""

    limit: Limit | None
    source: str
    reason: str


def choose(policies: Policies, case: Case) -> dict[str, Chosen]:
    """The limit of every stage in the first round: for each, the most specific policy that sets it.

    A named item weighs most, then the nearest place, then a named urgency; each set of conditions is there once,
    so there is never a second best of equal weight.
    """
    ranked = sorted(
        (rule for rule in policies.rules if _matches(rule, case)),
        key=lambda rule: _weight(rule, case),
        reverse=True,
    )
    found = {stage: _first(stage, ranked, policies, case) for stage in STAGES}
    given = scaled(case.limits, case.own, case.wanted, policies.scale)
    for clock in CLOCKS:
        found[clock] = found[clock] or Chosen(given[clock], "item", _item_reason(case))
    dispatch = found["dispatch"]
    assert dispatch is not None
    half = dispatch.limit.scaled(ACCEPT_SHARE) if dispatch.limit else None
    found["accept"] = found["accept"] or Chosen(half, dispatch.source, f"派单时限的一半；{dispatch.reason}")
    return {stage: chosen or Chosen(FIXED[stage], "default", "默认时限") for stage, chosen in found.items()}


def _matches(rule: Policy, case: Case) -> bool:
    return (
        rule.item_code in (None, case.item_code)
        and rule.urgency in (None, case.wanted)
        and (rule.place_id is None or rule.place_id in case.places)
    )


def _weight(rule: Policy, case: Case) -> tuple[bool, int, bool]:
    depth = 0 if rule.place_id is None else case.places.index(rule.place_id) + 1
    return rule.item_code is not None, depth, rule.urgency is not None


def _first(stage: str, ranked: Iterable[Policy], policies: Policies, case: Case) -> Chosen | None:
    for rule in ranked:
        if stage in rule.limits:
            limit = rule.limits[stage]
            if limit is not None and rule.urgency is None and stage not in FIXED:
                steps = list(Urgency).index(case.wanted) - list(Urgency).index(case.own)
                limit = limit.scaled(policies.scale[steps])
            return Chosen(limit, rule.code, _policy_reason(rule))
    return None


def _policy_reason(rule: Policy) -> str:
    named = [
        word
        for word, given in zip(("事项", "紧急程度", "地点"), rule.conditions, strict=True)
        if given is not None
    ]
    return f"策略“{rule.name}”：按{'、'.join(named)}"


def _item_reason(case: Case) -> str:
    return "事项时限" if case.own is case.wanted else f"事项时限，由{case.own}按{case.wanted}换算"


class PolicyInvalid(ValueError):
    """Policies that make no sense; ``problems``: (row, field, reason)."""

    def __init__(self, problems: Sequence[tuple[int, str, str]]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(f"{row}.{name}: {reason}" for row, name, reason in problems))


def check(rules: Sequence[Policy]) -> None:
    """Whether policies are without doubt.

    Raises:
        PolicyInvalid: one that asks for nothing (it would beat every item's own limits), sets nothing, sets an unknown
            stage, or shares its code or its conditions with another.
    """
    problems: list[tuple[int, str, str]] = []
    codes: dict[str, int] = {}
    conditions: dict[Any, int] = {}
    for row, rule in enumerate(rules):
        problems += [(row, *problem) for problem in _own_problems(rule)]
        if (first := codes.setdefault(rule.code, row)) != row:
            problems.append((row, "code", f"代码与第{first + 1}条相同"))
        if (first := conditions.setdefault(rule.conditions, row)) != row:
            problems.append((row, "conditions", f"条件与第{first + 1}条相同"))
    if problems:
        raise PolicyInvalid(problems)


def _own_problems(rule: Policy) -> Iterator[tuple[str, str]]:
    if rule.conditions == (None, None, None):
        yield "conditions", "至少指定事项、紧急程度、地点之一"
    if not rule.limits:
        yield "limits", "至少规定一个时限"
    for stage, limit in rule.limits.items():
        if stage not in STAGES:
            yield "limits", f"没有“{stage}”这个环节"
        elif limit is not None and stage in ("accept", *FIXED) and limit.amount is None:
            yield "limits", f"“{stage}”不能按预约或按计划"


def read_policy(wire: Mapping[str, Any]) -> Policy:
    """A policy as it was stored."""
    return Policy(
        wire["code"],
        wire["name"],
        {stage: read_limit(limit) for stage, limit in wire["limits"].items()},
        wire["item_code"],
        Urgency(wire["urgency"]) if wire["urgency"] else None,
        UUID(wire["place_id"]) if wire["place_id"] else None,
    )


def write_policy(rule: Policy) -> dict[str, Any]:
    """A policy as it is stored."""
    return {
        "code": rule.code,
        "name": rule.name,
        "item_code": rule.item_code,
        "urgency": rule.urgency.value if rule.urgency else None,
        "place_id": str(rule.place_id) if rule.place_id else None,
        "limits": {stage: limit.wire() if limit else None for stage, limit in rule.limits.items()},
    }
