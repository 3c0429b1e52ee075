"""Genomes of related strains and species, to be aligned to the reference.

They are read as the reference is, and kept as one FASTA line a record; nothing of them
lies on the assembly until ``data_registry.relatives`` aligns them.
"""

from pathlib import Path

from data_registry.errors import InputError
from data_registry.parsing import Kind, Parsed, Request
from data_registry.sources.genome import parse_genome

ROLES = ("ingroup", "outgroup")


def detect(path: Path, head: bytes) -> bool:  # noqa: ARG001
    """Never: a FASTA is the reference unless the caller says otherwise."""
    return False


def parse(request: Request) -> Parsed:
    """Read a relative's genome; its name is the data set's name.

    Raises
    ------
    MalformedFileError
        As for a reference genome.
    InputError
        The role is not given, or is neither of the two.
    """
    role = request.options.get("role", "")
    if role not in ROLES:
        found = f"role={role!r}" if role else "no role"
        raise InputError(
            f"{request.path}: {found}; say --option role=outgroup (it split off before "
            "the samples to be scored did: its allele counts as ancestral) or "
            "--option role=ingroup"
        )
    parsed = parse_genome(request)
    contigs = parsed.tables["contigs"].rename(columns={"contig": "record"})
    contigs.insert(0, "relative", request.name)
    contigs.insert(1, "role", role)
    parsed.tables = {"relative_records": contigs.drop(columns="ordinal")}
    parsed.notes.append(
        f"{role}; 'cisgraph relatives' aligns it, once all relatives are added"
    )
    return parsed


KINDS = (
    Kind(
        name="relative_genome",
        meaning="genome of a related strain or species: FASTA (plain, gz, bgz) or 2bit",
        detect=detect,
        parse=parse,
        tables=("relative_records",),
        options={
            "role": "outgroup (its allele counts as ancestral) or ingroup; needed"
        },
    ),
)
