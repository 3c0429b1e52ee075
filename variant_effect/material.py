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
    """

    workspace: Path
    connection: duckdb.DuckDBPyConnection
    genome: Genome
    contig_names: ContigNames
    caller: ConsequenceCaller
    markov: MarkovModel
    background: Background
    graph: Path | None
