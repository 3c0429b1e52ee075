"""``python -m models.train``: train a model."""

from data_registry.console import new_app, run_app
from models.graph import cli as graph
from models.promoter import cli

app = new_app("Train a model.")
app.command("promoter")(cli.train)
app.command("graph")(graph.train)


@app.callback()
def choose() -> None:
    """Train a model."""


def main() -> None:
    """Run the command."""
    run_app(app)


if __name__ == "__main__":
    main()
