"""What a page is about: the door, the workspace and the result that its address names."""

from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from dashboards.app import links
from dashboards.app.navigation import BREEDER, GENETICIST
from dashboards.app.offer import Result, current
from dashboards.app.scores import Scores, open_scores
from data_registry.errors import InputError


@dataclass(frozen=True, slots=True)
class Context:
    """The door, workspace and result that a page shows."""

    door: str
    name: str
    workspace: Path
    result: Result | None

    @property
    def is_breeder(self) -> bool:
        """Whether the breeder's door is open."""
        return self.door == BREEDER

    def scores(self) -> Scores | None:
        """Open the result; None where nothing was scored yet."""
        return None if self.result is None else open_scores(self.result)

    def need_scores(self) -> Scores:
        """Open the result.

        Raises
        ------
        InputError
            Nothing was scored in this workspace yet.
        """
        opened = self.scores()
        if opened is None:
            raise InputError(
                "nothing has been scored in this workspace yet: use 'Score a file', or "
                "'cisgraph score --vcf FILE --format parquet --out "
                f"{self.name}/scores/NAME.parquet'"
            )
        return opened


def find_context() -> Context:
    """Read the context from the address.

    Raises
    ------
    InputError
        The address names a workspace or result that is not here.
    """
    name, workspace = current().workspace(links.read("workspace") or None)
    result = current().result(workspace, links.read("scores") or None)
    door = links.read("door", GENETICIST)
    return Context(door if door == BREEDER else GENETICIST, name, workspace, result)


def context() -> Context:
    """Return the context of this run."""
    held: Context = st.session_state["_context"]
    return held
