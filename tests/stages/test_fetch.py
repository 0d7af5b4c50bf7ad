"""The one door for callers' URLs, against servers that mean it ill."""

from __future__ import annotations

import base64
import gzip
import ipaddress
import socket
import ssl
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from limner.errors import FileDownloadError, FileTooLarge
from limner.files.disk import DiskStore
from limner.files.store import Description, reserve
from limner.stages import addresses
from limner.stages.fetch import MOST_REDIRECTS, Door
from limner.worker.pictures import own_file_reader
from tests.stages.hostile import Hostile, response

MOST = 1000
PICTURE = b"\x89PNG and more"
SECRET = "/secret/path?token=hush"


def door(**changes: object) -> Door:
    """A door that trusts the local network, is small, and is soon out of patience."""
    said: dict[str, object] = {"allow_private": True, "max_bytes": MOST, "timeout": 5.0}
    return Door(**(said | changes))  # pyright: ignore[reportArgumentType]


@pytest.fixture
def host() -> Iterator[Hostile]:
    listening = Hostile()
    yield listening
    listening.close()


def refusal(url: str, **changes: object) -> str:
    """What the caller is told; never more than the host's name."""
    with pytest.raises(FileDownloadError) as refused:
        door(**changes).read(url)
    message = refused.value.msg
    assert not any(word in message for word in ("secret", "hush", "Errno", "Traceback"))
    return message


# What is asked


def test_a_picture_is_read_as_it_is(host: Hostile) -> None:
    assert door().read(host.says("/face.png?size=1", response(PICTURE))) == PICTURE
    (head,) = host.asked
    words = head.decode().lower()
    assert words.startswith("get /face.png?size=1 http/1.1\r\n")
    assert f"host: 127.0.0.1:{host.port}\r\n" in words
    assert "accept-encoding: identity\r\n" in words
    # Nothing of the caller goes along.
    assert not any(word in words for word in ("authorization", "cookie", "referer"))


def test_proxies_of_the_environment_are_not_used(
    host: Hostile, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert door().read(host.says("/face.png", response(PICTURE))) == PICTURE


# Where it leads


def test_the_connection_goes_to_the_address_that_was_checked(host: Hostile) -> None:
    """DNS rebinding: the name means something else at every look, so there is one look."""
    host.says("/face.png", response(PICTURE))
    answers = iter([["127.0.0.1"], ["192.0.2.66"]])
    read = door(resolver=lambda *_: next(answers)).read
    assert read(f"http://rebinding.example:{host.port}/face.png") == PICTURE
    assert next(answers) == ["192.0.2.66"]  # nobody looked a second time
    assert f"host: rebinding.example:{host.port}" in host.asked[0].decode().lower()


def test_an_address_that_is_dead_does_not_hide_one_that_lives(host: Hostile) -> None:
    host.says("/face.png", response(PICTURE))
    read = door(resolver=lambda *_: ["127.0.0.99", "127.0.0.1"]).read
    assert read(f"http://two.example:{host.port}/face.png") == PICTURE


@pytest.fixture
def outside(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hostile]:
    """A stand-in for the open internet: 127.0.0.2 is taken for public, all else is as it is."""
    real = addresses.is_public
    internet = ipaddress.ip_address("127.0.0.2")
    monkeypatch.setattr(addresses, "is_public", lambda a: a == internet or real(a))
    listening = Hostile("127.0.0.2")
    yield listening
    listening.close()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_public_host_cannot_redirect_inside(host: Hostile, outside: Hostile, status: int) -> None:
    inside = host.says(SECRET, response(b"what only this machine may see"))
    trap = outside.says("/face.png", response(b"", status, Location=inside))
    assert "not on the public internet" in refusal(trap, allow_private=False)
    assert host.asked == []


@pytest.mark.parametrize(
    "location",
    [
        "file:///etc/passwd",
        "gopher://127.0.0.1/",
        "http://127.0.0.1:{port}/x",
        "//127.0.0.1:{port}/x",
        "http://[::ffff:127.0.0.1]:{port}/x",
        "http://2130706433:{port}/x",
        "http://me:secret@127.0.0.2/x",
        "http://[::1",
        "http://127.0.0.2:0/",
        "",
    ],
)
def test_a_redirect_is_checked_like_the_first_url(
    host: Hostile, outside: Hostile, location: str
) -> None:
    said = {"Location": location.format(port=host.port)}
    refusal(outside.says("/a", response(b"", 302, **said)), allow_private=False)
    assert host.asked == []


def test_a_redirect_without_an_address_leads_nowhere(host: Hostile) -> None:
    assert "redirects to nowhere" in refusal(host.says("/a", response(b"", 302)))


def test_a_relative_redirect_is_followed(host: Hostile) -> None:
    host.says("/there/face.png", response(PICTURE))
    url = host.says("/here/face.png", response(b"", 302, Location="../there/face.png"))
    assert door().read(url) == PICTURE


def test_redirects_come_to_an_end(host: Hostile) -> None:
    loop = host.says("/loop", response(b"", 302, Location="/loop"))
    assert "redirected more than" in refusal(loop)
    assert len(host.asked) == MOST_REDIRECTS + 1


# How long it takes


@pytest.mark.parametrize("part", ["nothing", "head", "body", "chunks", "empty answers"])
def test_one_deadline_for_all_of_it(host: Hostile, part: str) -> None:
    """A drop every 50 ms never meets a timeout for one read; the deadline it does."""

    def drip(line: socket.socket, _: bytes) -> None:
        begun = {
            "nothing": b"",
            "head": b"HTTP/1.1 200 OK\r\nX-Drip: ",
            "body": b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n",
            "chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            "empty answers": b"",
        }[part]
        drop = {
            "nothing": b"",
            "chunks": b"1\r\nx\r\n",
            "empty answers": b"HTTP/1.1 100 Continue\r\n\r\n",
        }.get(part, b"x")
        line.sendall(begun)
        while not host.stopped:
            line.sendall(drop)
            time.sleep(0.05)

    assert "took longer than 0.4 s" in refusal(host.does(SECRET, drip), timeout=0.4)


def test_a_handshake_that_never_ends_meets_the_deadline(host: Hostile) -> None:
    def deaf(line: socket.socket, _: bytes) -> None:
        while not host.stopped:
            time.sleep(0.05)

    host.does("", deaf)
    url = f"https://127.0.0.1:{host.port}{SECRET}"
    assert "took longer than 0.4 s" in refusal(url, timeout=0.4)


# How much it is


def test_an_endless_body_is_cut_off(host: Hostile) -> None:
    def endless(line: socket.socket, _: bytes) -> None:
        line.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
        while not host.stopped:
            line.sendall(b"x" * 500)

    with pytest.raises(FileTooLarge) as refused:
        door().read(host.does("/endless", endless))
    assert refused.value.ctx == {"max_size": MOST}


@pytest.mark.parametrize("size", [MOST, MOST + 1])
def test_the_limit_is_the_limit(host: Hostile, size: int) -> None:
    told = response(b"x" * size)
    untold = told.replace(b"Content-Length", b"X-Length")
    for name, answer in (("/told", told), ("/untold", untold)):
        url = host.says(name, answer)
        if size <= MOST:
            assert len(door().read(url)) == size
        else:
            with pytest.raises(FileTooLarge):
                door().read(url)


def test_a_length_over_the_limit_is_believed_before_anything_is_read(host: Hostile) -> None:
    url = host.says("/a", response(b"x", Content_Length=MOST + 1))
    with pytest.raises(FileTooLarge):
        door().read(url)


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(response(b"x" * 10, Content_Length=20), id="shorter than it said"),
        pytest.param(response(b"x", Content_Length="-1"), id="negative length"),
        pytest.param(response(b"x", Content_Length="one"), id="length in words"),
        pytest.param(response(b"x", Content_Length="1\r\nContent-Length: 2"), id="two lengths"),
        pytest.param(b"", id="nothing"),
        pytest.param(b"SSH-2.0-OpenSSH_9.6\r\n", id="another protocol"),
        pytest.param(b"HTTP/1.1 200\r\n", id="cut off in the head"),
        pytest.param(b"HTTP/1.1 abc OK\r\n\r\n", id="status in words"),
        pytest.param(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 300_000, id="endless head"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", id="broken chunks"
        ),
    ],
)
def test_a_host_that_does_not_speak_http_is_told_in_one_sentence(
    host: Hostile, answer: bytes
) -> None:
    assert "could not be reached or broke off" in refusal(host.says(SECRET, answer))


@pytest.mark.parametrize("encoding", ["gzip", "br", "deflate", "GZIP", "gzip, identity"])
def test_compressed_content_that_nobody_asked_for_is_refused(host: Hostile, encoding: str) -> None:
    bomb = gzip.compress(bytes(10_000_000))[: MOST // 2]
    url = host.says("/bomb", response(bomb, Content_Encoding=encoding))
    assert "compressed" in refusal(url)


@pytest.mark.parametrize("status", [201, 204, 206, 304, 400, 401, 403, 404, 410, 429, 500, 503])
def test_any_other_answer_is_named_by_its_number(host: Hostile, status: int) -> None:
    url = host.says(SECRET, response(b"<h1>stack trace</h1>" * (status not in (204, 304)), status))
    assert refusal(url) == (f"The host 127.0.0.1 answered {status}. Check that the URL is public.")


def test_nobody_there_is_told_without_the_systems_words() -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    assert "could not be reached" in refusal(f"http://127.0.0.1:{port}{SECRET}")


# TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1 that only those who are told to will trust."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    names = [x509.IPAddress(ipaddress.ip_address("127.0.0.1")), x509.DNSName("pictures.example")]
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(private + made.public_bytes(Encoding.PEM))
    return path


@pytest.fixture
def secure(certificate: Path) -> Iterator[Hostile]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    listening = Hostile(tls=context)
    yield listening
    listening.close()


def trusting(certificate: Path, **changes: object) -> Door:
    made = door(**changes)
    made.__dict__["_tls"] = ssl.create_default_context(cafile=str(certificate))
    return made


def test_a_certificate_is_checked_against_the_name_and_not_the_address(
    secure: Hostile, certificate: Path
) -> None:
    secure.says("/face.png", response(PICTURE))
    read = trusting(certificate, resolver=lambda *_: ["127.0.0.1"]).read
    assert read(f"https://pictures.example:{secure.port}/face.png") == PICTURE
    assert read(f"https://pictures.example.:{secure.port}/face.png") == PICTURE
    with pytest.raises(FileDownloadError, match=r"other\.example could not be reached"):
        read(f"https://other.example:{secure.port}/face.png")


def test_a_certificate_nobody_vouches_for_is_refused(secure: Hostile) -> None:
    url = secure.says(SECRET, response(PICTURE))
    assert "could not be reached" in refusal(url)
    assert secure.asked == []


def test_plain_http_on_a_tls_port_and_the_reverse_are_refused(
    secure: Hostile, host: Hostile
) -> None:
    host.says("/a", response(PICTURE))
    assert "could not be reached" in refusal(f"http://127.0.0.1:{secure.port}{SECRET}")
    assert "could not be reached" in refusal(f"https://127.0.0.1:{host.port}/a")


# Data URIs


@pytest.mark.parametrize(
    ("uri", "content"),
    [
        ("data:image/png;base64,aGVsbG8=", b"hello"),
        ("DATA:image/png;BASE64,aGVsbG8=", b"hello"),
        ("data:;base64,", b""),
        ("data:image/png;name=a.png;base64,aGVsbG8=", b"hello"),
        ("data:,hello%20there", b"hello there"),
        ("data:text/plain,a,b", b"a,b"),
        ("data:image/png;base64,aGVsbG8%3D", b"hello"),
        ("data:image/png;base64,YStiL2M%2FZA==", b"a+b/c?d"),
    ],
)
def test_a_data_uri_is_what_it_holds(uri: str, content: bytes) -> None:
    assert door(allow_private=False).read(uri) == content


@pytest.mark.parametrize(
    "uri",
    [
        "data:",
        "data:image/png;base64",
        "data:image/png;base64,aGVsbG8",
        "data:image/png;base64,aGVs*G8=",
        "data:image/png;base64,aGVsbG8=trailing",
        "data:image/png;base64,aG=VsbG8",
        "data:image/png;base64,é",
        "data:,100%",
        "data:,%zz",
        "data:http://127.0.0.1/",
    ],
)
def test_a_broken_data_uri_is_refused_with_what_is_wrong(uri: str) -> None:
    assert "data URI" in refusal(uri)


def test_a_data_uri_is_held_to_the_same_limit() -> None:
    fits = base64.b64encode(b"x" * MOST).decode()
    assert door().read(f"data:image/png;base64,{fits}") == b"x" * MOST
    over = base64.b64encode(b"x" * (MOST + 1)).decode()
    for uri in (f"data:image/png;base64,{over}", "data:," + "x" * (MOST + 1)):
        with pytest.raises(FileTooLarge):
            door().read(uri)


# Our own files


@pytest.mark.parametrize("road", ["http://limner.test:8000/v3.fal.media", "https://v3.fal.media"])
def test_a_file_of_this_server_is_read_from_the_store_by_whatever_road(
    tmp_path: Path, road: str
) -> None:
    files, name = DiskStore(tmp_path), reserve("face.png")
    files.save(name, [PICTURE], Description("image/png"))
    closed = door(allow_private=False, own_file=own_file_reader(files), resolver=lambda *_: [])
    assert closed.read(f"{road}/files/{name}") == PICTURE
    assert closed.read(f"{road}/files/{name}?download=1") == PICTURE
    # What the store does not have is a URL like any other.
    with pytest.raises(FileDownloadError, match="cannot be found"):
        closed.read(f"{road}/files/{reserve('face.png')}")


def test_what_is_no_url_is_told_by_the_door_and_not_by_a_crash(tmp_path: Path) -> None:
    own = own_file_reader(DiskStore(tmp_path))
    assert "cannot be read" in refusal("http://[::1/files/x", own_file=own)


# Out: webhooks


def test_a_post_answers_the_receivers_status_and_follows_nothing(host: Hostile) -> None:
    host.says("/elsewhere", response(b""))
    url = host.says("/hook", response(b"", 302, Location="/elsewhere"))
    assert door().post(url, b'{"a":1}', {"x-a": "b"}, 5) == 302
    (head,) = host.asked
    assert b"POST /hook HTTP/1.1" in head
    assert b"x-a: b" in head


def test_a_post_goes_nowhere_private(host: Hostile) -> None:
    with pytest.raises(FileDownloadError, match="public internet"):
        door(allow_private=False).post(host.says("/hook", response(b"")), b"", {}, 5)
    assert host.asked == []


def test_a_receiver_that_reads_slowly_meets_the_deadline(host: Hostile) -> None:
    size, taken = 30_000_000, 0

    def slow(line: socket.socket, _: bytes) -> None:
        nonlocal taken
        while not host.stopped and (got := line.recv(200_000)):
            taken += len(got)
            time.sleep(0.02)

    url = host.does("/hook", slow)
    with pytest.raises(FileDownloadError, match="took longer"):
        door().post(url, b"x" * size, {}, 0.5)
    host.close()
    # It was given up in the middle, not when all was sent after all.
    assert taken < size // 2
