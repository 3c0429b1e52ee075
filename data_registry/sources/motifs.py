"""Position frequency matrices: MEME, TRANSFAC, JASPAR, and JASPAR's own collections.

TRANSFAC text covers the ``.tf`` files of RSAT (Cistrome, CIS-BP, PBM) and the files
JASPAR offers. ``jaspar:CORE/plants`` in place of a path reads a collection that comes
with pyjaspar, without a network.
"""

import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from data_registry.errors import InputError, MalformedFileError
from data_registry.parsing import Kind, Parsed, Request, Tally
from data_registry.text_files import read_text

Floats = npt.NDArray[np.float64]

JASPAR_RELEASE: Final = "JASPAR2026"
"""Release read where none is named."""
JASPAR_PREFIX: Final = "jaspar:"
WIDEST: Final = 100
"""Columns; a wider matrix is left out (``too_wide``)."""

_ROUNDING: Final = 1e-3
_HOCOMOCO: Final = re.compile(r"^(?P<tf>.+?)\.H\d+[A-Z]+\.")
_CISTROME: Final = re.compile(
    r"^(?P<family>[^.]+?)_(?:tnt|ecoli)\.(?P<tf>.+?)(?:_col[a-z]*)?(?:_[a-z0-9]+)*$"
)
_TRANSFAC_HEADER: Final = re.compile(
    r"^P[0O]\s+A\s+C\s+G\s+T\b", re.MULTILINE | re.IGNORECASE
)
_JASPAR_HEADER: Final = re.compile(
    r"^>[^\n]*\n\s*(?:A\s*[\[|:]?\s+)?-?\d[\d.eE+-]*(?:[ \t]+-?\d|\s*\])", re.MULTILINE
)
_MEME_BLOCK: Final = "letter-probability matrix"
_REMEDY: Final = (
    "Give MEME minimal (version 4 or 5), JASPAR or TRANSFAC text with A, C, G, T"
)


@dataclass(slots=True)
class _Motif:
    motif_id: str
    line: int | None
    tf: str = ""
    family: str = ""
    n_sites: float | None = None
    rows: list[list[float]] = field(default_factory=list)
    is_count: bool = False


def parse(request: Request) -> Parsed:
    """Read motifs into table ``motifs``; the tally counts matrices.

    Left out: ``no_matrix``, ``bad_value`` (negative or not finite), ``zero_column``,
    ``too_wide``, ``duplicate_motif`` (same name and same matrix). A name that stands
    for two matrices gets ``_2``, ``_3``, … on the later ones, and a note.

    Raises
    ------
    MalformedFileError
        No motif, a matrix that does not fit its header, another alphabet, or more
        than half of the matrices left out for their values.
    InputError
        An unknown JASPAR release, collection or taxonomic group.
    """
    named = split_jaspar_name(request.path)
    if named is not None:
        release = request.options.get("release", JASPAR_RELEASE)
        collection, tax_group = named
        motifs = _fetch_jaspar(collection, tax_group, release)
        notes = [f"{release} {collection}, {tax_group}: latest version of each matrix"]
    else:
        text = read_text(request.path)
        if not text.strip():
            raise MalformedFileError(request.path, "the file is empty", remedy=_REMEDY)
        motifs, notes = _read_motifs(request.path, text)
    if not motifs:
        raise MalformedFileError(request.path, "it holds no motif", remedy=_REMEDY)
    return _finish(request.path, motifs, notes)


def split_jaspar_name(path: Path) -> tuple[str, str] | None:
    """Return collection and taxonomic group of ``jaspar:CORE/plants``, else None.

    Raises
    ------
    InputError
        The name starts like one and does not end like one.
    """
    parts = path.parts
    for i, part in enumerate(parts):
        if part.lower().startswith(JASPAR_PREFIX):
            words = [part[len(JASPAR_PREFIX) :], *parts[i + 1 :]]
            if len(words) != 2 or not all(words):
                raise InputError(
                    f"{'/'.join(parts[i:])!r}: write jaspar:COLLECTION/GROUP, "
                    "e.g. jaspar:CORE/plants"
                )
            return words[0].upper(), words[1].lower()
    return None


def jaspar_motifs(
    collection: str = "CORE",
    tax_group: str = "plants",
    release: str = JASPAR_RELEASE,
) -> pd.DataFrame:
    """Return a JASPAR collection as rows of table ``motifs``, without a network.

    Parameters
    ----------
    collection
        E.g. ``CORE``, ``UNVALIDATED``.
    tax_group
        E.g. ``plants``, ``fungi``, ``vertebrates``.
    release
        E.g. ``JASPAR2024``; one of those pyjaspar brings along.

    Raises
    ------
    InputError
        There is no such release, collection or group.
    """
    motifs = _fetch_jaspar(collection, tax_group, release)
    path = Path(f"{JASPAR_PREFIX}{collection}/{tax_group}")
    return _finish(path, motifs, []).tables["motifs"]


def _fetch_jaspar(collection: str, tax_group: str, release: str) -> list[_Motif]:
    # half a second to import, and rarely needed
    from pyjaspar import jaspar_releases, jaspardb

    if release not in jaspar_releases:
        raise InputError(
            f"no JASPAR release {release!r} here; there are "
            + ", ".join(sorted(jaspar_releases))
        )
    database = jaspardb(release=release)
    try:
        with warnings.catch_warnings():
            # it warns where it finds nothing, which is an error here
            warnings.simplefilter("ignore")
            found = database.fetch_motifs(collection=collection, tax_group=[tax_group])
    finally:
        database.conn.close()
    if not found:
        raise InputError(
            f"{release} has no motifs in collection {collection!r}, group "
            f"{tax_group!r}; groups are plants, vertebrates, insects, fungi, "
            "nematodes, urochordates"
        )
    motifs = []
    for motif in sorted(found, key=lambda m: str(m.matrix_id)):
        counts = np.array([motif.counts[base] for base in "ACGT"], np.float64).T
        motifs.append(
            _Motif(
                str(motif.matrix_id),
                None,
                tf=str(motif.name),
                family=";".join(motif.tf_family or motif.tf_class or []),
                rows=counts.tolist(),
                is_count=True,
            )
        )
    return motifs


def detect(path: Path, head: bytes) -> bool:
    """Tell whether this looks like a motif file or names a JASPAR collection."""
    if any(part.lower().startswith(JASPAR_PREFIX) for part in path.parts):
        return True
    text = head.decode("utf-8", errors="replace").replace("\r\n", "\n")
    return (
        _MEME_BLOCK in text
        or text.lstrip("*\n\t ").startswith("MEME version")
        or bool(_TRANSFAC_HEADER.search(text))
        or bool(_JASPAR_HEADER.search(text))
    )


def _read_motifs(path: Path, text: str) -> tuple[list[_Motif], list[str]]:
    lines = text.split("\n")
    if _MEME_BLOCK in text or text.lstrip("*\n\t ").startswith("MEME version"):
        return list(_read_meme(path, lines)), ["read as MEME"]
    if _TRANSFAC_HEADER.search(text):
        return list(_read_transfac(path, lines)), ["read as TRANSFAC"]
    if text.lstrip().startswith(">"):
        return list(_read_jaspar(path, lines)), ["read as JASPAR"]
    raise MalformedFileError(
        path, "it looks like no motif format we know", line=1, remedy=_REMEDY
    )


def _read_numbers(path: Path, line: int, words: list[str]) -> list[float]:
    try:
        return [float(word) for word in words]
    except ValueError:
        raise MalformedFileError(
            path,
            f"a matrix row reads {' '.join(words)[:60]!r}",
            line=line,
            remedy="Matrix rows hold numbers only",
        ) from None


def _read_meme(path: Path, lines: list[str]) -> Iterator[_Motif]:
    current: _Motif | None = None
    missing = 0
    for number, line in enumerate(lines, start=1):
        words = line.split()
        if missing and current is not None:
            if not words and not current.rows:
                continue
            if len(words) != 4:
                raise MalformedFileError(
                    path,
                    f"motif {current.motif_id!r} lacks {missing} of its matrix rows: "
                    f"found {line.strip()[:60]!r}",
                    line=number,
                    remedy="A row has four probabilities, and w= counts the rows",
                )
            current.rows.append(_read_numbers(path, number, words))
            missing -= 1
            continue
        if not words:
            continue
        if words[0].startswith("ALPHABET"):
            _check_meme_alphabet(path, number, line)
        elif words[0] == "MOTIF" and len(words) > 1:
            if current is not None:
                yield current
            cut = words.index("width") if "width" in words else len(words)
            current = _Motif(words[1], number)
            alternative = words[2] if cut > 2 else ""
            if not re.fullmatch(r"(?:MEME|STREME|DREME)-\d+", alternative):
                current.tf = alternative
        elif line.strip().startswith(_MEME_BLOCK):
            stated = dict(re.findall(r"(\w+)\s*=\s*(\S+)", line))
            if current is None:
                raise MalformedFileError(
                    path,
                    "a matrix stands before any MOTIF line",
                    line=number,
                    remedy="Name each motif with a line 'MOTIF name'",
                )
            if stated.get("alength", "4") != "4":
                raise MalformedFileError(
                    path,
                    f"the alphabet has {stated['alength']} letters",
                    line=number,
                    remedy=_REMEDY,
                )
            width = stated.get("w", "")
            if not width.isdigit() or not int(width):
                raise MalformedFileError(
                    path,
                    f"motif {current.motif_id!r} states no width",
                    line=number,
                    remedy="Write 'letter-probability matrix: alength= 4 w= WIDTH'",
                )
            if current.rows:
                raise MalformedFileError(
                    path,
                    f"motif {current.motif_id!r} has two matrices",
                    line=number,
                    remedy="Name each motif with a MOTIF line of its own",
                )
            missing = int(width)
            sites = _read_numbers(path, number, [stated.get("nsites", "0")])[0]
            current.n_sites = sites if sites > 0 else None
    if missing and current is not None:
        raise MalformedFileError(
            path,
            f"the file ends {missing} rows before the matrix of motif "
            f"{current.motif_id!r} does",
            line=len(lines),
            remedy="The file is truncated: fetch it again",
        )
    if current is not None:
        yield current


def _check_meme_alphabet(path: Path, number: int, line: str) -> None:
    found = re.match(
        r'\s*ALPHABET\s*=?\s*(?:"(?P<name>[^"]*)"|(?P<letters>\S+))?', line
    )
    letters = (found["letters"] or "").upper() if found else ""
    name = (found["name"] or "").upper() if found else ""
    if letters not in ("", "ACGT", "DNA") or name not in ("", "DNA"):
        raise MalformedFileError(
            path,
            f"the alphabet is {letters or name!r}",
            line=number,
            remedy="Only DNA motifs (ACGT) can be scanned",
        )


def _read_transfac(path: Path, lines: list[str]) -> Iterator[_Motif]:
    fields: dict[str, str] = {}
    comments: dict[str, str] = {}
    rows: list[list[float]] = []
    first: int | None = None
    in_matrix = False
    for number, line in enumerate(lines, start=1):
        tag, _, rest = line.strip().partition(" ")
        if "\t" in tag:
            tag, _, rest = line.strip().partition("\t")
        rest = rest.strip()
        if tag == "//":
            if fields or rows:
                yield _from_transfac(fields, comments, rows, first)
            fields, comments, rows, first, in_matrix = {}, {}, [], None, False
            continue
        if not tag:
            continue
        if tag.upper() in ("P0", "PO"):
            if rest.upper().split()[:4] != ["A", "C", "G", "T"]:
                raise MalformedFileError(
                    path,
                    f"the matrix has columns {rest!r}",
                    line=number,
                    remedy="TRANSFAC matrices have columns A C G T",
                )
            in_matrix = True
            first = number if first is None else first
        elif in_matrix and tag.isdigit():
            words = rest.split()
            if len(words) < 4:
                raise MalformedFileError(
                    path,
                    f"a matrix row has {len(words)} numbers",
                    line=number,
                    remedy="A row has a position and four counts, A C G T",
                )
            rows.append(_read_numbers(path, number, words[:4]))
        else:
            in_matrix = False
            first = number if first is None else first
            if tag == "CC":
                key, _, value = rest.partition(":")
                comments.setdefault(key.strip(), value.strip())
            elif tag not in ("XX", "VV"):
                fields.setdefault(tag, rest)
    if rows:
        raise MalformedFileError(
            path,
            "the last entry has no end line '//'",
            line=len(lines),
            remedy="The file is truncated: fetch it again",
        )


def _from_transfac(
    fields: dict[str, str],
    comments: dict[str, str],
    rows: list[list[float]],
    line: int | None,
) -> _Motif:
    accession = fields.get("AC") or fields.get("ID") or fields.get("NA") or ""
    identifier = fields.get("ID", "")
    description = fields.get("DE", "")
    tf = fields.get("NA", "")
    if not tf and "BF" in fields:
        # BF  T00671; p53; Species: human
        parts = [part.strip() for part in fields["BF"].split(";")]
        tf = parts[1] if len(parts) > 1 else parts[0]
    if not tf and identifier != accession:
        tf = identifier
    is_consensus = re.fullmatch(r"[ACGTRYSWKMBDHVNacgtryswkmbdhvn]+", description)
    if not tf and description and " " not in description and not is_consensus:
        tf = description
    return _Motif(
        accession,
        line,
        tf=tf,
        family=comments.get("tf_family") or comments.get("tf_class") or "",
        rows=rows,
        is_count=True,
    )


def _read_jaspar(path: Path, lines: list[str]) -> Iterator[_Motif]:
    header: tuple[int, list[str]] | None = None
    body: list[tuple[int, str]] = []
    for number, line in enumerate([*lines, ">"], start=1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        if not text.startswith(">"):
            body.append((number, text))
            continue
        if header is not None:
            yield _from_jaspar(path, header[0], header[1], body)
        header, body = (number, text[1:].split()), []
        if number <= len(lines) and not header[1]:
            raise MalformedFileError(
                path,
                "a header has no name",
                line=number,
                remedy="Write '>identifier name' before each matrix",
            )


def _from_jaspar(
    path: Path, line: int, words: list[str], body: list[tuple[int, str]]
) -> _Motif:
    motif = _Motif(words[0], line, tf=" ".join(words[1:]), is_count=True)
    lettered: dict[str, list[float]] = {}
    plain: list[list[float]] = []
    for number, text in body:
        letter = text[0].upper()
        values = re.sub(r"[\[\]|:,]", " ", text[1:] if letter in "ACGTU" else text)
        row = _read_numbers(path, number, values.split())
        if letter in "ACGTU":
            lettered[letter] = row
        else:
            plain.append(row)
    if not body:
        return motif
    given = [lettered.get(letter, []) for letter in "ACGT"] if lettered else plain
    lengths = {len(row) for row in given}
    if len(given) == 4 and len(lengths) == 1 and lengths != {0}:
        motif.rows = np.array(given).T.tolist()
    elif lengths == {4} and not lettered:
        # positions in rows, as HOCOMOCO writes its .pcm files
        motif.rows = plain
    else:
        raise MalformedFileError(
            path,
            f"the matrix of {motif.motif_id!r} has rows of {sorted(lengths)} numbers",
            line=line,
            remedy="Give four rows A, C, G, T of one length",
        )
    return motif


def _finish(path: Path, motifs: list[_Motif], notes: list[str]) -> Parsed:
    tally = Tally()
    rows: list[tuple[object, ...]] = []
    seen: dict[str, list[Floats]] = {}
    n_bad = n_scaled = n_renamed = 0
    is_percent = _are_percentages(motifs)
    for motif in motifs:
        tally.read += 1
        reason, matrix, sums = _check_matrix(motif)
        if reason:
            n_bad += 1
            tally.leave_out(reason, line=motif.line, text=motif.motif_id)
            continue
        n_scaled += int(not motif.is_count and np.abs(sums - 1).max() > _ROUNDING)
        name = motif.motif_id or f"motif_{tally.read}"
        before = seen.setdefault(name, [])
        if any(m.shape == matrix.shape and np.allclose(m, matrix) for m in before):
            tally.leave_out("duplicate_motif", line=motif.line, text=name)
            continue
        before.append(matrix)
        if len(before) > 1:
            n_renamed += 1
            name = f"{name}_{len(before)}"
        n_sites = motif.n_sites
        if motif.is_count and not is_percent:
            n_sites = float(sums.max())
        tf, family = _name_factor(motif)
        rows.append(
            (name, tf, family, len(matrix), n_sites, matrix.ravel(), motif.line)
        )
    if 2 * n_bad > len(motifs):
        reasons = ", ".join(f"{n} {reason}" for reason, n in tally.left_out.items())
        raise MalformedFileError(
            path,
            f"{n_bad} of {len(motifs)} matrices cannot be used ({reasons})",
            remedy="Give counts or probabilities, not log-odds",
        )
    if n_scaled:
        notes.append(
            f"{n_scaled} matrices had rows that did not add up to 1; each row was "
            "divided by its sum"
        )
    if is_percent:
        notes.append(
            "rows add up to 100 or 1 in every matrix: numbers of sites unknown"
        )
    if cut := [m.motif_id for m in motifs if _is_cut(m)]:
        notes.append(
            f"{len(cut)} matrices are narrower than the consensus in their name, e.g. "
            f"{cut[0]}: the source lost the gap"
        )
    if n_renamed:
        notes.append(f"{n_renamed} matrices share a name with another; _2, _3 … added")
    table = pd.DataFrame(
        rows,
        columns=["motif_id", "tf", "family", "width", "n_sites", "matrix", "_line"],
    )
    table["n_sites"] = table["n_sites"].astype(float)
    if table["_line"].isna().any():
        # a collection of JASPAR has no lines
        table = table.drop(columns="_line")
    return Parsed({"motifs": table}, tally, notes)


def _check_matrix(motif: _Motif) -> tuple[str, Floats, Floats]:
    matrix = np.array(motif.rows, np.float64).reshape(-1, 4)
    sums = matrix.sum(axis=1)
    if not len(matrix):
        return "no_matrix", matrix, sums
    if len(matrix) > WIDEST:
        return "too_wide", matrix, sums
    if not np.isfinite(matrix).all() or (matrix < 0).any():
        return "bad_value", matrix, sums
    if (sums <= 0).any():
        return "zero_column", matrix, sums
    return "", matrix / sums[:, None], sums


def _are_percentages(motifs: list[_Motif]) -> bool:
    """Tell whether "counts" are shares: every row adds up to about 100, or to 1."""
    if len(motifs) < 2 or not all(motif.is_count for motif in motifs):
        return False
    sums = np.concatenate([np.array(m.rows).reshape(-1, 4).sum(axis=1) for m in motifs])
    return bool(
        sums.size
        and ((np.abs(sums - 100) <= 3).all() or (np.abs(sums - 1) <= 0.03).all())
    )


def _is_cut(motif: _Motif) -> bool:
    """Tell whether a YEASTRACT name spells a consensus wider than the matrix."""
    _, found, consensus = motif.motif_id.partition("&consensus=")
    spelled = re.sub(r"(\w)\{(\d+)\}", lambda gap: gap[1] * int(gap[2]), consensus)
    return bool(found) and len(motif.rows) < len(spelled)


def _name_factor(motif: _Motif) -> tuple[str, str]:
    """Return factor and family, from the identifier's pattern where none is given."""
    if motif.tf:
        return motif.tf, motif.family
    for pattern in (_HOCOMOCO, _CISTROME):
        if found := pattern.match(motif.motif_id):
            parts = found.groupdict()
            return parts["tf"], motif.family or parts.get("family", "")
    return motif.motif_id, motif.family


KINDS: tuple[Kind, ...] = (
    Kind(
        name="motifs",
        meaning="motif matrices: MEME, JASPAR, TRANSFAC, or jaspar:CORE/plants",
        detect=detect,
        parse=parse,
        tables=("motifs",),
        options={"release": f"JASPAR release for jaspar:… (default {JASPAR_RELEASE})"},
    ),
)
