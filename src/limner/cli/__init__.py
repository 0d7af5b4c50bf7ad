"""The ``limner`` command: reads the settings, builds the objects, hands them down.

The only package that knows ``limner.settings``. Commands import what they need when they run, so
that ``limner --help`` answers at once.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from limner.cli import completion as complete
from limner.cli.shell import Commands
from limner.cli.upkeep import GROUPS
from limner.suggest import refusal

EXIT_CODES = """Ends with 0 when all went well, 1 when what was asked cannot be done as asked,
2 when the command line or a setting is wrong, 3 when Limner failed or no engine can draw here,
130 when interrupted."""

EngineOption = Annotated[
    str | None,
    typer.Option(
        help="auto, sketch or diffusion, instead of LIMNER_ENGINE.",
        autocompletion=complete.engine,
    ),
]

app = typer.Typer(
    name="limner",
    cls=Commands,
    help="fal.ai's face endpoints on your own machine.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    invoke_without_command=True,  # for --version
    add_completion=False,  # `limner completion` has better scripts
    rich_markup_mode=None,  # rich takes longer to import than everything else together
    pretty_exceptions_enable=False,
)
for group in GROUPS:
    app.add_typer(group)


@app.callback()
def limner(
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="SETTING=VALUE",
            help="A setting for this once; goes before LIMNER_* and limner.toml.",
        ),
    ] = None,
    version: Annotated[bool, typer.Option("--version", help="Tell the version and exit.")] = False,
) -> None:
    """fal.ai's face endpoints on your own machine."""
    for setting in settings or ():
        name, equals, value = setting.partition("=")
        if not equals:
            raise typer.BadParameter(f"{setting} has no =; write --set {setting}=VALUE")
        # As a variable, so that the worker processes have it too.
        os.environ[f"LIMNER_{name.strip().upper()}"] = value
    if version:
        from limner import __version__

        typer.echo(f"limner {__version__}")
        raise typer.Exit


@app.command()
def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes a free one.")] = 8000,
    worker: Annotated[bool, typer.Option(help="Keep worker processes beside the server.")] = True,
    tls: Annotated[
        bool,
        typer.Option(
            "--tls",
            help="Make a certificate for fal's names; TLS, HTTPS_PROXY and plain HTTP on one port.",
        ),
    ] = False,
    tls_cert: Annotated[Path | None, typer.Option(help="Certificate chain (PEM).")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="Private key (PEM).")] = None,
    make_key: Annotated[
        bool, typer.Option("--make-key", help="Make a key if there is none; printed this once.")
    ] = False,
    open_page: Annotated[
        bool, typer.Option("--open", help="Show the page in the browser when it is there.")
    ] = False,
    engine: EngineOption = None,
) -> None:
    """Serve fal's API."""
    from limner.cli.serve import Listen
    from limner.cli.serve import serve as run

    if tls and (tls_cert or tls_key):
        raise typer.BadParameter("--tls makes its own certificate; leave out --tls-cert, --tls-key")
    if bool(tls_cert) != bool(tls_key):
        raise typer.BadParameter("--tls-cert and --tls-key belong together")
    if engine is not None:
        os.environ["LIMNER_ENGINE"] = engine  # the workers read it too
    run(Listen(host, port, tls_cert, tls_key, tls, make_key, open_page), with_workers=worker)


@app.command()
def work(
    endpoints: Annotated[
        str | None, typer.Option(help="Draw only these, comma-separated; left out: all.")
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(help="Draw on this: cpu, cuda:0, cuda:1 …; left out: the best there is."),
    ] = None,
    ray: Annotated[
        bool,
        typer.Option("--ray", help="Place workers on a Ray cluster, as many as the queue wants."),
    ] = False,
    ray_min: Annotated[int, typer.Option(min=0, help="The fewest workers on Ray.")] = 1,
    ray_max: Annotated[
        int | None,
        typer.Option(min=1, help="The most; left out: as many as the cluster has room for."),
    ] = None,
    until_eof: Annotated[
        bool, typer.Option(hidden=True, help="Stop when standard input closes.")
    ] = False,
) -> None:
    """Draw requests from the ledger until stopped."""
    if ray:
        from limner.cli.on_ray import Wishes, place
        from limner.cli.work import chosen

        return place(Wishes(chosen(endpoints), device, ray_min, ray_max))
    from limner.cli.work import chosen, on_device
    from limner.cli.work import work as run

    on_device(device)
    return run(until_eof=until_eof, endpoints=chosen(endpoints), device=device)


@app.command()
def run(
    endpoint: Annotated[
        str,
        typer.Argument(
            help="face-to-sticker or ip-adapter-face-id.", autocompletion=complete.endpoint
        ),
    ],
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[FIELD=VALUE]...",
            autocompletion=complete.word,
            help="prompt=text, image_url=@photo.jpg (or @photos/*.jpg, several times, or @- for"
            " standard input), field:=JSON.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Folder for the pictures, made if need be; here."),
    ] = None,
    batch: Annotated[
        Path | None,
        typer.Option(
            help="Requests from a file: CSV with the fields' names in line 1, or a JSON object a"
            " line. What is drawn already is not drawn again."
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the answer as JSON; of several, one a line.")
    ] = False,
    engine: EngineOption = None,
    again: Annotated[
        bool, typer.Option("--again", help="Draw also what is drawn already.")
    ] = False,
    fields: Annotated[
        bool, typer.Option("--fields", help="List the endpoint's fields and end.")
    ] = False,
) -> None:
    """Draw here and now, without a server, into a folder.

    Pictures' paths go to standard output, all else to standard error. Of several requests one that
    fails stops no other, and the same command goes on where it was interrupted
    (limner-run.jsonl, beside the pictures).
    """
    if engine is not None:
        os.environ["LIMNER_ENGINE"] = engine
    from limner.cli.fields import show
    from limner.cli.run import Wishes, find_endpoint
    from limner.cli.run import run as draw

    if fields:
        return show(find_endpoint(endpoint))
    raise typer.Exit(draw(endpoint, words or [], Wishes(out, batch, as_json, again)))


@app.command()
def pull(
    names: Annotated[
        list[str],
        typer.Argument(
            help="Networks or groups (sketch, demo); for the diffusion engine an endpoint,"
            " endpoint:model_type, a weight, or owner/name of a base model."
        ),
    ],
    accept_license: Annotated[
        bool,
        typer.Option("--accept-license", help="Accept the licences of weights that ask for it."),
    ] = False,
) -> None:
    """Fetch networks once, verified by sha256, with progress."""
    from limner.cli.pull import pull as run

    run(names, accept=accept_license)


@app.command()
def doctor(
    host: Annotated[str, typer.Option(help="Address that serve would listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port that serve would listen on.")] = 8000,
    online: Annotated[bool, typer.Option(help="Ask the package index too.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Look at everything that can be wrong here, and say what to do; 1 if something is red."""
    from limner.cli.doctor import doctor as run

    run(host, port, online=online, as_json=as_json)


@app.command()
def connect(
    program: Annotated[
        str,
        typer.Argument(help="python, node, browser or curl.", autocompletion=complete.program),
    ],
    url: Annotated[
        str | None, typer.Option(help="The server's address, when it is not the usual one.")
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Try the lines through the real client.")
    ] = False,
) -> None:
    """Print the lines that lead a program from fal to this server."""
    from limner.cli.connect import Program
    from limner.cli.connect import connect as run
    from limner.errors import Misconfigured

    if program not in list(Program):
        raise Misconfigured(refusal("program to connect", program, Program))
    run(Program(program), url, check=check)


@app.command("completion")
def shell_completion(
    shell: Annotated[
        str,
        typer.Argument(help="bash, zsh or fish.", autocompletion=lambda: list(complete.SCRIPTS)),
    ],
) -> None:
    """Print the script that completes limner's words in a shell; its first line says where to."""
    if shell not in complete.SCRIPTS:
        raise typer.BadParameter(refusal("shell with completion", shell, complete.SCRIPTS))
    typer.echo(complete.SCRIPTS[shell], nl=False)
