"""One process that keeps the models open and scores a few alleles at a time.

It works on a snapshot, so it never holds the registry. It is another process so that one
request's scoring holds up no other's reading, and can be ended when it takes too long.
Requests and answers are bytes of our own making (JSON and Arrow), never pickles.
"""

import json
import multiprocessing
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from dashboards.api.problems import Problem, problem_of

if TYPE_CHECKING:
    from multiprocessing.context import SpawnProcess

_START_S = 300.0
"""Opening the models may fit what the workspace lacks, once."""


@dataclass(frozen=True, slots=True)
class Scores:
    """What came out.

    Parameters
    ----------
    table
        One row an allele, the columns of docs/columns.md.
    accounting
        ``input_alleles = scored + sum(reasons)``.
    """

    table: pa.Table
    accounting: dict[str, Any]
    missing_layers: list[str]
    workspace_digest: str


class Scorer:
    """The process, started when it is first needed."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._process: SpawnProcess | None = None
        self._pipe: Connection | None = None
        self._opened: Path | None = None

    def score(
        self,
        snapshot: Path,
        lines: bytes,
        limit_s: float,
        *,
        name: str,
        first_line: int,
    ) -> Scores:
        """Score VCF records.

        Parameters
        ----------
        snapshot
            Folder of a snapshot.
        lines
            Records, each ending in a newline.
        name, first_line
            What to call their file, and the line of the first, in messages.
        limit_s
            Seconds to wait for one's turn, and to score; opening the models is apart.

        Raises
        ------
        Problem
            The records cannot be read, or it took too long.
        """
        if not self._turn.acquire(timeout=limit_s):
            raise _busy(
                "others are scoring" if self._opened else "the models are being opened"
            )
        try:
            self._open(snapshot)
            until = time.monotonic() + limit_s
            self._send(json.dumps([name, first_line]).encode(), lines)
            header = json.loads(self._receive(until - time.monotonic()))
            table = self._receive(until - time.monotonic())
        finally:
            self._turn.release()
        if "problem" in header:
            _raise(header)
        return Scores(pa.ipc.open_stream(table).read_all(), **header)

    def open(self, snapshot: Path) -> None:
        """Open the models of a snapshot before anybody scores.

        Raises
        ------
        Problem
            They cannot be opened.
        """
        with self._turn:
            self._open(snapshot)

    def close(self) -> None:
        """End the process."""
        process, pipe = self._process, self._pipe
        self._process = self._pipe = self._opened = None
        if process is not None:
            process.kill()
            process.join()
        if pipe is not None:
            pipe.close()

    def _open(self, snapshot: Path) -> None:
        """Have the process hold the models of this snapshot."""
        if self._opened == snapshot and self._process and self._process.is_alive():
            return
        self.close()
        context = multiprocessing.get_context("spawn")
        self._pipe, far = context.Pipe()
        self._process = context.Process(
            target=_work, args=(str(snapshot), far), daemon=True
        )
        self._process.start()
        far.close()
        header = json.loads(self._receive(_START_S))
        if "problem" in header:
            self.close()
            _raise(header)
        self._opened = snapshot

    def _send(self, *parts: bytes) -> None:
        if self._pipe is not None:
            with suppress(OSError):  # gone: the answer will not come either
                for part in parts:
                    self._pipe.send_bytes(part)

    def _receive(self, limit_s: float) -> bytes:
        pipe = self._pipe  # another thread may close the scorer meanwhile
        try:
            if pipe is not None and pipe.poll(max(limit_s, 0)):
                return pipe.recv_bytes()
        except (EOFError, OSError):
            self.close()
            raise _busy(
                "the scoring process ended, probably for want of memory"
            ) from None
        self.close()
        raise _busy("it took too long")


def _busy(why: str) -> Problem:
    return Problem(
        "busy", f"{why}; send fewer alleles, or a VCF, which becomes a job",
        headers={"Retry-After": "10"},
    )  # fmt: skip


def _raise(header: dict[str, Any]) -> None:
    kind, more = header["problem"], header["more"]
    if kind == "busy":
        raise _busy(header["detail"])
    raise Problem(kind, header["detail"], **more)


def _work(snapshot: str, pipe: Connection) -> None:
    """Score what comes through the pipe, until it closes."""
    from data_registry.store import open_store
    from variant_effect.preparation import prepare
    from variant_effect.run import Choices, ContigMapper, Engine
    from variant_effect.vcf import Chunk

    try:
        with open_store(Path(snapshot)) as store:
            prepared = prepare(store)
        engine = Engine.open(prepared, Choices())
        missing = [s.missing for s in engine.scorers if s.missing]
    except Exception as error:  # noqa: BLE001  (told to the one who asked)
        pipe.send_bytes(_told(error))
        return
    pipe.send_bytes(b"{}")
    while True:
        try:
            name, first_line = json.loads(pipe.recv_bytes())
            lines = pipe.recv_bytes()
        except EOFError:
            return
        try:
            _, table, _, counts = engine.run(
                Chunk(0, first_line, lines),
                Path(name),
                ContigMapper(prepared.contig_names),
            )
        except Exception as error:  # noqa: BLE001
            pipe.send_bytes(_told(error))
            pipe.send_bytes(b"")
            continue
        header = {
            "accounting": counts.as_dict(), "missing_layers": missing,
            "workspace_digest": prepared.digest,
        }  # fmt: skip
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
        pipe.send_bytes(json.dumps(header).encode())
        pipe.send_bytes(sink.getvalue())


def _told(error: Exception) -> bytes:
    problem = problem_of(error)
    detail = problem.detail
    if problem.kind == "internal":
        detail = f"{type(error).__name__} while scoring; {detail}"
    held = {"problem": problem.kind, "detail": detail, "more": problem.more}
    return json.dumps(held).encode()
