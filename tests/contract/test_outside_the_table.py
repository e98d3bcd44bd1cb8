"""Every state, every move, every role: what the table does not allow is refused by its code and leaves no trace.

The product is large and the way through it the same everywhere, so each driver takes every third cell.
"""

from itertools import count
from uuid import uuid4

from dispatch.db.engine import Database
from dispatch.domain.life import Standing
from dispatch.domain.order import EDGES, SYSTEM_MOVES, Move, Relation, State
from dispatch.domain.people import Role
from tests.conftest import DRIVERS
from tests.contract.states import Order, States, bodies, traces
from tests.rulebook import by_hand
from tests.town import Hands

S, R = State, Relation
IN_SCOPE = {
    "grid-1",
    "grid-secretary-1",
    "dispatcher-1",
    "secretary-1",
    "street-1",
    "district-1",
    "supervisor-1",
}
HELD = (S.OPEN, S.OFFERED, S.TAKEN, S.IN_SERVICE, S.PAUSED, S.ESCALATED)
RUNNING = (S.OPEN, S.TAKEN, S.IN_SERVICE, S.PAUSED)
"""Where member-1 holds a take, and where the open dispatch that he took from still has a slot."""

RELATIONS: dict[str, dict[Relation, tuple[State, ...]]] = {
    "resident-1": {R.FILER: tuple(S)},
    "member-1": {R.TAKER: HELD, R.LEAD: HELD, R.AUDIENCE: RUNNING, R.INVITED: (S.OFFERED,)},
    "team-1": {R.AUDIENCE: RUNNING},
    "unit-1": {R.AUDIENCE: RUNNING, R.INVITED: (S.OFFERED,)},
    "provider-1": {R.INVITED: (S.ESCALATED,)},
}
ALIKE = 4
"""Who does not see an order gets one answer to every move, and so does a state without it: a fourth of those will do."""

SPOKEN_TO = ("member-1", "team-1", "unit-1")


def _who(hands: Hands, login: str, state: State) -> Standing:
    """What somebody is to the order in a state, said by hand."""
    role = hands.town[login].role
    relations = {rel for rel, states in RELATIONS.get(login, {}).items() if state in states}
    scoped = frozenset({role}) if login in IN_SCOPE else frozenset()
    return Standing(
        hands.town[login].id,
        frozenset({role}),
        scoped,
        frozenset(relations | ({R.IN_SCOPE} if scoped else set())),
    )


async def test_what_the_table_does_not_allow_is_refused_and_leaves_no_trace(hands: Hands, database: Database):
    town = hands.town
    await town.person("agent-1", Role.AGENT, "community-1")
    await town.person("grid-secretary-1", Role.GRID_SECRETARY, "grid-11")
    everybody = {person.role: login for login, person in reversed(town.people.items())}
    assert everybody.keys() == set(Role) - {Role.SYSTEM}
    orders = await States(hands).every()
    parent = await States(hands).filed()
    sent = bodies(town, parent["id"], orders[S.TAKEN]["takes"][0]["id"])
    assert sent.keys() == {m.value for m in set(Move) - SYSTEM_MOVES - {Move.SUBMIT}}
    share = DRIVERS.index(database.url.drivername.rpartition("+")[2].replace("aiosqlite", "sqlite"))
    before, cells, tried = await traces(town), count(), 0
    for state, order in orders.items():
        for login in everybody.values():
            who = _who(hands, login, state)
            seen = (await hands.get(login, f"/v1/orders/{order['id']}")).status_code == 200
            for move, body in sent.items():
                if by_hand(state, Move(move), who):
                    continue
                if move == Move.TAKE and R.TAKER in who.relations:
                    continue  # his already: a retry is answered, in whatever state
                alike = not seen or (state, Move(move)) not in EDGES
                if next(cells) % (len(DRIVERS) * (ALIKE if alike else 1)) != share:
                    continue
                await _refused(hands, login, order, Move(move), body, seen=seen)
                tried += 1
    after = await traces(town)
    for table, rows in before.items():
        assert after[table] == rows, table
    assert tried > 400


async def _refused(hands: Hands, login: str, order: Order, move: Move, body: dict, *, seen: bool) -> None:
    answer = await hands.post(login, f"/v1/orders/{order['id']}/{move}", body, Idempotency_Key=uuid4().hex)
    told = (answer.status_code, answer.json()["code"])
    known = (State(order["state"]), move) in EDGES
    expected = (403, "ROLE_FORBIDDEN") if known else (409, "ORDER_MOVED")
    if not seen:
        expected = (404, "ORDER_NOT_FOUND")
    if move is Move.TAKE and login in SPOKEN_TO and told[0] == 409:
        # Whoever is or was spoken to is told what became of it, whether he still sees it or not.
        assert told[1] in ("ORDER_CLOSED", "NOT_ELIGIBLE"), (order["state"], move, login, answer.text)
        return
    assert told == expected, (order["state"], move, login, answer.text)
