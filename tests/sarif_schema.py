"""The part of the schema of SARIF 2.1.0 (OASIS Standard, 2020) that `ncdc` writes to.

Nothing beyond the objects and properties named here is allowed, so that what is new in a log is
looked up in the standard before it is added. The limits are those of the standard.
"""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
INDEX: Schema = {"type": "integer", "minimum": -1}
PLACE: Schema = {"type": "integer", "minimum": 1}


def strict(required: str = "", **properties: Schema) -> Schema:
    """An object with these properties and no others."""
    return {
        "type": "object",
        "properties": properties,
        "required": required.split(),
        "additionalProperties": False,
    }


def many(items: Schema, at_least: int = 0, *, unique: bool = False) -> Schema:
    return {"type": "array", "items": items, "minItems": at_least, "uniqueItems": unique}


MULTIFORMAT = strict("text", text=TEXT, markdown=TEXT)
MESSAGE = {**strict("", text=TEXT, markdown=TEXT, id=TEXT), "anyOf": [{"required": ["text"]}]}
ARTIFACT = strict("", uri={"type": "string", "format": "uri-reference"}, uriBaseId=TEXT)
REGION = strict("", startLine=PLACE, startColumn=PLACE, endLine=PLACE, endColumn=PLACE)
PHYSICAL = {
    **strict("", artifactLocation=ARTIFACT, region=REGION),
    "anyOf": [{"required": ["artifactLocation"]}],
}
LOCATION = strict("", id=INDEX, physicalLocation=PHYSICAL, message=MESSAGE)
REPLACEMENT = strict("deletedRegion", deletedRegion=REGION, insertedContent=strict("", text=TEXT))
CHANGE = strict(
    "artifactLocation replacements", artifactLocation=ARTIFACT, replacements=many(REPLACEMENT, 1)
)
FIX = strict("artifactChanges", description=MESSAGE, artifactChanges=many(CHANGE, 1, unique=True))
RULE = strict(
    "id", id=TEXT, shortDescription=MULTIFORMAT, fullDescription=MULTIFORMAT, help=MULTIFORMAT
)
RESULT = strict(
    "message",
    ruleId=TEXT,
    ruleIndex=INDEX,
    level={"enum": ["none", "note", "warning", "error"]},
    message=MESSAGE,
    locations=many(LOCATION),
    relatedLocations=many(LOCATION, unique=True),
    fixes=many(FIX, unique=True),
)
RUN = strict(
    "tool",
    tool=strict("driver", driver=strict("name", name=TEXT, rules=many(RULE, unique=True))),
    columnKind={"enum": ["utf16CodeUnits", "unicodeCodePoints"]},
    results=many(RESULT),
)
LOG = {
    "$schema": "http://json-schema.org/draft-07/schema#",
    **strict("version runs", version={"enum": ["2.1.0"]}, runs=many(RUN)),
}
LOG["properties"]["$schema"] = {"type": "string", "format": "uri"}
