"""What one server serves, and how much it gives to one request."""

from dataclasses import dataclass, field
from pathlib import Path

from dashboards import uploads


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one request.

    Parameters
    ----------
    json_bytes, upload_bytes, expanded_bytes
        Body as JSON; body as VCF, as sent and as text.
    body_s
        Seconds in which a body must have arrived.
    time_s, stream_s
        Seconds a query, or a stream, may take.
    score_s
        Seconds a synchronous scoring may take, its place in the queue included.
    alleles_at_once
        Alleles that are scored while the caller waits; more become a job.
    variants
        Variants in one JSON body.
    waiting_jobs
        Jobs that are queued or run; more are refused.
    region_bp
        Span of a region.
    page, hops, nodes, edges_per_type
        Rows of a page; and of a graph neighbourhood: hops from the centre, nodes, and
        edges of one type followed from one hop.
    """

    json_bytes: int = 5_000_000
    upload_bytes: int = uploads.MOST_BYTES
    expanded_bytes: int = uploads.MOST_EXPANDED_BYTES
    body_s: float = 300.0
    time_s: float = 20.0
    stream_s: float = 900.0
    score_s: float = 60.0
    alleles_at_once: int = 500
    variants: int = 20_000
    waiting_jobs: int = 20
    region_bp: int = 10_000_000
    page: int = 1_000
    hops: int = 3
    nodes: int = 1_000
    edges_per_type: int = 500


@dataclass(frozen=True, slots=True)
class Settings:
    """One server.

    Parameters
    ----------
    hosts
        Names by which clients may call the server (the ``Host`` header, without port).
    token
        What clients must send as ``Authorization: Bearer``; None where none is needed.
    crop
        Common name of the crop, for BrAPI; None: the assembly's name.
    warm_up
        Open the models at once, so that the first to score does not wait for them.
    """

    workspace: Path
    hosts: frozenset[str] = frozenset({"127.0.0.1", "localhost", "[::1]"})
    token: str | None = None
    crop: str | None = None
    warm_up: bool = False
    limits: Limits = field(default_factory=Limits)
