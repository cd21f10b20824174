"""Whether what a certificate says still holds."""

import hashlib
import hmac
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from albert_core.config import AlbertConfig
from albert_core.errors import shown
from albert_core.fields import RULES
from albert_zoo.parity import budgets, certificate
from albert_zoo.parity.case import open_case
from albert_zoo.parity.certificate import OWN, SIGNATURE
from albert_zoo.parity.proof import weights_digest

Json = Mapping[str, Any]

# Fields that are compared: not what is chosen anew whenever a model is loaded, nor what
# the class of the certificate says already.
COMPARED = sorted({*RULES} - {"dtype", "attn_implementation", "architectures"})


def verify(
    path: str | Path, checkpoint: str | Path, key: bytes | None = None
) -> list[str]:
    """Hold a certificate against a checkpoint and against what is installed here.

    Args:
        path: The certificate.
        checkpoint: Of any format, or a hub name.
        key: What it must be signed with; None does not look at the signature.

    Returns:
        What does not hold, a sentence each; nothing if all does.

    Raises:
        CertificateError: The file is no certificate.
        CheckpointError: The checkpoint cannot be read.
        OSError: A file cannot be read.
    """
    found = certificate.read(path)
    return [
        *_of_itself(found, key),
        *_of_checkpoint(found, checkpoint),
        *_of_budgets(found),
        *_of_reports(found, Path(path).parent),
        *_of_verdicts(found),
    ]


def _of_itself(found: Json, key: bytes | None) -> Iterator[str]:
    content = certificate.content_of(found)
    own = hashlib.sha256(content).hexdigest()
    if own != found[OWN]:
        yield f"The certificate was changed: its SHA-256 is {own}, not {found[OWN]}."
    if key is None:
        return
    if SIGNATURE not in found:
        yield "The certificate is not signed, although a key was given."
    elif not _same(certificate.sign(content, key), found[SIGNATURE]):
        yield "The signature is not of this certificate and this key."


def _of_checkpoint(found: Json, checkpoint: str | Path) -> Iterator[str]:
    case = open_case(checkpoint, lambda config, head: {})
    weights = weights_digest(case)
    if weights != found["weights_sha256"]:
        yield (
            f"The weights of {checkpoint} have the SHA-256 {weights}, and "
            f"{found['weights_sha256']} is certified."
        )
    if f"Albert{case.head}" != found["class"]:
        yield (
            f"{checkpoint} is an Albert{case.head}, and {shown(found['class'])} is "
            f"certified."
        )
    here = json.loads(json.dumps(case.config.to_dict()))
    certified = found["config"]
    usual = AlbertConfig().to_dict()
    for name in COMPARED:
        one, other = (of.get(name, usual.get(name)) for of in (here, certified))
        if one != other:
            yield (
                f"The configuration of {checkpoint} has {shown(name)} = {shown(one)}, "
                f"and {shown(other)} is certified."
            )


def _of_budgets(found: Json) -> Iterator[str]:
    installed = certificate.table_hash()
    if (found["budget_table"], found["budget_table_sha256"]) != (
        budgets.VERSION,
        installed,
    ):
        yield (
            f"The budgets are those of table {found['budget_table']} with the SHA-256 "
            f"{found['budget_table_sha256']}, and here is table {budgets.VERSION} with "
            f"{installed}."
        )
    if not found["budget_scale"] <= 1:
        yield (
            f"All budgets were multiplied with {found['budget_scale']:g}, so that more "
            f"passed than the table allows."
        )


def _of_reports(found: Json, folder: Path) -> Iterator[str]:
    for name, expected in found["reports"].items():
        file = folder / name
        if not file.is_file():
            yield f"The report {shown(name)} is not beside the certificate."
            continue
        with file.open("rb") as held:
            own = hashlib.file_digest(held, "sha256").hexdigest()
        if own != expected:
            yield (
                f"The report {shown(name)} was changed: its SHA-256 is {own}, and "
                f"{expected} is certified."
            )


def _of_verdicts(found: Json) -> Iterator[str]:
    if not certificate.passes(found):
        yield f"The verdict is {shown(found['verdict'])}, or that of a run is no PASS."


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode(errors="replace"))
