"""What several of these tests ask."""

from albert_core.fields import RULES


def fields_of(config):
    """Everything that a configuration holds."""
    return {name: getattr(config, name) for name in RULES} | {"extra": config.extra}
