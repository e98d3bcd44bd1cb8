"""The catalogue over HTTP."""

from fastapi import APIRouter, Request, Response

from dispatch.catalog import queries
from dispatch.catalog.schemas import (
    CatalogOut,
    CategoryOut,
    CheckinItemOut,
    EmergencyOut,
    ItemOut,
    ReasonOut,
    SuggestIn,
    SuggestionOut,
    SuggestOut,
)
from dispatch.domain.suggestion import MOST, emergency, suggest
from dispatch.web.deps import Caller, Reading
from dispatch.web.etag import polled

router = APIRouter(prefix="/v1", tags=["catalog"])


@router.get("/catalog", response_model=CatalogOut, summary="服务事项目录、报到项目和各类原因")
async def get_catalog(request: Request, db: Reading, caller: Caller) -> Response:
    """What may be asked for here, what a member may offer, and which reasons may be given."""
    return polled(request, _shown(await queries.catalog(db, caller)))


@router.post("/catalog/suggest", summary="按描述推荐服务事项，遇紧急情况先提示电话")
async def suggest_items(db: Reading, caller: Caller, body: SuggestIn) -> SuggestOut:
    """Which items a text may mean, and whether it tells of an emergency. Keeps nothing, so it takes no key."""
    rules = queries.keywords()
    likely = suggest(body.text, rules.items)
    names = await queries.offered(db, caller, [suggestion.code for suggestion in likely])
    alarm = emergency(body.text, rules.emergencies, rules.doubt)
    return SuggestOut(
        items=[
            SuggestionOut(code=each.code, name=names[each.code], score=each.score, words=list(each.words))
            for each in likely
            if each.code in names
        ][:MOST],
        emergency=EmergencyOut.model_validate(alarm) if alarm else None,
    )


def _shown(catalog: queries.Catalog) -> CatalogOut:
    chapters: dict[str, list[ItemOut]] = {}
    for item in catalog.items:
        chapters.setdefault(item["category_code"], []).append(ItemOut.model_validate(item))
    reasons: dict[str, list[ReasonOut]] = {}
    for reason in catalog.reasons:
        reasons.setdefault(reason["act"], []).append(ReasonOut(code=reason["code"], label=reason["label"]))
    return CatalogOut(
        categories=[
            CategoryOut(code=chapter["code"], name=chapter["name"], items=chapters[chapter["code"]])
            for chapter in catalog.categories
            if chapter["code"] in chapters
        ],
        checkin_items=[CheckinItemOut.model_validate(offer) for offer in catalog.checkin_items],
        reasons=reasons,
    )
