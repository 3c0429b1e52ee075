"""Commands on folders of published models."""

from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from data_registry.console import new_app, run_app, say, show_table
from encoders.likelihood import against_reference, log_probabilities_at
from encoders.nucleotides import encode
from encoders.published.folder import convert_pickled
from encoders.published.models import load_published, open_model

app = new_app("Published nucleotide models in folders on this machine.")

FolderArgument = Annotated[
    Path, typer.Argument(help="config.json, tokenizer files, *.safetensors.")
]
RemoteCodeOption = Annotated[
    bool,
    typer.Option("--allow-remote-code", help="Run the code that lies in the folder."),
]
PROBE = "ATGACCATTGAAAAGATTGACTTGACTCATATAAAAGGCGCGTAACCGTTAGC"


@app.command()
def check(
    folder: FolderArgument,
    allow_remote_code: RemoteCodeOption = False,
    reach_bp: Annotated[
        int | None, typer.Option(help="Bases read on each side.")
    ] = None,
) -> None:
    """Say what a folder holds and whether it can be used."""
    loaded = open_model(folder, allow_remote_code=allow_remote_code)
    model = load_published(
        folder, allow_remote_code=allow_remote_code, reach_bp=reach_bp
    )
    codes = encode(PROBE)
    middle = np.array([len(codes) // 2])
    row = against_reference(log_probabilities_at(model, codes, middle), codes[middle])
    ratios = ", ".join(f"{b} {x:+.3f}" for b, x in zip("ACGT", row[0], strict=True))
    show_table(
        f"{loaded.folder.name}",
        ("what", "value"),
        [
            ("architecture", f"{loaded.folder.architecture} ({loaded.objective})"),
            ("tokens", loaded.tokens.kind),
            ("parameters", f"{loaded.n_parameters:,}"),
            (
                "tokens at most",
                f"{loaded.longest:,}" if loaded.longest < 10**9 else "any",
            ),
            ("reach_bp", model.reach_bp),
            ("width", model.width),
            ("strand symmetric", "yes" if model.strand_symmetric else "no"),
            ("digest", model.digest[:16]),
            ("log-likelihood ratios at a probe's middle base", ratios),
        ],
    )
    say("usable")


@app.command()
def convert(folder: FolderArgument) -> None:
    """Write model.safetensors from pytorch_model*.bin, reading plain tensors only."""
    say(f"wrote {convert_pickled(folder)}")


def main() -> None:
    """Run the commands."""
    run_app(app)
