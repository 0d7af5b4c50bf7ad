"""One bucket of any S3: opened by its address, and what its faults mean.

Credentials and the server's address come from the environment, as every S3 client takes them
(``AWS_*``). Knows obstore; knows no file.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

from limner.errors import OurFault
from limner.files.store import StoreAway

if TYPE_CHECKING:
    from obstore.store import ObjectStore


class NoStoreClient(OurFault):
    """S3 is asked for and obstore is not installed."""


class BadFilesUrl(OurFault):
    """The address of the file store is not one that can be used."""


def open_bucket(url: str) -> ObjectStore:
    """``s3://bucket/prefix`` as obstore's. Raises BadFilesUrl, NoStoreClient."""
    if not url.startswith("s3://") or not url[5:].partition("/")[0]:
        raise BadFilesUrl("LIMNER_FILES_URL must be s3://bucket or s3://bucket/prefix")
    try:
        from obstore.store import from_url
    except ImportError:
        raise NoStoreClient("S3 needs obstore: pip install 'limner[scale]'") from None
    return from_url(
        url.rstrip("/"),
        retry_config={"max_retries": 4, "retry_timeout": timedelta(seconds=20)},
    )


@contextmanager
def asking() -> Generator[None]:
    """Around calls of S3. Raises StoreAway where it cannot be reached, or fails each time."""
    from obstore.exceptions import GenericError

    try:
        yield
    except GenericError as fault:
        raise StoreAway("The file store does not answer") from fault
