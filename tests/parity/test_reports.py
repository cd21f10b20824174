"""The page, the XML and the certificate of a proof: all is told, changes are found."""

import json
import re
import sys
from contextlib import suppress
from datetime import UTC, datetime
from html.parser import HTMLParser
from xml.etree import ElementTree

import numpy as np
import pytest

from albert_core.errors import CheckpointError, MissingPackageError
from albert_zoo.console import print_result
from albert_zoo.parity import budgets, certificate, charts, checks, html_report
from albert_zoo.parity.certificate import CertificateError, read_key, write_certificate
from albert_zoo.parity.checks import Check, Run, judged
from albert_zoo.parity.html_report import number, percent, write_html
from albert_zoo.parity.junit import write_junit
from albert_zoo.parity.measure import compare
from albert_zoo.parity.proof import Proof
from albert_zoo.parity.verification import verify
from conversion import hashing, open_checkpoint
from tests.conftest import tiny, write

KEY = b"a secret of more than 16 bytes"
EVIL = '<img src=x onerror=alert(1)>"\x1b[31m\u202e'
INNER = "layer.1.inner.0.attention"


def measured(level, place, off, budget=1e-6):
    expected = np.linspace(1, 2, 50)
    return judged(
        level, place, compare([(expected * (1 + off), expected)], 2e-8), budget
    )


def run_of(framework="torch", dtype="float32", off=1e-8, **more):
    found = [
        Check("bytes", "albert.pooler.weight", checks.PASS),
        measured("free", "hidden_states.1", off),
        measured("forced", "embeddings", 0.0),
        measured("forced", INNER, off),
        *(measured("gradients", f"weight.{i}", i * 1e-9) for i in range(25)),
    ]
    return Run(framework, dtype, found, {framework: "1.0"}, {"device": "cpu"}, **more)


def proof_of(*runs, scale=1.0, checkpoint="a checkpoint", found=()):
    place = {"python": "3"}
    made = Proof(checkpoint, "Model", "aa", "bb", scale, list(found), list(runs), place)
    return made.to_dict()


@pytest.fixture(scope="module")
def failed():
    """What a fault, an error, a NaN and hostile names leave behind."""
    bad = run_of(off=1e-3, first=INNER, causes=["query and key swapped"])
    bad.checks.append(measured("free", EVIL, np.nan))
    broken = Run("flax", "float64", [Check("free", "", checks.ERROR, f"Evil: {EVIL}")])
    tokens = Check("tokens", EVIL, checks.FAIL, f"slow {EVIL}")
    runs = (run_of("tf"), bad, broken)
    return proof_of(*runs, scale=10.0, checkpoint=EVIL, found=[tokens])


@pytest.fixture(scope="module")
def page(failed):
    """The page of it."""
    return html_report.render(failed)


class Page(HTMLParser):
    """Tags that are open, attributes, and text of a page."""

    VOID = ("meta", "br")

    def __init__(self, text):
        super().__init__()
        self.open, self.ids, self.words, self.attributes = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.attributes += [(tag, *attribute) for attribute in attrs]
        self.ids += [value for name, value in attrs if name == "id"]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.attributes += [(tag, *attribute) for attribute in attrs]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


def test_a_page_stands_alone_and_runs_nothing(page):
    parsed = Page(page)
    assert parsed.open == []
    assert len(parsed.ids) == len(set(parsed.ids))
    for tag, name, value in parsed.attributes:
        assert tag not in ("script", "link", "img", "iframe", "image")
        assert not name.startswith("on")
        assert name not in ("src", "srcset", "data")
        assert "href" not in name or value.startswith("#")
    assert "@import" not in page
    assert "http" not in page
    assert re.findall(r"url\((?!#)", page) == []
    assert "\x1b" not in page
    assert "\u202e" not in page
    assert "&lt;img src=x onerror=alert(1)&gt;" in page


def test_a_page_says_what_is_wrong_and_where(page):
    words = " ".join("".join(Page(page).words).split())
    assert "These do not compute what the float64 reference computes: PyTorch" in words
    assert f"The first difference is in {INNER}." in words
    assert "query and key swapped" in words
    assert "All budgets were multiplied with 10: this" in words
    assert page.count("<svg") == 4  # of the two runs that were measured
    assert "the other 5" in words
    worst_first = [page.index(f">weight.{i}<") for i in (24, 23, 12, 5)]
    assert worst_first == sorted(worst_first)


def test_a_page_of_a_pass_is_calm(tmp_path):
    write_html(proof_of(run_of()), tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text("utf-8")
    assert "Every framework computes what the float64 reference computes." in text
    assert 'role="alert"' not in text
    assert "Where and why" not in text


def test_a_page_can_be_made_again_from_json(failed, page):
    assert html_report.render(json.loads(json.dumps(failed))) == page


def test_a_page_can_be_made_of_numbers_that_json_does_not_have(tmp_path):
    run = run_of()
    run.checks.append(measured("free", "logits", float("nan")))
    figures = proof_of(run)
    print_result(figures, tmp_path / "x.json", lambda console: None)
    text = (tmp_path / "x.json").read_text()
    assert "NaN" not in text
    assert "Infinity" not in text
    assert html_report.render(json.loads(text)) == html_report.render(figures)


def test_a_page_tells_of_budgets_that_judge_nothing():
    run = run_of(dtype="bfloat16")
    assert "cannot be judged" not in html_report.render(proof_of(run))
    run.checks.append(measured("free", "logits", 0.9, budget=2.0))
    text = html_report.render(proof_of(run))
    assert "PyTorch, bfloat16: 1 places cannot be judged." in text


@pytest.mark.parametrize(
    ("runs", "found", "message"),
    [
        ([], [], "It cannot be said whether"),
        ([Run("torch", "float64", [])], [], "It cannot be said whether"),
        ([run_of()], [Check("tokens", "x", checks.FAIL)], "itself failed"),
    ],
)
def test_a_page_does_not_take_nothing_for_a_pass(runs, found, message):
    assert message in html_report.render(proof_of(*runs, found=found))


def test_figures_are_read_as_people_read_them():
    assert [number(x) for x in (1.23e-7, 0.0, None, np.nan, np.inf, 2e12)] == [
        "1.2e-7", "0", "–", "NaN", "∞", "2.0e12",
    ]  # fmt: skip
    assert [percent(x) for x in (0.0957, 1e-6, 0.0, 1500.0, np.inf, None)] == [
        "9.57%", "< 0.01%", "0.00%", "1,500 ×", "beyond all", "–",
    ]  # fmt: skip


def test_the_axis_of_depth_is_that_of_the_layers():
    calls = [f"layer.{n}.inner.{m}.feed_forward" for n in range(3) for m in range(2)]
    places = ["embeddings", "hidden_states.0", "attentions.3", "pooler", *calls]
    found, last = charts.depths([*places, "hidden_states.3", "last_hidden_state"])
    assert last == 3
    assert [found[call] for call in calls] == [0.5, 1, 1.5, 2, 2.5, 3]
    assert found["attentions.3"] == 1.75
    assert found["embeddings"] < found["hidden_states.0"] == 0
    assert found["last_hidden_state"] == 3 < found["pooler"]


@pytest.mark.parametrize("package", ["jinja2", "matplotlib"])
def test_without_its_packages_a_report_names_the_extra(monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingPackageError, match=r"albert-zoo\[report\]"):
        html_report.render(proof_of(run_of()))


def test_junit_has_a_case_for_every_check(failed, tmp_path):
    write_junit(failed, tmp_path / "junit.xml")
    root = ElementTree.parse(tmp_path / "junit.xml").getroot()
    suites = {suite.get("name"): suite for suite in root}
    assert [*suites] == ["checkpoint", "tf.float32", "torch.float32", "flax.float64"]
    counts = [{k: s.get(k) for k in ("tests", "failures", "errors")} for s in root]
    assert counts == [
        {"tests": "1", "failures": "1", "errors": "0"},
        {"tests": "29", "failures": "0", "errors": "0"},
        {"tests": "30", "failures": "3", "errors": "0"},
        {"tests": "1", "failures": "0", "errors": "1"},
    ]
    assert (root.get("tests"), root.get("failures"), root.get("errors")) == (
        "61", "4", "1",
    )  # fmt: skip
    names = [case.get("name") for case in suites["torch.float32"].iter("testcase")]
    assert [INNER in names, "\\x1b" in names[-1]] == [True, True]
    message = suites["torch.float32"].find("testcase/failure").get("message")
    assert message == "relative error 1.00e-03, budget 1.00e-06"


@pytest.mark.parametrize("verdict", checks.VERDICTS)
def test_junit_shows_every_verdict(tmp_path, verdict):
    run = Run("torch", "float32", [Check("free", "logits", verdict, "so")])
    write_junit(proof_of(run), tmp_path / "junit.xml")
    case = ElementTree.parse(tmp_path / "junit.xml").find(".//testcase")
    expected = {checks.PASS: [], checks.SKIPPED: ["skipped"]}
    expected |= {one: ["error"] for one in checks.INCONCLUSIVE}
    expected |= {one: ["failure"] for one in checks.FAILED}
    assert [mark.tag for mark in case] == expected[verdict]


@pytest.mark.parametrize("runs", [[], [Run("torch", "float64", [])]])
def test_junit_is_not_green_where_nothing_was_compared(tmp_path, runs):
    write_junit(proof_of(*runs), tmp_path / "junit.xml")
    assert ElementTree.parse(tmp_path / "junit.xml").getroot().get("errors") == "1"


@pytest.fixture(scope="module")
def proved(tmp_path_factory):
    """A checkpoint, and what a proof of it could say."""
    path = write(tmp_path_factory.mktemp("proved") / "model", tiny())
    opened = open_checkpoint(path)
    weights = hashing.whole(hashing.digests(opened))
    config = opened.config.to_dict()
    return path, {**proof_of(run_of()), "weights_sha256": weights, "config": config}


@pytest.fixture
def certified(proved, tmp_path):
    """The checkpoint, and a signed certificate with a report beside it."""
    checkpoint, result = proved
    (tmp_path / "report.html").write_text("<p>PASS")
    file, when = tmp_path / "certificate.json", datetime(2026, 1, 2, tzinfo=UTC)
    write_certificate(result, file, tmp_path / "report.html", KEY, when)
    return checkpoint, file


def test_a_certificate_holds(certified, proved):
    checkpoint, file = certified
    assert verify(file, checkpoint) == []
    assert verify(file, checkpoint, KEY) == []
    found = certificate.read(file)
    assert found["date"] == "2026-01-02T00:00:00Z"
    assert found["weights_sha256"] == proved[1]["weights_sha256"]
    (run,) = found["runs"]
    assert (run["verdict"], run["levels"]["forced"]) == ("PASS", "PASS")
    assert 0 < run["worst_share"] < 1


def test_every_byte_of_a_certificate_counts(certified):
    checkpoint, file = certified
    whole = file.read_bytes()
    for place in range(0, len(whole), 13):
        changed = bytearray(whole)
        changed[place] ^= 1
        file.write_bytes(changed)
        with suppress(CertificateError):
            assert verify(file, checkpoint, KEY), whole[place - 20 : place + 9]


def test_every_byte_of_the_weights_counts(certified, tmp_path):
    _, file = certified
    stored = write(tmp_path / "copy", tiny()) / "model.safetensors"
    whole = stored.read_bytes()
    start = 8 + int.from_bytes(whole[:8], "little")
    assert verify(file, stored.parent) == []
    for place in np.linspace(start, len(whole) - 1, 20).astype(int):
        changed = bytearray(whole)
        changed[place] ^= 1
        stored.write_bytes(changed)
        (problem,) = verify(file, stored.parent)
        assert "The weights of" in problem


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hidden_act": "relu"}, "'hidden_act' = 'relu', and 'gelu_new' is certified"),
        ({"layer_norm_eps": 1e-5}, "'layer_norm_eps' = 1e-05, and 1e-12 is certified"),
        ({"num_hidden_layers": 8}, "'num_hidden_layers' = 8, and 6 is certified"),
    ],
)
def test_a_configuration_counts(certified, tmp_path, change, message):
    other = write(tmp_path / "other", tiny(**change))
    (problem,) = verify(certified[1], other)
    assert message in problem


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SAFETY", 9),
        ("FLOOR", 4.0),
        ("STRUCTURE", 1e-11),
        ("OPERATIONS", 13),
        ("SHAKEN", 2.0**-19),
        ("SEEDS", 3),
        ("VERSION", 99),
        ("MODES", {"float32": budgets.Mode("float32", "highest", 2.0**-23)}),
    ],
)
def test_every_threshold_counts(certified, monkeypatch, name, value):
    checkpoint, file = certified
    monkeypatch.setattr(budgets, name, value)
    (problem,) = verify(file, checkpoint)
    assert "The budgets are those of table 1 with the SHA-256" in problem


def test_reports_count(certified):
    checkpoint, file = certified
    page = file.with_name("report.html")
    page.write_text("<p>PASS!")
    (problem,) = verify(file, checkpoint)
    assert "The report 'report.html' was changed" in problem
    page.unlink()
    (problem,) = verify(file, checkpoint)
    assert "The report 'report.html' is not beside the certificate" in problem


def forge(file, **changes):
    """Change fields, and make the certificate's own hash anew, as anybody can."""
    found = {**json.loads(file.read_text()), **changes}
    content = certificate.content_of(found)
    found["sha256"] = certificate.hashlib.sha256(content).hexdigest()
    file.write_text(json.dumps(found))


def test_a_forger_needs_the_key(certified):
    checkpoint, file = certified
    forge(file, environment={"machine": "another"})
    assert verify(file, checkpoint) == []
    assert "is not of this certificate and this key" in verify(file, checkpoint, KEY)[0]
    values = json.loads(file.read_text())
    del values["hmac_sha256"]
    file.write_text(json.dumps(values))
    assert "not signed" in verify(file, checkpoint, KEY)[0]


def test_another_key_does_not_fit(certified):
    checkpoint, file = certified
    assert len(verify(file, checkpoint, KEY[::-1])) == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"verdict": "FAIL"}, "The verdict is 'FAIL'"),
        ({"runs": []}, "or that of a run is no PASS"),
        ({"runs": [{"verdict": "FAIL"}]}, "or that of a run is no PASS"),
        ({"budget_scale": 10.0}, "All budgets were multiplied with 10"),
    ],
)
def test_a_certificate_of_no_pass_does_not_hold(certified, changes, message):
    checkpoint, file = certified
    forge(file, **changes)
    (problem,) = verify(file, checkpoint)
    assert message in problem


def test_a_proof_that_failed_is_certified_as_such(failed, certified):
    checkpoint, file = certified
    write_certificate(failed, file)
    assert certificate.read(file)["runs"][1]["worst_share"] is None
    assert "The verdict is 'NONFINITE'" in verify(file, checkpoint)[-1]


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda text: "", "not JSON, or cut short"),
        (lambda text: text[: len(text) // 2], "not JSON, or cut short"),
        (lambda text: "[" * 100_000, "not JSON, or cut short"),
        (lambda text: "[]", "it holds no fields"),
        (lambda text: "{}", "weights_sha256 is missing"),
        (lambda text: text.replace('"date"', '"when"'), "'when' is not known"),
        (lambda text: text.replace('"format": 1', '"format": true'), "not of type int"),
        (lambda text: text.replace('"format": 1', '"format": 2'), "format 2, not"),
        (lambda text: text.replace("{", '{"date": "now",', 1), "there twice"),
        (lambda text: text.replace('_scale": 1.0', '_scale": NaN'), "NaN is no number"),
        (lambda text: text.replace('_scale": 1.0', '_scale": 1e999'), "not JSON"),
        (
            lambda text: text.replace('"runs": [', '"runs": [1,'),
            "a run holds no fields",
        ),
        (lambda text: text.replace('l": "', 'l": 1, "x": "'), "hash of a report is 1"),
    ],
)
def test_what_is_no_certificate_is_refused(certified, edit, message):
    checkpoint, file = certified
    file.write_text(edit(file.read_text()))
    with pytest.raises(CertificateError, match="is no certificate of ours") as stop:
        verify(file, checkpoint)
    assert message in str(stop.value)


def test_bytes_that_are_no_text_are_no_certificate(certified):
    checkpoint, file = certified
    file.write_bytes(b"\xff\xfe{}")
    with pytest.raises(CertificateError, match="not JSON"):
        verify(file, checkpoint)
    with pytest.raises(CertificateError, match="is no file"):
        verify(file.parent, checkpoint)


def test_a_checkpoint_that_cannot_be_read_is_told(certified, tmp_path):
    with pytest.raises(CheckpointError, match="does not exist"):
        verify(certified[1], tmp_path / "nowhere")


def test_a_key_must_be_long_enough(tmp_path):
    file = tmp_path / "key"
    file.write_bytes(KEY + b"\n")
    assert read_key(file) == KEY
    file.write_text("short\n")
    with pytest.raises(CertificateError, match=r"has 5 bytes, and at least 16 are"):
        read_key(file)
