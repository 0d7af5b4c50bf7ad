"""The page's files as the server hands them out: policy, caching, size, and what programs get."""

from __future__ import annotations

import gzip
import os
import re
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest
from playwright.sync_api import expect

from limner.cli.serve import PLAYGROUND
from tests.compat.conftest import node_program
from tests.playground.conftest import FRONTEND, Visit
from tests.rig.process import ROOT, Server, eventually

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


def ran(*words: str | Path, env: dict[str, str] | None = None) -> None:
    """Run a program that must go well."""
    done = subprocess.run(words, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Limner as it is installed elsewhere."""
    folder = tmp_path_factory.mktemp("wheel")
    ran(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder)
    (built,) = folder.glob("*.whl")
    return built


def test_the_wheel_serves_the_page_from_a_venv_of_its_own(
    wheel: Path, tmp_path: Path, visit: Visit
) -> None:
    """Limner itself comes from the wheel; only what it depends on is lent by our environment."""
    venv = tmp_path / "venv"
    ran(sys.executable, "-m", "venv", "--without-pip", venv)
    python = venv / "bin" / "python"
    pip = (sys.executable, "-m", "pip", "--python", python, "install", "--quiet")
    ran(*pip, "--no-deps", "--no-index", "--disable-pip-version-check", wheel)
    (packages,) = venv.glob("lib/python*/site-packages")
    (packages / "lent.pth").write_text(sysconfig.get_path("purelib"))
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    env |= {"LIMNER_HOME": str(tmp_path / "home"), "PYTHONSAFEPATH": "1"}
    where = "import limner, sys; sys.exit(not limner.__file__.startswith(sys.prefix))"
    ran(python, "-c", where, env=env)
    log = tmp_path / "log"
    with log.open("w") as said:
        serving = subprocess.Popen(
            [venv / "bin" / "limner", "serve", "--port", "0", "--no-worker"],
            env=env,
            cwd=tmp_path,
            stderr=said,
        )
    try:
        base = eventually(lambda: re.findall(r"http://\S+", log.read_text()))[0]
        page = visit(base=base)
        expect(page.get_by_role("heading", name="Face to Sticker")).to_be_visible()
        expect(page.get_by_alt_text("Your photo")).not_to_have_js_property("naturalWidth", 0)
    finally:
        serving.terminate()
        serving.wait(30)


def test_the_wheel_holds_the_page(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        inside = {
            name.removeprefix("limner/playground/"): archive.read(name)
            for name in archive.namelist()
            if name.startswith("limner/playground/")
        }
    assert inside == files(PLAYGROUND)
