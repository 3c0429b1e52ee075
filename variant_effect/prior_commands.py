"""``cisgraph prior``: fit the combined score on a registered panel, show what was fitted."""

from pathlib import Path
from typing import Annotated

import typer

from data_registry.console import (
    WorkspaceOption,
    count_reporter,
    log,
    new_app,
    say,
    show_table,
    step_reporter,
)
from data_registry.errors import InputError, MissingLayerError
from data_registry.store import open_store
from data_registry.workspace import Workspace, written_beside
from variant_effect.combined import Additive, Combined
from variant_effect.preparation import prepare
from variant_effect.prior_training import (
    MAX_OBSERVED,
    PER_OBSERVED,
    SEED,
    Recipe,
    choose_panel,
    draw,
    fit_prior,
    read_sample,
)
from variant_effect.scorers.prior import model_file

PanelOption = Annotated[
    str, typer.Option(help="A registered panel; needed where there are several.")
]
GroupOption = Annotated[
    str, typer.Option(help="A group of its samples, of one species.")
]
MaxObservedOption = Annotated[
    int, typer.Option(min=1, help="More observed SNVs are thinned at random.")
]
PerObservedOption = Annotated[
    int, typer.Option(min=1, help="Simulated SNVs an observed one.")
]
SeedOption = Annotated[int, typer.Option(help="Of all random choices.")]

prior_app = new_app("The prior score: fit it on a panel, show what was fitted.")


@prior_app.command("fit")
def fit(
    workspace: WorkspaceOption = "workspace",
    panel: PanelOption = "",
    group: GroupOption = "",
    max_observed: MaxObservedOption = MAX_OBSERVED,
    per_observed: PerObservedOption = PER_OBSERVED,
    language: Annotated[
        str,
        typer.Option(
            help="Where to read the language model: held-out (contigs it never saw) or "
            "everywhere. Its weight is learned on held-out contigs in either case."
        ),
    ] = "held-out",
    seed: SeedOption = SEED,
) -> None:
    """Learn the weights of the prior score from a registered panel.

    `score` and `explain-variant` use them from then on; without a fit the weights are set
    by hand. Running it again replaces the fit.
    """
    if language not in ("held-out", "everywhere"):
        raise InputError(f"--language {language}: give held-out or everywhere")
    recipe = Recipe(
        panel, group, max_observed, per_observed, language == "everywhere", seed
    )
    with open_store(Path(workspace)) as store:
        with step_reporter("preparing") as on_step:
            prepared = prepare(store, on_step=on_step)
        with count_reporter("fitting the prior", "SNVs") as report:
            fitted = fit_prior(store, prepared, recipe, on_progress=report)
    log(f"written: {model_file(Path(workspace)).parent}")
    _show_figures(fitted)


@prior_app.command("table")
def table(
    out: Annotated[Path, typer.Option(help="Parquet file to write.")],
    workspace: WorkspaceOption = "workspace",
    panel: PanelOption = "",
    group: GroupOption = "",
    max_observed: MaxObservedOption = MAX_OBSERVED,
    per_observed: PerObservedOption = 1,
    seed: SeedOption = SEED,
) -> None:
    """Write the SNVs that `fit` learns from, with their evidence, for the graph model.

    Label 1 is a simulated SNV, 0 one that the panel carries. The language model is not
    asked: it saw the panel's chromosomes.

    Example:

        cisgraph prior table -w yeast --panel yeast12_norm --out yeast.parquet
    """
    recipe = Recipe(panel, group, max_observed, per_observed, seed=seed)
    with open_store(Path(workspace)) as store:
        with step_reporter("preparing") as on_step:
            prepared = prepare(store, on_step=on_step)
        recipe = choose_panel(store.connection, recipe)
        drawn, counts = draw(store.connection, store.genome(), recipe)
    with count_reporter("gathering evidence", "SNVs") as report:
        frame = read_sample(drawn, prepared, on_progress=report).frame()
    with written_beside(out) as beside:
        frame.to_parquet(beside)
    for reason, n in counts.items():
        log(f"  {n:,} {reason.replace('_', ' ')}")
    say(f"{len(frame):,} SNVs in {out}")


@prior_app.command("show")
def show(
    workspace: WorkspaceOption = "workspace",
    what: Annotated[
        str, typer.Option(help="figures, or weights: of every feature, in log-odds.")
    ] = "figures",
) -> None:
    """Show the fitted prior: its figures, the gain of each block, its weights."""
    if what not in ("figures", "weights"):
        raise InputError(f"--what {what}: give figures or weights")
    Workspace(Path(workspace)).require()
    path = model_file(Path(workspace))
    if not path.is_file():
        raise MissingLayerError(
            f"no prior is fitted in {workspace}: prior_score rests on hand-set weights; "
            "'cisgraph prior fit' learns them on a registered panel"
        )
    fitted = Combined.read(path)
    if what == "figures":
        _show_figures(fitted)
        return
    _show_weights("without language model", fitted.general)
    if fitted.with_language is not None:
        _show_weights("with language model", fitted.with_language)


def _show_figures(fitted: Combined) -> None:
    held = fitted.provenance
    say(f"panel {held['panel']} {held['group']}, {held['date']}")
    say("; ".join(f"{k.replace('_', ' ')} {n:,}" for k, n in held["counts"].items()))
    say(f"language model: {held['language']}")
    for name, figures in held["figures"].items():
        rows: list[list[object]] = [
            ["combined", f"{figures['auroc']:.4f}", "", ""],
            ["hand-set, no rarity", f"{figures['auroc_hand_set']:.4f}", "", ""],
        ]
        rows += [
            [block, f"{row['alone']:.4f}", f"{row['without']:.4f}",
             f"{figures['auroc'] - row['without']:+.4f}"]
            for block, row in figures["blocks"].items()
        ]  # fmt: skip
        show_table(
            f"{name.replace('_', ' ')}: simulated against observed, contigs left out; "
            f"calibration error {figures['calibration_error']:.4f}",
            ["evidence", "AUROC alone", "combined without it", "its gain"], rows,
        )  # fmt: skip


def _show_weights(title: str, model: Additive) -> None:
    rows = []
    for name, term in model.terms.items():
        values = term.levels or {
            f"{knot:g}": value
            for knot, value in zip(term.knots, term.values, strict=True)
        }
        shown = ", ".join(f"{level}: {value:+.2f}" for level, value in values.items())
        rows.append([term.block, name, shown])
    show_table(
        f"{title}: log-odds of simulated, 0 an average SNV; numbers linear between knots",
        ["block", "feature", "weights"], rows,
    )  # fmt: skip
