"""Websockets as fal's clients see them (wire.md 3.8): realtime, and HTTP over a websocket."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import msgpack  # pyright: ignore[reportMissingTypeStubs]
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection
from websockets.sync.client import connect as open_websocket

from tests.rig.process import ROOT, Server, eventually
from tests.server.conftest import new_key

METRONOME = "limner/metronome"


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that takes four mebibytes and no picture."""
    env = {"LIMNER_MAX_DOWNLOAD_BYTES": "1"}
    running = Server(tmp_path_factory.mktemp("small"), env=env)
    yield running
    running.stop()


def connect(server: Server, path: str, **options: Any) -> ClientConnection:
    return open_websocket(server.base.replace("http", "ws", 1) + path, proxy=None, **options)


def realtime(server: Server, query: str = "", **options: Any) -> ClientConnection:
    return connect(server, f"/fal.run/{METRONOME}/realtime{query}", **options)


def pack(message: Any) -> bytes:
    return msgpack.packb(message)  # pyright: ignore


def unpack(frame: str | bytes) -> Any:
    assert isinstance(frame, bytes)
    return msgpack.unpackb(frame)  # pyright: ignore


def refusal(server: Server, path: str, **options: Any) -> tuple[int, Any]:
    with pytest.raises(InvalidStatus) as refused:
        connect(server, path, **options)
    response = refused.value.response
    return response.status_code, json.loads(response.body or b"")


def test_a_map_in_is_a_map_out_with_its_request_id(server: Server) -> None:
    with realtime(server) as line:
        line.send(pack({"steps": 2, "request_id": "mine"}))
        first = unpack(line.recv(20))
        line.send(pack({"steps": 1}))
        second = unpack(line.recv(20))
    assert (first["steps"], first["request_id"]) == (2, "mine")
    assert second["steps"] == 1
    # Without an id of its own a message gets its request's, which the queue knows.
    status = server.get(f"/queue.fal.run/{METRONOME}/requests/{second['request_id']}/status")
    assert status.json()["status"] == "COMPLETED"


def test_json_is_answered_with_json(server: Server) -> None:
    with realtime(server) as line:
        line.send(json.dumps({"steps": 3}))
        told = line.recv(20)
    assert isinstance(told, str)
    assert json.loads(told)["steps"] == 3


def test_an_error_is_an_x_fal_error_and_the_line_stays_open(server: Server) -> None:
    wrong: list[bytes | str] = [
        pack({"steps": -1, "request_id": 7}),
        pack([1, 2]),
        b"\xc1",
        "{",
        pack({"ending": "no face"}),
        pack({"ending": "badly"}),
    ]
    told: list[dict[str, Any]] = []
    with realtime(server) as line:
        for message in wrong:
            line.send(message)
            frame = line.recv(20)
            # Control frames are JSON text also for those who speak msgpack.
            assert isinstance(frame, str)
            told.append(json.loads(frame))
        line.send(pack({"steps": 1}))
        assert unpack(line.recv(20))["steps"] == 1
    assert {error["type"] for error in told} == {"x-fal-error"}
    assert [error["error"] for error in told] == ["INVALID_INPUT"] * 5 + ["INTERNAL_ERROR"]
    assert told[0]["request_id"] == 7
    assert told[0]["reason"] == "steps: Input should be greater than or equal to 0"
    assert told[4]["reason"] == "picture: Could not detect face in the image"
    assert told[5]["reason"] == "Internal Server Error"


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (b'{"a":' * 100_000, "not valid msgpack"),
        ("[" * 100_000, "not valid JSON"),
        ('{"a":' * 300 + "1" + "}" * 300, "not valid JSON"),
        (b"\x81\xa1a" * 300 + b"\x01", "not valid msgpack"),
        (b"\x91" * 1_000_000, "not valid msgpack"),
        (b"\x81\xa1a\xdd\xff\xff\xff\xff", "not valid msgpack"),
        (b"\x81\x01\x01", "not valid msgpack"),
        (pack({"pause": float("nan")}), "not valid msgpack"),
        (pack({"pause": float("inf")}), "not valid msgpack"),
        (pack({"steps": msgpack.Timestamp(1, 2)}), "not valid msgpack"),
        (pack({"steps": msgpack.ExtType(5, b"x")}), "steps: Input should be a valid integer"),
        (pack({"steps": b"1"}), "steps: Input should be a valid integer"),
        ('{"pause": NaN}', "not valid JSON"),
        ('{"steps": ' + "9" * 5000 + "}", "not valid JSON"),
        ('{"steps": "\\ud800"}', "not valid JSON"),
        ('{"steps": 1, "steps": -1}', "greater than or equal to 0"),
        (b"\x82\xa5steps\x01\xa5steps\xff", "greater than or equal to 0"),
        ('{"request_id": 1e999, "steps": -1}', "greater than or equal to 0"),
        ('{"request_id": [{"a": 1e999}], "steps": -1}', "greater than or equal to 0"),
    ],
    ids=lambda said: repr(said[:20]),
)
def test_a_message_that_means_ill_is_told_and_the_line_stays_open(
    server: Server, message: str | bytes, reason: str
) -> None:
    with realtime(server) as line:
        line.send(message)
        told = line.recv(20)
        error = json.loads(told, parse_constant=lambda said: pytest.fail(said))
        assert (error["type"], error["error"]) == ("x-fal-error", "INVALID_INPUT")
        assert reason in error["reason"]
        line.send('{"steps": 3, "steps": 1}')  # of two equal keys the last counts, as at fal
        assert json.loads(line.recv(20))["steps"] == 1


def test_a_message_over_the_limit_ends_its_own_line_only(small: Server) -> None:
    # Deflated, a megabyte of zeros is a kilobyte: what counts is what it unpacks to.
    with realtime(small) as line:
        line.send(b"\x00" * 5_000_000)
        with pytest.raises(ConnectionClosed) as ended:
            line.recv(20)
    assert ended.value.rcvd is not None
    assert ended.value.rcvd.code == 1009
    with realtime(small) as line:
        line.send(pack({"steps": 0}))
        assert unpack(line.recv(20))["steps"] == 0


def test_with_max_buffering_the_oldest_waiting_message_is_dropped(server: Server) -> None:
    # fal's own app keeps inputs in a deque(maxlen=max_buffering) (fal/realtime.py).
    with realtime(server, "?max_buffering=1") as line:
        line.send(pack({"steps": 2, "pause": 0.3, "request_id": 0}))
        server.get("/health")  # time enough for the first to be taken up
        for number in (1, 2, 3):
            line.send(pack({"steps": 0, "request_id": number}))
        ids = [unpack(line.recv(20))["request_id"] for _ in range(2)]
        line.send(pack({"steps": 0, "request_id": 4}))
        ids.append(unpack(line.recv(20))["request_id"])
    assert ids == [0, 3, 4]


def test_without_it_none_is_dropped(server: Server) -> None:
    with realtime(server) as line:
        for number in range(5):
            line.send(pack({"steps": 0, "request_id": number}))
        assert [unpack(line.recv(20))["request_id"] for _ in range(5)] == [0, 1, 2, 3, 4]


def test_hanging_up_cancels(server: Server, tmp_path: Any) -> None:
    journal = tmp_path / "journal"
    with realtime(server) as line:
        line.send(pack({"steps": 2000, "pause": 0.02, "journal": str(journal)}))
        eventually(journal.exists)

    def stands_still() -> bool:
        before = journal.stat().st_size
        eventually(lambda: server.post(f"/{METRONOME}", json={"steps": 2, "pause": 0.1}))
        return journal.stat().st_size == before

    eventually(stands_still)


def test_http_over_a_websocket_frames_each_answer(server: Server) -> None:
    with connect(server, f"/ws.fal.run/{METRONOME}") as line:
        for payload, status in (({"steps": 1}, 200), ({"steps": -1}, 422)):
            line.send(json.dumps(payload))
            start, body, end = (json.loads(line.recv(20)) for _ in range(3))
            assert (start["type"], start["status"], end["type"]) == ("start", status, "end")
            assert start["request_id"] == end["request_id"]
            assert body["steps"] == 1 if status == 200 else body["detail"][0]["loc"][1] == "steps"


def test_what_cannot_be_is_refused_at_the_handshake(server: Server) -> None:
    nothing = refusal(server, "/fal.run/fal-ai/nothing/realtime")
    assert nothing == (404, {"detail": 'Application "nothing" not found'})
    path = refusal(server, f"/fal.run/{METRONOME}/sub/realtime")
    assert path == (404, {"detail": "Path /sub not found"})
    for wrong in ("61", "0", "%C2%B2", "9" * 5000, "1.5", ""):
        assert refusal(server, f"/fal.run/{METRONOME}/realtime?max_buffering={wrong}")[0] == 400


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, str]]:
    """A server that has a key, and the key."""
    running = Server(tmp_path_factory.mktemp("guarded"))
    made = subprocess.run(
        [sys.executable, "-m", "limner", "keys", "create"],
        cwd=ROOT,
        env={"LIMNER_HOME": str(running.home), "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=True,
    )
    yield running, made.stdout.strip()
    running.stop()


def test_only_a_key_or_a_token_in_scope_opens_the_line(guarded: tuple[Server, str]) -> None:
    server, key = guarded
    by_key = {"Authorization": f"Key {key}"}
    path = f"/fal.run/{METRONOME}/realtime"

    def token(app: str, life: float = 120) -> str:
        asked = {"allowed_apps": [app], "token_expiration": life}
        answer = server.post("/rest.fal.ai/tokens/", json=asked, headers=by_key)
        assert answer.status_code == 200
        return answer.json()

    with connect(server, path, additional_headers=by_key) as line:
        line.send(pack({"steps": 0}))
        assert unpack(line.recv(20))["steps"] == 0
    with connect(server, f"{path}?fal_jwt_token={token('metronome')}") as line:
        line.send(pack({"steps": 0}))
        assert unpack(line.recv(20))["steps"] == 0
    assert refusal(server, path)[0] == 401
    assert refusal(server, path, additional_headers={"Authorization": "Key a:b"})[0] == 401
    assert refusal(server, f"{path}?fal_jwt_token=nonsense")[0] == 401
    assert refusal(server, f"{path}?fal_jwt_token={token('face-to-sticker')}")[0] == 403
    late = token("metronome", 0.001)
    assert eventually(lambda: refusal(server, f"{path}?fal_jwt_token={late}"))[0] == 401


@pytest.mark.parametrize("path", [f"/fal.run/{METRONOME}/realtime", f"/ws.fal.run/{METRONOME}"])
def test_a_line_draws_nothing_more_when_its_key_is_revoked(
    guarded: tuple[Server, str], path: str
) -> None:
    server, _ = guarded
    key, admin = new_key(server.home, "api"), new_key(server.home, "admin")

    def drawn() -> int:
        return len(server.get("/limner/v1/requests", headers=admin).json()["requests"])

    with connect(server, path, additional_headers=key) as line:
        line.send('{"steps": 0}')
        assert "image" in "".join(str(line.recv(20)) for _ in range(3 if "/ws." in path else 1))
        before = drawn()
        mine = key["authorization"].removeprefix("Key ").partition(":")[0]
        server.call("DELETE", f"/limner/v1/keys/{mine}", headers=admin).raise_for_status()
        line.send('{"steps": 0}')
        assert json.loads(line.recv(20)).items() >= {"request_id": ""}.items()
    assert drawn() == before


def test_a_page_of_another_site_cannot_open_a_keyless_line(server: Server) -> None:
    # CORS does not cover websockets, so the handshake itself looks at Origin (decision 0003).
    path = f"/fal.run/{METRONOME}/realtime"
    assert refusal(server, path, origin="https://evil.example.com.co")[0] == 403
    with connect(server, path, origin="http://localhost:3000") as line:
        line.send(pack({"steps": 0}))
        assert unpack(line.recv(20))["steps"] == 0
