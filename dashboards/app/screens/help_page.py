"""Help: worked examples, what the scores mean and do not, and a glossary."""

from typing import Any, Final

import pandas as pd
import streamlit as st

from dashboards.app import exports, navigation
from dashboards.app.context import context
from dashboards.app.filters import Filter
from dashboards.app.tables import allele_name, records
from dashboards.app.words import CONSEQUENCES, GLOSSARY, IMPACTS, label

_MEANS: Final = """
**What the prior score is.** An ordering of variants from 0 to 1. Set by hand, it puts
together how severe the consequence is, a motif made or broken, conservation, how unusual
the sequence becomes, and how rare the allele is; the weights are on the card and in
`docs/scorers.md`. Fitted on your own panel (`cisgraph prior fit`), it is the probability
that such a change is one that the population does not carry, at equal numbers.

**What it is not.** It is no probability that a variant is harmful, no effect on yield, and
not comparable between species or files. No association with a trait is in it. A high score
says "look here first".

**Percentile.** The share of the scored alleles *of this result* with a lower score. The top
1 % of a file of 1,000 alleles and of one of ten million are different things.

**Abstaining.** An allele that cannot be scored carries the reason. Scored plus reasons is
the input; the accounting of each run shows it.

**Associations.** A GWAS result marks a block of linked variants. It stands on the card as
what it is, and never enters the prior score.

**Frequencies by group** are counts in the registered panels. A rare allele in a small group
may be absent by chance.
"""


def show() -> None:
    """Draw the page."""
    found = context()
    demo, meaning, words, columns = st.tabs(
        ["Worked examples", "What the scores mean", "Glossary", "Columns"]
    )
    with demo:
        _draw_examples()
    with meaning:
        st.markdown(_MEANS)
    with words:
        _draw_glossary()
    with columns:
        scores = found.scores()
        if scores is None:
            st.write("Nothing has been scored here yet.")
        else:
            frame = pd.DataFrame(
                [
                    {"column": c.name, "called": label(c.name), "unit": c.unit,
                     "higher means": c.direction, "meaning": c.meaning}
                    for c in scores.columns.values()
                ]
            )  # fmt: skip
            st.dataframe(frame, hide_index=True, height=520)
            exports.offer_table(frame, "columns", key="columns")


def _draw_examples() -> None:
    found = context()
    is_demo = "simulated" in found.name or found.name in {"demo", "workspace"}
    st.markdown(
        "The demo organism is **simulated** (`cisgraph demo`): three chromosomes, 258 genes, "
        "planted alleles whose effects are known. The steps below open on the workspace "
        "that is shown now"
        + (
            "."
            if is_demo
            else f" ({found.name}); on the demo organism they give what it says."
        )
    )
    scores = found.scores()
    if scores is None:
        st.info("Nothing has been scored here yet: begin with 'Score a file'.")
        navigation.link("score", "Score a file")
        return
    known = scores.known(Filter())
    shown = tuple(
        c for c in ("chrom", "pos", "ref", "alt", "gene") if c in scores.columns
    )
    sort = "prior_score" if "prior_score" in scores.columns else ""
    top = records(scores.page(Filter(), known, columns=shown, sort=sort, limit=1))
    motif: list[dict[str, Any]] = []
    if {"motif_change", "cre_n"} <= scores.columns.keys():
        wanted = Filter(element="enhancer")
        motif = records(
            scores.page(wanted, scores.known(wanted), columns=shown, sort=sort, limit=1)
        )
    st.markdown("**1. Which alleles are most likely to matter?** Sorted by prior score; the "
                "top of the demo are frameshifts and early stops.")  # fmt: skip
    navigation.link("variants", "All alleles, highest first")
    st.markdown("**2. Only what changes a protein, and is common somewhere**: HIGH and "
                "MODERATE impact, MAF of at least 0.05.")  # fmt: skip
    navigation.link(
        "variants",
        "Common protein changes",
        impact=["HIGH", "MODERATE"],
        maf_from="0.05",
    )
    if top:
        name = allele_name(top[0])
        st.markdown(
            "**3. Why is this one on top?** Its card says it statement by statement."
        )
        navigation.link("variant", f"Card of {name[:50]}", variant=name)
    if motif:
        name = allele_name(motif[0])
        st.markdown("**4. An allele in an enhancer**: the motif it breaks is drawn over the "
                    "sequence, and the graph leads to the gene.")  # fmt: skip
        navigation.link("variant", f"Card of {name[:50]}", variant=name)
        navigation.link("graph", "Its neighbours", node=f"variant:{name}")
    if top and top[0].get("gene"):
        st.markdown("**5. What else varies in that gene?**")
        navigation.link("gene", f"Gene {top[0]['gene']}", gene=top[0]["gene"])
    st.markdown("**6. Score a file of your own.** Progress, remaining time and the accounting "
                "stay at the page's address; closing the browser does not stop the run.")  # fmt: skip
    navigation.link("score", "Score a file")
    st.markdown(
        "Every page has an address that shows the same to whoever opens it on this machine, "
        "and saves exactly what it shows."
    )


def _draw_glossary() -> None:
    rows = [{"term": term, "in plain words": words} for term, words in GLOSSARY.items()]
    rows += [{"term": t, "in plain words": words} for t, words in IMPACTS.items()]
    rows += [{"term": t, "in plain words": words} for t, words in CONSEQUENCES.items()]
    for row in rows[: len(GLOSSARY)]:
        st.markdown(f"**{row['term']}** — {row['in plain words']}")
    st.markdown("**Consequences and impacts**")
    frame = pd.DataFrame(rows)
    st.dataframe(frame.iloc[len(GLOSSARY) :], hide_index=True, height=420)
    exports.offer_table(frame, "glossary", key="glossary")
