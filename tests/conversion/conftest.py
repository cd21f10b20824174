"""What the tests of conversions share."""

import os

import pytest


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    """Waiting for the disk is of no use here, but slow."""
    monkeypatch.setattr(os, "fsync", lambda handle: None)
