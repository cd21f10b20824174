"""A proof as the JUnit XML that build servers show."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as Tree

from albert_zoo.console import printable
from albert_zoo.parity.checks import FAILED, INCONCLUSIVE, SKIPPED

Json = Mapping[str, Any]

# Verdict -> the element that says so; a case without one has passed.
MARKS = {
    **dict.fromkeys(FAILED, "failure"),
    **dict.fromkeys(INCONCLUSIVE, "error"),
    SKIPPED: "skipped",
}


def write_junit(result: Json, path: str | Path) -> None:
    """Write a suite for each framework and number type, with a case for each check.

    Args:
        result: What `Proof.to_dict` gave.
        path: The file.

    Raises:
        OSError: The file cannot be written.
    """
    root = Tree.Element("testsuites", name="albert-zoo parity")
    if result["checks"]:
        _add_suite(root, "checkpoint", result["checks"])
    for run in result["runs"]:
        name = f"{run['framework']}.{run['dtype']}"
        suite = _add_suite(root, name, run["checks"], {**run["versions"]})
        if run["verdict"] == SKIPPED:
            _add_nothing(suite)
    if not result["runs"]:
        _add_nothing(_add_suite(root, "runs", ()))
    for part in (*root, root):
        for kind in ("testcase", "failure", "error", "skipped"):
            plural = {"testcase": "tests", "skipped": "skipped"}.get(kind, f"{kind}s")
            part.set(plural, str(sum(1 for _ in part.iter(kind))))
    Tree.indent(root)
    text = Tree.tostring(root, "utf-8", xml_declaration=True)
    Path(path).write_bytes(text + b"\n")


def _add_suite(
    root: Tree.Element, name: str, checks: Sequence[Json], of: Json | None = None
) -> Tree.Element:
    suite = Tree.SubElement(root, "testsuite", name=name)
    if of:
        properties = Tree.SubElement(suite, "properties")
        for key, value in of.items():
            Tree.SubElement(properties, "property", name=key, value=printable(value))
    for check in checks:
        case = Tree.SubElement(
            suite,
            "testcase",
            classname=f"{name}.{check['level']}",
            # Control characters are not allowed in XML.
            name=printable(check["place"]) or check["level"],
        )
        if check["verdict"] in MARKS:
            mark = Tree.SubElement(case, MARKS[check["verdict"]])
            mark.set("type", check["verdict"])
            mark.set("message", printable(_message(check)))
    return suite


def _add_nothing(suite: Tree.Element) -> None:
    """A case that is no pass, for what would be green because it is empty."""
    named = {"classname": suite.get("name", ""), "name": "anything"}
    case = Tree.SubElement(suite, "testcase", named)
    Tree.SubElement(case, "error", type="ERROR", message="nothing was compared")


def _message(check: Json) -> str:
    parts = [check["why"]] if check["why"] else []
    if check["metrics"]:
        relative, budget = check["metrics"]["relative"], check["budget"]
        parts.append(f"relative error {relative:.2e}, budget {budget:.2e}")
    return "; ".join(parts) or check["verdict"]
