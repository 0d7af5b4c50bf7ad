"""``limner connect --check``: the printed lines, tried through the real client.

A request without its required fields goes the whole way, from submit to its typed 422, and needs
nobody to draw; where the road carries uploads, a file goes up and comes back.
Knows where the clients are found; knows no endpoint but the first.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from typing import TypeVar

import httpx2

from limner.cli.connect import Place, Program
from limner.endpoints import ENDPOINTS

ENDPOINT = ENDPOINTS[0].id

#: Seconds for a check, the start of the client's runtime included.
PATIENCE = 60

#: An empty request, as curl posts it.
SAY = ("-H", "content-type: application/json", "-d", "{}")

PYTHON_SMOKE = """
import sys
import fal_client, fal_client.client as addresses
for name, value in zip(sys.argv[2::2], sys.argv[3::2]):
    setattr(addresses, name, value)
import httpx
url = fal_client.upload(b"limner", "text/plain", "check.txt")
assert httpx.get(url).content == b"limner", "an upload came back changed"
try:
    fal_client.subscribe(sys.argv[1], {})
except fal_client.FalClientHTTPError as refused:
    assert refused.status_code == 422, refused
else:
    raise AssertionError("a request without its fields went well")
"""

NODE_SMOKE = """
import { fal } from "@fal-ai/client";
process.on("uncaughtException", (error) => { console.error(String(error)); process.exit(1); });
const [proxy, endpoint] = process.argv.slice(-2);
fal.config({ proxyUrl: { url: proxy, when: "always" } });
const file = await fal.storage.upload(new File(["limner"], "check.txt", { type: "text/plain" }));
if ((await (await fetch(file)).text()) !== "limner") throw new Error("an upload came back changed");
const refused = await fal.subscribe(endpoint, { input: {} }).catch((error) => error);
if (refused.status !== 422) throw refused;
"""

Found = TypeVar("Found")


class CheckFailed(Exception):
    """A client could not do what it must; the message says what to do."""


def check_python(at: Place) -> str:
    """Through fal-client, of the first Python that has it."""
    python = next((found for found in _pythons() if _run([found, "-c", "import fal_client"])), None)
    python = _need(python, "no Python here has fal-client: pip install fal-client")
    env = {"FAL_KEY": os.environ.get("FAL_KEY", "any:key")}
    addresses: list[str] = []
    if at.trust is not None:
        env |= {"HTTPS_PROXY": at.proxy, "SSL_CERT_FILE": str(at.trust)}
    else:
        addresses = [
            "RUN_URL_FORMAT", f"{at.url}/fal.run/", "QUEUE_URL_FORMAT", f"{at.url}/queue.fal.run/",
            "REST_URL", f"{at.url}/rest.fal.ai", "CDN_URL", f"{at.url}/v3.fal.media",
        ]  # fmt: skip
    _must([python, "-c", PYTHON_SMOKE, ENDPOINT, *addresses], env)
    return f"fal-client in {python} uploaded a file and was told the 422 of an empty request"


def check_node(at: Place) -> str:
    """Through @fal-ai/client, as the current folder has it."""
    node = _need(shutil.which("node"), "node is not on PATH")
    has_client = _run([node, "--input-type=module", "-e", 'import "@fal-ai/client"'])
    _need(has_client, "this folder has no @fal-ai/client: npm install @fal-ai/client")
    smoke = ["--input-type=module", "-e", NODE_SMOKE, "--", f"{at.url}/api/fal/proxy", ENDPOINT]
    env = {"FAL_KEY": os.environ.get("FAL_KEY", "any:key")}
    if at.trust is not None:
        env["NODE_EXTRA_CA_CERTS"] = str(at.trust)
    _must([node, *smoke], env)
    return "@fal-ai/client uploaded a file and was told the 422 of an empty request"


def check_browser(at: Place) -> str:
    """The preflight that a browser sends before it lets a page on this machine call."""
    asks = {
        "origin": "http://localhost:3000",
        "access-control-request-method": "POST",
        "access-control-request-headers": "content-type,x-fal-target-url",
    }
    try:
        answer = httpx2.options(f"{at.url}/api/fal/proxy", headers=asks, verify=False)
    except httpx2.TransportError as problem:
        raise CheckFailed(f"{at.url} does not answer: {problem}") from None
    allowed = answer.headers.get("access-control-allow-origin")
    _need(allowed in ("*", asks["origin"]), "a page on localhost:3000 may not call")
    return "a page on http://localhost:3000 may call (CORS preflight); no browser was started"


def check_curl(at: Place) -> str:
    """Through curl."""
    curl = _need(shutil.which("curl"), "curl is not on PATH")
    trust = ["--cacert", str(at.trust)] if at.trust is not None else []
    key = ["-H", f"Authorization: Key {os.environ['FAL_KEY']}"] if "FAL_KEY" in os.environ else []
    queue = f"{at.url}/queue.fal.run/{ENDPOINT}"
    _must([curl, "-sS", "--fail-with-body", *trust, *key, queue, *SAY], {})
    return f"curl submitted a request at {queue}"


CHECKS: dict[Program, Callable[[Place], str]] = {
    Program.PYTHON: check_python,
    Program.NODE: check_node,
    Program.BROWSER: check_browser,
    Program.CURL: check_curl,
}


def _need(found: Found | None, otherwise: str) -> Found:
    if not found:
        raise CheckFailed(otherwise)
    return found


def _pythons() -> list[str]:
    found = [shutil.which("python3"), shutil.which("python"), sys.executable]
    return [python for python in found if python]


def _start(command: list[str], env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def _run(command: list[str]) -> bool:
    return _start(command, {}).returncode == 0


def _must(command: list[str], env: Mapping[str, str]) -> None:
    """Raises CheckFailed with the last line that the program said."""
    try:
        done = _start(command, env)
    except subprocess.TimeoutExpired:
        raise CheckFailed(f"no answer within {PATIENCE} s; is the server running?") from None
    said = [line.strip() for line in (done.stderr or done.stdout).splitlines() if line.strip()]
    if done.returncode != 0:
        last = said[-1] if said else "the client failed"
        raise CheckFailed(f"{last}. Is the server running, and is FAL_KEY right?")
