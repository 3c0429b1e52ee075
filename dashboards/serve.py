"""``cisgraph serve``: the HTTP API of one workspace."""

import ipaddress
import logging
from pathlib import Path
from typing import Annotated

import typer

from data_registry.console import WorkspaceOption, new_app, say
from data_registry.errors import InputError, MissingOptionalError
from data_registry.workspace import Workspace, require_file

app = new_app("Serve a workspace to programs.")

_LEAST_TOKEN = 16
_MOST_CONNECTIONS = 1_000


@app.command()
def serve(
    workspace: WorkspaceOption = "workspace",
    host: Annotated[
        str, typer.Option(help="Address to listen on; any but loopback needs a token.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65_535)] = 8000,
    token_file: Annotated[
        Path | None,
        typer.Option(help="File whose first line clients send as a bearer token."),
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(
            help="Another name by which clients call this server; may repeat."
        ),
    ] = None,
    crop: Annotated[
        str | None, typer.Option(help="Common name of the crop, for BrAPI.")
    ] = None,
) -> None:
    """Serve scores, genes, the graph and jobs of a workspace over HTTP, and BrAPI v2.1.

    Examples:

        cisgraph serve -w rice

        cisgraph serve -w rice --host 0.0.0.0 --allow-host rice.example.org --token-file token.txt --crop rice
    """
    try:
        import fastapi  # noqa: F401
        import uvicorn
    except ImportError as error:
        raise MissingOptionalError(
            "the HTTP API needs fastapi and uvicorn: pip install 'cisgraph[api]'"
        ) from error
    from dashboards.api.application import make_application
    from dashboards.api.settings import Settings

    folder = Path(workspace)
    Workspace(folder).require()
    token = None if token_file is None else read_token(token_file)
    if token is None and not is_loopback(host):
        raise InputError(
            f"--host {host} can be reached by other machines: give --token-file, a file "
            "with a secret of at least 16 characters ('openssl rand -hex 32 > token.txt')"
        )
    names = {"127.0.0.1", "localhost", "[::1]", *(allow_host or ())}
    if host not in {"0.0.0.0", "::"}:  # noqa: S104
        names.add(f"[{host}]" if ":" in host else host)
    settings = Settings(
        folder, frozenset(n.lower() for n in names), token, crop, warm_up=True
    )
    logging.basicConfig(format="%(asctime)s %(name)s %(message)s")
    logging.getLogger("cisgraph.api").setLevel(logging.INFO)
    shown = f"[{host}]" if ":" in host else host
    say(f"{folder} on http://{shown}:{port}/api/openapi.json (stop with Ctrl-C)")
    uvicorn.run(
        make_application(settings), host=host, port=port, access_log=False,
        log_level="warning", server_header=False, proxy_headers=False,
        limit_concurrency=_MOST_CONNECTIONS, timeout_keep_alive=30, timeout_graceful_shutdown=5, http="h11", ws="none",
    )  # fmt: skip


def read_token(path: Path) -> str:
    """Return the first line of a file.

    Raises
    ------
    InputError
        The file cannot be read, others may read it, or the token is too short.
    """
    file = require_file(path)
    if file.stat().st_mode & 0o077:
        raise InputError(f"{path} can be read by others; run 'chmod 600 {path}'")
    token = (file.read_text(encoding="utf-8").splitlines() or [""])[0].strip()
    if len(token) < _LEAST_TOKEN or not token.isascii() or not token.isprintable():
        raise InputError(
            f"{path}: the token must have at least {_LEAST_TOKEN} plain characters; "
            f"write one with 'openssl rand -hex 32 > {path}'"
        )
    return token


def is_loopback(host: str) -> bool:
    """Tell whether an address can be reached from this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
