"""Settings from variables and limner.toml: which goes first, what is refused, what is shown."""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from limner.cli import app
from limner.errors import Misconfigured
from limner.settings import Settings
from limner.settings_file import FILE_NAME

Write = Callable[[str], Path]


@pytest.fixture(autouse=True)
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting from outside: no variable, no file here, none of the user's own."""
    for name in list(os.environ):
        if name.startswith("LIMNER_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "own"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")


@pytest.fixture
def here(tmp_path: Path) -> Write:
    def write(text: str) -> Path:
        path = tmp_path / "here" / FILE_NAME
        path.write_text(text)
        return path

    return write


def refusal() -> str:
    with pytest.raises(Misconfigured) as refused:
        Settings()
    return str(refused.value)


def limner(*arguments: str) -> tuple[int, str, str]:
    """The command in this process: code, standard output, standard error."""
    # --set is told to child processes through variables, which must not outlive the test.
    before = dict(os.environ)
    try:
        done = CliRunner().invoke(app, arguments)
    finally:
        os.environ.clear()
        os.environ.update(before)
    return done.exit_code, done.stdout, done.stderr


def test_flags_go_before_variables_before_the_file_before_the_defaults(
    here: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = here("slots = 5\nthreads = 5\nworkers = 5\n")
    monkeypatch.setenv("LIMNER_THREADS", "6")
    monkeypatch.setenv("LIMNER_WORKERS", "6")
    code, told, _ = limner("--set", "workers=7", "config", "show", "--origin", "--json")
    shown = json.loads(told)
    assert code == 0
    assert shown["workers"] == {"value": 7, "origin": "--set"}
    assert shown["threads"] == {"value": 6, "origin": "LIMNER_THREADS"}
    assert shown["slots"] == {"value": 5, "origin": str(file)}
    assert shown["lease"] == {"value": 10.0, "origin": "default"}


def test_the_file_here_goes_before_the_users_own_and_the_one_named_before_both(
    here: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "own" / "limner" / FILE_NAME
    assert limner("config", "path")[1] == f"{own}\n"
    own.parent.mkdir(parents=True)
    own.write_text("slots = 3")
    assert Settings().slots == 3
    file = here("slots = 4")
    assert Settings().slots == 4
    assert limner("config", "path")[1] == f"{file}\n"
    monkeypatch.setenv("LIMNER_CONFIG", str(own))
    assert Settings().slots == 3
    monkeypatch.setenv("LIMNER_CONFIG", "")
    assert Settings().slots == 2
    monkeypatch.setenv("LIMNER_CONFIG", "nowhere.toml")
    assert "nowhere.toml is not there" in refusal()


def test_a_home_in_the_file_begins_at_the_file(
    here: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = here('home = "state"')
    monkeypatch.chdir("/")
    monkeypatch.setenv("LIMNER_CONFIG", str(file))
    assert Settings().home == file.parent / "state"
    here('home = "~/limner"')
    assert Settings().home == Path.home() / "limner"


def test_what_is_no_setting_is_refused_with_the_likely_one(
    here: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = here("retension = 60\n[server]\nport = 1\n")
    monkeypatch.setenv("LIMNER_ENGNE", "sketch")
    told = refusal()
    assert "LIMNER_ENGNE is no setting. Did you mean LIMNER_ENGINE?" in told
    assert f"{file}: retension is no setting. Did you mean retention?" in told
    assert f"{file}: server is no setting.\n" in told


def test_what_kubernetes_says_of_a_service_called_limner_is_not_meant_for_us(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables
    for name, value in {
        "LIMNER_SERVICE_HOST": "10.0.0.11",
        "LIMNER_SERVICE_PORT": "8000",
        "LIMNER_SERVICE_PORT_HTTP": "8000",
        "LIMNER_PORT": "tcp://10.0.0.11:8000",
        "LIMNER_PORT_8000_TCP": "tcp://10.0.0.11:8000",
        "LIMNER_PORT_8000_TCP_PROTO": "tcp",
        "LIMNER_PORT_8000_TCP_ADDR": "10.0.0.11",
        "LIMNER_CPU_SERVICE_HOST": "10.0.0.12",
    }.items():
        monkeypatch.setenv(name, value)
    Settings()
    monkeypatch.setenv("LIMNER_PORT", "8000")
    assert "LIMNER_PORT is no setting" in refusal()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("slots = 0", "slots: Input should be greater than or equal to 1, not 0"),
        ('strict = "perhaps"', "strict: Input should be a valid boolean"),
        ("engine = 3", "engine: Input should be 'auto', 'sketch' or 'diffusion', not 3"),
        ("slots", "is not TOML: "),
    ],
)
def test_a_wrong_value_is_told_with_its_key_and_its_place(
    here: Write, text: str, told: str
) -> None:
    file = here(text)
    said = refusal()
    assert said.startswith(str(file))
    assert told in said


def test_a_wrong_setting_ends_a_command_as_wrong_usage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIMNER_LEASE", "soon")
    code, told, said = limner("keys", "list")
    assert (code, told) == (2, "")
    assert said.startswith("limner: LIMNER_LEASE: Input should be a valid number")
    assert limner("--set", "lease", "keys", "list")[0] == 2


def test_what_config_shows_is_a_limner_toml_without_secrets(
    here: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIMNER_PUBLIC_URL", "https://me:hunter2@example.com/simple")
    code, told, _ = limner("config", "show", "--origin")
    assert code == 0
    assert "hunter2" not in told
    assert 'public_url = "https://****@example.com/simple"' in told
    # What is not set has no word in TOML.
    as_json = json.loads(limner("config", "show", "--json")[1])
    assert tomllib.loads(told) == {k: value for k, value in as_json.items() if value is not None}
    here('home = "state"\npublic_url = "https://example.org"\nlog_level = "error"')
    shown = limner("config", "show")[1]
    here(shown)
    assert limner("config", "show")[1] == shown
