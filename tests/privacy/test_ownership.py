"""What one key made is nothing to another: no route reads, lists, stops, repeats or deletes it.

The routes are those of the app itself, so a new one that names something cannot be forgotten here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from fastapi.routing import iter_route_contexts

from tests.docs.whole import whole_app
from tests.privacy.outside import Outside
from tests.rig.process import Server, eventually
from tests.server.test_realtime import connect

APP = "limner/metronome"
DESK, PLATFORM = "/limner/v1", "/api.fal.ai/v1/models"

#: Every route on which a request, a file or a key is named: method, path as it is called, answer
#: to a stranger. A request of somebody else's is as one that never was.
NAMED = {
    ("GET", f"{DESK}/requests/{{request_id}}"): 404,
    ("POST", f"{DESK}/requests/{{request_id}}/cancel"): 404,
    ("POST", f"{DESK}/requests/{{request_id}}/retry"): 404,
    ("POST", f"{DESK}/requests/{{request_id}}/redeliver"): 404,
    ("DELETE", f"{DESK}/requests/{{request_id}}"): 404,
    ("DELETE", f"{DESK}/files/{{name}}"): 404,
    ("DELETE", f"{DESK}/keys/{{key_id}}"): 403,
    ("DELETE", f"{PLATFORM}/requests/{{request_id}}/payloads"): 404,
    ("GET", f"/queue.fal.run/{APP}/requests/{{request_id}}/status/stream"): 404,
    ("GET", f"/queue.fal.run/{APP}/requests/{{request_id}}/status"): 404,
    ("GET", f"/queue.fal.run/{APP}/requests/{{request_id}}/status?logs=1"): 404,
    ("PUT", f"/queue.fal.run/{APP}/requests/{{request_id}}/cancel"): 404,
    ("GET", f"/queue.fal.run/{APP}/requests/{{request_id}}/response"): 404,
    ("GET", f"/queue.fal.run/{APP}/requests/{{request_id}}"): 404,
}

#: Routes with a name in them that is nobody's own, or that is a permission by itself.
OPEN = re.compile(
    r"/limner/v1/models/|/@site/|/@media/|/@run/|/@ws/|/@queue/\{app:path\}$"
    # The fallback of a request's paths, which answers 404 or 405 to anyone.
    r"|/@queue/.*/\{rest:path\}$"
)

#: Lists, and where in them the things are.
LISTS = {
    f"{DESK}/requests": "requests",
    f"{DESK}/webhooks": "webhooks",
    f"{DESK}/files": "files",
    f"{PLATFORM}/requests/by-endpoint?endpoint_id={APP}&expand=payloads": "items",
}

#: For an admin alone.
CLOSED = (
    ("GET", f"{DESK}/files?whose=all"),
    ("DELETE", f"{DESK}/files?whose=all"),
    ("GET", f"{DESK}/keys"),
    ("POST", f"{DESK}/keys"),
    ("GET", f"{DESK}/system"),
    ("POST", f"{DESK}/system/renew"),
    ("GET", f"{DESK}/models"),
    ("GET", "/metrics"),
)


@dataclass
class House:
    """A server with an owner who has a bit of everything, and a stranger."""

    server: Server
    admin: dict[str, str]
    owner: dict[str, str]
    stranger: dict[str, str]
    #: What stands in the braces of NAMED: an ended request, its picture, the owner's key.
    names: dict[str, str]

    def call(self, method: str, path: str, who: dict[str, str]) -> Any:
        body: dict[str, object] | None = {} if method == "POST" else None
        return self.server.call(method, path.format(**self.names), headers=who, json=body)

    def known(self) -> list[Any]:
        """Everything that the owner finds in its lists."""
        return [self.server.get(path, headers=self.owner).json()[of] for path, of in LISTS.items()]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    outside = Outside()
    server = Server(tmp_path_factory.mktemp("owned"))
    admin = server.post(f"{DESK}/keys", json={"scope": "admin"}).json()["key"]
    by_admin = {"authorization": f"Key {admin}"}

    def key() -> str:
        return server.post(f"{DESK}/keys", json={"scope": "api"}, headers=by_admin).json()["key"]

    keys = key(), key()
    owner, stranger = ({"authorization": f"Key {each}"} for each in keys)
    asked = server.post(
        f"/queue.fal.run/{APP}?fal_webhook={outside.url}/hook",
        json={"steps": 1},
        headers={**owner, "idempotency-key": "the same"},
    )
    request_id = asked.json()["request_id"]
    eventually(lambda: bool(outside.hooks))
    answer = server.get(f"/queue.fal.run/{APP}/requests/{request_id}", headers=owner).json()
    names = {
        "request_id": request_id,
        "name": answer["image"]["url"].rpartition("/")[2],
        "key_id": keys[0].partition(":")[0],
    }
    yield House(server, by_admin, owner, stranger, names)
    server.stop()
    outside.close()


def test_every_route_that_names_something_is_tried_here() -> None:
    tried = {
        (method, re.sub(r"^/(\w+)\.fal\.(run|ai)(?=/)", r"", path.partition("?")[0]))
        for method, path in NAMED
    }
    for route in iter_route_contexts(whole_app().routes):
        path = route.path or ""
        if "{" not in path or OPEN.match(path):
            continue
        called = re.sub(r"^/@\w+", "", path).replace("{app:path}", APP)
        assert set(route.methods or ()) & {m for m, p in tried if p == called}, path


@pytest.mark.parametrize(("method", "path"), NAMED)
def test_a_stranger_gets_nothing_from_a_name(house: House, method: str, path: str) -> None:
    before = house.known()
    assert house.call(method, path, house.stranger).status_code == NAMED[method, path]
    assert house.call(method, path, {}).status_code == 401
    assert house.known() == before
    assert all(before)


@pytest.mark.parametrize("path", LISTS)
def test_a_stranger_finds_nothing_in_a_list(house: House, path: str) -> None:
    of = LISTS[path]
    assert house.server.get(path, headers=house.owner).json()[of]
    assert house.server.get(path, headers=house.stranger).json()[of] == []
    assert house.server.get(path).status_code == 401
    # Nor by asking for it by its name.
    asked = f"{path}{'&' if '?' in path else '?'}text={house.names['request_id']}"
    asked += f"&request_id={house.names['request_id']}"
    assert house.server.get(asked, headers=house.stranger).json()[of] == []


@pytest.mark.parametrize(("method", "path"), CLOSED)
def test_only_an_admin_sees_beyond_its_own(house: House, method: str, path: str) -> None:
    before = house.known()
    assert house.call(method, path, house.stranger).status_code == 403
    assert house.known() == before


def test_deleting_all_of_ones_own_files_leaves_those_of_others(house: House) -> None:
    before = house.known()
    gone = house.call("DELETE", f"{DESK}/files", house.stranger)
    assert (gone.status_code, gone.json()["deleted"]) == (200, 0)
    assert house.known() == before


def test_the_same_idempotency_key_of_another_key_is_another_request(house: House) -> None:
    said = {**house.stranger, "idempotency-key": "the same"}
    asked = house.server.post(f"/queue.fal.run/{APP}", json={"steps": 0}, headers=said)
    assert asked.json()["request_id"] != house.names["request_id"]


def test_what_is_drawn_over_a_line_is_its_keys_alone(house: House) -> None:
    for path in (f"/fal.run/{APP}/realtime", f"/ws.fal.run/{APP}"):
        before = house.known()
        with connect(house.server, path, additional_headers=house.stranger) as line:
            # An id in a message is an echo, and names nobody's request.
            line.send(json.dumps({"steps": 0, "request_id": house.names["request_id"]}))
            told = str(line.recv(20))
        assert house.names["name"] not in told
        assert house.known() == before
        with connect(house.server, path, additional_headers=house.owner) as line:
            line.send('{"steps": 0}')
            request_id = json.loads(line.recv(20))["request_id"]
        asked = f"/queue.fal.run/{APP}/requests/{request_id}"
        assert house.server.get(asked, headers=house.owner).status_code == 200
        assert house.server.get(asked, headers=house.stranger).status_code == 404


def test_a_browsers_token_reaches_requests_of_its_application_and_nothing_else(
    house: House,
) -> None:
    """It is given to a page, which is not to read or delete all that its key ever made."""

    def token(app: str) -> str:
        asked = {"allowed_apps": [app], "token_expiration": 120}
        return house.server.post("/rest.fal.ai/tokens/", json=asked, headers=house.owner).json()

    mine = f"/queue.fal.run/{APP}/requests/{house.names['request_id']}?fal_jwt_token="
    assert house.server.get(mine + token("metronome")).status_code == 200
    assert house.server.get(mine + token("face-to-sticker")).status_code == 403
    before = house.known()
    beyond = [route for route in NAMED if "/queue.fal.run/" not in route[1]]
    for method, path in [*beyond, *(("GET", path) for path in LISTS), *CLOSED]:
        joined = f"{path}{'&' if '?' in path else '?'}fal_jwt_token={token('metronome')}"
        assert house.call(method, joined, {}).status_code == 403, path
    assert house.known() == before
