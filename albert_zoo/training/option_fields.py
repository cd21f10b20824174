"""How to train: the options of a recipe and of the command line, in one place."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from math import isfinite

from albert_core.errors import InputError
from albert_core.optimization import Optimizer, Schedule, optimizer_named

CHOICES = {
    "masking": ("static", "dynamic"),
    "positions": ("random", "waves"),
    "precision": ("float32", "bfloat16", "float64"),
}


@dataclass(frozen=True)
class Options:
    """How to train. `HELP` says what each is; a test holds that none is left out."""

    optimizer: str = "google-adamw"
    learning_rate: float = 3e-5
    batch_size: int = 32
    max_tokens: int = 0
    steps: int = 0
    epochs: float = 0.0
    warmup_steps: int = 0
    power: float = 1.0
    weight_decay: float = 0.01
    clip_norm: float = 1.0
    seed: int = 0
    precision: str = "float32"
    masking: str = "static"
    positions: str = "random"
    max_length: int = 128
    patience: int = 0
    parts: int = 1
    log_every: int = 50
    save_every: int = 0
    keep: int = 2
    eval_rows: int = 4096

    def arithmetic(self) -> Optimizer:
        """The optimizer with these options."""
        limit = self.clip_norm or None
        known = optimizer_named(self.optimizer)
        return replace(known, weight_decay=self.weight_decay, clip_norm=limit)

    def schedule(self, steps: int) -> Schedule:
        """The learning rate over a number of steps."""
        schedule = Schedule(self.learning_rate, steps, self.warmup_steps, self.power)
        schedule.validate()
        return schedule

    def validate(self) -> None:
        """Refuse values that no run can have.

        Raises:
            InputError: As said; all are named.
        """
        least = {
            "batch_size": 1,
            "max_tokens": 0,
            "steps": 0,
            "epochs": 0,
            "warmup_steps": 0,
            "parts": 1,
            "log_every": 1,
            "save_every": 0,
            "keep": 0,
            "weight_decay": 0,
            "clip_norm": 0,
            "patience": 0,
            "max_length": 5,
            "eval_rows": 1,
            "seed": 0,
            "power": 0,
        }
        wrong = [
            f"{name} must be {low} or more, not {getattr(self, name)}"
            for name, low in least.items()
            if not getattr(self, name) >= low
        ]
        wrong += [
            f"{name} must be a finite number, not {value}"
            for name, value in asdict(self).items()
            if isinstance(value, float) and not isfinite(value)
        ]
        if not self.learning_rate > 0:
            wrong.append(f"learning_rate must be over 0, not {self.learning_rate}")
        for name, known in CHOICES.items():
            if getattr(self, name) not in known:
                wrong.append(f"{name} must be one of {', '.join(known)}")
        if bool(self.steps) == bool(self.epochs):
            wrong.append(
                f"give steps ({self.steps}) or epochs ({self.epochs}), not both"
            )
        if wrong:
            raise InputError(
                f"These options cannot be: {'; '.join(wrong)}. Change them."
            )
        optimizer_named(self.optimizer)


HELP: Mapping[str, str] = {
    "optimizer": "lamb or google-adamw (without bias correction), or adamw.",
    "learning_rate": "What the warm-up goes up to.",
    "batch_size": "Examples of a step, on all devices together.",
    "max_tokens": "Batches by length, of up to so many tokens, in place of a size.",
    "steps": "How many steps; or give --epochs.",
    "epochs": "How many times the data is gone through.",
    "warmup_steps": "Steps in which the learning rate goes up.",
    "power": "Of the way down of the learning rate; 1 is a line.",
    "weight_decay": "The share of a weight that is taken from it in a step.",
    "clip_norm": "The norm that gradients are shortened to; 0 for any.",
    "seed": "Of the order of the data, of dropout and of new weights.",
    "precision": "float32, bfloat16 (weights stay float32) or float64.",
    "masking": "static as in the data, or dynamic: anew every time.",
    "positions": "How those of a new model begin: random, or waves (sines, cosines).",
    "max_length": "Tokens of an example; longer ones are cut or made into windows.",
    "patience": "Stop after as many checkpoints that are no better; 0 for never.",
    "parts": "Parts that a batch is learnt in, one after another, to need less memory.",
    "log_every": "Steps between records of the log.",
    "save_every": "Steps between checkpoints, also judged; 0 for an epoch.",
    "keep": "How many of the last checkpoints stay, besides the best; 0 for all.",
    "eval_rows": "Held-out instances that pretraining is judged on, at most.",
}
# What a run may change when it goes on: its numbers stay the same, but for what dropout
# drops, which depends on the parts.
FREE = {"parts", "log_every", "save_every", "keep", "eval_rows", "patience"}
