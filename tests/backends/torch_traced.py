"""Ways to run a PyTorch model other than line by line; prints what each is off by.

A process of its own: torch.compile cannot look through the checks of shapes that the
tests put around the layers.
"""

import json
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch.export import Dim
from torch.func import functional_call, grad, vmap

import albert_torch  # before the tests' own modules, which would wrap it
from tests.backends.torch_models import batch, build

SIZES = {"num_hidden_layers": 3, "inner_group_num": 1}  # two groups, a layer twice


def gap(found, expected):
    """The largest difference of two outputs or gradients; they have the same fields.

    It is taken beside the largest number of a field, with which rounding goes.
    """
    assert type(found) is type(expected)
    assert list(found) == list(expected)
    gaps = [
        ((found[name] - expected[name]).abs().max() / largest(expected[name])).item()
        for name in expected
        if isinstance(expected[name], torch.Tensor)
    ]
    return max(gaps)


def largest(x):
    return x.detach().abs().max().clamp(min=1)


def gradients(model):
    return {
        n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None
    }


def compiled(backend, attention, masked):
    """torch.compile as one graph, forwards and backwards."""
    torch._dynamo.reset()
    model = build(
        albert_torch.AlbertForMaskedLM, **SIZES, attn_implementation=attention
    )
    inputs = batch() if masked else {"input_ids": batch()["input_ids"]}
    inputs["labels"] = batch()["input_ids"]
    expected = model(**inputs)
    expected.loss.backward()
    wanted = gradients(model)
    model.zero_grad()
    found = torch.compile(model, fullgraph=True, backend=backend)(**inputs)
    found.loss.backward()
    return max(gap(found, expected), gap(gradients(model), wanted))


def compiled_for_any_length():
    """Two graphs at most for all lengths."""
    torch._dynamo.reset()
    model = build(albert_torch.AlbertModel, **SIZES)
    fast = torch.compile(model, fullgraph=True, backend="eager")
    with torch._dynamo.config.patch(error_on_recompile=False):
        gaps = [gap(fast(**batch(n)), model(**batch(n))) for n in (9, 12)]
    with torch._dynamo.config.patch(error_on_recompile=True):
        gaps += [gap(fast(**batch(n)), model(**batch(n))) for n in (15, 6, 21)]
    return max(gaps)


def exported():
    """torch.export with free sizes, written to a file and read again."""
    model = build(albert_torch.AlbertForPreTraining, **SIZES)
    sizes = {0: Dim("rows", max=64), 1: Dim("tokens", max=23)}
    shapes = {"input_ids": sizes, "attention_mask": sizes, "token_type_ids": sizes}
    program = torch.export.export(model, (), batch(), dynamic_shapes=shapes)
    with TemporaryDirectory() as folder:
        torch.export.save(program, Path(folder) / "model.pt2")
        program = torch.export.load(Path(folder) / "model.pt2")
    return gap(program.module()(**batch(17)), model(**batch(17)))


def traced():
    """torch.jit.trace, which newer versions of PyTorch advise against."""
    model = build(albert_torch.AlbertModel, return_dict=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program: Any = torch.jit.trace(model, tuple(batch().values()))
    found, expected = program(*batch(17).values()), model(**batch(17))
    return max((a - b).abs().max().item() for a, b in zip(found, expected, strict=True))


def mapped():
    """torch.func: a gradient for every row of a batch."""
    model = build(albert_torch.AlbertForMaskedLM, attn_implementation="eager")

    def loss(parameters, inputs):
        row = {name: x[None] for name, x in inputs.items()}
        row["labels"] = row["input_ids"]
        return functional_call(model, parameters, (), row, tie_weights=True).loss

    parameters = {n: p.detach() for n, p in model.named_parameters()}
    found = vmap(grad(loss), in_dims=(None, 0))(parameters, batch())
    gaps = []
    for row in range(3):
        model.zero_grad()
        inputs = {name: x[row : row + 1] for name, x in batch().items()}
        model(**inputs, labels=inputs["input_ids"]).loss.backward()
        gaps.append(gap({n: g[row] for n, g in found.items()}, gradients(model)))
    return max(gaps)


COMPILED = [("eager", "sdpa", "mask"), ("eager", "eager", "mask")]
COMPILED += [("aot_eager", "sdpa", mask) for mask in ("mask", "none")]
WAYS = {
    f"compiled {backend} {attention} {mask}": (
        lambda b=backend, a=attention, m=mask: compiled(b, a, m == "mask")
    )
    for backend, attention, mask in COMPILED
}
WAYS |= {f.__name__: f for f in (compiled_for_any_length, exported, traced, mapped)}

if __name__ == "__main__":
    warnings.simplefilter("error")
    for name, way in WAYS.items():
        torch.manual_seed(0)
        print(json.dumps({name: way()}), flush=True)
