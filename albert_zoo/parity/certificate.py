"""A certificate: what was proved of which weights, in a form that shows changes."""

import hashlib
import hmac
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from math import isfinite
from pathlib import Path
from typing import Any

from albert_core.errors import AlbertError, shown
from albert_zoo.parity import budgets
from albert_zoo.parity.checks import PASS

Json = Mapping[str, Any]

KIND, FORMAT = "albert-zoo parity", 1
OWN, SIGNATURE = "sha256", "hmac_sha256"
SHORTEST_KEY = 16  # bytes; a shorter one could be found by trying
LARGEST = 10_000_000  # bytes of a certificate; a real one has a few thousand

# What a certificate takes over from a proof as it stands.
TAKEN = {
    "checkpoint": str,
    "class": str,
    "config": dict,
    "weights_sha256": str,
    "inputs_sha256": str,
    "budget_table": int,
    "budget_scale": float,
    "verdict": str,
    "environment": dict,
}
FIELDS: Mapping[str, type] = {
    "certificate": str,
    "format": int,
    "date": str,
    **TAKEN,
    "budget_table_sha256": str,
    "checks": dict,
    "runs": list,
    "reports": dict,
    OWN: str,
}


class CertificateError(AlbertError):
    """A file is no certificate, or a key cannot be used to sign one."""


def write_certificate(
    result: Json,
    path: str | Path,
    report: str | Path | Sequence[str | Path] | None = None,
    key: bytes | None = None,
    date: datetime | None = None,
) -> None:
    """Write the certificate of a proof.

    Args:
        result: What `Proof.to_dict` gave.
        path: The file.
        report: Files that were written of the same proof; they are certified, too, and
            found again by where they are relative to the certificate.
        key: Signs it; see `read_key`.
        date: When the proof was done, with a time zone; now if not given.

    Raises:
        OSError: It cannot be written, or a report cannot be read.
    """
    path = Path(path)
    files = [report] if isinstance(report, str | Path) else report or ()
    made: dict[str, Any] = {
        "certificate": KIND,
        "format": FORMAT,
        "date": f"{(date or datetime.now(UTC)).astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",
        **{name: result[name] for name in TAKEN},
        "budget_scale": float(result["budget_scale"]),
        "budget_table_sha256": table_hash(),
        "checks": {c["level"]: c["verdict"] for c in result["checks"]},
        "runs": [_summary(run) for run in result["runs"]],
        "reports": {_beside(Path(file), path): _hash(Path(file)) for file in files},
    }
    content = _canonical(made)
    made[OWN] = hashlib.sha256(content).hexdigest()
    if key is not None:
        made[SIGNATURE] = sign(content, key)
    text = json.dumps(made, indent=2, allow_nan=False) + "\n"
    path.write_text(text, "utf-8")


def read(path: str | Path) -> dict[str, Any]:
    """Read a certificate; whether what it says holds is for `verification.verify`.

    Raises:
        CertificateError: The file is no certificate, or not all of one.
        OSError: It cannot be read.
    """
    path = Path(path)
    if not path.is_file():
        raise CertificateError(f"{path} is no file. Give the path of a certificate.")
    if path.stat().st_size > LARGEST:
        raise _none(path, f"it is larger than {LARGEST} bytes")
    try:
        found: Any = json.loads(
            path.read_bytes().decode(),
            object_pairs_hook=_once,
            parse_constant=_no_constant,
        )
        _canonical(found)  # refuses numbers that are too large
    except (ValueError, RecursionError) as problem:
        raise _none(path, f"it is not JSON, or cut short: {problem}") from problem
    if not isinstance(found, dict):
        raise _none(path, "it holds no fields")
    fields = {**FIELDS, SIGNATURE: str} if SIGNATURE in found else FIELDS
    wrong = [f"{name} is missing" for name in fields if name not in found]
    wrong += [f"{shown(name)} is not known" for name in found if name not in fields]
    wrong += [
        f"{name} is {shown(found[name])}, not of type {kind.__name__}"
        for name, kind in fields.items()
        if name in found and type(found[name]) is not kind
    ]
    wrong = wrong or _wrong_inside(found)
    if wrong:
        raise _none(path, "; ".join(wrong))
    if (found["certificate"], found["format"]) != (KIND, FORMAT):
        kind = f"{shown(found['certificate'])}, format {found['format']}"
        raise _none(path, f"it is of kind {kind}, not {KIND!r}, format {FORMAT}")
    return found


def read_key(path: str | Path) -> bytes:
    """The bytes of a key's file, without the end of a line behind them.

    Raises:
        CertificateError: There are too few.
        OSError: The file cannot be read.
    """
    key = Path(path).read_bytes().rstrip(b"\r\n")
    if len(key) < SHORTEST_KEY:
        raise CertificateError(
            f"The key in {path} has {len(key)} bytes, and at least {SHORTEST_KEY} are "
            f"needed. Make one with: openssl rand -hex 32 > {path}"
        )
    return key


def sign(content: bytes, key: bytes) -> str:
    """The HMAC-SHA256 of a certificate's content, in hexadecimal."""
    return hmac.new(key, content, hashlib.sha256).hexdigest()


def content_of(certificate: Json) -> bytes:
    """What the hash and the signature of a certificate are of."""
    left = (OWN, SIGNATURE)
    return _canonical({k: v for k, v in certificate.items() if k not in left})


def table_hash() -> str:
    """The SHA-256 of all numbers that budgets are made from."""
    table = {
        "MODES": {name: asdict(mode) for name, mode in budgets.MODES.items()},
        "SAFETY": budgets.SAFETY,
        "FLOOR": budgets.FLOOR,
        "STRUCTURE": budgets.STRUCTURE,
        "OPERATIONS": budgets.OPERATIONS,
        "SHAKEN": budgets.SHAKEN,
        "SEEDS": budgets.SEEDS,
    }
    return hashlib.sha256(_canonical(table)).hexdigest()


def _summary(run: Json) -> dict[str, Any]:
    """A run without its checks, but for the worst."""
    measured = [check for check in run["checks"] if check["metrics"]]
    worst = max(measured, key=lambda check: check["share_of_budget"], default=None)
    share = worst["share_of_budget"] if worst else None
    return {
        "framework": run["framework"],
        "dtype": run["dtype"],
        "verdict": run["verdict"],
        "levels": run["levels"],
        "counts": run["counts"],
        "worst_place": f"{worst['level']} {worst['place']}" if worst else "",
        # JSON has no infinity; a run whose share is one has not passed anyhow.
        "worst_share": share if share is not None and isfinite(share) else None,
        "versions": run["versions"],
        "switches": run["switches"],
    }


def passes(certificate: Json) -> bool:
    """Whether the verdict is PASS, and that of every run, of which there are some."""
    verdicts = [certificate["verdict"]]
    verdicts += [run.get("verdict") for run in certificate["runs"]]
    return len(verdicts) > 1 and set(verdicts) == {PASS}


def _wrong_inside(certificate: Json) -> list[str]:
    runs, reports = certificate["runs"], certificate["reports"].values()
    wrong = ["a run holds no fields" for run in runs if not isinstance(run, dict)]
    return wrong + [
        f"the hash of a report is {shown(one)}"
        for one in reports
        if not isinstance(one, str)
    ]


def _beside(file: Path, certificate: Path) -> str:
    return Path(os.path.relpath(file, certificate.parent)).as_posix()


def _hash(file: Path) -> str:
    with file.open("rb") as held:
        return hashlib.file_digest(held, "sha256").hexdigest()


def _canonical(values: Any) -> bytes:
    """JSON of which there is only one."""
    text = json.dumps(
        values,
        sort_keys=True,
        separators=(",", ":"),
        allow_nan=False,
        ensure_ascii=True,
    )
    return text.encode()


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The fields of an object, none of which may be there twice."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a field is there twice")
    return found


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no number of JSON")


def _none(path: Path, what: str) -> CertificateError:
    return CertificateError(
        f"{path} is no certificate of ours: {what}. Give the file as "
        f"`albert-zoo parity --certificate` wrote it."
    )
