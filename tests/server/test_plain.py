"""The hot routes answer, refuse and fail as every other route does."""

from __future__ import annotations

import asyncio

import httpx2
import pytest
from fastapi import FastAPI
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request

from limner.errors import Refused
from limner.files.store import StoreAway
from limner.requests.connections import Unreachable
from limner.server import problems
from limner.server.guards import GUARDS, Guards
from limner.server.plain import PlainRoutes, plain

SECRET = "a word of the caller's"

FAULTS = {
    "refused": Refused(429, "Too many", headers={"retry-after": "5"}),
    "none": HTTPException(404),
    "database": Unreachable(SECRET),
    "store": StoreAway(SECRET),
    "ours": RuntimeError(SECRET),
}


async def hello(call: Request, name: str) -> Response:
    """Say what was called."""
    return JSONResponse({"hello": name, "said": (await call.body()).decode()})


async def fail(_: Request, name: str) -> Response:
    """Fail as told."""
    raise FAULTS[name]


def app(*, hot: bool) -> FastAPI:
    """The same routes, by the middleware or by FastAPI's router alone."""
    routes = [plain("/hello/{name}", hello, "POST"), plain("/fail/{name}", fail, "GET")]
    middleware = [Middleware(Guards), *([Middleware(PlainRoutes, routes=routes)] if hot else [])]
    made = FastAPI(middleware=middleware, openapi_url=None)
    problems.install(made)
    made.router.routes[:0] = routes
    return made


def answer(method: str, path: str, content: bytes = b"") -> tuple[int, object]:
    """What the middleware answers, having checked that the router says the same."""

    async def ask(*, hot: bool) -> tuple[int, object, dict[str, str]]:
        transport = httpx2.ASGITransport(app(hot=hot), raise_app_exceptions=False)
        async with httpx2.AsyncClient(transport=transport, base_url="http://here") as client:
            came = await client.request(method, path, content=content)
        assert GUARDS.items() <= dict(came.headers).items()
        return came.status_code, came.json(), dict(came.headers)

    told = asyncio.run(ask(hot=True))
    assert told == asyncio.run(ask(hot=False))
    return told[:2]


def test_a_call_is_answered_with_its_body_and_path() -> None:
    assert answer("POST", "/hello/you", b"there") == (200, {"hello": "you", "said": "there"})


@pytest.mark.parametrize(
    ("fault", "status"),
    [("refused", 429), ("none", 404), ("database", 503), ("store", 503), ("ours", 500)],
)
def test_every_fault_is_told_as_by_any_route(fault: str, status: int) -> None:
    code, body = answer("GET", f"/fail/{fault}")
    assert code == status
    assert SECRET not in str(body)


def test_what_is_no_hot_call_goes_on() -> None:
    assert answer("GET", "/hello/you")[0] == 405
    assert answer("GET", "/elsewhere")[0] == 404


def test_a_hot_call_does_not_reach_the_application() -> None:
    async def untouched(*_: object) -> None:
        raise AssertionError

    routes = [plain("/hello/{name}", hello, "POST")]

    async def ask() -> int:
        transport = httpx2.ASGITransport(PlainRoutes(untouched, routes))
        async with httpx2.AsyncClient(transport=transport, base_url="http://here") as client:
            with pytest.raises(AssertionError):
                await client.get("/hello/you")
            return (await client.post("/hello/you")).status_code

    assert asyncio.run(ask()) == 200
