"""How long a caller wants files to live: fal's lifecycle headers (wire.md 5).

Knows the headers' JSON; knows neither files nor what the operator allows.
"""

from __future__ import annotations

from typing import Any, cast

from pydantic_core import from_json

from limner.errors import Refused

#: A hundred years; longer lives are not told apart.
FOR_EVER = 100 * 366 * 86400.0


def wanted_life(header: str | None, name: str) -> float | None:
    """Seconds that files shall live by the header ``name``; None: as long as is usual.

    Raises Refused 400 for what is not JSON, or no number of seconds above 0. A preference for
    something else (``initial_acl``) is none for a life.
    """
    if not header:
        return None
    try:
        # Not json.loads: that one takes NaN, and fails on deep nesting with no ValueError.
        preference = from_json(header, allow_inf_nan=False)
    except ValueError:
        raise _bad(f"{name} must be JSON") from None
    said = cast("dict[str, Any]", preference) if isinstance(preference, dict) else {}
    seconds = said.get("expiration_duration_seconds")
    if seconds is None:
        return None
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or seconds <= 0:
        raise _bad("expiration_duration_seconds must be a number of seconds above 0")
    # 1e400 is JSON, and infinite; an integer of 400 digits is no float at all.
    return float(min(seconds, FOR_EVER))


def _bad(detail: str) -> Refused:
    return Refused(400, detail, error_type="bad_request")
