"""The command line as a whole."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from dashboards.cli import app, columns_page

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = (
    "add", "ls", "show", "verify", "remove", "kinds", "catalogue", "fetch", "doctor",
    "relatives", "precompute", "models", "prior", "build", "validate", "diff", "export", "score", "explain-variant", "columns", "demo", "rebuild", "keep-scored", "schedule", "causal", "dashboard", "serve",
)  # fmt: skip


def test_the_page_of_columns_is_what_the_columns_say() -> None:
    page = (ROOT / "docs" / "columns.md").read_text(encoding="utf-8")
    assert page == columns_page()


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str) -> None:
    result = CliRunner().invoke(app, [command, "--help"])
    assert result.exit_code == 0
    assert "Usage" in result.output


def test_a_missing_workspace_is_told_with_the_remedy(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["ls", "-w", str(tmp_path / "none")])
    assert result.exit_code != 0
    assert "cisgraph add GENOME.fa" in str(result.exception)
