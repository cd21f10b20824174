"""An array that stays in its file until it is asked for: `albert_core.lazy`."""

from albert_core.lazy import Array as Array
from albert_core.lazy import Lazy as Lazy
from albert_core.lazy import take as take
