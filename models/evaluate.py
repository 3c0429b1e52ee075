"""``python -m models.evaluate``: score a trained model on rows that did not teach it."""

from data_registry.console import new_app, run_app
from models.promoter import cli

app = new_app("Score a trained model on rows that did not teach it.")
app.command("promoter")(cli.evaluate)


@app.callback()
def choose() -> None:
    """Score a trained model on rows that did not teach it."""


def main() -> None:
    """Run the command."""
    run_app(app)


if __name__ == "__main__":
    main()
