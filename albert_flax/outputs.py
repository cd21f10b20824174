"""The output classes under the names that Hugging Face gave them for JAX."""

import json
from collections import OrderedDict
from typing import Any

from jax import export
from jax.tree_util import DictKey, register_pytree_with_keys

from albert_core import outputs

FlaxAlbertForPreTrainingOutput = outputs.AlbertForPreTrainingOutput
FlaxAlbertForQuestionAnsweringBeamOutput = outputs.AlbertForQuestionAnsweringBeamOutput
FlaxBaseModelOutputWithPooling = outputs.BaseModelOutputWithPooling
FlaxMaskedLMOutput = outputs.MaskedLMOutput
FlaxMultipleChoiceModelOutput = outputs.MultipleChoiceModelOutput
FlaxQuestionAnsweringModelOutput = outputs.QuestionAnsweringModelOutput
FlaxSequenceClassifierOutput = outputs.SequenceClassifierOutput
FlaxTokenClassifierOutput = outputs.TokenClassifierOutput


def _register(output: type[outputs.ModelOutput]) -> None:
    """Let outputs pass through jit, grad, vmap and export."""

    def rebuild(names: tuple[str, ...], values: Any) -> outputs.ModelOutput:
        made = output()
        for name, value in zip(names, values, strict=True):
            # JAX may put anything in, None too, which the class itself leaves out.
            OrderedDict.__setitem__(made, name, value)
        return made

    register_pytree_with_keys(
        output,
        lambda out: ([(DictKey(name), out[name]) for name in out], tuple(out)),
        rebuild,
    )
    export.register_pytree_node_serialization(
        output,
        serialized_name=f"albert_zoo.{output.__name__}",
        serialize_auxdata=lambda names: json.dumps(names).encode(),
        deserialize_auxdata=lambda data: tuple(json.loads(data)),
    )


for _output in outputs.OUTPUTS:
    _register(_output)
