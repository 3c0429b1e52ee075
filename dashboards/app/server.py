"""``cisgraph dashboard``: the pages, and the routes that the genome browser reads.

Binds to loopback and sends nothing anywhere: Streamlit's statistics are off, and igv.js
and Cytoscape come from the packages installed here. Routes take names and numbers, never
paths.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import streamlit as st

from dashboards.app import offer, theme
from dashboards.app.routes import ROUTES

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
        "logger.level": "warning",
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
    """
    offer.publish(workspaces, scores)
    app = st.App(Path(__file__).with_name("main.py"), routes=ROUTES)
    app.run(config=settings(port))
