"""File formats: bytes to named arrays and back. None of them knows what ALBERT is."""
