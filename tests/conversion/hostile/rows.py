"""The bad inputs that a converter must survive, and what they meet here.

Number -> (the input, what happens). A test of a row has the marker `bad_input(number)`;
`test_rows.py` asks for one for every row, and docs/conversion/errors.md prints them.
"""

ROWS: dict[int, tuple[str, str]] = {
    # safetensors
    1: ("a file without a byte, whatever its name ends with", "`EMPTY`"),
    2: ("safetensors of fewer bytes than its length alone has", "`TOO_SHORT`"),
    3: (
        "a header said to be of 2^63 bytes, or longer than the file",
        "`HEADER_TOO_LARGE` or `TRUNCATED`; none of it is read",
    ),
    4: ("a header of 100 MB and a byte", "`HEADER_TOO_LARGE`; none of it is read"),
    5: (
        "a header that is no UTF-8, no JSON, a list, or begins with a space",
        "`BAD_HEADER`, and the byte where",
    ),
    6: ("JSON of 100,000 lists within each other", "`BAD_HEADER`"),
    7: ("the same name twice in a header", "`DUPLICATE`; neither wins"),
    8: ("metadata that are no texts", "`BAD_HEADER`"),
    9: ("arrays that overlap, so that a small file holds many", "`BAD_HEADER`"),
    10: (
        "bytes between the arrays or behind them, as in a file that is a zip file too",
        "`BAD_HEADER` or `TRAILING`; `--allow-trailing` takes the latter, and warns",
    ),
    11: ("a file whose last byte is missing", "`TRUNCATED`, with both sizes"),
    12: ("places that are backwards, negative, fractions or 1e308", "refused"),
    13: ("a shape too large for any memory, negative, or of booleans", "`BAD_SHAPE`"),
    14: ("a shape that does not fit its bytes", "`BAD_SHAPE`, with both numbers"),
    15: (
        "number types that are not known, such as `F4`",
        "`BAD_DTYPE`, and those known",
    ),
    16: (
        "arrays without a number or an axis",
        "read; where a weight should be, an error that names both shapes",
    ),
    17: (
        "a million tiny arrays",
        "`HEADER_TOO_LARGE` or `TOO_LARGE`, before the header is parsed",
    ),
    18: (
        "names of `..`, NUL, line feeds, escapes, a megabyte",
        "data like any other; never a path, never printed as they are",
    ),
    # Several files
    19: (
        "an index that names `../x`, `/etc/passwd`, `C:x`, `\\\\host\\x` or a URL",
        "`UNSAFE`; nothing of it is opened",
    ),
    20: (
        "a file of several that is a link out of the folder, a pipe, device or folder",
        "`UNSAFE` or `NOT_A_CHECKPOINT`; links as in a cache of the hub are followed",
    ),
    21: ("an index of files that are not there", "`MISSING_SHARD`, and all of them"),
    22: ("an index and files that hold different names", "`BAD_INDEX`, both lists"),
    23: ("a name in two files", "`BAD_INDEX`"),
    24: ("a file of an older set beside the others", "not read; a warning names it"),
    25: (
        "an index without a table, without metadata, or with a wrong size",
        "`BAD_INDEX`; read; read with a warning",
    ),
    26: ("an index of safetensors that names pickles", "`BAD_INDEX`"),
    27: (
        "safetensors and PyTorch's file beside each other, and different",
        "safetensors are read, and a message says so; `--verify-siblings` compares",
    ),
    # What is no checkpoint
    28: ("the pointer of Git LFS in place of the weights", "`LFS_POINTER`"),
    29: ("a web page or JSON saved as weights", "`NOT_A_CHECKPOINT`, how it begins"),
    # PyTorch
    30: (
        "a pickle that calls `os.system`, `eval` or `getattr`",
        "`UNSAFE`; nothing is run, nothing imported",
    ),
    31: ("the same in front of broken bytes", "`UNSAFE`; nothing is run"),
    32: (
        "a pickle that changes what it may not, or a tensor outside its storage",
        "`BAD_HEADER` or `BAD_SHAPE`",
    ),
    33: (
        "pickles that grow: values copied again and again, numbers of 2 GB, a million "
        "tuples within each other",
        "`TOO_LARGE`, `UNSAFE` or `BAD_HEADER`",
    ),
    34: (
        "PyTorch's files from before version 1.6",
        "read without PyTorch; those in tar files are `UNSUPPORTED`",
    ),
    35: ("TorchScript in a `.bin`", "`UNSUPPORTED`"),
    36: (
        "zip files that are encrypted, lie about sizes, or have a wrong checksum, a "
        "member twice, or `../` in a name",
        "refused, each by a message of its own",
    ),
    37: (
        "zip files of some kilobytes that unpack to gigabytes",
        "`TOO_LARGE` or `UNSUPPORTED`; nothing is unpacked",
    ),
    38: ("a tensor of 10^12 numbers that are all the same one", "`TOO_LARGE`"),
    39: ("tensors that share their numbers", "one copy, under all of its names"),
    40: ("a tensor that is a small part of a large storage", "only the part is held"),
    41: ("other orders of axes or bytes", "the same numbers"),
    # HDF5 and Keras
    42: (
        "HDF5 that leads elsewhere: links, external and virtual datasets, references",
        "`UNSAFE` or `BAD_DTYPE`, by its name",
    ),
    43: ("HDF5 datasets of petabytes that are not stored", "`TOO_LARGE`"),
    44: ("HDF5 groups in a circle, or 10,000 deep", "`UNSAFE` or `TOO_LARGE`"),
    45: ("HDF5 that needs a plugin", "`UNSUPPORTED`; no plugin is loaded"),
    46: (
        "HDF5 that crashes the library",
        "`READER_CRASHED`: it works in a process of its own",
    ),
    47: (
        "`tf_model.h5` with code in its configuration",
        "the weights are read, no code",
    ),
    48: ("HDF5 whose lists of names are cut in pieces", "read"),
    49: (
        "`.keras` whose configuration names modules and classes",
        "data; nothing is imported",
    ),
    50: (
        "`.weights.h5` whose layers have other names",
        "`UNEXPECTED` or `WRONG_MODEL`, with their paths",
    ),
    51: ("an index of Keras's with `../`", "`UNSAFE`"),
    # Flax, TensorFlow and Orbax
    52: (
        "msgpack that announces 2^32 values, is 100,000 deep, or has types of no array",
        "refused before memory is taken",
    ),
    53: ("an array of Flax in chunks that are not all there", "`BAD_SHAPE`"),
    54: (
        "trees of Flax: frozen, without `params`, in bfloat16, with `batch_stats`",
        "read; what is no weight of ALBERT is named",
    ),
    55: (
        "an index of TensorFlow's that is cut, has a wrong checksum, is compressed",
        "`TRUNCATED`, `CHECKSUM`, `UNSUPPORTED` or `BAD_HEADER`",
    ),
    56: (
        "entries in it of missing files, places outside, texts of any size, slices",
        "refused; texts are left alone; slices are put together",
    ),
    57: (
        "an array of TensorFlow's with another checksum",
        "`CHECKSUM`, and its name; `--salvage` leaves it out",
    ),
    58: (
        "all the paths that mean a TensorFlow checkpoint, and a file `checkpoint` that "
        "leads elsewhere",
        "found; only the last part of a name counts",
    ),
    59: (
        "TensorFlow checkpoints with an optimizer's slots, or names of other versions",
        "read; what is left out is named",
    ),
    60: ("a folder of Orbax that is not finished", "`INCOMPLETE`"),
    61: (
        "a folder of Orbax that leads elsewhere or lacks a part",
        "`BAD_HEADER`, `UNSAFE` or `INCOMPLETE`",
    ),
    # The model
    62: (
        "a `config.json` that is none, or has sizes that no model can have",
        "an error that names the field; unknown keys are kept and change nothing",
    ),
    63: (
        "a configuration that does not fit the arrays",
        "every difference is named; `--resize-vocab` takes a padded vocabulary",
    ),
    64: ("a checkpoint of another model, such as BERT", "`WRONG_MODEL`, and a guess"),
    65: (
        "two arrays for one parameter, or arrays that are no part of the model",
        "`DUPLICATE` or `UNEXPECTED`; `--allow-unused` leaves the latter out",
    ),
    66: (
        "a square matrix that is transposed",
        "no reader can see it; tests of the layouts and `albert-zoo parity` prove "
        "that none is turned here",
    ),
    67: (
        "NaN, infinity, -0 and the smallest numbers",
        "kept, bit by bit; `--reject-nonfinite` refuses the first two",
    ),
    68: (
        "numbers too large or too small for `--dtype`",
        "counted; `OVERFLOW` unless `--saturate`",
    ),
    69: (
        "weights of float64, or quantised to integers",
        "kept unless `--dtype` says otherwise; `BAD_DTYPE`, and the name",
    ),
    # The machine
    70: (
        "a target that is there, the source itself, a link, not to be written, or of "
        "too long a name",
        "exit code 2 or 5; nothing is touched",
    ),
    71: ("a disk that is full, at any moment", "exit code 5; the old target is intact"),
    72: (
        "a process that is killed, at any moment",
        "the old target, none or the whole new one; `--resume` goes on",
    ),
    73: ("two processes with one target", "one wins, the other ends with exit code 5"),
    74: ("a source that changes while it is read", "`CHANGED`, exit code 5"),
    75: (
        "any file mode mask, and names that differ in case only",
        "modes are those asked for; no name of an array becomes one of a file",
    ),
    76: (
        "no framework installed",
        "conversions need none; a parity exits with 4 and names the extra",
    ),
    77: (
        "paths that are no UTF-8 or begin with `-`, the locale C, closed output",
        "works",
    ),
    78: (
        "a SentencePiece model that is missing, damaged or of another size",
        "the weights are converted all the same, and what is wrong is said",
    ),
}
