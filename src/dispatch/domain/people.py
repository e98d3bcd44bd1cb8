"""Who acts: roles, grants, the actor of a request."""

from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from uuid import UUID
from zoneinfo import ZoneInfo


class Role(StrEnum):
    """What a grant makes of an account (lifecycle.md, "Who"; domain.md §4.1)."""

    RESIDENT = "resident"
    AGENT = "agent"
    GRID_WORKER = "grid_worker"
    GRID_SECRETARY = "grid_secretary"
    DISPATCHER = "dispatcher"
    COMMUNITY_SECRETARY = "community_secretary"
    STREET = "street"
    DISTRICT = "district"
    UNIT_ADMIN = "unit_admin"
    MEMBER = "member"
    TEAM_LEAD = "team_lead"
    PROVIDER = "provider"
    DEPARTMENT = "department"
    SUPERVISOR = "supervisor"
    REPORTER = "reporter"
    ADMIN = "admin"
    SYSTEM = "system"


ROLE_LABELS = {
    Role.RESIDENT: "居民",
    Role.AGENT: "代办人",
    Role.GRID_WORKER: "网格员",
    Role.GRID_SECRETARY: "网格支部书记",
    Role.DISPATCHER: "社区派单员",
    Role.COMMUNITY_SECRETARY: "社区书记",
    Role.STREET: "街道",
    Role.DISTRICT: "区",
    Role.UNIT_ADMIN: "单位管理员",
    Role.MEMBER: "在职党员",
    Role.TEAM_LEAD: "队长",
    Role.PROVIDER: "物业·社会组织",
    Role.DEPARTMENT: "部门",
    Role.SUPERVISOR: "监督",
    Role.REPORTER: "报表集成",
    Role.ADMIN: "管理员",
    Role.SYSTEM: "系统",
}

FILING_ROLES = frozenset(
    {
        Role.RESIDENT,
        Role.AGENT,
        Role.GRID_WORKER,
        Role.GRID_SECRETARY,
        Role.DISPATCHER,
        Role.COMMUNITY_SECRETARY,
        Role.UNIT_ADMIN,
        Role.MEMBER,
    }
)
"""Who may file an order. domain.md §4.1; a member files as the resident that he also is."""

DISPATCHING_ROLES = frozenset({Role.DISPATCHER, Role.COMMUNITY_SECRETARY, Role.STREET, Role.DISTRICT})
"""Who may do what a dispatcher may, in scope (lifecycle.md, "Who")."""

STREET_ROLES = frozenset({Role.STREET, Role.DISTRICT})
"""Who rules at street level or above."""

SETTING_ROLES = frozenset({Role.ADMIN, Role.DISTRICT})
"""Who sets how a tenant matches and takes, at its topmost place (domain/granting.py)."""

GROUND_ROLES = frozenset({Role.GRID_WORKER, Role.GRID_SECRETARY})
"""Staff on foot: they see their grids and are dispatched to by name."""

STAFF_ROLES = DISPATCHING_ROLES | GROUND_ROLES
"""Those who work for the community, the street or the district."""

SCOPED_ROLES = STAFF_ROLES | {Role.SUPERVISOR}
"""Whose grants open the orders of a place; domain.md §4.1. An admin sees none of the content."""

BODY_ROLES = {
    Role.UNIT_ADMIN: "unit",
    Role.TEAM_LEAD: "team",
    Role.PROVIDER: "provider",
    Role.DEPARTMENT: "department",
}
"""Roles that act for a body, and that body's kind."""


@dataclass(frozen=True, slots=True)
class Grant:
    """A role at a place or for a body, from one instant to another.

    ``path`` holds the ids of the place and of all places above it, the root first.
    """

    id: UUID
    role: Role
    place_id: UUID | None = None
    place_kind: str | None = None
    place_name: str | None = None
    path: tuple[UUID, ...] = ()
    body_id: UUID | None = None
    body_kind: str | None = None
    body_name: str | None = None
    valid_from: datetime | None = None
    valid_to: datetime | None = None

    def stands(self, at: datetime) -> bool:
        """Whether the grant is in force at an instant (from included, to excluded)."""
        begun = self.valid_from is None or self.valid_from <= at
        return begun and (self.valid_to is None or at < self.valid_to)


@dataclass(frozen=True, slots=True)
class Tenant:
    """A district or county with its own words and hours."""

    id: int
    code: str
    name: str
    zone: ZoneInfo
    labels: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Actor:
    """An account acting in one request.

    ``grants`` are those that count here: the one chosen with ``X-Acting-Grant``, or all that
    stand (reads use their union). ``acting`` is the single one a write is logged under.
    ``version`` is what the token vouches for; the first statement of the request proves that it
    still stands and sets ``proven`` (architecture.md, "Speed by design"); the same goes for the
    session. ``scopes`` is what an API key reaches; None is everything the grants allow.
    """

    account_id: UUID
    name: str
    tenant: Tenant
    grants: tuple[Grant, ...]
    acting: Grant | None
    version: int
    proven: bool = False
    session_id: UUID | None = None
    scopes: frozenset[str] | None = None

    @property
    def roles(self) -> frozenset[Role]:
        """The roles that count in this request."""
        return frozenset(grant.role for grant in self.grants)

    @property
    def is_service(self) -> bool:
        """Whether nobody acts: time, or a rule."""
        return self.acting is not None and self.acting.role is Role.SYSTEM

    def narrowed(self, grant: Grant) -> "Actor":
        """The same person under one grant only."""
        return replace(self, grants=(grant,), acting=grant)


def the_service(tenant: Tenant) -> Actor:
    """The service itself, for what rules do through the verbs that people use; logged as nobody."""
    grant = Grant(UUID(int=0), Role.SYSTEM)
    return Actor(UUID(int=0), "", tenant, (grant,), grant, 0, proven=True)
