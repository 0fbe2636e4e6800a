"""The published JSON Schema: the messages, and what goes over the second socket, from their types.

`schema.json` beside this file is what `streamcls schema` prints; authors of other languages need
nothing else.
"""

import inspect
from itertools import islice
from typing import Any

import msgspec

from streamcls.events import EventMessage, PredictionMessage, StatusMessage
from streamcls.protocol import Refusal, Replay, ReplayRequest, Snapshot, SnapshotRequest

MESSAGES = (PredictionMessage, EventMessage, StatusMessage)
REQUESTS = (SnapshotRequest, ReplayRequest)
ANSWERS = (Snapshot, Replay, Refusal)


def json_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12), as shipped in `schema.json`.

    As a whole it describes the body of a message; `#/$defs/Request` a request to the second socket,
    and `#/$defs/Answer` the head of its answer.
    """
    references, definitions = msgspec.json.schema_components(
        [*MESSAGES, *REQUESTS, *ANSWERS], ref_template="#/$defs/{name}"
    )
    for definition in definitions.values():
        if "description" in definition:
            # A docstring's indentation depends on the Python that read it.
            definition["description"] = inspect.cleandoc(definition["description"])
    parts = iter(references)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "streamcls wire messages, version 1",
        "oneOf": list(islice(parts, len(MESSAGES))),
        "$defs": {
            **definitions,
            "Request": {
                "description": "What a subscriber asks the second socket.",
                "oneOf": list(islice(parts, len(REQUESTS))),
            },
            "Answer": {
                "description": "The head of its answer; messages may follow, as topic and body.",
                "oneOf": list(parts),
            },
        },
    }
