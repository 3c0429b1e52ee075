"""What all requests to one server share."""

from collections.abc import Iterator
from typing import Annotated

from fastapi import Depends, Request

from dashboards.api.panels import Panels
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
