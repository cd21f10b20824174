"""What kind of processor this is, where that decides what is fast, or runs at all."""

import platform
from functools import cache
from hashlib import sha256
from pathlib import Path

INTEL = "GenuineIntel"


@cache
def facts() -> dict[str, str]:
    """What Linux says of the first processor; elsewhere nothing."""
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return {}
    first = (line.partition(":") for line in text.partition("\n\n")[0].splitlines())
    return {key.strip(): value.strip() for key, _, value in first}


@cache
def is_intel() -> bool:
    """Whether Intel made it, as every x86 processor of a Mac."""
    if platform.system() == "Darwin":
        return platform.machine() == "x86_64"
    return _maker().endswith(INTEL)


def _maker() -> str:
    # Python asks another program for what `platform.processor` says on Linux.
    return facts().get("vendor_id") or platform.processor()


def signature() -> str:
    """Short letters that two processors share if they have the same abilities."""
    able = [facts().get(key) for key in ("flags", "Features")]
    text = f"{platform.machine()} {_maker()} {able}"
    return sha256(text.encode()).hexdigest()[:8]
