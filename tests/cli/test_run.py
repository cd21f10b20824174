"""`albert-zoo run` as a user meets it: pipes, files, bad lines, and a way back."""

import csv
import json
import os
import signal
import subprocess
import sys
import time

import pytest

from albert_zoo import console
from albert_zoo.commands import run
from albert_zoo.models import TASKS
from albert_zoo.pipelines.base import LOOKAHEAD
from tests.pipelines.models import LABELS, TEXTS, assert_same, write_model

COMMAND = [sys.executable, "-c", "from albert_zoo.cli import main; main()", "run"]
# The same, in a job in the background too, where shells have interrupts ignored.
UNDO = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
HEEDING = [*COMMAND[:2], f"{UNDO}; {COMMAND[2]}", COMMAND[3]]
MASKED = "the first [MASK] of an old river"
# What each task is told besides its input, and an input of it.
GIVEN = {
    "fill-mask": (["--top-k", 2], MASKED),
    "text-classification": (["--top-k", "all"], TEXTS[0]),
    "token-classification": (["--aggregation", "simple"], TEXTS[0]),
    "question-answering": (["--handle-impossible-answer"], f"who?\t{TEXTS[2]}"),
    "multiple-choice": ([], "the first\tbook\tstory\triver"),
    "zero-shot-classification": (["--candidate-labels", "old,new"], TEXTS[0]),
    "feature-extraction": ([], "a story"),
    "sentence-embedding": (["--pooling", "cls", "--normalize"], "a story"),
}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A function that writes the checkpoint of a task, as small as can be."""
    folder = tmp_path_factory.mktemp("models")

    def model(task):
        path = folder / task
        if not path.exists():
            labels = {"id2label": LABELS} if task.startswith("token") else {}
            sizes = {"hidden_size": 6, "num_hidden_layers": 1, "intermediate_size": 7}
            write_model(path, TASKS[task], **sizes, **labels)
        return path

    return model


def results(out):
    return [json.loads(line) for line in out.splitlines()]


@pytest.mark.parametrize("task", TASKS)
def test_every_task_runs_by_its_name(call, model, task):
    options, line = GIVEN[task]
    given = ["run", "--task", task, "--model", model(task), *options]
    code, out, err = call(*given, text=f"{line}\n{line}")
    assert (code, err) == (0, "")
    one, two = results(out)
    assert_same(one, two)


def test_a_pipe_is_read_and_written(model):
    command = [*COMMAND, "--task", "fill-mask", "--framework", "flax"]
    shown = subprocess.run(
        [*command, "--model", model("fill-mask")],
        input=f"{MASKED}\n",
        capture_output=True,
        text=True,
        check=True,
    )
    assert shown.stderr == ""
    (found,) = results(shown.stdout)
    assert list(found[0]) == ["score", "token", "token_str", "sequence"]


def test_text_records_and_csv_give_the_same(call, model, tmp_path):
    given = ["run", "--model", model("question-answering")]
    rows = [("who, then?", TEXTS[2]), ('what "is"?', f"{TEXTS[0]}\n{TEXTS[2]}")]
    (tmp_path / "a.jsonl").write_text(
        "".join(
            json.dumps({"question": q, "context": c, "id": 3}) + "\n" for q, c in rows
        )
    )
    with (tmp_path / "a.csv").open("w", newline="") as file:
        csv.writer(file).writerows(
            [("context", "id", "q"), *((c, 3, q) for q, c in rows)]
        )
    code, out, err = call(*given, "--input", tmp_path / "a.jsonl")
    assert code == 0, err
    assert len(results(out)) == 2
    columns = ["--column", "q", "--column", "context"]
    assert call(*given, "--input", tmp_path / "a.csv", *columns)[1] == out
    text = "\t".join(rows[0]) + "\r\n"
    _, alone, _ = call(*given, text=text.encode())
    assert_same(results(alone), results(out)[:1])


def test_pairs_and_choices_come_from_columns(call, model):
    given = ["run", "--model", model("text-classification"), "--format"]
    pair = {"text": TEXTS[0], "text_pair": TEXTS[1]}
    _, paired, _ = call(*given, "jsonl", text=json.dumps(pair))
    _, single, _ = call(*given, "jsonl", text=json.dumps(TEXTS[0]))
    assert paired != single
    text = f"text,text_pair\n{TEXTS[0]},{TEXTS[1]}\n"
    assert call(*given, "csv", text=text)[1] == paired
    assert call(*given, "csv", "--column", "text", text=text)[1] == single
    given = ["run", "--model", model("multiple-choice"), "--format"]
    record = {"prompt": "the first", "choices": ["book", "river"]}
    _, out, _ = call(*given, "jsonl", text=json.dumps(record))
    text = "choice1,prompt,choice2\nbook,the first,river\n"
    assert call(*given, "csv", text=text)[1] == out


def alike(result):
    """A result, up to what its batch does to rounding."""
    return {**result, "score": pytest.approx(result["score"], rel=1e-5)}


def test_bad_lines_are_told_with_their_numbers(call, model):
    lines = [b"a story", b"", b"\xff\xfe", b"nul \0", b"a story"]
    given = ["run", "--model", model("text-classification")]
    code, out, err = call(*given, text=b"\n".join(lines))
    assert (code, err) == (console.CHECK_FAILED, "")
    good, empty, bytes_, nul, same = results(out)
    assert good == alike(same)
    assert empty == {
        "line": 2,
        "error": "The text is empty. Leave it out, or put words in.",
    }
    assert (bytes_["line"], nul["line"]) == (3, 4)
    assert "not UTF-8: byte 0xff" in bytes_["error"]
    assert "NUL" in nul["error"]
    records = ['"a story"', "{", '{"other": 1}', "7", '{"text": "\\ud800"}']
    code, out, _ = call(*given, "--format", "jsonl", text="\n".join(records))
    assert code == console.CHECK_FAILED
    assert results(out)[0] == alike(good)
    for each, message in zip(
        results(out)[1:],
        ["no JSON", "no 'text'. It has 'other'", "a string, not 7", "surrogate"],
        strict=True,
    ):
        assert message in each["error"]
    text = b'text,"i\nd"\nshort\na story,1\n"two\nlines",2\n\xff,4\na story,5\n'
    code, out, _ = call(*given, "--format", "csv", text=text)
    assert [each.get("line") for each in results(out)] == [3, None, None, 7, None]
    assert "1 cells, the header has 2" in results(out)[0]["error"]


def test_strict_stops_at_the_first_bad_line(call, model):
    given = ["run", "--model", model("text-classification"), "--strict"]
    code, out, err = call(*given, text="a story\n\na story\n")
    assert code == console.BAD_INPUT
    assert len(results(out)) == 1
    assert (
        err == "albert-zoo: line 2: The text is empty. Leave it out, or put words in.\n"
    )


def test_long_texts_are_cut_unless_told_otherwise(call, model):
    given = ["run", "--model", model("text-classification")]
    text = "old river " * 40
    assert call(*given, text=text)[0] == 0
    code, out, _ = call(*given, "--no-truncation", text=text)
    assert code == console.CHECK_FAILED
    assert "at most 40" in out


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--pooling", "cls"], console.USAGE, "--pooling is for sentence-embedding"),
        (["--aggregation", "max"], console.USAGE, "--aggregation is for token-"),
        (["--top-k", "0"], console.USAGE, "neither a number from 1 nor all"),
        (["--column", "a"], console.USAGE, "--format jsonl and csv"),
        (["--resume"], console.USAGE, "--resume needs an --output"),
        (["--task", "poetry"], console.BAD_INPUT, "no task 'poetry'. Give one of"),
        (["--device", "cuda:64"], console.BAD_INPUT, "no device 'cuda:64'; PyTorch"),
        (["--device", "abacus"], console.BAD_INPUT, "no device 'abacus'"),
        (["--format", "csv"], console.BAD_INPUT, "no 'text'. It has 'a', 'b'"),
        (["--input", "nowhere.txt"], console.ENVIRONMENT, "nowhere.txt"),
        (
            ["--task", "question-answering"],
            console.BAD_INPUT,
            "needs: qa_outputs.weight",
        ),
    ],
)
def test_mistakes_have_codes(call, model, options, code, message):
    given = ["run", "--model", model("text-classification"), *options]
    found, _, err = call(*given, text="a,b\n")
    assert (found, "Traceback" in err) == (code, False)
    assert message in err


def test_an_output_is_not_written_over(call, model, tmp_path):
    target = tmp_path / "out.jsonl"
    given = ["run", "--model", model("text-classification"), "--output", target]
    assert call(*given, text="a story\n")[0] == 0
    first = target.read_bytes()
    code, _, err = call(*given, text="a story\na book\n")
    assert code == console.BAD_INPUT
    assert "--overwrite" in err
    assert "--resume" in err
    assert target.read_bytes() == first
    code, _, err = call(*given, "--resume", text="a story\n")
    assert (code, err) == (0, f"{target} is complete.\n")
    assert call(*given, "--overwrite", text="a story\na book\n")[0] == 0
    both = results(target.read_text())
    assert [both[0], len(both)] == [alike(json.loads(first)), 2]
    assert [file.name for file in tmp_path.iterdir()] == ["out.jsonl"]
    code, _, err = call(*given, "--input", target, "--overwrite")
    assert (code, "written over" in err) == (console.USAGE, True)


def test_a_missing_framework_is_4_and_names_the_extra(model):
    code = f"import sys; sys.modules['torch'] = None; {COMMAND[2]}"
    command = [sys.executable, "-c", code, "run", "--framework", "torch"]
    shown = subprocess.run(
        [*command, "--model", model("fill-mask")], capture_output=True, text=True
    )
    assert shown.returncode == console.MISSING
    assert "pip install 'albert-zoo[torch]'" in shown.stderr


def end_by(child, how):
    """Send a signal as people do, who press again.

    One that comes between Python's last look and its wait for input waits with it.
    """
    for _ in range(10):
        child.send_signal(how)
        try:
            child.wait(timeout=6)
        except subprocess.TimeoutExpired:
            continue
        return
    child.kill()
    raise AssertionError("the run did not end")


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_run_goes_on(call, model, tmp_path, how):
    """The input comes from a pipe, which leaves the run waiting where it is stopped."""
    lines = [f"{TEXTS[number % 3]} {number}" for number in range(2 * LOOKAHEAD + 99)]
    lines[5] = lines[LOOKAHEAD + 7] = ""
    text = "\n".join(lines)
    options = ["--framework", "torch", "--model", str(model("text-classification"))]
    whole = tmp_path / "whole.jsonl"
    assert call("run", *options, "--output", whole, text=text)[0] == 1
    target = tmp_path / "out.jsonl"
    options += ["--output", str(target)]
    child = subprocess.Popen(
        [*HEEDING, *options], stdin=subprocess.PIPE, stderr=subprocess.PIPE
    )
    # More than one window, and not the end of the next.
    child.stdin.write("\n".join(lines[: LOOKAHEAD + 300]).encode())
    child.stdin.flush()
    while not target.exists() or target.read_bytes().count(b"\n") < LOOKAHEAD:
        assert child.poll() is None, child.stderr.read()
        time.sleep(0.05)
    end_by(child, how)  # before the end of its input, which would end it as well
    _, err = child.communicate()
    if how == signal.SIGINT:
        assert child.returncode == console.ENVIRONMENT
        assert err.strip() == b"albert-zoo: stopped"
    written = target.read_bytes()
    assert whole.read_bytes().startswith(written)
    # As if it had been stopped in the middle of a window, and of a line.
    target.write_bytes(b"".join(written.splitlines(True)[:-100]) + b'{"label": "LA')
    code, _, err = call("run", *options, "--resume", "--top-k", 2, text=text)
    assert code == console.BAD_INPUT
    assert "top_k was None and is 2" in err
    assert call("run", *options, "--resume", text=text)[0] == console.CHECK_FAILED
    assert target.read_bytes() == whole.read_bytes()
    assert not target.with_name("out.jsonl.resume").exists()


WATCHED = """
import resource, sys
from albert_zoo.pipelines import writing
write = writing.Output.write
def watched(self, record):
    write(self, record)
    if self.done in (10_000, 100_000):
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)
writing.Output.write = watched
from albert_zoo.cli import main
main()
"""


def test_memory_does_not_grow_with_the_file(model, tmp_path):
    source, target = tmp_path / "in.txt", tmp_path / "out.jsonl"
    source.write_text("".join(f"a story {number}\n" for number in range(100_000)))
    options = ["--framework", "torch", "--model", model("text-classification")]
    options += ["--input", source, "--output", target]
    shown = subprocess.run(
        [sys.executable, "-c", WATCHED, "run", *options],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    before, after = map(int, shown.stderr.split())
    assert after - before < 20 * 1024  # in KiB; the output alone has 4,600
    assert target.read_bytes().count(b"\n") == 100_000


def test_a_terminal_shows_results_for_people():
    assert run._readable({"label": "A", "score": 0.123456}) == ["label A  score 0.1235"]
    assert run._readable([[{"a": 1}], [{"a": 2}]]) == ["a 1", "", "a 2", ""]
    assert run._readable([0.5] * 9) == ["[0.5, 0.5, 0.5, 0.5, ... 9 in all]"]
