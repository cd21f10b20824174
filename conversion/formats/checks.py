"""What every reader and writer of a file format asks first: the core's checks."""

from albert_core.file_checks import AGAIN as AGAIN
from albert_core.file_checks import check_dtypes as check_dtypes
from albert_core.file_checks import check_names as check_names
from albert_core.file_checks import check_shape as check_shape
from albert_core.file_checks import first_bytes as first_bytes
from albert_core.file_checks import not_a as not_a
from albert_core.file_checks import raw as raw
from albert_core.file_checks import refusing as refusing
