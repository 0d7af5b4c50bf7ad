"""How long an upload may take: a whole file begins within the hour, parts may come for a day."""

from __future__ import annotations

import jwt

from limner.requests.keyring import Secret
from limner.requests.ledger import Ledger
from tests.rig.process import Server
from tests.server.storage_calls import MEDIA, initiate, path_of


def aged(server: Server, ticket: str, hours: float) -> str:
    """A ticket of this server's as it would be had it been made so many hours ago."""
    with Ledger(f"sqlite:///{server.home / 'limner.db'}") as ledger:
        key = ledger.secret(Secret.UPLOADS).result()
    claims = jwt.decode(ticket, key, algorithms=["HS256"])
    return jwt.encode({**claims, "exp": claims["exp"] - hours * 3600}, key, algorithm="HS256")


def test_an_upload_in_parts_goes_on_after_an_hour_and_ends_with_the_stores_parts(
    server: Server,
) -> None:
    """Both dialects. What is begun is not begun again by each part, nor by joining them."""
    upload, file = initiate(server, "initiate-multipart")
    base, _, ticket = upload.rpartition("/")
    headers = {"content-type": "image/png", "x-fal-file-name": "large.png"}
    begun = server.call("POST", f"{MEDIA}/files/upload/multipart", headers=headers).json()
    other = path_of(server, begun["access_url"])
    for place, told, where in (
        (base, ticket, file),
        (f"{other}/multipart", begun["uploadId"], other),
    ):
        assert server.call("PUT", f"{place}/{told}/1", content=b"one,").status_code == 200
        late, too_late = aged(server, told, 23), aged(server, told, 25)
        assert server.call("PUT", f"{place}/{late}/2", content=b"two").status_code == 200
        assert server.call("PUT", f"{place}/{too_late}/2", content=b"two").status_code == 401
        parts = {"parts": [{"partNumber": 1}, {"partNumber": 2}]}
        assert server.post(f"{place}/{too_late}/complete", json=parts).status_code == 401
        assert server.post(f"{place}/{late}/complete", json=parts).status_code == 200
        assert server.get(where).content == b"one,two"


def test_a_whole_file_begins_within_the_hour(server: Server) -> None:
    upload, _ = initiate(server)
    base, _, ticket = upload.rpartition("/")
    late = aged(server, ticket, 1.1)
    assert server.call("PUT", f"{base}/{late}", content=b"x").status_code == 401
