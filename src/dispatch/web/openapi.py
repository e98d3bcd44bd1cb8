"""The description of the API: what every route may refuse, and a page to read it without the internet."""

import json
from collections.abc import Iterator
from enum import StrEnum
from html import escape
from pathlib import Path
from typing import Any

from fastapi import Depends, FastAPI
from fastapi.routing import APIRoute
from fastapi.security import HTTPBearer
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from dispatch.domain import refusal as refusals
from dispatch.web.encoding import utf8_only
from dispatch.web.parameters import known_parameters
from dispatch.web.problems import (
    ABSENT,
    CATALOGUE_PATH,
    MEDIA_TYPE,
    TITLES,
    Problem,
    every_problem,
    problem_content,
)

STATIC = Path(__file__).parent / "static"
EXAMPLES = Path(__file__).parent / "examples.json"
"""One answer for each shape that is answered, by the shape's name, else by the operation's."""
JSON = "application/json"
A_KEY = "7f3c1a52-9d1e-4c1b-8a35-2f6d4b0e9c11"
METHODS = ("get", "put", "post", "delete")

DESCRIPTION = """\
居民点单、社区派单、党员接单、群众评单。

- **错误**：所有 4xx、5xx 都是 `application/problem+json`；`code` 供程序判断，`message` 可直接展示给居民。
  代码表见 [/problems](problems)。
- **身份**：`Authorization: Bearer <access_token>`；有多个身份时用 `X-Acting-Grant` 指明以哪个身份办理。
- **时间**：RFC 3339，带时区和毫秒，如 `2026-11-22T09:30:00.000+08:00`；不带时区的时间会被拒绝。
- **列表**：`limit`（1–50，默认 20）和 `cursor`；把上一页的 `next_cursor` 原样带回即可翻页。
- **防重复提交**：写操作可带 `Idempotency-Key`（点单必带），重试时保持不变，结果只生效一次。
- **并发**：答复中的 `ETag` 用于 `If-Match`；内容已被他人更新时答复 412。
- **不认识的参数和字段**一律拒绝，不会被悄悄忽略。
"""


class Tag(StrEnum):
    """Chapters of the description."""

    AUTH = "auth"
    ME = "me"
    CATALOG = "catalog"
    PLACES = "places"
    ORDERS = "orders"
    ATTACHMENTS = "attachments"
    MATCHING = "matching"
    MOVES = "moves"
    REQUESTS = "requests"
    CHECKIN = "checkin"
    CLOCKS = "clocks"
    RESOURCES = "resources"
    PRIVACY = "privacy"
    PUBLIC = "public"
    SERVICE = "service"
    GRANTS = "grants"
    DEMO = "demo"


TAGS: dict[Tag, str] = {
    Tag.AUTH: "登录与会话",
    Tag.ME: "我的身份、首页与角标",
    Tag.CATALOG: "服务事项目录",
    Tag.PLACES: "区域：街道、社区、网格",
    Tag.ORDERS: "需求单：点单、查询、时间线",
    Tag.ATTACHMENTS: "附件：照片、PDF、录音、视频",
    Tag.MATCHING: "匹配：人选、批量匹配、自动派单规则",
    Tag.MOVES: "办理：派单、接单、办结、评价等每一步",
    Tag.REQUESTS: "申请：退单、延期、挂账、异议、重办等",
    Tag.CHECKIN: "双报到：党员、单位和志愿队的报到、续报、请假、转移、退出，名册",
    Tag.CLOCKS: "时限：工作日历与时限规则",
    Tag.RESOURCES: "资源清单、需求清单与双向认领、场地预订",
    Tag.PRIVACY: "个人信息：查看留痕、回避、授权同意、导出、更正、注销",
    Tag.PUBLIC: "公示：无需登录的统计数字",
    Tag.SERVICE: "服务状态",
    Tag.GRANTS: "授权与代班",
    Tag.DEMO: "演示：有哪些人可以登录",
}

BEARER = HTTPBearer(
    scheme_name="bearer", bearerFormat="JWT", description="登录得到的 access_token。", auto_error=False
)
"""The security scheme; a dependency on it marks a route as needing a token, and never answers itself."""


def operation_id(route: APIRoute) -> str:
    """A route's operation is called like its function."""
    return route.name


def application(version: str, **more: Any) -> FastAPI:
    """An application that introduces itself, refuses unknown query parameters and carries its documentation.

    Args:
        version: of the description, semantic.
        more: further arguments of ``FastAPI``, such as ``lifespan``.
    """
    app = FastAPI(
        title="三单制派单服务",
        version=version,
        description=DESCRIPTION,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        openapi_tags=[{"name": tag.value, "description": words} for tag, words in TAGS.items()],
        generate_unique_id_function=operation_id,
        dependencies=[Depends(known_parameters), Depends(utf8_only)],
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,  # a mini-program loses its headers on the way
        **more,
    )
    install(app)
    return app


def install(app: FastAPI) -> None:
    """Complete an application's OpenAPI document and serve ``/docs``, ``/problems`` and ``/favicon.ico``."""
    original = app.openapi

    def complete() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _completed(original())
        return app.openapi_schema

    app.openapi = complete  # type: ignore[method-assign]
    app.router.routes.extend(
        [
            Route("/docs", _docs, include_in_schema=False),
            Route("/favicon.ico", _favicon, include_in_schema=False),
            Route(CATALOGUE_PATH, _catalogue, include_in_schema=False),
            Mount("/docs/assets", StaticFiles(directory=STATIC), name="assets"),
        ]
    )


async def _docs(request: Request) -> Response:
    return FileResponse(STATIC / "docs.html", media_type="text/html")


async def _favicon(request: Request) -> Response:
    return FileResponse(
        STATIC / "favicon.ico", media_type="image/x-icon", headers={"Cache-Control": "public, max-age=86400"}
    )


async def _catalogue(request: Request) -> Response:
    """Every code that an answer may carry: where the ``type`` of a problem points to."""
    rows = "".join(
        f'<tr id="{entry.code}"><td><code>{entry.code}</code></td><td>{entry.status}</td>'
        f'<td>{escape(entry.message)}</td><td class="meaning" lang="en">{escape(entry.meaning)}</td></tr>'
        for entry in every_problem()
    )
    return HTMLResponse(
        '<!doctype html><html lang="zh-CN"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><title>错误代码</title>'
        '<link rel="icon" href="favicon.ico"><link rel="stylesheet" href="docs/assets/problems.css"></head>'
        "<body><h1>错误代码</h1><table><thead><tr><th>代码</th><th>状态</th><th>提示</th><th>含义</th></tr></thead>"
        f"<tbody>{rows}</tbody></table></body></html>"
    )


def _completed(document: dict[str, Any]) -> dict[str, Any]:
    """Put in what FastAPI cannot know: problems instead of its own error shape, on every operation."""
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    for replaced in ("HTTPValidationError", "ValidationError"):
        schemas.pop(replaced, None)
    problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}", mode="serialization")
    schemas.update(problem.pop("$defs"))
    schemas["Problem"] = problem
    components["schemas"] = dict(sorted(schemas.items()))
    components.setdefault("securitySchemes", {})[BEARER.scheme_name] = BEARER.model.model_dump(
        by_alias=True, exclude_none=True, mode="json"
    )
    operations = [
        (method, path[method])
        for path in document.get("paths", {}).values()
        for method in METHODS
        if method in path
    ]
    for method, operation in operations:
        _complete_operation(method, operation)
    _show(operations, components)
    used = {tag for _, operation in operations for tag in operation.get("tags", ())}
    document["tags"] = [tag for tag in document.get("tags", ()) if tag["name"] in used]
    return document


def _show(operations: list[tuple[str, dict[str, Any]]], components: dict[str, Any]) -> None:
    """Give every body and every answer its example; an answer's is written once and referred to."""
    told = json.loads(EXAMPLES.read_text(encoding="utf-8"))
    shown: dict[str, Any] = {}
    for _, operation in operations:
        for sent in operation.get("requestBody", {}).get("content", {}).values():
            examples = components["schemas"].get(_shape(sent["schema"]), {}).get("examples")
            if examples:
                sent["example"] = examples[0]
        for status, answer in operation["responses"].items():
            content = answer.get("content", {}).get(JSON)
            if status >= "300" or content is None:
                continue
            answer["description"] = "成功"
            name = _shape(content["schema"]) or operation["operationId"]
            if name in told:
                shown[name] = {"value": told[name]}
                content["examples"] = {"example": {"$ref": f"#/components/examples/{name}"}}
    if shown:
        components["examples"] = dict(sorted(shown.items()))


def _shape(schema: dict[str, Any]) -> str:
    """The name of the shape that a schema refers to, or the first of several; empty when it has none."""
    first: dict[str, Any] = schema.get("anyOf", [schema])[0]
    return str(first.get("$ref", "")).rpartition("/")[2]


def _complete_operation(method: str, operation: dict[str, Any]) -> None:
    answers = operation["responses"]
    needs_key = any(
        refusals.IdempotencyKeyRequired.code in answer["description"] for answer in answers.values()
    )
    for parameter in operation.get("parameters", ()):
        if needs_key and parameter["name"].lower() == "idempotency-key":
            parameter |= {"required": True, "schema": {"type": "string"}, "example": A_KEY}
    for status in [status for status in answers if status >= "400"]:
        answer = answers[status]
        if "HTTPValidationError" in str(answer.get("content")):
            answer.update(description="", content=problem_content())
    entries = {entry.code: entry.status for entry in every_problem()}
    for code in _always(method, operation):
        answer = answers.setdefault(str(entries[code]), {"description": "", "content": {}})
        answer.setdefault("content", {}).update(problem_content())
        if code not in answer["description"].split(", "):
            answer["description"] = ", ".join(filter(None, [answer["description"], code]))
    for status, answer in answers.items():
        if MEDIA_TYPE in answer.get("content", {}):
            answer["description"] = ", ".join(sorted(answer["description"].split(", ")))
            if status in ("429", "503"):
                answer["headers"] = {"Retry-After": {"schema": {"type": "integer"}, "description": "秒"}}
            assert int(status) in TITLES, f"{status} has no title in web/problems.py"
    operation["responses"] = dict(sorted(answers.items()))


def _always(method: str, operation: dict[str, Any]) -> Iterator[str]:
    """Codes that an operation may answer because of what it is, not of what it does."""
    yield from (
        kind.code
        for kind in (
            refusals.UnknownParameter,
            refusals.ClientTooOld,
            refusals.RateLimited,
            refusals.ServiceBusy,
            refusals.StorageFull,
        )
    )
    yield "INTERNAL_ERROR"
    parameters = {(each["in"], each["name"].lower()) for each in operation.get("parameters", ())}
    if parameters or "requestBody" in operation:
        yield refusals.ValidationFailed.code
    if "requestBody" in operation:
        yield refusals.BodyTooLarge.code
        if JSON in operation["requestBody"]["content"]:
            yield from ("MEDIA_TYPE_UNSUPPORTED", "MALFORMED_JSON")
    if operation.get("security"):
        known = (refusals.AuthRequired, refusals.TokenExpired, refusals.TokenInvalid, refusals.TokenRevoked)
        theirs = (refusals.RoleForbidden, refusals.GrantUnknown, refusals.ScopeMissing)
        yield from (kind.code for kind in (*known, *theirs))
        if method != "get":
            yield refusals.GrantRequired.code
    yield from (kind.code for name, kind in ABSENT.items() if ("path", name) in parameters)
    if ("header", "if-match") in parameters:
        yield refusals.ChangedMeanwhile.code
    if ("header", "idempotency-key") in parameters:
        keys = (refusals.IdempotencyInProgress, refusals.IdempotencyKeyInvalid, refusals.IdempotencyKeyReused)
        yield from (kind.code for kind in keys)
    if ("query", "cursor") in parameters:
        yield refusals.CursorInvalid.code
