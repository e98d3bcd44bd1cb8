"""The catalogue over HTTP."""

from fastapi import APIRouter, Request, Response

from dispatch.catalog import queries
from dispatch.catalog.schemas import CatalogOut, CategoryOut, CheckinItemOut, ItemOut, ReasonOut
from dispatch.web.deps import Caller, Reading
from dispatch.web.etag import polled

router = APIRouter(prefix="/v1", tags=["catalog"])


@router.get("/catalog", response_model=CatalogOut, summary="服务事项目录、报到项目和各类原因")
async def get_catalog(request: Request, db: Reading, caller: Caller) -> Response:
    """What may be asked for here, what a member may offer, and which reasons may be given."""
    return polled(request, _shown(await queries.catalog(db, caller)))


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
