"""Every knob an operator may turn, read once at the door.

``LIMNER_*`` variables go before secrets mounted as files, those before ``limner.toml``, and that
before the defaults; a variable or a line that is no setting is refused. Only ``limner.cli``
imports this module; everything below receives plain values.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

import platformdirs
from pydantic import Field, SecretStr, ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SecretsSettingsSource,
    SettingsConfigDict,
)

from limner.errors import Misconfigured
from limner.settings_file import CONFIG_VARIABLE, PREFIX, SettingsFile, unknown_variables
from limner.suggest import did_you_mean

MIB = 1024 * 1024


#: Settings whose value is never told: they may hold a password.
SECRET = frozenset({"database_url"})


def default_home() -> Path:
    """Where this user's programs keep their own files."""
    return Path(platformdirs.user_data_dir("limner", appauthor=False))


def secret_folders() -> list[Path]:
    """Where Docker, Kubernetes and systemd put secrets as files, as far as there are any."""
    named = [Path("/run/secrets"), Path(os.environ.get("CREDENTIALS_DIRECTORY", "/run/secrets"))]
    return [folder for folder in dict.fromkeys(named) if folder.is_dir()]


class Settings(BaseSettings):
    """The environment and ``limner.toml``, as Limner understands them."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True)

    home: Path = Field(default_factory=default_home, description="All state lives here.")
    database_url: SecretStr | None = Field(
        default=None,
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
    workers: int = Field(
        default=1, ge=0, le=64, description="Worker processes that `serve` keeps alive."
    )
    slots: int = Field(default=2, ge=1, le=64, description="Requests one worker draws at once.")
    threads: int = Field(default=2, ge=1, le=64, description="Threads one network may use.")
    compile: bool = Field(
        default=True,
        description="Compile networks for this device (CUDA graphs and inductor, OpenVINO).",
    )
    share_caches: bool = Field(
        default=True,
        description="May what was read of one key's text and photos serve another's requests?",
    )
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
        default=50 * MIB, gt=0, description="Largest picture or archive, by URL or in the body."
    )
    max_upload_bytes: int = Field(default=512 * MIB, gt=0, description="Largest uploaded file.")
    upload_quota: int = Field(
        default=0, ge=0, description="Bytes kept for one key before it may upload no more; 0: any."
    )
    download_timeout: float = Field(
        default=10, gt=0, description="Seconds one download may take in all."
    )
    max_pixels: int = Field(
        default=64_000_000, gt=0, description="Most pixels of a picture, given or drawn."
    )
    bases_quota: int = Field(
        default=100 * 10**9,
        gt=0,
        description="Bytes that base models pulled besides the default ones may have in all.",
    )
    strict: bool = Field(
        default=False,
        description="Refuse fields that fal does not have, Limner's own extras among them?",
    )
    ai_mark: bool = Field(
        default=True,
        description="Do pictures say in their metadata that AI made them, as laws ask?",
    )
    c2pa: Path | None = Field(
        default=None,
        description="Folder with certificates.pem and key.pem to sign pictures with; empty: none.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="How much the server says on standard error."
    )

    def __init__(self, **given: Any) -> None:
        """``given`` goes before all else. Raises Misconfigured, with a line for every problem."""
        try:
            super().__init__(**given)
        except ValidationError as error:
            file = SettingsFile.find()
            lines = [_complaint(detail, file) for detail in error.errors(include_url=False)]
            raise Misconfigured("\n".join(lines)) from None

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - pydantic's signature
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Where values come from, first to last. Raises Misconfigured for what is no setting."""
        names = list(cls.model_fields)
        variables = unknown_variables(names)
        file = SettingsFile.find()
        said = {} if file is None else file.read()
        lines = [_no_variable(name, names) for name in variables]
        lines += [
            f"{file}: {key} is no setting.{did_you_mean(key, names)}"
            for key in said
            if key not in names
        ]
        if lines:
            raise Misconfigured("\n".join([*lines, f"There are {', '.join(names)}."]))
        for name in ("home", "c2pa"):
            if file is not None and isinstance(said.get(name), str):
                said[name] = file.place(said[name])
        secrets = SecretsSettingsSource(settings_cls, secrets_dir=secret_folders())
        return init_settings, env_settings, secrets, InitSettingsSource(settings_cls, said)


def origin(name: str, file: SettingsFile | None) -> str:
    """Where the value of a setting comes from: a variable, a file's path, or ``default``."""
    variables = {variable.upper(): variable for variable in os.environ}
    if (variable := f"{PREFIX}{name.upper()}") in variables:
        return variables[variable]
    for folder in secret_folders():
        if (secret := folder / f"{PREFIX}{name}".lower()).is_file():
            return str(secret)
    if file is not None and name in file.read():
        return str(file)
    return "default"


def _complaint(detail: ErrorDetails, file: SettingsFile | None) -> str:
    """One wrong value: which setting, where it stands, what is wrong with it."""
    name = str(detail["loc"][0])
    where = origin(name, file)
    place = where if where.upper().startswith(PREFIX) else f"{where}: {name}"
    if name in SECRET:
        return f"{place}: {detail['msg']}"
    return f"{place}: {detail['msg']}, not {detail['input']!r}"


def _no_variable(variable: str, names: Iterable[str]) -> str:
    known = [f"{PREFIX}{name.upper()}" for name in names] + [CONFIG_VARIABLE]
    return f"{variable} is no setting.{did_you_mean(variable, known)}"
