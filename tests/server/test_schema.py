"""Our own OpenAPI documents turned against a running server by schemathesis.

What is asked is generated from the documents, half of it against them. The answers that a
document describes must have its shape, and nothing that is asked may be our fault.
"""

from __future__ import annotations

from typing import Any

import httpx2
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import response_schema_conformance

from limner.endpoints import ENDPOINTS
from tests.rig.process import Server, eventually

IDS = [endpoint.id for endpoint in ENDPOINTS]
MODES = [GenerationMode.POSITIVE, GenerationMode.NEGATIVE]

#: fal's documents describe the answer to what went well, and no other status.
CHECKS: Any = [not_a_server_error, response_schema_conformance]

#: fal's types for a file, a face or an amount of work: no schema can say those.
BEYOND_A_SCHEMA = {
    "file_download_error", "file_too_large", "image_load_error", "invalid_archive",
    "feature_not_supported", "face_detection_error", "value_error",
}  # fmt: skip

#: Always the same calls, and no time limit: the machine may be busy.
ASKED = settings(
    max_examples=25,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow],
)


def operations(server: Server, endpoint: str) -> dict[str, Any]:
    """The document's operations by what their path ends with, as a client gets them."""
    path = f"/fal.ai/api/openapi/queue/openapi.json?endpoint_id={endpoint}"
    document = server.get(path).json()
    # The document names the server by the road it was asked on.
    assert document["servers"] == [{"url": f"{server.base}/queue.fal.run"}]
    read: Any = schemathesis.openapi.from_dict(document)
    found = [each.ok() for each in read.get_all_operations()]
    return {each.path.rpartition("/")[2]: each for each in found}


def drive(operation: Any, mode: GenerationMode, server: Server) -> list[tuple[Any, Any]]:
    """Make the calls that are generated for an operation; each with its answer."""
    calls: list[tuple[Any, Any]] = []

    @ASKED
    @given(operation.as_strategy(generation_mode=mode))
    def call(case: schemathesis.Case) -> None:
        base = f"{server.base}/queue.fal.run"
        calls.append((case, case.call_and_validate(base_url=base, checks=CHECKS, timeout=30)))

    call()
    return calls


@pytest.mark.parametrize("endpoint", IDS)
@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.value)
def test_what_is_submitted_by_the_document_or_against_it_ends_in_the_callers_words(
    server: Server, endpoint: str, mode: GenerationMode
) -> None:
    found = operations(server, endpoint)
    calls = drive(found[endpoint.rpartition("/")[2]], mode, server)
    assert len(calls) >= 15
    for case, submitted in calls:
        # wire.md 4.2 and docs/decisions/0001: what will do for the queue is accepted by it.
        if submitted.status_code == 422:
            assert_well_formed(submitted.json()["detail"])
            continue
        assert submitted.status_code == 200
        url = f"/queue.fal.run/{endpoint}/requests/{submitted.json()['request_id']}"
        result = eventually(lambda url=url: ended(server, url))
        found["status"].validate_response(server.get(f"{url}/status?logs=1"))
        if result.status_code == 200:
            found["{request_id}"].validate_response(result)
            continue
        assert result.status_code == 422, result.text
        types = assert_well_formed(result.json()["detail"])
        if mode is GenerationMode.POSITIVE:
            # One truth: what the document allows is refused by no rule that it could say.
            assert types <= BEYOND_A_SCHEMA, (case.body, result.text)


@pytest.mark.parametrize("endpoint", IDS)
@pytest.mark.parametrize(
    ("end", "mode"),
    [
        ("status", GenerationMode.POSITIVE),
        ("status", GenerationMode.NEGATIVE),
        # Any text is a request's id: nothing can go against the document here.
        ("cancel", GenerationMode.POSITIVE),
        ("{request_id}", GenerationMode.POSITIVE),
    ],
)
def test_asking_for_any_request_is_never_our_fault(
    server: Server, endpoint: str, end: str, mode: GenerationMode
) -> None:
    operation = operations(server, endpoint)[end]
    statuses = {answer.status_code for _, answer in drive(operation, mode, server)}
    assert statuses <= {400, 404, 405}


def ended(server: Server, url: str) -> httpx2.Response | None:
    """The result, once there is one."""
    answer = server.get(url)
    return None if answer.status_code in (202, 400) else answer


def assert_well_formed(detail: list[dict[str, Any]]) -> set[str]:
    """fal's entries (wire.md 4.2); the answer is their types."""
    assert detail
    for entry in detail:
        assert {"loc", "msg", "type", "url"} <= set(entry) <= {
            "loc", "msg", "type", "url", "ctx", "input",
        }  # fmt: skip
        assert entry["loc"][0] == "body"
        assert entry["url"].endswith("#" + entry["type"])
    return {entry["type"] for entry in detail}
