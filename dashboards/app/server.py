"""``cisgraph dashboard``: the pages, and the routes that the genome browser reads.

Binds to loopback and sends nothing anywhere: Streamlit's statistics are off, and igv.js
and Cytoscape come from the packages installed here. Routes take names and numbers, never
paths.
"""

import importlib
import socket
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import duckdb
import streamlit as st
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from streamlit.logger import set_log_level

from dashboards.app import offer, theme
from dashboards.app.routes import ROUTES, igv_script
from dashboards.app.scores import warm
from data_registry.console import say
from data_registry.errors import InputError, PlatformError

HOST: Final = "127.0.0.1"
MOST_UPLOAD_MB: Final = 1024


def settings(port: int) -> dict[str, Any]:
    """Return Streamlit's settings."""
    return {
        "server.address": HOST,
        "server.port": port,
        "server.headless": True,
        "server.fileWatcherType": "none",
        "server.maxUploadSize": MOST_UPLOAD_MB,
        "server.enableXsrfProtection": True,
        "server.enableCORS": True,
        "browser.gatherUsageStats": False,
        "browser.serverAddress": HOST,
        "client.toolbarMode": "minimal",
        "client.showErrorDetails": "none",
        "global.developmentMode": False,
        "logger.level": "error",
        **theme.settings(),
    }


def serve(workspaces: Sequence[Path], scores: Sequence[Path], port: int) -> None:
    """Show the workspaces until the process is stopped.

    Parameters
    ----------
    scores
        Score files outside the workspaces.

    Raises
    ------
    WorkspaceError, MalformedFileError
        A folder is no workspace, or a score file cannot be read.
    InputError
        The port is taken.
    MissingOptionalError
        A package of the extra ``dashboard`` is not installed.
    """
    shown = offer.publish(workspaces, scores)
    igv_script()
    _require_free(port)
    set_log_level("error")
    # What the pages need is read now, so that the first visitor does not wait for it.
    importlib.import_module("dashboards.app.shell")
    threading.Thread(target=_warm, args=(shown,), daemon=True).start()
    say(f"{', '.join(shown.workspaces)}: on this machine only; stop with Ctrl-C")
    app = st.App(
        Path(__file__).with_name("main.py"),
        routes=ROUTES,
        # Another site that points a name of its own at this machine gets no answer.
        middleware=[
            Middleware(TrustedHostMiddleware, allowed_hosts=[HOST, "localhost"])
        ],
    )
    app.run(config=settings(port))


def _warm(shown: offer.Offer) -> None:
    """Read the results' footers and first figures beside the start of the server."""
    for workspace in shown.workspaces.values():
        for result in shown.results(workspace):
            # A result that cannot be read is told by the page that opens it.
            with suppress(PlatformError, duckdb.Error, OSError):
                warm(result)


def _require_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise InputError(
                f"port {port} of this machine cannot be used ({error.strerror}); give "
                "another with --port"
            ) from error
