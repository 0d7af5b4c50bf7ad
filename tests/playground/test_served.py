"""The page's files as the server hands them out: policy, caching, size, and what programs get."""

from __future__ import annotations

import gzip
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from limner.cli.serve import PLAYGROUND
from tests.compat.conftest import node_program
from tests.playground.conftest import FRONTEND
from tests.rig.process import ROOT, Server

HTML = {"accept": "text/html,application/xhtml+xml"}


def files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_a_browser_gets_the_page_and_a_program_gets_json(server: Server) -> None:
    assert server.get("/", headers=HTML).headers["content-type"] == "text/html; charset=utf-8"
    assert "fal-ai/face-to-sticker" in server.get("/").json()["endpoints"]


def test_the_page_that_an_endpoints_document_links_is_the_playground(server: Server) -> None:
    document = server.get("/fal.ai/api/openapi/queue/openapi.json?endpoint_id=limner/metronome")
    linked = document.json()["info"]["x-fal-metadata"]["playgroundUrl"]
    answer = server.get(linked.removeprefix(server.base), headers=HTML)
    assert answer.headers["location"] == f"{server.base}/#/limner/metronome"
    llms = server.get("/fal.ai/models/limner/metronome/llms.txt", headers={"accept": "*/*"})
    assert llms.status_code == 200


def test_the_policy_allows_no_inline_script_or_style_and_nothing_from_elsewhere(
    server: Server,
) -> None:
    answer = server.get("/", headers=HTML)
    policy = dict(
        part.split(" ", 1) for part in answer.headers["content-security-policy"].split("; ")
    )
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["frame-ancestors"] == "'none'"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert not re.search(r"<style|style=|<script(?![^>]*src=)", answer.text)


def test_every_file_the_page_names_is_there_for_good_and_zipped(server: Server) -> None:
    page = server.get("/", headers=HTML).text
    named = re.findall(r'(?:src|href)="\./([^"]+)"', page)
    assert len(named) == 3
    for name in named:
        answer = server.get(f"/{name}", headers={"accept-encoding": "gzip"})
        assert answer.status_code == 200
        assert "immutable" in answer.headers["cache-control"]
        assert answer.content == (PLAYGROUND / name).read_bytes()
        again = server.get(f"/{name}", headers={"if-none-match": answer.headers["etag"]})
        assert again.status_code == 304


@pytest.mark.parametrize("name", ["nothing.js", "..%2findex.html", "%2e%2e/app.py"])
def test_nothing_but_the_build_is_served(server: Server, name: str) -> None:
    assert server.get(f"/assets/{name}").status_code == 404


def test_the_build_keeps_its_budget() -> None:
    """Issue 6: 60 KB of script and 15 KB of style, zipped."""
    zipped = {"js": 0, "css": 0}
    for name, content in files(PLAYGROUND).items():
        if (kind := name.rpartition(".")[2]) in zipped:
            zipped[kind] += len(gzip.compress(content, 9))
    assert 0 < zipped["js"] <= 60_000
    assert 0 < zipped["css"] <= 15_000


def test_what_is_committed_is_what_the_source_builds(tmp_path: Path, node_modules: Path) -> None:
    node, _ = node_program()
    for tool in (
        [node, str(node_modules / "typescript" / "bin" / "tsc"), "--noEmit"],
        [node, str(node_modules / "vite" / "bin" / "vite.js"), "build", "--outDir", str(tmp_path)],
    ):
        done = subprocess.run(tool, cwd=FRONTEND, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    built, committed = files(tmp_path), files(PLAYGROUND)
    assert built.keys() == committed.keys(), "run `npm run build` in frontend/ and commit"
    assert built == committed


def test_the_wheel_holds_the_page(tmp_path: Path) -> None:
    made = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        inside = {
            name.removeprefix("limner/playground/"): archive.read(name)
            for name in archive.namelist()
            if name.startswith("limner/playground/")
        }
    assert inside == files(PLAYGROUND)
