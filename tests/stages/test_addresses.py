"""Where a caller's URL may lead: the open internet, whatever way of writing is tried."""

from __future__ import annotations

import ipaddress

import pytest

from limner.errors import FileDownloadError
from limner.stages.addresses import Target, is_public, resolve, system_resolver

#: Written so that a parser, a resolver or a check might disagree about where it leads.
PRIVATE = [
    # loopback, plainly and in disguise
    "http://127.0.0.1/",
    "http://127.255.255.254/",
    "http://localhost/",
    "http://LocalHost./",
    "http://2130706433/",
    "http://0x7f000001/",
    "http://0x7f.1/",
    "http://0177.0.0.1/",
    "http://017700000001/",
    "http://127.1/",
    "http://127.0.0.1./",
    "http://127。0。0。1/",
    "http://①②⑦.⓪.⓪.①/",
    "http://%31%32%37.0.0.1/",
    "http://127.0.0.1%00.example.com/",
    "http://[::1]/",
    "http://[0:0:0:0:0:0:0:1]/",
    "http://[::ffff:127.0.0.1]/",
    "http://[::ffff:7f00:1]/",
    "http://[0:0:0:0:0:ffff:127.0.0.1]/",
    "http://[::127.0.0.1]/",
    # this host, everybody, nobody
    "http://0/",
    "http://0.0.0.0/",
    "http://0.1.2.3/",
    "http://[::]/",
    "http://255.255.255.255/",
    "http://224.0.0.1/",
    "http://239.255.255.250/",
    "http://240.0.0.1/",
    "http://[ff02::1]/",
    "http://[ff0e::1]/",
    # private networks
    "http://10.0.0.1/",
    "http://10.255.255.255/",
    "http://172.16.0.1/",
    "http://172.31.255.255/",
    "http://192.168.1.1/",
    "http://3232235777/",
    "http://0xC0A80101/",
    "http://0300.0250.0.1/",
    "http://[fc00::1]/",
    "http://[fd12:3456::1]/",
    "http://[fec0::1]/",
    "http://[::ffff:10.0.0.1]/",
    # link-local and the clouds' metadata services
    "http://169.254.169.254/latest/meta-data/",
    "http://169.254.170.2/v2/credentials",
    "http://0xA9FEA9FE/",
    "http://2852039166/",
    "http://[::ffff:a9fe:a9fe]/",
    "http://[fe80::1]/",
    "http://[fe80::1%25eth0]/",
    "http://[fd00:ec2::254]/",
    "http://100.100.100.200/",
    "http://168.63.129.16/",
    "http://192.0.0.192/",
    # carriers' NAT, benchmarks, documentation, relays
    "http://100.64.0.1/",
    "http://100.127.255.254/",
    "http://198.18.0.1/",
    "http://198.19.255.255/",
    "http://192.0.2.1/",
    "http://198.51.100.1/",
    "http://203.0.113.1/",
    "http://192.88.99.1/",
    "http://[2001:db8::1]/",
    "http://[3fff::1]/",
    # IPv4 inside IPv6
    "http://[64:ff9b::7f00:1]/",
    "http://[64:ff9b::169.254.169.254]/",
    "http://[64:ff9b:1::7f00:1]/",
    "http://[2002:7f00:1::]/",
    "http://[2001:0:7f00:1::]/",
    "http://[100::1]/",
]

NO_URLS = [
    "",
    "face.png",
    "//8.8.8.8/face.png",
    "file:///etc/passwd",
    "file://8.8.8.8/face.png",
    "ftp://8.8.8.8/face.png",
    "gopher://8.8.8.8/_x",
    "jar:http://8.8.8.8!/face.png",
    "javascript:alert(1)",
    "http:8.8.8.8",
    "http:///face.png",
    "http://",
    "http://.",
    "http://[::1",
    "http://[127.0.0.1]/",
    "http://8.8.8.8:0/",
    "http://8.8.8.8:99999/",
    "http://8.8.8.8:-1/",
    "http://8.8.8.8:80:90/",
    "http://8.8.8.8:http/",
    "http://8.8.8.8/\x00",
    "http://8.8.8.8/\r\nX-Injected: 1",
    "http://exam\tple.com/",
    "http://" + "a" * 300 + ".com/",
    # whose host is meant depends on who reads it
    "http://me:secret@8.8.8.8/",
    "http://me@8.8.8.8/",
    "http://8.8.8.8@127.0.0.1/",
    "http://8.8.8.8\\@127.0.0.1/",
    "http://127.0.0.1\\@8.8.8.8/",
    "http://127.0.0.1%2f@8.8.8.8/",
]


def checked(url: str, *addresses: str) -> Target:
    return resolve(url, allow_private=False, resolver=lambda *_: addresses)


@pytest.mark.parametrize("url", PRIVATE)
def test_no_way_of_writing_leads_inside(url: str) -> None:
    with pytest.raises(FileDownloadError) as refused:
        resolve(url, allow_private=False, resolver=system_resolver)
    assert "latest" not in refused.value.msg


@pytest.mark.parametrize("url", NO_URLS)
def test_what_is_no_plain_http_url_is_refused(url: str) -> None:
    with pytest.raises(FileDownloadError) as refused:
        resolve(url, allow_private=True, resolver=lambda *_: ["8.8.8.8"])
    assert "secret" not in refused.value.msg
    assert "8.8.8.8" not in refused.value.msg


@pytest.mark.parametrize(
    "inside",
    ["127.0.0.1", "10.1.2.3", "169.254.169.254", "::1", "fe80::1%eth0", "::ffff:192.168.0.1"],
)
def test_a_name_with_one_private_address_is_refused_whole(inside: str) -> None:
    for addresses in ([inside], ["8.8.8.8", inside], [inside, "2606:4700::1111"]):
        with pytest.raises(FileDownloadError) as refused:
            checked("http://pictures.example/secret?token=1", *addresses)
        message = refused.value.msg
        assert message.startswith("The host pictures.example is not on the public internet")
        # Names are the caller's; addresses, paths and queries are told to nobody.
        assert not any(word in message for word in (inside, "8.8.8.8", "secret", "token"))


@pytest.mark.parametrize(
    ("url", "addresses"),
    [
        ("http://8.8.8.8/", ["8.8.8.8"]),
        ("https://pictures.example:8443/x", ["8.8.8.8", "2606:4700::1111"]),
        ("http://[2606:4700::1111]/", ["2606:4700::1111"]),
        ("http://[64:ff9b::808:808]/", ["64:ff9b::808:808"]),
        ("http://[::ffff:8.8.8.8]/", ["::ffff:8.8.8.8"]),
    ],
)
def test_the_open_internet_is_open(url: str, addresses: list[str]) -> None:
    found = checked(url, *addresses)
    assert [ipaddress.ip_address(a) for a in found.addresses] == [
        ipaddress.ip_address(a) for a in addresses
    ]


def test_the_roots_dot_is_for_the_resolver_only() -> None:
    # Certificates name hosts without it.
    found = checked("https://pictures.example./face.png", "8.8.8.8")
    assert (found.host, str(found.url)) == (
        "pictures.example",
        "https://pictures.example/face.png",
    )


@pytest.mark.parametrize("failure", [OSError("no such host"), UnicodeError("idna")])
def test_a_name_that_does_not_resolve_is_told_by_its_name(failure: Exception) -> None:
    def resolver(host: str, port: int) -> list[str]:
        raise failure

    with pytest.raises(FileDownloadError, match=r"^The host pictures\.example cannot be found"):
        resolve("http://pictures.example/secret", allow_private=False, resolver=resolver)


def test_the_edges_of_every_closed_network_are_closed_and_what_lies_beside_is_not() -> None:
    for network, below, above in [
        ("10.0.0.0/8", "9.255.255.255", "11.0.0.0"),
        ("100.64.0.0/10", "100.63.255.255", "100.128.0.0"),
        ("169.254.0.0/16", "169.253.255.255", "169.255.0.0"),
        ("172.16.0.0/12", "172.15.255.255", "172.32.0.0"),
        ("192.168.0.0/16", "192.167.255.255", "192.169.0.0"),
        ("198.18.0.0/15", "198.17.255.255", "198.20.0.0"),
    ]:
        closed = ipaddress.ip_network(network)
        assert [is_public(closed[0]), is_public(closed[-1])] == [False, False], network
        outside = [ipaddress.ip_address(below), ipaddress.ip_address(above)]
        assert [is_public(each) for each in outside] == [True, True], network
