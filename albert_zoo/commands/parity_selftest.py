"""`albert-zoo parity --selftest`: mistakes are planted, and must all be found."""

import sys
from collections.abc import Callable, Sequence
from typing import Any

import click

from albert_zoo.console import CHECK_FAILED, Progress


def selftest_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options about the self-test."""
    few = click.option("--few", is_flag=True, help="With --selftest: plant only a few.")
    whole = click.option(
        "--selftest",
        "tests_itself",
        is_flag=True,
        help="First plant mistakes in the frameworks, and see that all are found.",
    )
    return whole(few(command))


def run_selftest(frameworks: Sequence[str], few: bool) -> list[dict[str, Any]]:
    """Run it, and end the command if the proof cannot be believed.

    Returns:
        The findings, as JSON has them.
    """
    from albert_zoo.parity import selftest

    with Progress(len(frameworks) * selftest.steps(few)) as step:
        findings = selftest.run(frameworks, few, step)
    click.echo(selftest.summary(findings), err=True)
    if not selftest.enough(findings):
        for finding in findings:
            named = finding.named or not finding.cause
            if not (finding.caught and finding.placed and named):
                click.echo(f"  {finding.said()}", err=True)
        sys.exit(CHECK_FAILED)
    return [finding.to_dict() for finding in findings]
