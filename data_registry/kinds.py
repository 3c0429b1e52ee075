"""All kinds of source, and finding out which one a file is."""

from pathlib import Path

from data_registry.errors import InputError, MalformedFileError
from data_registry.parsing import Kind
from data_registry.sources import (
    aliases,
    annotation,
    contacts,
    expression,
    gene_sets,
    genome,
    gwas,
    interactions,
    intervals,
    motifs,
    names,
    ontology,
    orthologs,
    panels,
    pangenome,
    pathways,
    phenotypes,
    relative_genome,
    texts,
    tf_sites,
    tracks,
    variant_scores,
)
from data_registry.text_files import read_head

KINDS: dict[str, Kind] = {
    kind.name: kind
    for module in (
        # In this order a file is tried: the surest formats first.
        genome,
        relative_genome,
        panels,
        tracks,
        contacts,
        pangenome,
        annotation,
        motifs,
        ontology,
        names,
        gwas,
        gene_sets,
        variant_scores,
        tf_sites,
        intervals,
        orthologs,
        interactions,
        pathways,
        expression,
        phenotypes,
        aliases,
        texts,
    )
    for kind in module.KINDS
}


def find_kind(name: str) -> Kind:
    """Return the kind of that name.

    Raises
    ------
    InputError
        There is no such kind.
    """
    if name not in KINDS:
        raise InputError(f"no kind {name!r}; there are: {', '.join(sorted(KINDS))}")
    return KINDS[name]


def detect_kind(path: Path) -> Kind:
    """Return the first kind whose ``detect`` recognises the file.

    Raises
    ------
    MalformedFileError
        The file is empty, or no kind recognises it.
    """
    head = read_head(path)
    if not head.strip():
        raise MalformedFileError(path, "the file is empty", remedy="Give another file")
    for kind in KINDS.values():
        if kind.detect(path, head):
            return kind
    if head.startswith(b"PK\x03\x04"):
        raise MalformedFileError(
            path, "it is a zip archive", remedy="Unpack it and add the files inside"
        )
    raise MalformedFileError(
        path,
        "no kind of source recognises this file",
        remedy=f"Say what it is with --kind ({', '.join(sorted(KINDS))})",
    )
