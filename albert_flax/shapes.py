"""The shapes of the tensors that pass between layers, each written once."""

from jax import Array as Tensor
from jaxtyping import Bool, Float, Int, Num

from albert_core.packing import Packed

Tokens = Int[Tensor, "#batch seq"]
Mask = Num[Tensor, "batch seq"] | Bool[Tensor, "batch seq"] | Packed
Embedded = Float[Tensor, "batch seq embedding"]
Hidden = Float[Tensor, "batch seq hidden"]
Heads = Float[Tensor, "batch seq heads head"]
Weights = Float[Tensor, "batch heads seq seq"]
Bias = Float[Tensor, "batch 1 1 seq"] | Float[Tensor, "batch 1 seq seq"] | Packed
HeadMask = Float[Tensor, "all_heads"]  # also of those that pruning took
HeadMasks = Float[Tensor, "layers all_heads"]
Table = Float[Tensor, "vocab embedding"]
Logits = Float[Tensor, "batch seq vocab"]
Pooled = Float[Tensor, "batch hidden"]
Starts = Float[Tensor, "batch starts hidden"]
StartScores = Float[Tensor, "batch seq"]
EndScores = Float[Tensor, "batch starts seq"]
Score = Float[Tensor, "batch"]
Classes = Float[Tensor, "batch classes"]
