"""``python -m models.predict``: predict with a trained model."""

from data_registry.console import new_app, run_app
from models.graph import cli as graph
from models.promoter import cli

app = new_app("Predict with a trained model.")
app.command("promoter")(cli.predict)
app.command("graph")(graph.predict)


@app.callback()
def choose() -> None:
    """Predict with a trained model."""


def main() -> None:
    """Run the command."""
    run_app(app)


if __name__ == "__main__":
    main()
