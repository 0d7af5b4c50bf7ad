"""Traces, as a real OTLP/HTTP collector gets them from a real server and its worker."""

from __future__ import annotations

import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from limner.tracing import open_tracing
from tests.rig.process import Server, eventually

QUEUE = "/queue.fal.run/limner/metronome"


class Collector:
    """Takes spans at ``/v1/traces`` and webhooks at ``/hook``; close it."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.raw = b""
        self.services: set[str] = set()
        self.hooks = 0
        collector = self

        class Inlet(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.path == "/v1/traces":
                    collector.take(body)
                else:
                    collector.hooks += 1
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Inlet)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()
        self.base = f"http://127.0.0.1:{self._server.server_address[1]}"

    def take(self, body: bytes) -> None:
        self.raw += body
        for each in ExportTraceServiceRequest.FromString(body).resource_spans:
            self.services.add(said(each.resource)["service.name"])
            for scope in each.scope_spans:
                self.spans += scope.spans

    def of(self, trace_id: str) -> dict[str, Span]:
        """A trace's spans by name."""
        return {each.name: each for each in self.spans if each.trace_id.hex() == trace_id}

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def said(holder: Any) -> dict[str, Any]:
    """Its attributes."""
    return {
        each.key: getattr(each.value, each.value.WhichOneof("value")) for each in holder.attributes
    }


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    running = Collector()
    yield running
    running.close()


@pytest.fixture(scope="module")
def traced(collector: Collector, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    env = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.base,
        "OTEL_BSP_SCHEDULE_DELAY": "100",
        # FastAPI would tell of every call, with its whole address.
        "FASTAPI_OTEL_AUTO_CONFIGURE": "true",
    }
    server = Server(tmp_path_factory.mktemp("home"), env=env)
    yield server
    server.stop()


def submitted(server: Server, flags: str = "01", hook: str = "", **given: object) -> str:
    """The id of the trace that a request was sent in."""
    trace_id = secrets.token_hex(16)
    server.post(
        QUEUE + (f"?fal_webhook={hook}" if hook else ""),
        json=given,
        headers={
            "traceparent": f"00-{trace_id}-00000000000000ab-{flags}",
            "authorization": "Key an-id:a-hushed-secret",
        },
    ).raise_for_status()
    return trace_id


def test_a_requests_life_is_one_trace_with_its_callers(
    traced: Server, collector: Collector, tmp_path: Path
) -> None:
    before = time.time_ns()
    journal = tmp_path / "a-hushed-input"
    hook = f"{collector.base}/hook/a-hushed-address"
    trace_id = submitted(traced, hook=hook, steps=2, pause=0.1, journal=str(journal))
    eventually(lambda: set(collector.of(trace_id)) == {"accept", "queue", "draw", "webhook"})
    spans = collector.of(trace_id)
    accept, queue, draw, webhook = (spans[n] for n in ("accept", "queue", "draw", "webhook"))
    assert accept.parent_span_id.hex() == "00000000000000ab"
    assert {each.parent_span_id for each in (queue, draw, webhook)} == {accept.span_id}
    assert [each.kind for each in (accept, queue, draw, webhook)] == [2, 1, 5, 3]
    began = [each.start_time_unix_nano for each in (accept, queue, draw, webhook)]
    assert before <= began[0] <= began[1] <= began[2] <= began[3] <= time.time_ns()
    assert draw.end_time_unix_nano - draw.start_time_unix_nano >= 200_000_000
    assert queue.end_time_unix_nano <= draw.start_time_unix_nano
    # What a step said, up to its colon.
    told = [(each.name, said(each)["limner.message"]) for each in draw.events]
    assert told == [
        ("step", "Drawn by the sketch engine"),
        ("step", "step 1 of 2"),
        ("step", "step 2 of 2"),
    ]
    request_id = said(accept)["limner.request_id"]
    assert said(draw) == {
        "limner.endpoint": "limner/metronome",
        "limner.request_id": request_id,
        "limner.attempt": 1,
        "limner.engine": "sketch",
        "limner.status": 200,
    }
    assert (said(webhook)["limner.status"], collector.hooks) == (200, 1)
    assert {each.name for each in collector.spans} == {"accept", "queue", "draw", "webhook"}
    assert collector.services == {"limner"}
    assert b"hushed" not in collector.raw
    assert b"http://" not in collector.raw


def test_what_goes_wrong_is_told_by_its_type_alone(traced: Server, collector: Collector) -> None:
    ids = {
        "face_detection_error": submitted(traced, ending="no face"),
        "error": submitted(traced, ending="badly"),
    }
    for fault, trace_id in ids.items():
        eventually(lambda trace_id=trace_id: "draw" in collector.of(trace_id))
        draw = collector.of(trace_id)["draw"]
        assert said(draw)["error.type"] == fault
        assert (draw.status.code, draw.status.message) == (Status.STATUS_CODE_ERROR, "")
    assert b"a secret" not in collector.raw


def test_a_caller_who_does_not_sample_is_not_recorded(traced: Server, collector: Collector) -> None:
    quiet = submitted(traced, flags="00", steps=1)
    loud = submitted(traced, steps=1)
    # In one queue: what came after it has been told.
    eventually(lambda: "draw" in collector.of(loud))
    assert collector.of(quiet) == {}


def test_a_collector_that_is_away_holds_nothing_up(tmp_path: Path) -> None:
    env = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9",
        "OTEL_EXPORTER_OTLP_TIMEOUT": "1",
        "OTEL_BSP_SCHEDULE_DELAY": "100",
    }
    server = Server(tmp_path, env=env)
    answer = server.post("/fal.run/limner/metronome", json={"steps": 1})
    assert answer.json()["steps"] == 1
    eventually(lambda: '"spans_not_sent"' in server.log.read_text())
    server.stop()
    # One line a minute from the server and one from its worker, and nothing else of it.
    assert 1 <= server.log.read_text().count("spans_not_sent") <= 2
    assert "Traceback" not in server.log.read_text()


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://c"},
        {"OTEL_SDK_DISABLED": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://c"},
        {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://c"},
        {"OTEL_TRACES_EXPORTER": "zipkin"},
        {"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://c"},
    ],
)
def test_who_does_not_ask_for_traces_gets_none(environment: dict[str, str]) -> None:
    assert open_tracing(environment) is None


def test_without_the_package_there_are_no_traces_and_the_log_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    assert open_tracing({"OTEL_TRACES_EXPORTER": "otlp"}) is None
    assert "limner[otel]" in capsys.readouterr().out


def test_no_sdk_is_imported_unasked() -> None:
    # FastAPI imports OpenTelemetry's API where it is installed, which does nothing without the SDK.
    program = (
        "import sys, limner.cli.serve, limner.cli.work\n"
        "from limner.tracing import open_tracing\n"
        "assert open_tracing({}) is None\n"
        "print([name for name in sys.modules if name.startswith('opentelemetry.sdk')])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.stdout.strip(), done.returncode) == ("[]", 0), done.stderr
