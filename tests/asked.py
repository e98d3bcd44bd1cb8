"""Requests made from the description: every operation, with a body that fits its schema and the ids one wants in it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from dispatch.app import described

DESCRIPTION = described().openapi()


@dataclass(frozen=True)
class Operation:
    """One route and method."""

    name: str
    method: str
    path: str
    spec: Mapping[str, Any]

    @property
    def ids(self) -> list[str]:
        """Names of the ids in the path."""
        return [p["name"] for p in self.spec.get("parameters", ()) if p["in"] == "path"]

    @property
    def queried(self) -> list[str]:
        """Names of the ids in the query."""
        return [
            p["name"] for p in self.spec.get("parameters", ()) if p["in"] == "query" and _is_id(p["schema"])
        ]

    def body(self, id: str) -> Any:
        """A body that fits, with this id wherever one goes; None if it takes none."""
        content = self.spec.get("requestBody", {}).get("content", {}).get("application/json")
        return None if content is None else filled(content["schema"], id)


def operations() -> Iterator[Operation]:
    """Everything that the service describes."""
    for path, methods in DESCRIPTION["paths"].items():
        for method, spec in methods.items():
            yield Operation(spec["operationId"], method, path, spec)


def _resolved(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    while "$ref" in schema:
        schema = DESCRIPTION["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
    for key in ("anyOf", "oneOf", "allOf"):
        if key in schema:
            return _resolved(next(one for one in schema[key] if one.get("type") != "null"))
    return schema


def _is_id(schema: Mapping[str, Any]) -> bool:
    schema = _resolved(schema)
    if schema.get("type") == "array":
        return _is_id(schema["items"])
    if schema.get("type") == "object":
        return any(_is_id(inner) for inner in schema.get("properties", {}).values())
    return schema.get("format") == "uuid"


def filled(schema: Mapping[str, Any], id: str) -> Any:
    """A value that fits a schema: what is required, and every place where an id goes."""
    examples = schema.get("examples")
    schema = _resolved(schema)
    kind, examples = schema.get("type"), schema.get("examples", examples)
    if kind == "object":
        wanted = schema.get("required", ())
        inner = schema.get("properties", {})
        return {name: filled(inner[name], id) for name in inner if name in wanted or _is_id(inner[name])}
    if kind == "array":
        return [filled(schema["items"], id)]
    for key, value in (("const", None), ("enum", 0)):
        if key in schema:
            return schema[key] if value is None else schema[key][0]
    if schema.get("format") in _FORMATS:
        return _FORMATS[schema["format"]] or id
    if examples:
        return examples[0]
    if kind in _KINDS:
        return schema.get("minimum", _KINDS[kind])
    return "other" if "pattern" in schema else "试一试看得到什么"[: schema.get("maxLength", 64)]


_FORMATS = {"uuid": None, "date-time": "2199-01-01T00:00:00+08:00", "date": "2199-01-01"}
_KINDS = {"integer": 1, "number": 1, "boolean": True}
