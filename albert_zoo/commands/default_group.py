"""A command that has subcommands, and does something without one as well."""

from typing import Any

import click


class DefaultGroup(click.Group):
    """A group that hands everything which is no subcommand to one of them.

    Args:
        default: The name of that one; it is not listed.
    """

    def __init__(self, *arguments: Any, default: str, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.default = default

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put the default's name first, unless a subcommand or --help stands there."""
        known = {*self.commands, *ctx.help_option_names} - {self.default}
        if not args or args[0] not in known:
            args = [self.default, *args]
        return super().parse_args(ctx, args)

    def get_help(self, ctx: click.Context) -> str:
        """The default's help, and what else there is."""
        command = self.commands[self.default]
        with click.Context(command, info_name=ctx.info_name, parent=ctx.parent) as own:
            text = command.get_help(own)
        rows = [
            (name, one.get_short_help_str())
            for name, one in sorted(self.commands.items())
            if name != self.default
        ]
        if not rows:
            return text
        formatter = ctx.make_formatter()
        with formatter.section("Subcommands"):
            formatter.write_dl(rows)
        return f"{text}\n\n{formatter.getvalue().rstrip()}"
