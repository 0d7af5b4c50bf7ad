"""What ``limner doctor`` looks at, one function for each thing, each with one next step.

Every check looks and changes nothing, but for the home folder, which is made if it is not there.
What the diffusion engine needs is asked of it only where it is installed: torch takes seconds.
Knows the settings and where things lie; it does not know how findings are shown.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Literal

import httpx2
from packaging.requirements import Requirement

import limner
from limner.cli.house import (
    open_home,
    open_ledger,
    open_to_others,
    package_index,
    shut_out,
    workshop,
)
from limner.cli.serve import PLAYGROUND, is_loopback
from limner.endpoints import ENDPOINTS
from limner.errors import EngineUnavailable
from limner.requests.connections import Unreachable
from limner.settings import Settings
from limner.sketch.networks import NETWORKS, SKETCH, locate
from limner.worker.engines import choose

State = Literal["green", "yellow", "red"]

#: Bytes of disk below which pictures soon find no room.
LITTLE_DISK = 2 * 10**9
#: Seconds that a clock may differ: signatures of webhooks live for 300.
CLOCK_SLACK = 120
#: What `limner pull` calls as much of an endpoint as the engine is taken for.
LEAST = {"fal-ai/ip-adapter-face-id": "fal-ai/ip-adapter-face-id:1_5-v1"}
#: Seconds for an answer over the network.
PATIENCE = 10
PYPI = "https://pypi.org/simple/"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at. ``step``: what to do next; empty where nothing is to be done."""

    name: str
    state: State
    said: str
    step: str = ""


@dataclass(frozen=True, slots=True)
class Patient:
    """What is looked at: the settings, and how the server would be started."""

    settings: Settings
    host: str
    port: int
    online: bool


def packages(_: Patient) -> Iterator[Finding]:
    """Python, and every package Limner asks for."""
    version = ".".join(map(str, sys.version_info[:3]))
    wrong = list(_unmet())
    said = f"Limner {limner.__version__} on Python {version}"
    if wrong:
        said = f"{said}; not as required: {', '.join(wrong)}"
        yield Finding("python", "red", said, "pip install --upgrade limner")
    else:
        yield Finding("python", "green", f"{said}, packages as required")


def _unmet() -> Iterator[str]:
    for text in importlib.metadata.requires("limner") or ():
        asked = Requirement(text)
        if asked.marker is not None and not asked.marker.evaluate({"extra": ""}):
            continue
        try:
            found = importlib.metadata.version(asked.name)
        except importlib.metadata.PackageNotFoundError:
            yield f"{asked.name} is missing"
            continue
        if not asked.specifier.contains(found, prereleases=True):
            yield f"{asked.name} {found} is not {asked.specifier}"


def home(patient: Patient) -> Iterator[Finding]:
    """The home folder: that it can be written, that there is room, and who else gets in."""
    folder = patient.settings.home
    try:
        with tempfile.TemporaryFile(dir=open_home(patient.settings)):
            pass
    except OSError as problem:
        said = f"{folder} cannot be written: {problem.strerror}"
        yield Finding("home", "red", said, "Set LIMNER_HOME to a folder of this user's.")
        return
    free = shutil.disk_usage(folder).free
    said = f"{folder}, {free / 10**9:.1f} GB free"
    if free < LITTLE_DISK:
        yield Finding("home", "yellow", said, "Free some disk, or set LIMNER_RETENTION lower.")
    else:
        yield Finding("home", "green", said)
    if paths := open_to_others(patient.settings):
        told = ", ".join(f"{path.name} ({path.stat().st_mode & 0o777:04o})" for path in paths)
        said = f"other users of this machine can get at {told}"
        yield Finding("access", "yellow", said, shut_out(paths))


def engines(patient: Patient) -> Iterator[Finding]:
    """Which engine draws for each endpoint, and why."""
    given, wanted = workshop(patient.settings), patient.settings.engine
    for endpoint in ENDPOINTS:
        try:
            choice = choose(endpoint, wanted, given)
        except EngineUnavailable as problem:
            step = "Set LIMNER_ENGINE=auto, or install what is missing."
            yield Finding(f"engine of {endpoint.alias}", "red", str(problem), step)
            continue
        first, *others = choice.why.split("; ")
        more = f", and {len(others)} more" if others else ""
        said = f"{choice.name} ({first}{more})"
        yield Finding(f"engine of {endpoint.alias}", "green", said)


def networks(patient: Patient) -> Iterator[Finding]:
    """The sketch engine's networks, which find faces for the diffusion engine too."""
    folder = workshop(patient.settings).networks
    absent = [name for name in SKETCH if locate(name, folder) is None]
    if absent:
        size = sum(part.size for name in absent for part in NETWORKS[name].members) / 10**6
        said = f"{len(absent)} of {len(SKETCH)} are fetched when first needed ({size:.0f} MB)"
        yield Finding("networks", "yellow", said, "limner pull sketch")
    else:
        yield Finding("networks", "green", f"all {len(SKETCH)} are here")


def weights(patient: Patient) -> Iterator[Finding]:
    """The diffusion engine's weights and their licences."""
    if importlib.util.find_spec("huggingface_hub") is None:
        said = "the diffusion engine is not installed; the sketch engine needs none"
        yield Finding("weights", "green", said)
        return
    from limner.diffusion.holdings import Holdings
    from limner.diffusion.weights import ENDPOINT_NEEDS

    settings = patient.settings
    holdings = Holdings(workshop(settings).weights or Path(), commercial=settings.commercial)
    for endpoint in ENDPOINTS:
        lacking = [why for name in ENDPOINT_NEEDS[endpoint.id] if (why := holdings.lacking(name))]
        name = f"weights of {endpoint.alias}"
        if not lacking:
            yield Finding(name, "green", "all are here, and may be used")
            continue
        said = f"{len(lacking)} of {len(ENDPOINT_NEEDS[endpoint.id])} lack: {lacking[0]}"
        step = f"limner pull {LEAST.get(endpoint.id, endpoint.id)}"
        if settings.commercial and "commercial" in " ".join(lacking):
            step = "Keep to the sketch engine, which may be used for anything."
        # Without them the sketch engine draws, unless diffusion is asked for by name.
        yield Finding(name, "red" if settings.engine == "diffusion" else "yellow", said, step)


def port(patient: Patient) -> Iterator[Finding]:
    """Whether the address is free to listen on."""
    place = f"{patient.host}:{patient.port}"
    family = socket.AF_INET6 if ":" in patient.host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((patient.host, patient.port))
    except OSError as problem:
        said = f"{place} cannot be listened on: {problem.strerror}"
        step = "If it is not Limner that runs there: limner serve --port 0"
        yield Finding("port", "yellow", said, step)
    else:
        yield Finding("port", "green", f"{place} is free")


def keys(patient: Patient) -> Iterator[Finding]:
    """Keys, where others than this machine can call."""
    settings = patient.settings
    try:
        made = _any_key(settings)
    except Unreachable:
        said = "the database does not answer, so nobody knows"
        yield Finding("keys", "red", said, "Start it, or correct LIMNER_DATABASE_URL.")
        return
    near = is_loopback(patient.host)
    if made:
        yield Finding("keys", "green", "there are keys, and every caller needs one")
    elif near:
        said = f"none, and none is needed: only this machine reaches {patient.host}"
        yield Finding("keys", "green", said)
    else:
        said = f"none, and {patient.host} can be reached from elsewhere: serve would refuse"
        yield Finding("keys", "red", said, "limner keys create")


def _any_key(settings: Settings) -> bool:
    """Is there a key? Raises Unreachable."""
    if settings.database_url is None and not (settings.home / "limner.db").exists():
        return False  # and a look would make the file
    with open_ledger(settings) as ledger:
        return ledger.any_keys().result()


def clock(patient: Patient) -> Iterator[Finding]:
    """Leases, tokens and signatures go by the clock: it must not be behind what is written."""
    written = [Path(limner.__file__).stat().st_mtime]
    ledger = patient.settings.home / "limner.db"
    if ledger.exists():
        written.append(ledger.stat().st_mtime)
    behind = max(written) - time.time()
    if behind > CLOCK_SLACK:
        said = f"{behind:.0f} s behind the files of this machine"
        yield Finding("clock", "red", said, "Set the clock, best by NTP.")
    else:
        yield Finding("clock", "green", time.strftime("%Y-%m-%d %H:%M:%S %Z"))


def page(_: Patient) -> Iterator[Finding]:
    """The web page, which is built into the package."""
    if (PLAYGROUND / "index.html").is_file():
        yield Finding("page", "green", "the playground is built in")
    else:
        step = "Install the wheel, or build it: npm ci && npm run build, in frontend/"
        yield Finding("page", "yellow", "the playground is not built; the API is", step)


def index(patient: Patient) -> Iterator[Finding]:
    """Where networks come from, and whether its clock agrees; asked only with --online."""
    address = package_index() or PYPI
    if not patient.online:
        yield Finding("index", "green", f"{address} was not asked; --online asks")
        return
    try:
        answer = httpx2.head(address, timeout=PATIENCE, follow_redirects=True)
    except httpx2.HTTPError as problem:
        said = f"{address} does not answer: {type(problem).__name__}"
        proxy = " (through the proxy of the environment)" if os.environ.get("HTTPS_PROXY") else ""
        yield Finding("index", "yellow", said + proxy, "Set PIP_INDEX_URL to one that does.")
        return
    if answer.status_code >= 400:
        said = f"{address} answers {answer.status_code}"
        yield Finding("index", "yellow", said, "Set PIP_INDEX_URL to a package index.")
        return
    yield Finding("index", "green", f"{address} answers")
    if date := answer.headers.get("date"):
        apart = abs(parsedate_to_datetime(date).timestamp() - time.time())
        state: State = "yellow" if apart > CLOCK_SLACK else "green"
        step = "Set the clock, best by NTP." if state == "yellow" else ""
        yield Finding("clock, online", state, f"{apart:.0f} s from the index's", step)
