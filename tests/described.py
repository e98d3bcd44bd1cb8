"""The description beside the service: no refusal that its operation does not list."""

import re
from functools import cache
from typing import Any

import httpx

from dispatch.app import described


@cache
def document() -> dict[str, Any]:
    """The whole description, demonstration routes included."""
    return described().openapi()


@cache
def _paths() -> list[tuple[re.Pattern[str], dict[str, Any]]]:
    """Every path as a pattern; those without parameters come first, as in the router."""
    paths = sorted(document()["paths"].items(), key=lambda entry: entry[0].count("{"))
    return [(re.compile(re.sub(r"\{\w+\}", "[^/]+", path)), operations) for path, operations in paths]


async def refused_as_described(answer: httpx.Response) -> None:
    """A response hook of a test's client: the code of a refusal stands in the description of its operation."""
    if answer.status_code < 400:
        return
    await answer.aread()
    method, path = answer.request.method.lower(), answer.request.url.path
    operation = next((found.get(method) for like, found in _paths() if like.fullmatch(path)), None)
    code = answer.json()["code"] if answer.headers["content-type"] == "application/problem+json" else None
    if operation and code not in (None, "ROUTE_NOT_FOUND"):  # the demonstration's routes are not everywhere
        told = operation["responses"].get(str(answer.status_code), {}).get("description", "")
        assert code in told.split(", "), f"{method} {path} does not tell of {answer.status_code} {code}"
