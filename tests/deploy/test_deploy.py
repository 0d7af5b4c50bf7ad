"""What lies in ``deploy/`` and names things of ours: that there are such things.

No container engine, no cluster and no systemd run here; `make deploy-check` lints the files by
hadolint, yamllint and kubernetes-validate.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import typer
import yaml
from pydantic import SecretStr
from typer.testing import CliRunner

from limner.cli import app
from limner.cli.work import chosen, on_device
from limner.errors import Misconfigured
from limner.requests.connections import postgresql_url
from limner.requests.ledger import Ledger
from limner.requests.request import Outcome, Submission
from limner.settings import Settings
from tests.rig.postgres import Postgres
from tests.rig.process import ROOT, Server

DEPLOY = ROOT / "deploy"
YAML = sorted(DEPLOY.rglob("*.yaml"))


def documents(path: Path) -> list[Any]:
    return list(yaml.safe_load_all(path.read_text()))


def commands() -> Iterator[list[str]]:
    """Every command line of limner that a file gives."""
    for name in ("compose.yaml", "compose.scale.yaml"):
        for service in documents(DEPLOY / name)[0]["services"].values():
            if str(service.get("image", "")).startswith("limner"):
                yield service["command"]
    for each in documents(DEPLOY / "kubernetes" / "limner.yaml"):
        if each["kind"] == "Deployment":
            yield from (one["args"] for one in each["spec"]["template"]["spec"]["containers"])
    for path in DEPLOY.glob("Dockerfile.*"):
        yield json.loads(re.findall(r"^CMD (.*)$", path.read_text(), re.MULTILINE)[-1])
    for path in (DEPLOY / "systemd").iterdir():
        (line,) = re.findall(r"^ExecStart=\S+ (.*)$", path.read_text(), re.MULTILINE)
        yield line.replace("%i", "cuda:0").split()


@pytest.mark.parametrize(
    "name", ["Dockerfile.cuda", "systemd/limner-worker@.service", "systemd/limner.service"]
)
def test_weights_are_kept_where_the_state_is(name: str) -> None:
    """The hub's cache is in the user's home, which a container loses and a unit does not see."""
    text = (DEPLOY / name).read_text()
    said = dict(re.findall(r"\b(LIMNER_HOME|HF_HOME)=(\S+)", text))
    assert Path(said["HF_HOME"]).is_relative_to(said["LIMNER_HOME"])


def test_nothing_of_ours_may_become_root_or_ask_the_cluster() -> None:
    """Kubernetes' pod security standard "restricted", and the same of compose's containers."""
    pods = [
        each["spec"]["template"]["spec"]
        for each in documents(DEPLOY / "kubernetes" / "limner.yaml")
        if each["kind"] == "Deployment"
    ]
    for pod in pods:
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for one in pod["containers"]:
            assert one["securityContext"] == {
                "allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]},
            }  # fmt: skip
    ours = [
        service
        for name in ("compose.yaml", "compose.scale.yaml")
        for service in documents(DEPLOY / name)[0]["services"].values()
        if str(service.get("image", "")).startswith("limner")
    ]
    assert (len(pods), len(ours)) == (2, 3)
    for service in ours:
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]


def test_the_load_balancer_logs_no_address() -> None:
    """By itself nginx logs every call's address, and of errors too: tokens, seals, prompts."""
    said = (DEPLOY / "nginx.conf").read_text()
    (name, layout) = re.findall(r"log_format (\w+) '(.*)';", said)[0]
    told = {"remote_addr", "time_iso8601", "request_method", "status", "body_bytes_sent"}
    assert set(re.findall(r"\$(\w+)", layout)) == {*told, "request_time"}
    assert re.findall(r"access_log (.*);", said) == [f"/dev/stdout {name}"]
    assert re.findall(r"error_log (.*);", said) == ["/dev/stderr crit"]


def test_units_that_share_a_folder_share_a_user() -> None:
    """systemd gives a state folder to the unit's user, and DynamicUser= is one for each unit."""
    users: dict[str, set[str]] = {}
    for path in (DEPLOY / "systemd").iterdir():
        said = dict(re.findall(r"^(User|DynamicUser|StateDirectory)=(.*)$", path.read_text(), re.M))
        assert f"LIMNER_HOME=/var/lib/{said['StateDirectory']}\n" in path.read_text()
        owner = path.name if said.get("DynamicUser") == "yes" else said["User"]
        users.setdefault(said["StateDirectory"], set()).add(owner)
    assert [owners for owners in users.values() if len(owners) > 1] == []


def test_every_command_line_is_one_that_limner_understands() -> None:
    given = list(commands())
    assert len(given) == 10
    for arguments in given:
        # Its options are parsed before help is asked for, and wrong ones refused.
        told = CliRunner().invoke(app, [*arguments, "--help"])
        assert told.exit_code == 0, told.output
        options = set(re.findall(r"--[a-z-]+", told.output))
        assert {each for each in arguments if each.startswith("--")} <= options


def test_every_variable_is_a_setting() -> None:
    texts = [path.read_text() for path in DEPLOY.rglob("*") if path.is_file()]
    word = re.compile(r"\bLIMNER_[A-Z_]+|\blimner_[a-z]+_url")
    named = {name for text in texts for name in word.findall(text)}
    settings = {f"LIMNER_{name.upper()}" for name in Settings.model_fields}
    assert {name.upper() for name in named} - {"LIMNER_HOME"} <= settings


def test_a_secret_is_read_from_a_file_and_never_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "limner_database_url").write_text("postgresql://me:hush@db/limner\n")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    settings = Settings()
    assert settings.database_url == SecretStr("postgresql://me:hush@db/limner")
    assert "hush" not in repr(settings) + str(settings.model_dump())
    monkeypatch.setenv("LIMNER_DATABASE_URL", "postgresql://other/limner")
    assert Settings().database_url == SecretStr("postgresql://other/limner")


def test_a_wrong_secret_is_told_without_its_value(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "limner.toml").write_text('database_url = ["hush"]\nslots = "many"\n')
    monkeypatch.setenv("LIMNER_CONFIG", str(tmp_path / "limner.toml"))
    monkeypatch.delenv("LIMNER_DATABASE_URL", raising=False)
    with pytest.raises(Misconfigured, match="database_url") as refused:
        Settings()
    assert "hush" not in str(refused.value)
    assert "many" in str(refused.value)


def test_keda_counts_what_waits_and_runs(postgres: Postgres) -> None:
    (query,) = [
        trigger["metadata"]["query"]
        for each in documents(DEPLOY / "kubernetes" / "keda.yaml")
        if each["kind"] == "ScaledObject"
        for trigger in each["spec"]["triggers"]
    ]
    url = postgres.new_database()
    engine = sa.create_engine(postgresql_url(url))
    with Ledger(url) as ledger, engine.connect() as connection:
        for _ in range(5):
            ledger.submit(Submission("a/one", {})).result()
        (first, _) = ledger.claim("w", ["a/one"], 2).result().requests
        ledger.finish(first.id, first.attempt, Outcome(200, {})).result()
        ledger.compact().result()
        assert connection.exec_driver_sql(query).scalar() == 4
    engine.dispose()


def test_every_graph_is_of_figures_that_there_are(own_server: Server) -> None:
    told = own_server.get("/metrics").text
    board = json.loads((DEPLOY / "grafana" / "limner.json").read_text())
    exprs = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    named = {name for expr in exprs for name in re.findall(r"limner_\w+", expr)}
    assert len(named) > 8
    there = set(re.findall(r"^# TYPE (\w+)", told, re.MULTILINE))
    assert named <= there | {f"{name}_total" for name in there}


def test_workers_refuse_what_they_could_not_do(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [each.id for each in chosen("fal-ai/face-to-sticker")] == ["fal-ai/face-to-sticker"]
    with pytest.raises(typer.BadParameter, match="fal-ai/face-to-sticker"):
        chosen("fal-ai/nothing")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,7")
    with pytest.raises(typer.BadParameter):
        on_device("cuda:2")
    with pytest.raises(typer.BadParameter):
        on_device("gpu0")
    on_device("cuda:1")
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "7"
