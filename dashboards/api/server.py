"""What all requests to one server share."""

import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Annotated

from fastapi import Depends, Request

from dashboards.api.panels import Panels
from dashboards.api.problems import Problem
from dashboards.api.scorer import Scorer
from dashboards.api.settings import Settings
from dashboards.api.snapshots import Snapshot, Snapshots


class Server:
    """Snapshots of the workspace, the scoring process, the panels' genotypes.

    Raises
    ------
    WorkspaceError
        There is no workspace, or a writer holds it.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.snapshots = Snapshots(settings.workspace)
        self.scorer = Scorer()
        self.panels = Panels(settings.workspace)
        if settings.warm_up:
            threading.Thread(target=self._warm_up, daemon=True).start()

    def _warm_up(self) -> None:
        with self.snapshots.reading() as snapshot, suppress(Problem):
            self.scorer.open(snapshot.folder)

    def close(self) -> None:
        """End everything."""
        self.scorer.close()
        self.panels.close()
        self.snapshots.close()


def server_of(request: Request) -> Server:
    """Return the server a request came to."""
    server: Server = request.app.state.server
    return server


ServerHere = Annotated[Server, Depends(server_of)]


def snapshot_of(server: ServerHere) -> Iterator[Snapshot]:
    """Give the newest snapshot until the answer is sent."""
    with server.snapshots.reading() as snapshot:
        yield snapshot


SnapshotNow = Annotated[Snapshot, Depends(snapshot_of)]
