"""Laws that every scorer keeps; ``tests/variant_effect/test_scorers.py`` runs them on all.

A new scorer named in ``variant_effect.scorers.ALL`` is held to them without further ado.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from variant_effect.alleles import AlleleTable, read_alleles, read_records
from variant_effect.consequences import Consequences
from variant_effect.run import ContigMapper, Engine, core_columns
from variant_effect.scorers import Scorer
from variant_effect.structural import fill_consequences

Scored = dict[str, list[object]]


def make_alleles(engine: Engine, lines: Sequence[bytes]) -> AlleleTable:
    """Read record lines as one chunk."""
    records = read_records(b"".join(lines), Path("in.vcf"), 1)
    names = ContigMapper(engine.prepared.contig_names).of(records["CHROM"].to_pylist())
    return read_alleles(records, engine.material.genome, names)


def columns_before(
    engine: Engine, scorer: Scorer, alleles: AlleleTable
) -> tuple[Consequences, dict[str, pa.Array]]:
    """What the scorer is given: consequences, and the columns of those before it."""
    consequences = engine.material.caller.call(alleles)
    fill_consequences(alleles, consequences, engine.material)
    before = core_columns(alleles, consequences)
    for other in engine.scorers:
        if other.name == scorer.name:
            break
        before |= other.score(alleles, consequences, before, engine.connection)
    return consequences, before


def score_alone(
    engine: Engine, scorer: Scorer, lines: Sequence[bytes]
) -> dict[str, pa.Array]:
    """Run one scorer on a chunk of records."""
    alleles = make_alleles(engine, lines)
    consequences, before = columns_before(engine, scorer, alleles)
    return scorer.score(alleles, consequences, before, engine.connection)


def as_lists(columns: Mapping[str, pa.Array]) -> Scored:
    return {name: values.to_pylist() for name, values in columns.items()}


def check_scorer(engine: Engine, scorer: Scorer, lines: Sequence[bytes]) -> None:
    """Hold a scorer to the common laws.

    Parameters
    ----------
    lines
        Records of one ALT each, some of which cannot be scored.
    """
    alleles = make_alleles(engine, lines)
    assert len(alleles) == len(lines)
    assert not alleles.scored.all()
    columns = score_alone(engine, scorer, lines)

    # The columns are those declared, with the declared types, one value an allele.
    assert set(columns) == {column.name for column in scorer.columns}
    for column in scorer.columns:
        assert column.meaning
        assert len(columns[column.name]) == len(lines)
        assert columns[column.name].cast(column.type).type == column.type

    # Alleles that are not scored have nulls.
    unscored = np.flatnonzero(~alleles.scored).tolist()
    together = as_lists(columns)
    for name, values in together.items():
        assert [values[i] for i in unscored] == [None] * len(unscored), name

    # Batch-mates do not matter, nor does the order of the input.
    singly = [as_lists(score_alone(engine, scorer, [line])) for line in lines]
    backwards = as_lists(score_alone(engine, scorer, lines[::-1]))
    for name, values in together.items():
        assert [one[name][0] for one in singly] == values, name
        assert backwards[name][::-1] == values, name

    # Numbers keep to the range that they declare.
    for column in scorer.columns:
        low, dash, high = column.range.partition("-")
        if dash and low.replace(".", "").isdigit() and high.replace(".", "").isdigit():
            known = [value for value in together[column.name] if value is not None]
            assert all(
                float(low) <= float(value) <= float(high) + 1e-6 for value in known
            )

    # A chunk without a single allele to score is no special case.
    none = as_lists(score_alone(engine, scorer, [lines[i] for i in unscored]))
    assert all(value is None for values in none.values() for value in values)


def check_missing_layer(engine: Engine, scorer: Scorer, lines: Sequence[bytes]) -> None:
    """Without its layer a scorer says so, names a remedy, and gives nulls or zeros."""
    columns = as_lists(score_alone(engine, scorer, lines))
    assert set(columns) == {column.name for column in scorer.columns}
    if scorer.missing:
        assert "cisgraph" in scorer.missing or "--kind" in scorer.missing
        assert all(not value for values in columns.values() for value in values)
