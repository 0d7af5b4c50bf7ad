"""How long a caller wants a file to live: fal's lifecycle headers (wire.md 2.1, 2.2, 7.2).

Uploads say ``X-Fal-Object-Lifecycle``, submits say ``…-Preference``, Python says both everywhere:
both are read everywhere. Knows the header; knows no file.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, cast

from limner.errors import bad_request

#: As an upload says it first, and as a submit does.
LIFECYCLE_HEADERS = ("x-fal-object-lifecycle", "x-fal-object-lifecycle-preference")
PREFERENCE_HEADERS = LIFECYCLE_HEADERS[::-1]


def wanted_life(headers: Mapping[str, str], names: Sequence[str]) -> float | None:
    """Seconds of life from the first of ``names`` that is there; None: as long as may be.

    Raises Refused 400.
    """
    name = next((name for name in names if headers.get(name)), None)
    if name is None:
        return None
    try:
        said = json.loads(headers[name])
    except (ValueError, RecursionError):
        raise bad_request(f"{name} must be JSON") from None
    if not isinstance(said, dict):
        raise bad_request(f"{name} must be a JSON object")
    seconds = cast("dict[str, Any]", said).get("expiration_duration_seconds")
    if seconds is None:
        return None
    try:
        life = math.nan if isinstance(seconds, bool | str) else float(seconds)
    except (TypeError, OverflowError):
        life = math.nan
    if not 0 < life < math.inf:
        raise bad_request("expiration_duration_seconds must be a number of seconds above 0")
    return life
