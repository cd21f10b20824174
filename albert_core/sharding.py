"""A checkpoint in several files, and the index that says which array is in which.

The index is Hugging Face's, the same for every format: a JSON object whose `weight_map`
leads from names to files beside it.
"""

import json
import logging
import re
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import TypeVar, cast

from albert_core.errors import MOST_SHOWN, ConfigError, FormatError, listed, shown
from albert_core.file_checks import AGAIN, LARGEST_JSON, first_bytes, parse_json
from albert_core.lazy import Described, nbytes, unreadable

logger = logging.getLogger("albert_zoo")

# One name, without a folder, a drive or a scheme before it.
PLAIN = re.compile(r"[\w.-]+")
LONGEST_NAME = 255  # bytes; no usual file system has longer ones
NUMBERED = re.compile(r"-\d{5}-of-\d{5}")
SIZE = re.compile(r"(\d{1,15}(?:\.\d+)?) ?([KMGT])(i?)B", re.IGNORECASE)

D = TypeVar("D", bound=Described)


def read_sharded(
    index: Path,
    read: Callable[[Path], Mapping[str, D]],
    ending: str,
    *,
    find: Callable[[str], Path] | None = None,
    rename: Callable[[str], str] | None = None,
) -> dict[str, D]:
    """Read the headers of all files that an index names, and compare it with them.

    Args:
        index: The index.
        read: What reads the header of one file.
        ending: What the names of the files end with, such as ".safetensors".
        find: Tells where a file is; beside the index if not given.
        rename: From a name in the index to the name that `read` gives, if they differ.

    Raises:
        FormatError: The index or a file is damaged or hostile, one is missing, or they
            do not agree. All that is wrong is named.
    """
    homes, total = read_index(index, ending)
    if rename:
        homes = {rename(name): shard for name, shard in homes.items()}
    shards = dict.fromkeys(sorted(homes.values()))
    find = find or partial(_beside, index)
    paths = {shard: find(shard) for shard in shards}
    missing = [shard for shard, path in paths.items() if not path.exists()]
    if missing:
        raise FormatError(
            "MISSING_SHARD",
            index,
            f"of the {len(shards)} files that it names there is no {listed(missing)}",
            "Get the missing files.",
        )
    check_links(index, paths.values())
    found: dict[str, D] = {}
    places: dict[str, str] = {}
    twice: list[str] = []
    for shard, path in paths.items():
        for name, array in read(path).items():
            if name in places:
                twice.append(f"{shown(name)} is in {places[name]} and {shard}")
                continue
            found[name], places[name] = array, shard
    _compare(index, homes, places, twice)
    size = sum(map(nbytes, found.values()))
    if total is not None and total != size:
        logger.warning(
            "%s says that its arrays have %s bytes, and they have %d. Nothing depends "
            "on it, but the index may be of another checkpoint.",
            index,
            shown(total),
            size,
        )
    stale = [
        path.name
        for path in index.parent.glob(f"*{ending}")
        if path.name not in paths and NUMBERED.search(path.name)
    ]
    if stale:
        logger.warning(
            "%s does not name these files beside it, so they are not read: %s",
            index,
            listed(sorted(stale)),
        )
    return found


def read_index(index: Path, ending: str) -> tuple[dict[str, str], object]:
    """Read where each array is, and the size that the index has of all, if any.

    Raises:
        FormatError: It is damaged, or names something else than files beside it.
    """
    try:
        _, (size, _) = first_bytes(index)
        if size > LARGEST_JSON:
            what = f"it has {size} bytes, at most {LARGEST_JSON} are expected"
            raise FormatError("TOO_LARGE", index, what, f"{AGAIN}.")
        text = index.read_bytes()
    except OSError as problem:
        raise unreadable(index, problem) from problem
    values = parse_json(text, index, "BAD_INDEX")
    table = cast(dict[str, object], values if isinstance(values, dict) else {})
    homes, metadata = table.get("weight_map"), table.get("metadata")
    if not isinstance(homes, dict):
        what = "it has no 'weight_map' from names to files"
        raise FormatError("BAD_INDEX", index, what, f"{AGAIN}.")
    homes = cast(dict[str, object], homes)
    texts = dict.fromkeys(home for home in homes.values() if isinstance(home, str))
    outside = [text for text in texts if not PLAIN.fullmatch(text)]
    if outside:
        what = f"it points outside its folder: {listed(outside)}"
        raise FormatError("UNSAFE", index, what, "Do not use this checkpoint.")
    others = [home for home in homes.values() if not isinstance(home, str)]
    others += [text for text in texts if not _can_be(text, ending)]
    if others:
        what = f"it points at what is no {ending} file: {listed(others)}"
        raise FormatError("BAD_INDEX", index, what, f"{AGAIN}.")
    total = None
    if isinstance(metadata, dict):
        total = cast(dict[str, object], metadata).get("total_size")
    return cast(dict[str, str], homes), total


def _can_be(name: str, ending: str) -> bool:
    """Whether a file can have a name, and has it for a file of this format."""
    fits = len(name.encode()) <= LONGEST_NAME
    return fits and name.endswith(ending) and name != ending


def _beside(index: Path, name: str) -> Path:
    return index.with_name(name)


def check_links(index: Path, paths: Iterable[Path]) -> None:
    """Refuse links that lead away, which a downloaded folder could hold.

    A link may lead to a file beside it, to one beside the file that the index is a link
    to, and into the blobs of a cache of the Hugging Face hub, where all are links.

    Args:
        index: The file that names the others.
        paths: The others.

    Raises:
        FormatError: Some lead away; all of them are named.
    """
    homes = {index.parent.resolve(), index.resolve().parent}
    away: list[str] = []
    for path in paths:
        folder = path.resolve().parent
        cached = folder.name == "blobs" and folder.parent.name.startswith("models--")
        if not cached and folder not in (*homes, path.parent.resolve()):
            away.append(path.name)
    if away:
        raise FormatError(
            "UNSAFE",
            index,
            f"files that it names are links that leave the folder: {listed(away)}",
            "Copy what they lead to into the folder, if you trust it.",
        )


def _compare(
    index: Path, homes: Mapping[str, str], places: Mapping[str, str], twice: list[str]
) -> None:
    """Compare where arrays are with where the index has them."""
    absent = [name for name in homes if name not in places]
    unknown = [name for name in places if name not in homes]
    moved = [name for name, shard in places.items() if homes.get(name, shard) != shard]
    wrong = [
        f"{title} {names if isinstance(names, str) else listed(names)}"
        for title, names in {
            "no file holds": absent,
            "it does not name": unknown,
            "in other files than it says are": moved,
            "stored twice:": "; ".join(twice[:MOST_SHOWN]),
        }.items()
        if names
    ]
    if not wrong:
        return
    remedy = "Get the checkpoint again."
    if absent and len(wrong) == 1:
        remedy = (
            "If they are second names of tied arrays, take them out of the index, "
            "else get the checkpoint again."
        )
    what = f"it and its files do not agree: {'; '.join(wrong)}"
    raise FormatError("BAD_INDEX", index, what, remedy)


def share_out(sizes: Mapping[str, int], limit: int) -> list[list[str]]:
    """Share arrays out over files, in order.

    Args:
        sizes: Names of arrays and their bytes.
        limit: The bytes in a file, which only an array alone may exceed.

    Returns:
        The names in each file; one file without a name if there are no arrays.
    """
    files: list[list[str]] = [[]]
    filled = 0
    for name, size in sizes.items():
        if files[-1] and filled + size > limit:
            files.append([])
            filled = 0
        files[-1].append(name)
        filled += size
    return files


def to_bytes(size: int | str) -> int:
    """The bytes that a text such as "200MB" or "5GiB" means, or a number.

    Raises:
        ConfigError: It is neither, or below 1.
    """
    count = size
    if isinstance(size, str) and (found := SIZE.fullmatch(size.strip())):
        number, unit, binary = found.groups()
        base = 1024 if binary else 1000
        count = int(float(number) * base ** (1 + "KMGT".index(unit.upper())))
    if isinstance(count, str | bool) or count < 1:
        raise ConfigError(
            f"max_shard_size must be a number of bytes, at least 1, or a text such as "
            f"'200MB' or '5GB', but it is {size!r}."
        )
    return count


def index_text(homes: Mapping[str, str], total: int) -> str:
    """The text of an index: the file of each array, and the bytes of all arrays."""
    index = {"metadata": {"total_size": total}, "weight_map": dict(homes)}
    return json.dumps(index, indent=2, sort_keys=True) + "\n"
