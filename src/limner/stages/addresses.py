"""Which addresses a caller's URL may lead to.

A host name is resolved once, every address it has is checked, and the connection goes to exactly
a checked one, so that a name which changes its mind in between (DNS rebinding) wins nothing.
Knows IP addresses and URLs; fetches nothing.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from limner.errors import FileDownloadError

Ip = ipaddress.IPv4Address | ipaddress.IPv6Address

#: host, port → addresses as text; raises OSError.
Resolver = Callable[[str, int], Sequence[str]]

#: Prefixes that carry an IPv4 address inside an IPv6 one: NAT64 (RFC 6052, RFC 8215).
_NAT64 = (ipaddress.ip_network("64:ff9b::/96"), ipaddress.ip_network("64:ff9b:1::/48"))


def system_resolver(host: str, port: int) -> list[str]:
    """Every address of ``host`` that this machine's resolver knows."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def embedded(address: Ip) -> Ip:
    """The IPv4 address that an IPv6 one stands for, or the address itself."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address.teredo is not None:
        return address.teredo[1]
    if any(address in network for network in _NAT64) or int(address) >> 32 == 0:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def is_public(address: Ip) -> bool:
    """Is this a place on the open internet? Metadata services, carriers' NATs and all are not."""
    inner = embedded(address)
    return inner.is_global and not inner.is_multicast and not inner.is_reserved


@dataclass(frozen=True, slots=True)
class Target:
    """A URL with the one address to connect to."""

    url: SplitResult
    host: str
    address: str

    @property
    def pinned(self) -> str:
        """The URL with the checked address instead of the name."""
        ip = f"[{self.address}]" if ":" in self.address else self.address
        port = f":{self.url.port}" if self.url.port else ""
        return self.url._replace(netloc=f"{ip}{port}", fragment="").geturl()

    @property
    def host_header(self) -> str:
        """What the server is told it was called."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.url.port}" if self.url.port else host


def resolve(url: str, *, allow_private: bool, resolver: Resolver) -> Target:
    """Check a URL and pick its address. Raises FileDownloadError, which names the host only."""
    try:
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        host = parts.hostname
    except ValueError:
        raise FileDownloadError(
            "The URL cannot be read. Give an http(s) URL or a data URI."
        ) from None
    if parts.scheme not in ("http", "https") or not host:
        raise FileDownloadError(
            "The URL is neither http(s) nor a data URI. Upload the file, or give such a URL."
        )
    if parts.username is not None or parts.password is not None:
        raise FileDownloadError("The URL holds credentials. Use a signed URL or upload the file.")
    host = host.rstrip(".")
    try:
        addresses = [ipaddress.ip_address(text.partition("%")[0]) for text in resolver(host, port)]
    except (OSError, UnicodeError, ValueError):
        addresses = []
    if not addresses:
        raise FileDownloadError(f"The host {host} cannot be found. Check the URL.")
    if not allow_private and not all(is_public(address) for address in addresses):
        raise FileDownloadError(
            f"The host {host} is not on the public internet, and this server does not fetch "
            "private addresses. Upload the file, or send it as a data URI."
        )
    return Target(parts, host, str(addresses[0]))
