"""The architecture is a test. Each guard is a function that is also shown something wrong."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from dispatch import wiring
from dispatch.app import described
from dispatch.domain.facts import Fact
from dispatch.domain.refusal import every_refusal

ROOT = Path(__file__).parents[2]
SRC = ROOT / "src" / "dispatch"
FILES = sorted(SRC.rglob("*.py"))
KEYLESS = {
    "read_notices": "safe to repeat",
    "reveal_order": "each look is recorded",
    "send_phone_code": "one a minute",
    "make_prefetch_token": "safe to repeat",
    "make_key": "a secret is told once and kept nowhere",
    "revoke_key": "safe to repeat",
    "enter_phone": "safe to repeat",
    "ask_reveal": "one waits at most",
    "approve_reveal": "decided once",
    "refuse_reveal": "decided once",
    "recuse": "safe to repeat",
    "end_recusal": "safe to repeat",
    "publish_policy": "the same words publish nothing",
    "give_consent": "safe to repeat",
    "withdraw_consent": "safe to repeat",
    "ask_export": "the pending one is found",
    "correct_data": "safe to repeat",
    "delete_me": "the pending one is found",
    "login_with_wechat": "signing in takes no key",
    "create_attachment": "the client's own id is the key",
    "upload_attachment": "a file that is ready is not read again",
    "run_matching": "safe to repeat: an order is handed out once",
    "put_taking_rule": "a full replacement, guarded by If-Match",
    "drop_draft": "safe to repeat",
    "decline_handover": "answered once",
    "withdraw_handover": "answered once",
    "put_checkin": "a full replacement, guarded by If-Match",
    "put_hours": "a full replacement of one's own",
    "withdraw_checkin": "safe to repeat",
    "renew_checkin": "safe to repeat",
    "leave_community": "who has left is told so",
    "take_leave": "the same days again overlap",
    "end_leave": "safe to repeat",
    "withdraw_registration": "safe to repeat",
    "import_roster": "the same file again changes nothing",
    "export_roster": "each is recorded",
    "put_rule": "a full replacement, guarded by If-Match",
    "login_with_password": "signing in takes no key",
    "start_oidc": "signing in takes no key",
    "finish_oidc": "signing in takes no key",
    "refresh_session": "the token is the key",
    "logout": "safe to repeat",
    "give_phone": "WeChat's code is good once, and is the key",
    "suggest_items": "keeps nothing",
    "preview_policies": "changes nothing",
}


def calls(source: str, names: set[str]) -> Iterator[int]:
    """Lines that call a method of one of these names."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in names:
            yield node.lineno


def writes_state(source: str) -> Iterator[int]:
    """Lines that write an order's state: ``order.state = …``, ``update(orders)….values(state=…)`` or
    ``Change(orders, …, {"state": …})``."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Attribute) and target.attr == "state":
                    yield node.lineno
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr == "values"
            and any(keyword.arg == "state" for keyword in node.keywords)
            and "update(orders)" in ast.unparse(node.func)
        ):
            yield node.lineno
        if (
            isinstance(node, ast.Call)
            and ast.unparse(node.func) == "Change"
            and ast.unparse(node.args[0]) == "orders"
            and any(isinstance(one, ast.Constant) and one.value == "state" for one in ast.walk(node.args[2]))
        ):
            yield node.lineno


def selects_orders(source: str) -> Iterator[int]:
    """Lines that begin a select of orders' own columns without ``visible_to``."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "select":
            said = " ".join(ast.unparse(argument) for argument in node.args)
            if re.search(r"\borders\.c\b|\borders\b(?!\.)", said):
                yield node.lineno


def test_only_the_database_commits():
    allowed = {"db", "jobs", "__main__.py"}
    for path in FILES:
        if path.relative_to(SRC).parts[0] not in allowed:
            assert not list(calls(path.read_text(), {"commit", "rollback", "begin", "begin_nested"})), path
    assert list(calls("async def f(db):\n    await db.commit()", {"commit"})) == [2]


def test_only_the_log_writes_the_state_of_an_order():
    for path in FILES:
        if path.relative_to(SRC).as_posix() != "orders/log.py":
            assert not list(writes_state(path.read_text())), path
    assert list(writes_state("update(orders).where(x).values(state=1)")) == [1]
    assert list(writes_state("order.state = 1")) == [1]
    assert list(writes_state("Change(orders, {'id': 1}, {'state': 1})")) == [1]
    assert list(writes_state((SRC / "orders/log.py").read_text()))


def test_the_log_is_added_to_and_never_changed():
    """Peers' 138. Who is forgotten is the one exception: words go, steps stay."""
    writes = re.compile(r"\b(?:update|delete|insert|Rows)\(\s*order_steps\b|^\s*\(order_steps,", re.MULTILINE)
    found = {path.relative_to(SRC).as_posix() for path in FILES if writes.search(path.read_text())}
    assert found == {"orders/log.py", "privacy/actions/erasing.py"}
    assert not re.search(r"(?:update|delete)\(\s*order_steps", (SRC / "orders/log.py").read_text())


def test_orders_are_selected_where_visibility_is_applied():
    """Elsewhere a select of orders needs a reason."""
    reasons = {
        "orders/queries.py": "children and steps for the service itself",
        "orders/listing.py": "its branches, paged one by one",
        "orders/whole.py": "the columns that queries restricts",
        "attachments/queries.py": "which orders are a person's own, for the file of that person",
        "orders/alike.py": "the service compares; whether the filer may see an order is a column",
        "orders/actions/indexing.py": "the service keeps the words of every order",
        "dispatching/actions/drafting.py": "the number of an order that the actor once took",
        "dispatching/actions/handing_over.py": "what one may know of an order before a take",
        "notices/reactions.py": "the service tells whoever is concerned",
        "audit.py": "the operator checks every log; no order's content but to hash it",
        "privacy/actions/erasing.py": "what is about a person who asked to be forgotten",
        "privacy/actions/exporting.py": "what is the person's own, for the file",
        "privacy/due.py": "what keeps a person from being forgotten, and whose time is over",
        "privacy/queries.py": "which orders somebody asks about",
        "matching/automatic.py": "the queue of a scope, and which of it is settled",
        "reports/queries.py": "where and of which household each was, to be counted; nobody sees a row",
        "census/queries.py": "how many stand where, over all tenants",
        "matching/queries.py": "how often who helped whom: counts, no order's content",
    }
    found = {path.relative_to(SRC).as_posix() for path in FILES if list(selects_orders(path.read_text()))}
    assert found == set(reasons)
    assert list(selects_orders("select(orders.c.id).where(x)")) == [1]


def test_dialects_are_named_in_one_file():
    named = re.compile(r"sqlalchemy\.dialects|dialect\.name|get_backend_name")
    allowed = {"db/dialect.py", "db/types.py", "db/engine.py", "db/idempotency.py", "db/guarding.py"}
    found = {path.relative_to(SRC).as_posix() for path in FILES if named.search(path.read_text())}
    assert found <= allowed, found - allowed


def test_only_the_clock_reads_the_clock():
    reads = re.compile(r"datetime\.(now|utcnow|today)\(|time\.time\(|date\.today\(")
    found = {path.relative_to(SRC).as_posix() for path in FILES if reads.search(path.read_text())}
    assert found == {"clock.py"}


def operations() -> list[tuple[str, str, dict]]:
    paths = described().openapi()["paths"]
    return [(path, method, op) for path, methods in paths.items() for method, op in methods.items()]


def test_every_route_asks_who_calls_unless_it_is_listed():
    found = operations()
    assert len(found) >= 45
    for path, _, operation in found:
        assert bool(operation.get("security")) != (path in wiring.PUBLIC), path


def test_every_write_takes_an_idempotency_key_unless_it_is_listed():
    for path, method, operation in operations():
        if method != "get" and operation["operationId"] not in KEYLESS:
            named = {parameter["name"].lower() for parameter in operation["parameters"]}
            assert "idempotency-key" in named, path


def test_every_chapter_has_its_scope_but_those_that_no_key_may_enter():
    from dispatch.people.keys import AREAS

    tags = {tag for _, _, operation in operations() if operation.get("security") for tag in operation["tags"]}
    assert all(len(operation["tags"]) == 1 for _, _, operation in operations())
    assert tags - set(AREAS) == {
        "auth",
        "grants",
        "privacy",
    }  # a key neither signs in, nor hands out roles, nor reveals


def test_every_move_of_the_rulebook_has_its_route():
    from dispatch.domain.order import SYSTEM_MOVES, Move

    paths = {path for path, _, _ in operations()}
    for move in set(Move) - SYSTEM_MOVES - {Move.SUBMIT}:
        assert f"/v1/orders/{{order_id}}/{move}" in paths


def test_every_fact_has_its_line_and_job_names_are_unique():
    assert set(wiring.REACTIONS) == set(Fact)
    names = [job.name for job in wiring.JOBS]
    assert len(names) == len(set(names))


def test_refusal_codes_are_unique_and_documented():
    codes = [kind.code for kind in every_refusal()]
    assert len(codes) == len(set(codes))
    page = (ROOT / "docs/errors.md").read_text()
    assert all(f"`{code}`" in page for code in codes)
