"""The rebuild as Dagster assets: what ``cisgraph schedule`` starts.

Each asset is one step of ``graph_builder.revision``, run as a process of its own, so this
file needs Dagster and the standard library alone, and Dagster may live in an environment
of its own. Steps are repeatable and share the lock of ``graph_builder.rebuild``: an asset
that is asked for again does what is left to do.

Read from the environment: ``CISGRAPH_WORKSPACE``, ``CISGRAPH_INBOX``, ``CISGRAPH_CRON``
and ``CISGRAPH_PYTHON``, the interpreter that has cisgraph.
"""

import hashlib
import json
import os
import subprocess
import sys

import dagster as dg

WORKSPACE = os.environ.get("CISGRAPH_WORKSPACE", "workspace")
INBOX = os.environ.get("CISGRAPH_INBOX", "")
CRON = os.environ.get("CISGRAPH_CRON") or "0 2 * * *"
PYTHON = os.environ.get("CISGRAPH_PYTHON") or sys.executable
LOOK_S = 60

RETRIES = dg.RetryPolicy(max_retries=3, delay=60, backoff=dg.Backoff.EXPONENTIAL)
RANGE = ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")


def call(step: str, *arguments: str) -> str:
    """Do one step; return its answer."""
    inbox = ("--watch", INBOX) if INBOX else ()
    return run("graph_builder", "rebuild-step", step, *arguments, *inbox)


def run(*command: str) -> str:
    """Run one of our commands; return what it prints.

    Raises
    ------
    dagster.Failure
        It failed.
    """
    done = subprocess.run(  # noqa: S603 - our own modules, no shell
        [PYTHON, "-m", *command, "--workspace", WORKSPACE],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise dg.Failure(f"{' '.join(command)}: {done.stderr.strip()[-2000:]}")
    return done.stdout.strip()


PARTS = dg.StaticPartitionsDefinition(json.loads(run("variant_effect.kept", "parts")))
"""The genome's large contigs, and the small ones together."""


def _result(answer: str) -> dg.MaterializeResult:
    return dg.MaterializeResult(metadata={"answer": answer})


@dg.asset(retry_policy=RETRIES, group_name="rebuild")
def sources() -> dg.MaterializeResult:
    """Files of the inbox and changed public sources, registered in a new version."""
    return _result(call("register"))


@dg.asset(deps=[sources], retry_policy=RETRIES, group_name="rebuild")
def graph() -> dg.MaterializeResult:
    """The graph; types whose sources did not change are taken over."""
    return _result(call("graph"))


@dg.asset(deps=[sources, graph], retry_policy=RETRIES, group_name="rebuild")
def models() -> dg.MaterializeResult:
    """Relatives' alignment, gene models, sequence background: what scoring fits."""
    call("relatives")
    return _result(call("models"))


@dg.asset(deps=[graph, models], retry_policy=RETRIES, group_name="rebuild")
def embeddings() -> dg.MaterializeResult:
    """Vectors of the graph's nodes."""
    return _result(call("embeddings"))


@dg.asset(
    deps=[graph, models, embeddings],
    partitions_def=PARTS,
    backfill_policy=dg.BackfillPolicy.single_run(),
    retry_policy=RETRIES,
    group_name="rebuild",
)
def scores(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    """Scores of the kept VCFs, by chromosome; finished ones are not computed again."""
    arguments = [word for key in context.partition_keys for word in ("--part", key)]
    return _result(call("scores", *arguments))


@dg.asset(deps=[scores], retry_policy=RETRIES, group_name="rebuild")
def comparison() -> dg.MaterializeResult:
    """Variants that moved, and the source that moved them."""
    call("scores")  # what a partition left out, if one was not asked for
    call("comparison")
    return _result(call("causes"))


@dg.asset(deps=[scores], retry_policy=RETRIES, group_name="rebuild")
def figures() -> dg.MaterializeResult:
    """Benchmarks before and after."""
    return _result(call("figures"))


@dg.asset(deps=[comparison, figures], retry_policy=RETRIES, group_name="rebuild")
def version() -> dg.MaterializeResult:
    """The new version in use, or held back by the gate, with its report."""
    return _result(call("publish"))


ASSETS = [sources, graph, models, embeddings, scores, comparison, figures, version]

job = dg.define_asset_job(
    "rebuild",
    selection=dg.AssetSelection.assets(*ASSETS),
    executor_def=dg.in_process_executor,
)


def whole_genome(run_key: str | None = None) -> dg.RunRequest:
    """Ask for a run over all partitions at once."""
    keys = PARTS.get_partition_keys()
    tags = dict(zip(RANGE, (keys[0], keys[-1]), strict=True))
    return dg.RunRequest(run_key=run_key, tags=tags)


@dg.schedule(
    job=job, cron_schedule=CRON, default_status=dg.DefaultScheduleStatus.RUNNING
)
def daily() -> dg.RunRequest:
    """Rebuild at the set time."""
    return whole_genome()


@dg.sensor(
    job=job,
    minimum_interval_seconds=LOOK_S,
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def inbox() -> dg.RunRequest | dg.SkipReason:
    """Rebuild when a file has settled in the inbox; once for each set of files."""
    news = call("inbox")
    if not json.loads(news):
        return dg.SkipReason("nothing new in the inbox")
    return whole_genome(hashlib.sha256(news.encode()).hexdigest())


defs = dg.Definitions(assets=ASSETS, jobs=[job], schedules=[daily], sensors=[inbox])
