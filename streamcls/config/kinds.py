"""What settings are made of."""

from typing import Annotated

import msgspec
from msgspec import Meta

Positive = Annotated[float, Meta(gt=0, le=86_400)]
Stride = Annotated[float, Meta(ge=0.01, le=86_400)]
NonNegative = Annotated[float, Meta(ge=0, le=86_400)]
Share = Annotated[float, Meta(ge=0, le=1)]
OnThreshold = Annotated[float, Meta(gt=0, le=1)]  # every score reaches 0


class Section(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Base of every table in the file: a misspelt key is an error, never ignored."""
