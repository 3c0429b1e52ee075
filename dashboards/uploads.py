"""Taking in a VCF from somebody we do not know.

The file is written as plain text under a name made here, so whatever it was called is
never opened, and what reads it later has nothing to unpack. What it is, is told by its
first bytes. Its size is counted as it arrives, and so is what it expands to: a gzip bomb
is dropped at the limit, before the rest of it is read.
"""

import secrets
import zlib
from collections.abc import Iterable
from pathlib import Path

from data_registry.errors import MalformedFileError, TooLargeError
from data_registry.workspace import disk_error

MOST_BYTES = 200_000_000
MOST_EXPANDED_BYTES = 4_000_000_000

_GZIP = b"\x1f\x8b"
_VCF = b"##fileformat=VCF"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_HEAD = len(_BYTE_ORDER_MARK) + len(_VCF)
_PIECE = 1 << 20
_KNOWN = {
    b"PK": "a zip archive",
    b"BCF": "BCF",
    b"\xfd7zXZ": "an xz archive",
    b"BZh": "a bzip2 archive",
    b"\x28\xb5\x2f\xfd": "a zstd archive",
    b"\x80\x04": "a Python pickle",
    b"\x80\x05": "a Python pickle",
    b"%PDF": "a PDF",
    b"<": "HTML or XML",
    b"{": "JSON",
}
_REMEDY = "Send a VCF, as text or compressed with gzip or bgzip"


class Upload:
    """One file on its way in.

    Parameters
    ----------
    folder
        Where to keep it, ``jobs.uploads_of(workspace)``.
    name
        What the sender calls it; for messages alone.
    most_bytes, most_expanded_bytes
        Bytes it may have as sent, and as text.

    Raises
    ------
    WorkspaceError
        The folder cannot be written.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        *,
        most_bytes: int = MOST_BYTES,
        most_expanded_bytes: int = MOST_EXPANDED_BYTES,
    ) -> None:
        self._name = name
        self._most, self._most_expanded = most_bytes, most_expanded_bytes
        self._received = self._written = 0
        self._head = b""
        self._gzip: zlib._Decompress | None = None
        self._is_known = False
        self.path = folder / f"upload-{secrets.token_hex(16)}.vcf"
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._file = self.path.open("xb")
            self.path.chmod(0o600)
        except OSError as error:
            raise disk_error(error, folder) from error

    def write(self, piece: bytes) -> None:
        """Take the next bytes.

        Raises
        ------
        TooLargeError, MalformedFileError
            It is too large, or no VCF.
        WorkspaceError
            The disk is full.
        """
        self._received += len(piece)
        if self._received > self._most:
            raise TooLargeError(
                f"{self._name}: larger than the {self._most:,} bytes that may be sent; "
                "compress it, split it by contig, or score it on the machine itself with "
                "'python -m variant_effect.score'"
            )
        if not self._is_known and self._gzip is None:
            piece = self._head + piece
            if len(piece) < len(_GZIP):
                self._head = piece
                return
            self._head = b""
            if piece.startswith(_GZIP):
                self._gzip = zlib.decompressobj(wbits=31)
        if self._gzip is None:
            self._keep(piece)
        else:
            self._expand(piece)

    def close(self) -> Path:
        """Return the path of the whole file.

        Raises
        ------
        MalformedFileError
            It was cut short, or is no VCF.
        """
        if self._gzip is not None and not self._gzip.eof:
            raise self._fault("the compressed data end too early", "Send it again")
        if not self._is_known:
            raise self._stranger(self._head)
        self._file.close()
        return self.path

    def drop(self) -> None:
        """Delete what there is of it."""
        self._file.close()
        self.path.unlink(missing_ok=True)

    def _expand(self, piece: bytes) -> None:
        is_full = False
        # A full piece may leave text behind inside the decompressor.
        while piece or is_full:
            if self._gzip is None or self._gzip.eof:  # bgzip is many members in a row
                self._gzip = zlib.decompressobj(wbits=31)
            try:
                text = self._gzip.decompress(piece, _PIECE)
            except zlib.error as error:
                raise self._fault(
                    f"the compressed data are damaged ({error})", "Send it again"
                ) from error
            self._keep(text)
            is_full = len(text) == _PIECE and not self._gzip.eof
            piece = self._gzip.unconsumed_tail or self._gzip.unused_data
            if self._gzip.unused_data and not piece.startswith(_GZIP[: len(piece)]):
                raise self._fault("something follows the compressed data", _REMEDY)

    def _keep(self, text: bytes) -> None:
        if not self._is_known:
            text = self._head = self._head + text
            if len(text) < _HEAD:
                return
            if not text.removeprefix(_BYTE_ORDER_MARK).startswith(_VCF):
                raise self._stranger(text)
            self._is_known, self._head = True, b""
        if b"\0" in text:
            raise self._fault("it holds NUL bytes: it is no text", _REMEDY)
        self._written += len(text)
        if self._written > self._most_expanded:
            raise TooLargeError(
                f"{self._name}: expands to more than {self._most_expanded:,} bytes; send "
                "it in parts, or score it on the machine itself with 'python -m "
                "variant_effect.score'"
            )
        try:
            self._file.write(text)
        except OSError as error:
            raise disk_error(error, self.path.parent) from error

    def _stranger(self, head: bytes) -> MalformedFileError:
        found = next((w for mark, w in _KNOWN.items() if head.startswith(mark)), "")
        problem = f"it is {found}, not a VCF" if found else "it is no VCF"
        return self._fault(f"{problem} (a VCF starts with {_VCF.decode()})", _REMEDY)

    def _fault(self, problem: str, remedy: str) -> MalformedFileError:
        return MalformedFileError(self._name, problem, remedy=remedy)


def store_upload(
    pieces: Iterable[bytes],
    folder: Path,
    name: str,
    *,
    most_bytes: int = MOST_BYTES,
    most_expanded_bytes: int = MOST_EXPANDED_BYTES,
) -> Path:
    """Take in a whole file; return its path, or leave nothing behind.

    Parameters and errors as in :class:`Upload`.
    """
    upload = Upload(
        folder, name, most_bytes=most_bytes, most_expanded_bytes=most_expanded_bytes
    )
    try:
        for piece in pieces:
            upload.write(piece)
        return upload.close()
    except BaseException:
        upload.drop()
        raise
