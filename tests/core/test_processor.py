"""What kind of processor this is, on systems that say so in different words."""

import platform

import pytest

from albert_core import processor

LINUX = {"GenuineIntel": True, "AuthenticAMD": False}


@pytest.fixture
def says(monkeypatch):
    """Let a machine say something else of itself."""

    def say(system, machine, name="", **facts):
        monkeypatch.setattr(platform, "system", lambda: system)
        monkeypatch.setattr(platform, "machine", lambda: machine)
        monkeypatch.setattr(platform, "processor", lambda: name)
        monkeypatch.setattr(processor, "facts", lambda: facts)
        processor.is_intel.cache_clear()

    yield say
    processor.is_intel.cache_clear()


@pytest.mark.parametrize(
    ("said", "intel"),
    [
        (("Windows", "AMD64", "Intel64 Family 6 Model 85, GenuineIntel"), True),
        (("Windows", "AMD64", "AMD64 Family 25 Model 33, AuthenticAMD"), False),
        (("Darwin", "x86_64", "i386"), True),
        (("Darwin", "arm64", "arm"), False),
        (("Linux", "aarch64"), False),
    ],
)
def test_who_made_it(said, intel, says):
    says(*said)
    assert processor.is_intel() == intel


@pytest.mark.parametrize("vendor", LINUX)
def test_linux_says_it_in_a_file(vendor, says):
    says("Linux", "x86_64", vendor_id=vendor)
    assert processor.is_intel() == LINUX[vendor]


def test_a_signature_is_of_what_it_can_do(says):
    found: list[str] = []
    for flags in ("sse avx", "sse avx", "sse"):
        says("Linux", "x86_64", flags=flags, processor=str(len(found)))
        found.append(processor.signature())
    for features in ("sse avx", "asimd"):
        says("Linux", "aarch64", Features=features)
        found.append(processor.signature())
    assert found[0] == found[1]
    assert len(set(found)) == len(found) - 1
    assert len(found[0]) == 8


@pytest.mark.skipif(platform.system() != "Linux", reason="Linux has such a file")
def test_facts_are_of_one_processor():
    found = processor.facts()
    assert found["processor"] == "0"
    assert "flags" in found or "Features" in found
