"""What pytest offers where albert-zoo is installed; it starts in every project there.

So nothing is imported before a test asks for it.
"""

from collections.abc import Callable

import pytest


@pytest.fixture(scope="session")
def albert_frameworks() -> tuple[str, ...]:
    """The frameworks that are installed, of "torch", "tf" and "flax"."""
    from albert_zoo.backends import BACKENDS, is_installed

    return tuple(name for name, one in BACKENDS.items() if is_installed(one))


@pytest.fixture(scope="session")
def albert_parity() -> Callable[..., None]:
    """The function `albert_zoo.testing.assert_parity`."""
    from albert_zoo.testing import assert_parity

    return assert_parity
