"""Who is calling, over HTTP."""

from fastapi import APIRouter

from dispatch.domain.refusal import TokenRevoked
from dispatch.people import queries
from dispatch.people.rendering import shown_account, shown_grants
from dispatch.people.schemas import MeOut
from dispatch.web.deps import Caller, Now, Reading

router = APIRouter(prefix="/v1", tags=["me"])


@router.get("/me")
async def get_me(db: Reading, caller: Caller, now: Now) -> MeOut:
    """The account and every grant that it may act under now, whichever the request names."""
    person = await queries.person(db, caller.tenant.id, caller.account_id, caller.session_id)
    if person is None:
        raise TokenRevoked()
    queries.proven(caller, person.version)
    return MeOut(
        account=shown_account(person.account_id, person.name, person.tenant),
        grants=shown_grants(grant for grant in person.grants if grant.stands(now)),
        acting_grant_id=caller.acting.id if caller.acting else None,
    )
