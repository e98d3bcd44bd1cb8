"""Two descriptions of the API, compared the way a client of the older one would feel the newer.

One question in two directions: can whoever reads by one schema take what is written by another? Bodies are written by
the old client and read by the new service, which refuses what it does not know; answers are written by the new
service and read by the old client, which passes over unknown fields and unknown codes (api.md, "additive changes").
"""

from collections.abc import Iterator, Mapping
from typing import Any

JSON = "application/json"
Document = Mapping[str, Any]
Schema = Mapping[str, Any]
LEAST = ("minLength", "minimum", "exclusiveMinimum", "minItems", "minProperties")
MOST = ("maxLength", "maximum", "exclusiveMaximum", "maxItems", "maxProperties")


def changes(old: Document, new: Document) -> Iterator[str]:
    """Everything by which a client of the old description may be surprised, one line each."""
    for path, methods in old["paths"].items():
        for method, before in methods.items():
            name, after = f"{method.upper()} {path}", new["paths"].get(path, {}).get(method)
            if after is None:
                yield f"{name}: gone"
                continue
            yield from _parameters(name, before, after, old, new)
            yield from _bodies(name, before, after, old, new)
            yield from _answers(name, before, after, old, new)


def _parameters(name: str, before: Schema, after: Schema, old: Document, new: Document) -> Iterator[str]:
    was, now = ({(p["in"], p["name"]): p for p in op.get("parameters", ())} for op in (before, after))
    for key, parameter in now.items():
        if parameter.get("required") and not was.get(key, {}).get("required"):
            yield f"{name} {key[1]}: newly required"
    for key, parameter in was.items():
        if key not in now:
            yield f"{name} {key[1]}: parameter gone"
        else:
            reads = Reading(old, new, tolerant=False)
            yield from reads.differences(parameter["schema"], now[key]["schema"], f"{name} {key[1]}")


def _bodies(name: str, before: Schema, after: Schema, old: Document, new: Document) -> Iterator[str]:
    was, now = before.get("requestBody"), after.get("requestBody")
    if was is None:
        if now is not None and now.get("required"):
            yield f"{name} body: newly required"
        return
    if now is None:
        yield f"{name} body: no longer accepted"
        return
    if now.get("required") and not was.get("required"):
        yield f"{name} body: newly required"
    for media, content in was["content"].items():
        if media not in now["content"]:
            yield f"{name} body: {media} no longer accepted"
            continue
        reads = Reading(old, new, tolerant=False)
        yield from reads.differences(content["schema"], now["content"][media]["schema"], f"{name} body")


def _answers(name: str, before: Schema, after: Schema, old: Document, new: Document) -> Iterator[str]:
    for status, answer in before["responses"].items():
        now = after["responses"].get(status)
        if status >= "400":
            told = set(now["description"].split(", ")) if now else set()
            for code in sorted(set(answer["description"].split(", ")) - told):
                yield f"{name} {status} {code}: gone"
        if now is None:
            yield f"{name} {status}: gone"
            continue
        for media, content in answer.get("content", {}).items():
            if media not in now.get("content", {}):
                yield f"{name} {status}: no longer {media}"
                continue
            reads = Reading(new, old, tolerant=True)
            shape = now["content"][media].get("schema", {})
            yield from reads.differences(shape, content.get("schema", {}), f"{name} {status}")
    for status in after["responses"]:
        if status < "400" and status not in before["responses"]:
            yield f"{name} {status}: another success"


class Reading:
    """Whether what is written by one document's schemas is understood by a reader of another's."""

    def __init__(self, writer: Document, reader: Document, *, tolerant: bool) -> None:
        self.writer, self.reader, self.tolerant = writer, reader, tolerant
        self.ahead: set[tuple[str, str]] = set()

    def differences(self, written: Schema, read: Schema, where: str) -> Iterator[str]:
        """Why the reader may not understand it."""
        readers = list(_alternatives(read, self.reader))
        for one in _alternatives(written, self.writer):
            tried = [list(self._one(one, other, where)) for other in readers]
            if all(tried):
                # The likest one says what is wrong; where none is like it the whole is another type.
                yield from min(
                    tried, key=lambda found: (any("retyped" in line for line in found), len(found))
                )

    def _one(self, written: Schema, read: Schema, where: str) -> Iterator[str]:
        pair = written.get("$ref", ""), read.get("$ref", "")
        if all(pair):
            if pair in self.ahead:
                return
            self.ahead.add(pair)
        written, read = _resolved(written, self.writer), _resolved(read, self.reader)
        try:
            yield from self._resolved(written, read, where)
        finally:
            self.ahead.discard(pair)

    def _resolved(self, written: Schema, read: Schema, where: str) -> Iterator[str]:
        kinds = (written.get("type"), read.get("type"))
        if read.get("type") is not None and kinds[0] != kinds[1] and kinds != ("integer", "number"):
            yield f"{where}: retyped, {kinds[0]} where {kinds[1]} was"
            return
        if read.get("format") not in (None, written.get("format")):
            yield f"{where}: retyped, {written.get('format')} where {read['format']} was"
        if not self.tolerant:
            yield from self._narrower(written, read, where)
        if "items" in read:
            yield from self.differences(written.get("items", {}), read["items"], f"{where}[]")
        yield from self._fields(written, read, where)

    def _narrower(self, written: Schema, read: Schema, where: str) -> Iterator[str]:
        values = _values(written)
        if (known := _values(read)) is not None and (values is None or not values <= known):
            lost = sorted(values - known) if values is not None else "anything"
            yield f"{where}: narrowed, {lost} no longer accepted"
        for keys, sign in ((LEAST, 1), (MOST, -1)):
            for key in keys:
                if key in read and (key not in written or sign * read[key] > sign * written[key]):
                    yield f"{where}: narrowed, {key} is {read[key]} and was {written.get(key, 'none')}"
        if values is None and read.get("pattern") not in (None, written.get("pattern")):
            yield f"{where}: narrowed, another pattern"

    def _fields(self, written: Schema, read: Schema, where: str) -> Iterator[str]:
        fields, known = written.get("properties", {}), read.get("properties", {})
        for name in read.get("required", ()):
            if name not in written.get("required", ()):
                yield f"{where}.{name}: {'may be absent' if self.tolerant else 'newly required'}"
        for name, field in known.items():
            if name in fields:
                yield from self.differences(fields[name], field, f"{where}.{name}")
            elif self.tolerant and name not in read.get("required", ()):
                yield f"{where}.{name}: gone"
        if not self.tolerant and read.get("additionalProperties") is False:
            for name in sorted(set(fields) - set(known)):
                yield f"{where}.{name}: no longer accepted"
        more = read.get("additionalProperties")
        if isinstance(more, Mapping) and isinstance(written.get("additionalProperties"), Mapping):
            yield from self.differences(written["additionalProperties"], more, f"{where}.*")


def _alternatives(schema: Schema, document: Document) -> Iterator[Schema]:
    """Each thing that a schema may stand for; names of schemas stay, so that what refers to itself ends."""
    for key in ("anyOf", "oneOf"):
        if key in schema:
            for one in schema[key]:
                yield from _alternatives(one, document)
            return
    target = _resolved(schema, document)
    if "anyOf" in target or "oneOf" in target:
        yield from _alternatives(target, document)
    elif isinstance(target.get("type"), list):
        yield from ({**target, "type": kind} for kind in target["type"])
    else:
        yield schema


def _resolved(schema: Schema, document: Document) -> Schema:
    while "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return schema


def _values(schema: Schema) -> set[Any] | None:
    """The closed set that a schema allows; None if it allows more."""
    return {schema["const"]} if "const" in schema else set(schema["enum"]) if "enum" in schema else None
