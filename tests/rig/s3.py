"""A real S3 over HTTP for tests: moto's server, on loopback, gone with them."""

from __future__ import annotations

import socket
import subprocess
import sys
from itertools import count
from typing import Any

import boto3
import httpx2

from tests.rig.process import eventually


class S3:
    """moto's server in a process of its own; stop it."""

    def __init__(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self.process = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.port)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._names = count()
        eventually(self._answers)

    @property
    def environment(self) -> dict[str, str]:
        """What tells a client where it is, and who it is."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ALLOW_HTTP": "true",
            "AWS_ACCESS_KEY_ID": "limner",
            "AWS_SECRET_ACCESS_KEY": "hush",
            "AWS_REGION": "us-east-1",
        }

    def new_bucket(self) -> str:
        """The name of a fresh, empty bucket."""
        name = f"limner-{next(self._names)}"
        httpx2.put(f"{self.endpoint}/{name}").raise_for_status()
        return name

    def objects(self, bucket: str) -> dict[str, bytes]:
        """Every object of a bucket, read with Amazon's own client."""
        client: Any = boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            region_name="us-east-1",
            aws_access_key_id="limner",
            aws_secret_access_key="hush",
        )
        listed = client.list_objects_v2(Bucket=bucket).get("Contents", [])
        return {
            each["Key"]: client.get_object(Bucket=bucket, Key=each["Key"])["Body"].read()
            for each in listed
        }

    def stop(self) -> None:
        """End it."""
        self.process.terminate()
        self.process.wait(30)

    def _answers(self) -> bool:
        if self.process.poll() is not None:
            raise AssertionError(f"moto's server ended with {self.process.returncode}")
        try:
            return httpx2.get(self.endpoint).status_code == 200
        except httpx2.ConnectError:
            return False
