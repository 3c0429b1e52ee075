"""Everything that scoring reads, loaded once in a process."""

from dataclasses import dataclass
from pathlib import Path

import duckdb

from data_registry.contigs import ContigNames
from data_registry.genome import Genome
from variant_effect.consequences import ConsequenceCaller
from variant_effect.markov import Background, MarkovModel


@dataclass(frozen=True, slots=True)
class Material:
    """Everything a scorer may be made from.

    Parameters
    ----------
    workspace
        The workspace folder.
    connection
        The registry, read-only; closed after the scorers are made.
    genome, contig_names
        The assembly, and the resolver of other names of its contigs.
    caller
        Calls consequences.
    markov, background
        The fitted Markov model and the scores of random changes.
    graph
        Folder of the newest graph, None where none is built.
    genome_sha256
        Digest of the genome's file.
    language_background
        Folder of the language model's scores of random changes, None without a model
        that can be opened.
    lm_distance
        Compute embedding distances that were not precomputed.
    """

    workspace: Path
    connection: duckdb.DuckDBPyConnection
    genome: Genome
    contig_names: ContigNames
    caller: ConsequenceCaller
    markov: MarkovModel
    background: Background
    graph: Path | None
    genome_sha256: str = ""
    language_background: Path | None = None
    lm_distance: bool = False
