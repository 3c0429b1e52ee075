"""Pictures for pages and cards: a vocabulary as a word cloud, probabilities as a logo.

``python -m dashboards.pictures word-cloud|logo``; both read result files only.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import numpy as np
import typer
from numpy.typing import ArrayLike, NDArray

from data_registry.console import new_app, run_app, say
from data_registry.errors import InputError, MissingOptionalError
from data_registry.text_files import read_numbers, read_table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BASES: Final = "ACGT"
COLOURS: Final = {"A": "#109648", "C": "#255c99", "G": "#f7b32b", "T": "#d62839"}
"""A green, C blue, G yellow, T red, as sequence logos usually are."""

_MAX_POSITIONS: Final = 400

app = new_app("Pictures of results.")


def _need(module: str) -> Any:  # noqa: ANN401
    import importlib

    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        package = module.split(".")[0]
        raise MissingOptionalError(
            f"this picture needs the '{package}' package: pip install {package}"
        ) from error


def word_cloud(counts: Mapping[str, float], path: Path, *, seed: int = 1) -> None:
    """Draw tokens, the larger the more of the sequence they cover.

    Parameters
    ----------
    counts
        Token to how often it stands in the sequence. Its size in the picture follows
        count times length, the bases it covers: by count alone single bases fill it.
    path
        PNG to write.
    seed
        Decides the places of the words.

    Raises
    ------
    InputError
        There is no token with a count above zero.
    """
    cloud = _need("wordcloud")
    bases = {token: n * len(token) for token, n in counts.items() if n > 0}
    if not bases:
        raise InputError("no token has a count above zero: nothing to draw")
    drawn = cloud.WordCloud(
        width=1600, height=900, background_color="white", max_words=len(bases), max_font_size=220,
        color_func=_colour, random_state=seed, prefer_horizontal=0.9, min_font_size=6,
    ).generate_from_frequencies(bases)  # fmt: skip
    beside = path.with_name(path.name + ".part")
    drawn.to_image().save(beside, format="PNG")
    beside.replace(path)


def _colour(word: str, **_: object) -> str:
    """Mix the colours of a word's bases."""
    parts = [COLOURS.get(base, "#808080") for base in word]
    channels = [[int(part[i : i + 2], 16) for i in (1, 3, 5)] for part in parts]
    return "#" + "".join(f"{round(c):02x}" for c in np.mean(channels, axis=0))


def letter_heights(probabilities: ArrayLike) -> NDArray[np.float64]:
    """Return the height of each base at each position, in bits.

    Information content 2 - H(p), shared out by probability (Schneider and Stephens
    1990).

    Parameters
    ----------
    probabilities
        ``(length, 4)`` in the order A, C, G, T; each row sums to one.

    Raises
    ------
    InputError
        Another shape, a negative or missing value, or a row that does not sum to one.
    """
    p = np.asarray(probabilities, dtype=np.float64)
    if p.ndim != 2 or p.shape[1] != 4 or not len(p):
        raise InputError(f"a logo needs rows of A, C, G, T; the shape is {p.shape}")
    wrong = ~(np.isfinite(p).all(axis=1) & (p >= 0).all(axis=1))
    wrong |= np.abs(p.sum(axis=1) - 1) > 1e-3
    if wrong.any():
        at = int(wrong.argmax())
        raise InputError(
            f"position {at}: {p[at].round(4).tolist()} are no probabilities of A, C, G, T"
        )
    p = p / p.sum(axis=1, keepdims=True)
    entropy = -(p * np.log2(np.where(p > 0, p, 1.0))).sum(axis=1, keepdims=True)
    heights: NDArray[np.float64] = p * (2.0 - entropy)
    return heights


def logo(
    probabilities: ArrayLike,
    path: Path,
    *,
    reference: str = "",
    first_position: int = 1,
    title: str = "",
) -> None:
    """Draw a sequence logo, the likeliest base on top.

    Parameters
    ----------
    probabilities
        As ``letter_heights`` takes them.
    path
        PNG, PDF or SVG to write, told by its ending.
    reference
        The sequence as it stands in the genome, written below the axis.
    first_position
        Number of the first position (1-based in the genome).

    Raises
    ------
    InputError
        No probabilities, more positions than can be read in a picture, or a reference
        of another length.
    """
    heights = letter_heights(probabilities)
    if len(heights) > _MAX_POSITIONS:
        raise InputError(
            f"{len(heights)} positions cannot be read in one logo; draw up to "
            f"{_MAX_POSITIONS}"
        )
    if reference and len(reference) != len(heights):
        raise InputError(
            f"a reference of {len(reference)} bases for {len(heights)} positions"
        )
    figures = _need("matplotlib.figure")
    _need("matplotlib.backends.backend_agg")
    width = max(4.0, 0.22 * len(heights) + 1.0)
    figure = figures.Figure(figsize=(width, 2.6), layout="constrained")
    axes = figure.add_subplot()
    for position, row in enumerate(heights):
        bottom = 0.0
        for base in np.argsort(row, kind="stable"):
            _draw_letter(axes, BASES[base], position, bottom, float(row[base]))
            bottom += float(row[base])
    axes.set_xlim(-0.5, len(heights) - 0.5)
    axes.set_ylim(0.0, 2.0)
    axes.set_yticks([0, 1, 2])
    axes.set_ylabel("bits")
    step = max(1, len(heights) // 20)
    ticks = range(0, len(heights), 1 if reference else step)
    labels = [_tick(i, reference, first_position, step) for i in ticks]
    axes.set_xticks(list(ticks), labels, fontsize=8)
    axes.set_title(title, fontsize=10)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    beside = path.with_name(f"{path.stem}.part{path.suffix}")
    figure.savefig(beside, dpi=150)
    beside.replace(path)


def _tick(i: int, reference: str, first_position: int, step: int) -> str:
    number = f"{first_position + i:,}" if i % step == 0 else ""
    return f"{reference[i]}\n{number}" if reference else number


def _draw_letter(
    axes: "Axes", base: str, position: float, bottom: float, height: float
) -> None:
    """Draw one letter stretched to a box of width 0.9 and the height given."""
    if height < 1e-3:
        return
    text_path = _need("matplotlib.textpath")
    transforms = _need("matplotlib.transforms")
    patches = _need("matplotlib.patches")
    outline = text_path.TextPath((0, 0), base, size=1, prop={"weight": "bold"})
    box = outline.get_extents()
    move = (
        transforms.Affine2D()
        .translate(-box.x0, -box.y0)
        .scale(0.9 / box.width, height / box.height)
        .translate(position - 0.45, bottom)
    )
    axes.add_patch(
        patches.PathPatch(move.transform_path(outline), color=COLOURS[base], lw=0)
    )


@app.command(name="word-cloud")
def word_cloud_command(
    vocabulary: Annotated[Path, typer.Argument(help="vocabulary.tsv: token, count.")],
    out: Annotated[Path, typer.Option("--out", help="PNG to write.")],
) -> None:
    """Draw the vocabulary that ``python -m encoders.tokenize`` wrote."""
    table = read_table(vocabulary)
    if lacking := {"token", "count"} - {*table.columns}:
        raise InputError(f"{vocabulary}: no column {', '.join(sorted(lacking))}")
    counts = dict(zip(table["token"], read_numbers(table["count"]), strict=True))
    word_cloud(counts, out)
    say(f"{len(counts):,} tokens in {out}")


@app.command(name="logo")
def logo_command(
    probabilities: Annotated[
        Path, typer.Argument(help="Table with columns A, C, G, T; a row a position.")
    ],
    out: Annotated[Path, typer.Option("--out", help="PNG, PDF or SVG to write.")],
    title: Annotated[str, typer.Option(help="Title.")] = "",
) -> None:
    """Draw a sequence logo of base probabilities."""
    table = read_table(probabilities)
    if lacking := {*BASES} - {*table.columns}:
        raise InputError(f"{probabilities}: no column {', '.join(sorted(lacking))}")
    rows = np.stack([read_numbers(table[base]).to_numpy() for base in BASES], axis=1)
    logo(rows, out, title=title)
    say(f"{len(rows):,} positions in {out}")


if __name__ == "__main__":
    run_app(app)
