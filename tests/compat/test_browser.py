"""`@fal-ai/client` 1.10.1, bundled, in a real Chromium across origins (wire.md 0.14, 1.4).

Three roads: a string ``proxyUrl`` (F), ``{url, when: "always"}`` (E), fal's own names (A).
"""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.compat.conftest import run_node
from tests.rig.process import Server

METRONOME = "limner/metronome"
roads = pytest.mark.parametrize("road", ["text", "always", "names"])


@pytest.fixture(scope="session")
def chromium() -> str:
    """Debian's Chromium; `.ci/run` installs it, a developer may do without."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None and os.environ.get("CI") == "true":
        pytest.fail("CI must have a browser: apt-get install chromium")
    if found is None:
        pytest.skip("no Chromium on this machine: apt-get install chromium")
    return found


def public_key_hash(server: Server) -> str:
    """The SHA-256 of a certificate's public key, as Chromium's command line knows keys."""
    chain = (server.authority.parent / "server.pem").read_bytes()
    key = x509.load_pem_x509_certificate(chain).public_key()
    spki = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(hashlib.sha256(spki).digest()).decode()


@pytest.fixture(scope="module")
def pages(
    chromium: str, server: Server, tls_server: Server, node_modules: object
) -> dict[str, Any]:
    """What pages on each road were told; one browser for all."""
    arguments = [server.base, str(tls_server.port), public_key_hash(tls_server), METRONOME]
    return run_node(["browser.mjs", chromium, *arguments])


@roads
@pytest.mark.parametrize("mode", ["polling", "streaming"])
def test_subscribe(pages: dict[str, Any], road: str, mode: str) -> None:
    told = pages[road][mode]
    assert (told["steps"], told["last"]) == (3, "COMPLETED")
    # wire.md 0.14: the header must be exposed, or a page reads no requestId.
    assert told["requestId"]


@roads
def test_run_and_the_picture_itself(pages: dict[str, Any], road: str) -> None:
    assert pages[road]["run"] == 2
    assert pages[road]["picture"] == "not really a picture"


@roads
def test_stream(pages: dict[str, Any], road: str) -> None:
    told = pages[road]["stream"]
    assert told["messages"][1:3] == ["step 1 of 2", "step 2 of 2"]
    assert told["last"] == 2


@roads
def test_uploads(pages: dict[str, Any], road: str) -> None:
    assert pages[road]["upload"] == "hello"
    assert pages[road]["autoUpload"] == 5


@roads
def test_wrong_input_names_the_field(pages: dict[str, Any], road: str) -> None:
    failed = pages[road]["wrong"]["failed"]
    assert (failed["api"], failed["status"]) == (True, 422)
    assert failed["body"]["detail"][0]["loc"] == ["body", "steps"]


def test_realtime(pages: dict[str, Any]) -> None:
    told = pages["names"]["realtime"]
    assert (told.get("steps"), told.get("request_id")) == (1, "mine"), told


@roads
def test_the_browser_complains_of_nothing_but_the_422(pages: dict[str, Any], road: str) -> None:
    complaints = [text for text in pages[road]["complaints"] if "422" not in text]
    assert complaints == []


def test_a_page_of_another_site_may_not_use_a_keyless_server(pages: dict[str, Any]) -> None:
    # decision 0003. TypeError is how fetch tells a page that CORS forbade it.
    assert pages["stranger"] == "TypeError"
