"""The three backends read side by side: same classes, attributes and statements."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CALLS = {"torch": "forward", "tf": "call", "flax": "__call__"}
# What a framework's file may have besides, and why.
EXTRA_METHODS = {("AlbertMLMHead", "build")}  # Keras makes lone variables there
EXTRA_ARGUMENTS = {"training"}  # Keras's own name for what torch and JAX keep elsewhere
# Constructors that differ: the lone bias, and torch's module for the tied decoder.
OTHER_CONSTRUCTORS = {"AlbertMLMHead"}


def plain(name):
    """A class's name without the mark of its framework."""
    name = name.removeprefix("TF").removeprefix("Flax").removesuffix("Module")
    return "AlbertModel" if name == "Albert" else name


def statements(function):
    """A function's body without its docstring, as text that can be compared."""
    body = function.body
    if isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant):
        body = body[1:]

    class Names(ast.NodeTransformer):
        def visit_Name(self, node):
            return ast.Name(plain(node.id), node.ctx)

    return [ast.unparse(Names().visit(node)) for node in body]


def arguments(function):
    """A function's arguments and defaults."""
    spec = function.args
    named = [a.arg for a in spec.args if a.arg not in EXTRA_ARGUMENTS]
    extra = sum(a.arg in EXTRA_ARGUMENTS for a in spec.args)
    defaults = [ast.unparse(d) for d in spec.defaults]
    return named, defaults[: len(defaults) - extra]


def outline(framework, file):
    """Everything a file defines: name -> arguments and statements."""
    tree = ast.parse((ROOT / f"albert_{framework}" / file).read_text())
    found = {}
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            found[node.name] = (arguments(node), statements(node))
        if isinstance(node, ast.ClassDef):
            name = plain(node.name)
            found[name] = ([], [])
            for method in node.body:
                if not isinstance(method, ast.FunctionDef):
                    continue
                call = "call" if method.name == CALLS[framework] else method.name
                if (name, call) in EXTRA_METHODS and framework == "tf":
                    continue
                body = statements(method)
                if call == "__init__" and name in OTHER_CONSTRUCTORS:
                    body = []
                found[f"{name}.{call}"] = (arguments(method), body)
    return found


@pytest.mark.parametrize("file", ["layers.py", "heads.py", "beam.py"])
@pytest.mark.parametrize("framework", ["tf", "flax"])
def test_layers_and_heads_are_the_same_statements(framework, file):
    torch, other = outline("torch", file), outline(framework, file)
    assert list(torch) == list(other)
    for name in torch:
        assert torch[name] == other[name], name


class Untrained(ast.NodeTransformer):
    """Takes away the argument by which Keras alone is told of training."""

    def visit_Call(self, node):
        self.generic_visit(node)
        node.keywords = [k for k in node.keywords if k.arg not in EXTRA_ARGUMENTS]
        return node


@pytest.mark.parametrize("framework", ["tf", "flax"])
def test_the_loss_of_pretraining_is_the_same_statements(framework):
    def loss(name):
        found = outline(name, "training.py")["pretraining_loss"]
        lines = [ast.parse(line) for line in found[1]]
        return found[0], [ast.unparse(Untrained().visit(line)) for line in lines]

    assert loss("torch") == loss(framework)


@pytest.mark.parametrize("framework", ["tf", "flax"])
def test_training_has_the_same_methods(framework):
    def public(name):
        found = outline(name, "training.py")
        methods = {n: given for n, (given, _) in found.items() if "._" not in n}
        return {n: methods[n] for n in methods if not n.startswith("_")}

    assert public("torch") == public(framework)


def names(framework, file):
    """What a file defines, with the arguments that the layers rely on."""
    tree = ast.parse((ROOT / f"albert_{framework}" / file).read_text())
    public = [n for n in tree.body if not getattr(n, "name", "_").startswith("_")]
    return {
        n.name: [a.arg for a in n.args.args]
        for n in public
        if isinstance(n, ast.FunctionDef)
    }


# Same names, but the framework needs something more or less to say the same.
OTHER_OPS = {"vector", "constant", "gelu", "reshape", "check_ids"}
OTHER_OPS |= {"Modules", "dropout_keys", "can_read", "compact", "matmul", "product"}
OTHER_OPS |= {"einsum"}


@pytest.mark.parametrize(
    "file", ["ops.py", "modules.py", "activations.py", "scoring.py"]
)
@pytest.mark.parametrize("framework", ["tf", "flax"])
def test_what_is_spelled_differently_has_the_same_functions(framework, file):
    torch, other = names("torch", file), names(framework, file)
    shared = (torch.keys() | other.keys()) - OTHER_OPS
    assert {n: torch.get(n) for n in shared} == {n: other.get(n) for n in shared}


@pytest.mark.parametrize("framework", CALLS)
def test_public_methods_are_the_same(framework):
    expected = {
        "from_pretrained",
        "save_pretrained",
        "base_model",
        "num_parameters",
        "get_input_embeddings",
        "set_input_embeddings",
        "get_output_embeddings",
        "tie_weights",
        "resize_token_embeddings",
        "prune_heads",
        "gradient_checkpointing_enable",
        "gradient_checkpointing_disable",
        "is_gradient_checkpointing",
        "canonical_arrays",
    }
    tree = ast.parse((ROOT / f"albert_{framework}" / "pretrained.py").read_text())
    found = {n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)}
    assert expected <= found


def test_a_changed_statement_is_seen(tmp_path, monkeypatch):
    """The comparison can fail: one sign in one twin is enough."""
    for framework in ("torch", "tf"):
        folder = tmp_path / f"albert_{framework}"
        folder.mkdir()
        text = (ROOT / f"albert_{framework}" / "layers.py").read_text()
        if framework == "tf":
            text = text.replace("attended + contracted", "attended - contracted")
        (folder / "layers.py").write_text(text)
    monkeypatch.setattr(f"{__name__}.ROOT", tmp_path)
    assert outline("torch", "layers.py") != outline("tf", "layers.py")
