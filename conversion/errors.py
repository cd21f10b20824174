"""The error of a file that cannot be read, under the name that readers know it by."""

from albert_core.errors import FormatError as FormatError
