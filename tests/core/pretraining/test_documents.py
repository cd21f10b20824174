"""Text is read block by block, and no line of it is lost or read twice."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from albert_core import InputError
from albert_core.data.pretraining import documents as module
from albert_core.data.pretraining.documents import Block, blocks, documents


def letters(lines):
    return [[ord(letter) for letter in line] for line in lines]


def read(found):
    """The documents of blocks, as text."""
    return [
        ["".join(map(chr, line)) for line in document]
        for block in found
        for document in documents(block, letters)
    ]


def in_blocks(path, size=module.BLOCK):
    return blocks([path], size)


@pytest.fixture
def write(tmp_path):
    def to_file(text, name="text.txt"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return to_file


def test_a_line_is_a_sentence_and_an_empty_one_ends_a_document(write):
    path = write("One.\nTwo.\n\n \t\n Three. \n\u3000\nFour.")
    assert read(in_blocks(path)) == [["One.", "Two."], ["Three."], ["Four."]]


def test_dos_line_ends_and_a_mark_are_no_text(write):
    path = write("\ufeffOne.\r\nTwo.\r\n\r\nThree.\r\n")
    assert read(in_blocks(path)) == [["One.", "Two."], ["Three."]]
    assert read(in_blocks(write("\ufeff\n\nOne.\n"))) == [["One."]]


@settings(deadline=None, max_examples=150)
@given(
    st.lists(st.sampled_from(["a", "bc", "déf", "", " ", "\r"]), max_size=60),
    st.integers(1, 60),
    st.integers(1, 7),
)
def test_blocks_are_the_file(tmp_path_factory, lines, size, batch):
    path = tmp_path_factory.getbasetemp() / "blocks.txt"
    path.write_bytes("\n".join([*lines, "end"]).encode())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "LONGEST_DOCUMENT", 1000)
        patch.setattr(module, "BATCH", batch)
        found = in_blocks(path, size)
        expected, data = [[]], path.read_bytes()
        for line in data.decode().split("\n"):
            if line.strip():
                expected[-1].append(line.strip())
            else:
                expected.append([])
        assert read(found) == [document for document in expected if document]
    assert [block.start for block in found] == [0, *(b.end for b in found[:-1])]
    assert found[-1].end == len(data)
    for block in found[:-1]:
        assert block.end - block.start >= size
    for block in found:
        assert block.line == data[: block.start].count(b"\n") + 1


def test_no_line_is_lost_between_batches(write):
    lines = [f"line {n}" for n in range(2 * module.BATCH + 5)]
    assert read(in_blocks(write("\n".join(lines)))) == [lines]


def test_files_are_not_joined(write):
    paths = [write("a\n", "1"), write("b", "2"), write("c\n\nd", "3")]
    assert blocks(paths) == [Block(p, 0, p.stat().st_size, 1) for p in paths]
    assert read(blocks(paths)) == [["a"], ["b"], ["c"], ["d"]]


def test_a_document_without_an_end_is_cut(write):
    lines = [f"{n:03}" for n in range(50)]
    found = in_blocks(write("\n".join(lines)), 5)
    assert [block.end - block.start for block in found] == [40, 40, 40, 40, 39]
    assert [line for document in read(found) for line in document] == lines
    assert found[1] == Block(found[0].path, 40, 80, 11)


def test_lines_without_tokens_are_no_sentences(write):
    (block,) = in_blocks(write("a\n-\nb\n\n-\n\nc"))
    found = documents(block, lambda lines: [[1] if x != "-" else [] for x in lines])
    assert found == [[[1], [1]], [[1]]]


def test_all_files_without_text_are_named(write):
    paths = [
        write(text, name)
        for name, text in [
            ("none", ""),
            ("full", "a"),
            ("blank", "\n \r\n\t\n" * 50),
            ("mark", "\ufeff"),
        ]
    ]
    with pytest.raises(InputError) as problem:
        blocks(paths, 4)
    empty = ", ".join(repr(str(paths[n])) for n in (0, 2, 3))
    assert str(problem.value) == (
        f"There is no text in {empty}. Leave out what is empty, or give the files that "
        f"the text is in."
    )


@pytest.mark.parametrize(
    ("data", "line", "byte", "place"),
    [
        (b"caf\xe9 x\n", 1, "0xe9", 3),
        (b"\xef\xbb\xbfcaf\xe9 x\n", 1, "0xe9", 6),
        (b"\xef\xbb\xbfa\n\n\nb\xff\n", 4, "0xff", 8),
        (b"a\n\nb\n\nc\xc3", 5, "0xc3", 7),
        ("a".encode("utf-16"), 1, "0xff", 0),
    ],
)
@pytest.mark.parametrize("size", [1, 1000])
def test_what_is_not_utf_8_is_named(write, data, line, byte, place, size):
    path = write(data)
    with pytest.raises(InputError) as problem:
        read(in_blocks(path, size))
    assert str(problem.value) == (
        f"{path}: line {line} is not UTF-8: byte {byte} at {place}. Convert the file."
    )


def test_an_endless_line_is_not_read_on(write, monkeypatch):
    monkeypatch.setattr(module, "LONGEST_LINE", 20)
    assert in_blocks(write("a" * 19 + "\n" + "b" * 20))
    path = write("a\n" + "b" * 20 + "\n")
    with pytest.raises(InputError) as problem:
        in_blocks(path)
    assert str(problem.value) == (
        f"{path}: line 2 has more than 20 bytes. Give text with one sentence a line "
        f"and an empty line between documents."
    )


def test_a_file_that_is_not_there_is_the_systems_to_name():
    with pytest.raises(FileNotFoundError, match="nowhere"):
        in_blocks(Path("nowhere"))
