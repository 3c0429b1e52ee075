"""Tables whose columns go by many names: finding the ones a kind needs."""

from collections.abc import Mapping, Sequence

import pandas as pd

from data_registry.errors import InputError, MalformedFileError
from data_registry.parsing import Request, Tally
from data_registry.text_files import (
    LINE,
    find_column,
    read_first_row,
    read_table,
)

WRONG_WIDTH_OPTION = "leave_out: rows with too few or too many fields are left out"
HEADER_OPTION = "yes or no: the first row names the columns (default: recognised)"


def read_named_table(
    request: Request,
    synonyms: Mapping[str, Sequence[str]],
    *,
    required: Sequence[str],
    positions: Sequence[str] = (),
    notes: list[str],
    delimiter: str | None = None,
    comment: str = "#",
    wrong_width: Tally | None = None,
) -> pd.DataFrame:
    """Read a table and give the columns a kind knows their own names.

    The caller's ``--column`` come first, then the header's names by ``synonyms``. When
    the first row holds none of them, the table has no header and its first columns are
    ``positions`` in order.

    Parameters
    ----------
    synonyms
        Wanted name to the names it goes by, the surest first; case and punctuation do
        not matter, and the wanted name is always one of them.
    required
        Wanted names without which the file is refused.
    positions
        Wanted names in the order of a table without a header; empty: it needs one.
    notes
        A sentence on the columns used is added here.
    wrong_width
        Counts rows of the wrong width where the caller's option allows them.

    Returns
    -------
    pandas.DataFrame
        As ``read_table``, the known columns renamed.

    Raises
    ------
    MalformedFileError
        A required column is missing.
    """
    first = read_first_row(request.path, delimiter=delimiter)
    has_header = _has_header(request, first, synonyms, can_lack=bool(positions))
    frame = read_table(
        request.path,
        header=has_header,
        columns=request.columns,
        delimiter=delimiter,
        comment=comment,
        wrong_width=wrong_width if _leaves_out(request) else None,
    )
    width = len(frame.columns) - 1
    lacks = not {*required} <= {*request.columns}
    if not has_header and lacks and width > len(positions) + 1:
        raise MalformedFileError(
            request.path,
            f"no header and {width} columns: not told which are {', '.join(required)}",
            remedy=f"Say it by position with --column {required[0]}=0 and so on",
        )
    return name_columns(
        request,
        frame,
        synonyms,
        required=required,
        positions=() if has_header else positions,
        notes=notes,
    )


def _leaves_out(request: Request) -> bool:
    asked = request.options.get("wrong_width", "refuse")
    if asked not in ("refuse", "leave_out"):
        raise InputError(f"option wrong_width={asked}: say refuse or leave_out")
    return asked == "leave_out"


def _has_header(
    request: Request,
    first: Sequence[str],
    synonyms: Mapping[str, Sequence[str]],
    *,
    can_lack: bool,
) -> bool:
    asked = request.options.get("header", "").lower()
    if asked not in ("", "yes", "no"):
        raise InputError(f"option header={asked}: say yes or no")
    if asked:
        return asked == "yes"
    if any(name in first for name in request.columns.values() if not name.isdigit()):
        return True
    known = any(
        find_column(first, wanted, *names) is not None
        for wanted, names in synonyms.items()
    )
    return known or not can_lack


def name_columns(
    request: Request,
    frame: pd.DataFrame,
    synonyms: Mapping[str, Sequence[str]],
    *,
    required: Sequence[str],
    positions: Sequence[str] = (),
    notes: list[str],
) -> pd.DataFrame:
    """Rename the columns of a table read already; see ``read_named_table``."""
    given = [str(name) for name in frame.columns if name != LINE]
    free = [name for name in given if name not in request.columns]
    renaming: dict[str, str] = {}
    for wanted, names in synonyms.items():
        if wanted in request.columns:
            continue
        found = find_column(free, wanted, *names)
        if found is not None:
            renaming[found] = wanted
            free.remove(found)
    for index, wanted in enumerate(positions):
        if str(index) in free and wanted not in request.columns:
            renaming[str(index)] = wanted
            free.remove(str(index))
    named = {*renaming.values(), *request.columns}
    if lacking := [wanted for wanted in required if wanted not in named]:
        raise MalformedFileError(
            request.path,
            f"no column for {', '.join(lacking)} among "
            f"{', '.join(map(repr, given[:20]))}",
            line=1,
            remedy=f"Say which column it is with --column {lacking[0]}=NAME",
        )
    used = [f"{wanted}={name}" for name, wanted in renaming.items() if wanted != name]
    used += [f"{wanted}={name}" for wanted, name in request.columns.items()]
    if used:
        notes.append(f"columns used: {', '.join(used)}")
    return frame.rename(columns=renaming)


def names_match(
    names: Sequence[str], synonyms: Mapping[str, Sequence[str]], *wanted: str
) -> bool:
    """Tell whether a header holds a column for each wanted name; for ``detect``."""
    return all(find_column(names, w, *synonyms[w]) is not None for w in wanted)
