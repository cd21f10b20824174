"""The errors a user can meet: each says what is wrong, what was found, what to do."""


class AlbertError(ValueError):
    """Something the user gave cannot be used; the message names it and the remedy."""


class ConfigError(AlbertError):
    """A configuration field, or a combination of fields, is not valid."""


class CheckpointError(AlbertError):
    """A checkpoint is missing, damaged, incomplete or of another model."""


class InputError(AlbertError):
    """The arguments of a model call do not fit the model."""


class TokenizerError(AlbertError):
    """A tokenizer's files or arguments, or a text, cannot be used."""


class MissingPackageError(ImportError):
    """An optional package is not installed; the message names the extra to install."""


def shown(value: object) -> str:
    """A value as a message shows it: on one line, harmless to a terminal, and short."""
    text = repr(value)
    return text if len(text) <= 100 else f"{text[:100]}..."
