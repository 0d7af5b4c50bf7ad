"""Who may use a server that needs no key: this machine's own programs and pages, and no other site.

A page of any site that a person visits can send requests to 127.0.0.1, or to a name of its own
that it lets point there (DNS rebinding). The browser says which name it was told in ``Host``, and
where it comes from in ``Origin``; of what carries no Origin (a link, an ``<img>``: a GET, which can
start a run) it says in ``Sec-Fetch-Site`` at least that another site asked. Knows names; knows no
key.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from functools import lru_cache

from limner.server.hosts import part_of

#: Pages of this very machine; with no key needed, no other site may use a visitor's Limner.
LOCAL_ORIGINS = r"https?://(localhost|127\.0\.0\.1|\[::1\])(:\d+)?"

#: Names that nobody on the internet can own (RFC 2606, 6761, 6762, 8375; ``internal`` by ICANN).
UNOWNED = re.compile(
    r"([^.]*|(.*\.)?(localhost|local|internal|test|example|invalid|home\.arpa|example\.(com|net|org)))",
    re.IGNORECASE,
)


def is_near(headers: Mapping[str, str], public_host: str) -> bool:
    """Can this call only come from here? ``public_host``: a name that the operator gave us."""
    host = headers.get("host", "")
    origin = headers.get("origin")
    if origin is None:
        if headers.get("sec-fetch-site") == "cross-site":
            return False
    elif origin.partition("://")[2] != host and not re.fullmatch(LOCAL_ORIGINS, origin):
        return False
    return _names_us(host, public_host)


@lru_cache(maxsize=16)
def _names_us(host: str, public_host: str) -> bool:
    """Is this a name that leads here alone? Few are ever said, by every call."""
    name = host.rpartition(":")[0] if re.search(r":\d+$", host) else host
    return (
        part_of(host) is not None
        or name.lower() == public_host.lower()
        or UNOWNED.fullmatch(name.rstrip(".")) is not None
        or _is_address(name.strip("[]"))
    )


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
