"""The proof finds planted mistakes, at the right call, and names them."""

import pytest

from albert_zoo.parity import selftest
from tests.conftest import FRAMEWORKS


def missed(findings):
    return [
        f.said()
        for f in findings
        if not (f.caught and f.placed and (f.named or not f.cause))
    ]


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_few_mistakes_are_found_where_they_are(framework, monkeypatch):
    if framework != "torch":  # each compiles anew
        monkeypatch.setattr(selftest, "FEW", selftest.FEW[::3])
    findings = selftest.run([framework], few=True)
    assert len(findings) == len(selftest.FEW)
    assert not missed(findings)


@pytest.mark.nightly
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_every_mistake_is_found_where_it_is(framework):
    findings = selftest.run([framework])
    assert len(findings) >= 50
    assert all(f.caught and f.placed for f in findings), missed(findings)
    assert selftest.enough(findings), missed(findings)


def test_a_self_test_that_finds_nothing_is_not_enough():
    assert not selftest.enough([])
    finding = selftest.Finding("torch", "x", "PASS", "", ["pooler"], [], "")
    assert not selftest.enough([finding])
