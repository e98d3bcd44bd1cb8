"""Unknown query parameters are refused by name: a mistyped filter must not look like no filter."""

from typing import Any

from fastapi import Request
from fastapi.dependencies.utils import get_flat_params
from fastapi.params import ParamTypes

from dispatch.domain.refusal import UnknownParameter
from dispatch.web.problems import clean_name

MOST_NAMED = 10
ELSEWHERE = frozenset({ParamTypes.path, ParamTypes.header, ParamTypes.cookie})

_found: dict[int, tuple[Any, frozenset[str]]] = {}  # by identity: FastAPI's dependants have no hash


async def known_parameters(request: Request) -> None:
    """A dependency of the whole application (``FastAPI(dependencies=[Depends(known_parameters)])``).

    Raises:
        UnknownParameter: names that the route does not declare.
    """
    if not request.scope.get("query_string"):
        return
    context = request.scope.get("fastapi", {}).get("effective_route_context") or request.scope["route"]
    if not context.include_in_schema:
        return  # not for clients of ours: a platform calls, and may say more one day
    declared = _declared(context)
    strange = [name for name in request.query_params if name not in declared]
    if strange:
        named = list(dict.fromkeys(clean_name(name) for name in strange))[:MOST_NAMED]
        sentence = "不认识的参数"
        raise UnknownParameter(
            errors=[
                {"loc": ["query", name], "code": UnknownParameter.code, "message": sentence} for name in named
            ]
        )


def _declared(route: Any) -> frozenset[str]:
    """Names of the query parameters of a route and of all its dependencies, found once per route."""
    dependant = route.dependant
    held, names = _found.get(id(dependant), (None, frozenset[str]()))
    if held is not dependant:
        # The fields of a query model carry no place of their own, so what is elsewhere is left out instead.
        told = (
            field
            for field in get_flat_params(dependant)
            if getattr(field.field_info, "in_", None) not in ELSEWHERE
        )
        names = frozenset(field.alias for field in told)
        _found[id(dependant)] = (dependant, names)
    return names
