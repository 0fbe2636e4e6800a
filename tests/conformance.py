"""Whether bytes are what was promised, said by a validator that shares no code with the daemon.

Messages are held against the published schema and the CloudEvents project's own, what goes over
the second socket against the published schema. Formats are checked too; `jsonschema` alone passes
over those for which no other package is installed.
"""

import json
import re
from datetime import datetime
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from jsonschema import Draft7Validator, Draft202012Validator, FormatChecker

from streamcls.events import KINDS

CLOUDEVENTS = Path(__file__).parent / "data" / "cloudevents" / "cloudevents.json"
_ATTRIBUTE = re.compile(r"[a-z0-9]+")  # CloudEvents 1.0, section 3.1: names of attributes
_DATE_TIME = re.compile(
    r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)"
)  # RFC 3339
_URI = re.compile(r"([A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=]|%[0-9A-Fa-f]{2})*")  # RFC 3986, 2

_BODIES = {f"streamcls.{kind}.v1": f"/$defs/CloudEvent_{kind.title()}Data_" for kind in KINDS}

_formats = FormatChecker(formats=())


def _is_date_time(text: object) -> bool:
    """As RFC 3339 writes it, and on the calendar."""
    if isinstance(text, str) and _DATE_TIME.fullmatch(text):
        return bool(datetime.fromisoformat(text.upper()))
    return not isinstance(text, str)


def _is_uri_reference(text: object) -> bool:
    """Of the characters that RFC 3986 allows."""
    return not isinstance(text, str) or bool(_URI.fullmatch(text))


def _is_uri(text: object) -> bool:
    """A reference with a scheme."""
    return not isinstance(text, str) or (_is_uri_reference(text) and ":" in text.split("/")[0])


_formats.checks("date-time", raises=ValueError)(_is_date_time)
_formats.checks("uri-reference")(_is_uri_reference)
_formats.checks("uri")(_is_uri)


def check_message(body: bytes) -> None:
    """Hold a message's body against the published schema and CloudEvents 1.0.

    Raises:
        jsonschema.ValidationError: it does not fit one of them.
        AssertionError: an attribute's name or the message's type is not one of the protocol.
        ValueError: it is not JSON.
    """
    message = json.loads(body)
    _cloudevents().validate(message)
    # The schema's `oneOf` tries each kind; against the one that is meant it takes half the time.
    part = _BODIES.get(message["type"], "")
    _published(part).validate(message)
    # What the specification asks beyond its schema.
    assert all(_ATTRIBUTE.fullmatch(name) for name in message), f"not lower case: {list(message)}"
    assert message["type"] in _BODIES, f"no type of this protocol: {message['type']}"


def check_request(body: bytes) -> None:
    """Hold a request to the second socket against the published schema.

    Raises:
        jsonschema.ValidationError: it does not fit.
        ValueError: it is not JSON.
    """
    _published("/$defs/Request").validate(json.loads(body))


def check_answer(head: bytes) -> None:
    """Hold the head of an answer against the published schema.

    Raises:
        jsonschema.ValidationError: it does not fit.
        ValueError: it is not JSON.
    """
    _published("/$defs/Answer").validate(json.loads(head))


@cache
def _published(part: str) -> Draft202012Validator:
    """A validator of the shipped schema, or of a part of it."""
    schema: dict[str, Any] = json.loads(files("streamcls").joinpath("schema.json").read_text())
    Draft202012Validator.check_schema(schema)
    if part:
        schema = {"$ref": f"#{part}", "$defs": schema["$defs"]}
    return Draft202012Validator(schema, format_checker=_formats)


@cache
def _cloudevents() -> Draft7Validator:
    schema = json.loads(CLOUDEVENTS.read_text())
    Draft7Validator.check_schema(schema)
    return Draft7Validator(schema, format_checker=_formats)
