"""Which addresses a caller's URL may lead to.

A host name is resolved once and every address it has is checked; whoever connects afterwards goes
to exactly those, so that a name which changes its mind in between (DNS rebinding) wins nothing.
Knows IP addresses and URLs; fetches nothing.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import httpx2

from limner.errors import DeadEnd, FileDownloadError, NotPublic

Ip = ipaddress.IPv4Address | ipaddress.IPv6Address

#: host, port → addresses as text; raises OSError.
Resolver = Callable[[str, int], Sequence[str]]

#: Longest host name that DNS can hold.
LONGEST_HOST = 253

#: A name that may be some host's: labels of up to 63 letters, digits, hyphens, and underscores,
#: which no host should have (RFC 1123, 2.1) and some do. None below ``invalid`` is (RFC 6761, 6.4).
HOST_NAME = re.compile(
    r"(?!(.*\.)?invalid$)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*", re.ASCII | re.IGNORECASE
)

#: IPv4 inside IPv6 as DNS64 hands it out (RFC 6052): judged by what is inside.
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")

#: All that is given out of IPv6 for the open internet.
_GLOBAL_V6 = ipaddress.IPv6Network("2000::/3")

#: Not the open internet, although not every Python's ``is_global`` says so.
_CLOSED = tuple(
    ipaddress.ip_network(text)
    for text in (
        "100.64.0.0/10",  # carriers' NAT, and Alibaba's metadata service
        "168.63.129.16/32",  # Azure's, public by its number only
        "192.0.0.0/24",  # protocol assignments, and Oracle's metadata service
        "192.88.99.0/24",  # 6to4 relays
        "198.18.0.0/15",  # benchmarks
        "2001::/23",  # protocol assignments: Teredo, ORCHID, …
        "2002::/16",  # 6to4: leads to any IPv4 address
        "2001:db8::/32",  # documentation
        "3fff::/20",  # documentation
    )
)


def system_resolver(host: str, port: int) -> list[str]:
    """Every address of ``host`` that this machine's resolver knows."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def is_public(address: Ip) -> bool:
    """Is this a place on the open internet? Metadata services, carriers' NATs and all are not."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return is_public(address.ipv4_mapped)
        if address in _NAT64:
            return is_public(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
        if address not in _GLOBAL_V6:
            return False
    if any(address in network for network in _CLOSED):
        return False
    return address.is_global and not (address.is_multicast or address.is_reserved)


@dataclass(frozen=True, slots=True)
class Target:
    """A URL with the addresses that may be connected to."""

    url: httpx2.URL
    host: str
    addresses: tuple[str, ...]


def resolve(url: str, *, allow_private: bool, resolver: Resolver) -> Target:
    """Check a URL and find its addresses.

    Raises FileDownloadError, which names the host only: DeadEnd, unless what was looked for and not
    found may be found another time.
    """
    parts = _parse(url)
    host = parts.raw_host.decode("ascii").rstrip(".")
    if parts.scheme not in ("http", "https") or not host:
        raise DeadEnd(
            "The URL is neither http(s) nor a data URI.", "Upload the file, or give such a URL."
        )
    if parts.userinfo:
        raise DeadEnd("The URL holds credentials.", "Use a signed URL or upload the file.")
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        addresses = [ipaddress.ip_address(text.partition("%")[0]) for text in resolver(host, port)]
    except (OSError, ValueError):
        addresses = []
    if not addresses:
        # Asked for all the same: a machine may know names of its own, whatever they look like.
        fault = FileDownloadError if HOST_NAME.fullmatch(host) else DeadEnd
        raise fault(f"The host {host} cannot be found.", "Check the URL.")
    if not allow_private and not all(is_public(address) for address in addresses):
        raise NotPublic(
            f"The host {host} is not on the public internet, and this server does not call "
            "private addresses.",
            "Upload the file, or send it as a data URI.",
        )
    if parts.raw_host.endswith(b"."):
        parts = parts.copy_with(host=host)  # certificates name hosts without the root's dot
    return Target(parts, host, tuple(str(address) for address in addresses))


def _parse(url: str) -> httpx2.URL:
    try:
        parts = httpx2.URL(url)
    except (httpx2.InvalidURL, ValueError):
        parts = None
    port = 80 if parts is None or parts.port is None else parts.port
    if parts is None or len(parts.raw_host) > LONGEST_HOST or not 0 < port < 65536:
        raise DeadEnd("The URL cannot be read.", "Give an http(s) URL or a data URI.")
    return parts
