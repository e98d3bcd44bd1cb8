"""Every refusal and failure in one shape, RFC 9457 problem+json; the only place with statuses."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args
from urllib.parse import quote

import structlog
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import iter_route_contexts
from pydantic import BaseModel, ConfigDict, Field
from pydantic_core.core_schema import ErrorType
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from dispatch.domain import refusal as refusals
from dispatch.domain.refusal import Refusal
from dispatch.web import database_errors
from dispatch.web.messages import LABELS, MESSAGES, message_of

log = structlog.get_logger(__name__)

MEDIA_TYPE = "application/problem+json"
CATALOGUE_PATH = "/problems"
MOST_ERRORS = 20  # more would only tell a fuzzer how patient we are
LONGEST_NAME = 64  # of a field that the client invented

STATUS: dict[type[Refusal], int] = {
    refusals.Unauthorised: 401,
    refusals.Forbidden: 403,
    refusals.Missing: 404,
    refusals.Conflict: 409,
    refusals.Stale: 412,
    refusals.TooLarge: 413,
    refusals.Invalid: 422,
    refusals.TooOld: 426,
    refusals.TooMany: 429,
    refusals.Busy: 503,
}
"""Kind of refusal to HTTP status."""

TITLES: dict[int, str] = {
    400: "请求有误",
    401: "未登录",
    403: "没有权限",
    404: "没有找到",
    405: "方法不允许",
    409: "与当前状态冲突",
    412: "内容已被更新",
    413: "内容过大",
    415: "格式不支持",
    422: "内容有误",
    426: "版本过低",
    429: "操作太频繁",
    500: "服务出错",
    503: "系统繁忙",
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the catalogue of errors."""

    code: str
    status: int
    message: str
    meaning: str


OF_THE_WEB: dict[str, Entry] = {
    entry.code: entry
    for entry in (
        Entry("MALFORMED_REQUEST", 400, "请求格式不正确。", "The request cannot be read."),
        Entry("ROUTE_NOT_FOUND", 404, "没有找到这个地址。", "No such path."),
        Entry(
            "METHOD_NOT_ALLOWED",
            405,
            "这个地址不支持这种请求方式。",
            "The path exists for other methods: see Allow.",
        ),
        Entry(
            "MEDIA_TYPE_UNSUPPORTED",
            415,
            "请以 JSON 格式（UTF-8）提交。",
            "The body is not application/json, or not in UTF-8.",
        ),
        Entry("MALFORMED_JSON", 422, "提交的内容不是正确的 JSON。", "The body is no JSON document in UTF-8."),
        Entry(
            "INTERNAL_ERROR",
            500,
            "系统出了点问题，请稍后再试。",
            "A defect of ours; the request id finds it in the logs.",
        ),
        Entry("HOST_UNKNOWN", 400, "请求的域名不正确。", "The Host header names another service."),
    )
}
"""Problems that are no refusals of the rulebook."""

ABSENT: dict[str, type[Refusal]] = {
    "order_id": refusals.OrderNotFound,
    "place_id": refusals.PlaceNotFound,
    "request_id": refusals.RequestNotFound,
    "attachment_id": refusals.AttachmentNotFound,
    "draft_id": refusals.DraftNotFound,
    "handover_id": refusals.HandoverNotFound,
    "account_id": refusals.AccountNotFound,
    "body_id": refusals.BodyNotFound,
    "grant_id": refusals.GrantNotFound,
    "checkin_id": refusals.CheckinNotFound,
    "registration_id": refusals.RegistrationNotFound,
    "export_id": refusals.ExportNotFound,
    "listing_id": refusals.ListingNotFound,
    "claim_id": refusals.ClaimNotFound,
}
"""Path parameter to refusal: an id that cannot be is answered like an id that is not."""


class FieldProblem(BaseModel):
    """What is wrong with one field."""

    loc: list[str | int] = Field(description="Way to the field, from body, query, path or header.")
    code: str = Field(description="Stable name of the rule that was broken.", examples=["STRING_TOO_SHORT"])
    message: str = Field(description="Sentence to show.", examples=["至少 2 个字"])


class Problem(BaseModel):
    """Answer of every failed request (RFC 9457); some codes carry further members, such as ``version``."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(
        description="Address of the explanation of the code.", examples=["/problems#ORDER_MOVED"]
    )
    title: str = Field(description="Sort of problem.", examples=["与当前状态冲突"])
    status: int = Field(description="HTTP status.", examples=[409])
    detail: str = Field(description="The same sentence as message.")
    instance: str = Field(description="Path of the request.")
    code: str = Field(description="Stable name of the problem, never reused.", examples=["ORDER_MOVED"])
    message: str = Field(description="Sentence that can be shown to a resident.")
    request_id: str = Field(description="Name of the request in the logs.")
    errors: list[FieldProblem] | None = Field(None, description="Present when fields were wrong.")


def status_of(refusal: Refusal | type[Refusal]) -> int:
    """The HTTP status of a refusal, by its kind."""
    kind = refusal if isinstance(refusal, type) else type(refusal)
    return next(STATUS[base] for base in kind.__mro__ if base in STATUS)


def every_problem() -> list[Entry]:
    """The catalogue of errors, ordered by code: for the documentation and for the tests."""
    said = [
        Entry(
            kind.code, status_of(kind), kind.message, " ".join((kind.__doc__ or "").replace("``", "").split())
        )
        for kind in refusals.every_refusal()
    ]
    return sorted([*said, *OF_THE_WEB.values()], key=lambda entry: entry.code)


def answer(refusal: Refusal, scope: Scope) -> Response:
    """The response to a refusal, also for middleware that stands before the application."""
    headers: dict[str, str] = {}
    status = status_of(refusal)
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if "retry_after" in refusal.facts:
        headers["Retry-After"] = str(refusal.facts["retry_after"])
    errors = refusal.facts.get("errors")
    return _response(
        scope, status, refusal.code, sentence(refusal), facts=refusal.public, errors=errors, headers=headers
    )


def sentence(refusal: Refusal) -> str:
    """What to show: of wrong fields the first, by its Chinese name."""
    errors = refusal.facts.get("errors")
    return _first(errors) if type(refusal) is refusals.ValidationFailed and errors else refusal.text


def internal_error(scope: Scope) -> Response:
    """The 500, which tells nothing but the request id."""
    return _plain(scope, "INTERNAL_ERROR")


def unknown_host(scope: Scope) -> Response:
    """The 400 for a Host that is not ours."""
    return _plain(scope, "HOST_UNKNOWN")


def responses(*kinds: type[Refusal] | str) -> dict[int | str, dict[str, Any]]:
    """Entries for a route's ``responses``: what it may refuse, by status.

    Args:
        kinds: refusal classes, or codes of ``OF_THE_WEB``.
    """
    by_status: dict[int | str, dict[str, Any]] = {}
    entries = [
        OF_THE_WEB[kind] if isinstance(kind, str) else Entry(kind.code, status_of(kind), kind.message, "")
        for kind in kinds
    ]
    for entry in sorted(entries, key=lambda entry: (entry.status, entry.code)):
        described = by_status.setdefault(entry.status, {"description": "", "content": problem_content()})
        before = described["description"]
        described["description"] = f"{before}, {entry.code}" if before else entry.code
    return by_status


def problem_content() -> dict[str, Any]:
    """The ``content`` of an OpenAPI response that is a problem."""
    return {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}


def install(app: FastAPI, constraints: database_errors.Constraints | None = None) -> None:
    """Answer every failure of an application with a problem.

    Args:
        app: the application.
        constraints: which refusal a violated constraint stands for, by the constraint's name.
    """
    known = constraints or {}

    async def on_refusal(request: Request, error: Exception) -> Response:
        assert isinstance(error, Refusal)
        return answer(error, request.scope)

    async def on_database_error(request: Request, error: Exception) -> Response:
        refusal = database_errors.refusal_for(error, known)
        if refusal is None:
            return await on_defect(request, error)
        if isinstance(refusal, refusals.Busy):
            log.warning("request.busy", error=type(error).__name__)
        return answer(refusal, request.scope)

    async def on_defect(request: Request, error: Exception) -> Response:
        log.error("request.failed", error=type(error).__name__, exc_info=error)
        return internal_error(request.scope)

    app.add_exception_handler(Refusal, on_refusal)
    app.add_exception_handler(RequestValidationError, _on_validation_error)
    app.add_exception_handler(HTTPException, _on_http_exception)
    for kind in (DBAPIError, PoolTimeout, ConnectionError, TimeoutError):
        app.add_exception_handler(kind, on_database_error)
    app.add_exception_handler(Exception, on_defect)


async def _on_http_exception(request: Request, error: Exception) -> Response:
    """Starlette's and FastAPI's own: no such path, no such method, an unreadable body."""
    assert isinstance(error, HTTPException)
    status, headers, scope = error.status_code, dict(error.headers or {}), request.scope
    cause = error.__cause__
    if status < 400:
        return Response(status_code=status, headers=headers)
    if status == 413:
        return answer(cause if isinstance(cause, Refusal) else refusals.BodyTooLarge(), scope)
    if status == 400 and isinstance(cause, Exception):  # "There was an error parsing the body"
        return _plain(scope, "MALFORMED_JSON")
    if status in (401, 403):
        return answer(refusals.AuthRequired() if status == 401 else refusals.RoleForbidden(), scope)
    entry = next((entry for entry in OF_THE_WEB.values() if entry.status == status), None)
    if entry is None:
        code = "MALFORMED_REQUEST" if status < 500 else "INTERNAL_ERROR"
        return _response(scope, status, code, OF_THE_WEB[code].message, headers=headers)
    if status == 405:
        headers["Allow"] = ", ".join(_allowed(request))
    return _plain(scope, entry.code, headers)


def _allowed(request: Request) -> list[str]:
    """Every method of the path: the router itself names those of the first route that matches."""
    methods: set[str] = set()
    for route in iter_route_contexts(request.app.routes):
        pattern = getattr(route, "path_regex", None)
        if pattern is not None and pattern.match(request.scope["path"]):
            methods |= route.methods or set()
    return sorted(methods)


async def _on_validation_error(request: Request, error: Exception) -> Response:
    """A field is wrong. What was sent never comes back in the answer."""
    assert isinstance(error, RequestValidationError)
    found = _each_once(error.errors())
    scope = request.scope
    if any(each["type"] == "json_invalid" for each in found):
        return _plain(scope, "MALFORMED_JSON")
    if any(_body_as_a_whole(each) for each in found) and not _says_json(request):
        return _plain(scope, "MEDIA_TYPE_UNSUPPORTED")
    if absent := next(_impossible_ids(found), None):
        return answer(absent, scope)
    fields = [_field_problem(each) for each in found[:MOST_ERRORS]]
    if any(each["code"] == refusals.UnknownParameter.code for each in fields):
        return answer(refusals.UnknownParameter(errors=fields), scope)
    return answer(refusals.ValidationFailed(errors=fields), scope)


def _each_once(errors: Sequence[Any]) -> list[Any]:
    """A dependency that is asked for in several places is wrong in each of them, for the same reason."""
    return list({(tuple(each["loc"]), each["type"]): each for each in errors}.values())


def _body_as_a_whole(error: Mapping[str, Any]) -> bool:
    return tuple(error["loc"]) == ("body",) and error["type"] != "missing"


def _says_json(request: Request) -> bool:
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    return media == "application/json" or (media.startswith("application/") and media.endswith("+json"))


def _impossible_ids(errors: Sequence[Mapping[str, Any]]) -> Iterator[Refusal]:
    for each in errors:
        place, name = (*each["loc"], "", "")[:2]
        if place == "path" and each["type"].startswith("uuid_") and name in ABSENT:
            yield ABSENT[name]()


def _field_problem(error: Mapping[str, Any]) -> dict[str, Any]:
    kind, context = error["type"], error.get("ctx")
    loc = [part if isinstance(part, int) else clean_name(part) for part in error["loc"]]
    code = kind.upper()
    if kind == "extra_forbidden":
        code = refusals.UnknownParameter.code if loc[0] == "query" else "UNKNOWN_FIELD"
    return {"loc": loc, "code": code, "message": _sentence(kind, context, str(error.get("msg", "")))}


def _sentence(kind: str, context: Mapping[str, Any] | None, said: str) -> str:
    """Our own validators speak for themselves, in Chinese; Pydantic's types are translated."""
    if kind in MESSAGES:
        return message_of(kind, context)
    if kind == "value_error" and context:
        said = str(context.get("error", ""))
    own = kind == "value_error" or kind not in get_args(ErrorType)
    return (
        said.rstrip("。") if own and any("一" <= sign <= "鿿" for sign in said) else message_of(kind, context)
    )


def _first(errors: Sequence[Mapping[str, Any]]) -> str:
    """The sentence of the first thing that is wrong; a body as a whole has no label."""
    names = [part for part in errors[0]["loc"][1:] if isinstance(part, str)]
    label = _label(names, errors[0]["code"]) if names else ""
    return f"{label}：{errors[0]['message']}。" if label else f"{errors[0]['message']}。"


def _label(names: Sequence[str], code: str) -> str:
    """The field's word. What lies within an answer to a form is called like the answers."""
    if code == "UNKNOWN_FIELD":
        return names[-1]
    return next((LABELS[name.lower()] for name in reversed(names) if name.lower() in LABELS), names[-1])


def clean_name(name: object) -> str:
    """A field name that can be sent back: no lone surrogates, no control signs, not endless."""
    text = str(name).encode("utf-8", "replace").decode("utf-8")
    return "".join(sign if sign.isprintable() else "?" for sign in text[:LONGEST_NAME])


def _plain(scope: Scope, code: str, headers: Mapping[str, str] | None = None) -> Response:
    entry = OF_THE_WEB[code]
    return _response(scope, entry.status, code, entry.message, headers=headers)


def _response(
    scope: Scope,
    status: int,
    code: str,
    sentence: str,
    *,
    facts: Mapping[str, Any] | None = None,
    errors: Sequence[Mapping[str, Any]] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    body: dict[str, Any] = {
        **(facts or {}),
        "type": f"{CATALOGUE_PATH}#{code}",
        "title": TITLES.get(status, TITLES[400 if status < 500 else 500]),
        "status": status,
        "detail": sentence,
        "instance": quote(scope.get("path", "")),
        "code": code,
        "message": sentence,
        "request_id": scope.get("state", {}).get("request_id", ""),
    }
    if errors:
        body["errors"] = errors
    sent = {"Cache-Control": "no-store", "Content-Language": "zh-CN", **(headers or {})}
    return JSONResponse(body, status_code=status, headers=sent, media_type=MEDIA_TYPE)
