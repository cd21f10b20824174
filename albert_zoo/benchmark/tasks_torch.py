"""A PyTorch model to time; its twins are tasks_tf.py and tasks_flax.py."""

from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from albert_zoo.backends import Arrays
from albert_zoo.benchmark.tasks import RATE, Inputs
from albert_zoo.predictors import Predictor, torch_predictor


class Subject:
    """See `tasks.Subject`; every operation runs as it is called."""

    def __init__(self, model: Any) -> None:
        self.model = model.eval()
        self.named = dict(model.named_parameters())
        self.start: dict[str, torch.Tensor] = {}
        self.optimizer = torch.optim.SGD(self.named.values(), lr=RATE)
        self.on_gpu = model.device.type == "cuda"

    @cached_property
    def predictor(self) -> Predictor:
        """See `tasks.Subject`."""
        return torch_predictor(self.model)

    def step(self, inputs: Inputs) -> float:
        """See `tasks.Subject`."""
        given = {name: self._tensor(x) for name, x in inputs.items()}
        self.optimizer.zero_grad()
        loss = self.model(**given).loss
        loss.backward()
        self.optimizer.step()
        self.wait()
        return float(loss.detach())

    def reset(self) -> None:
        """See `tasks.Subject`."""
        self.optimizer.zero_grad()
        with torch.no_grad():
            for name, p in self.named.items():
                p.copy_(self.start.setdefault(name, p.clone()))

    def gradients(self) -> Arrays:
        """See `tasks.Subject`."""
        return {
            name: np.zeros(p.shape) if p.grad is None else p.grad.double().cpu().numpy()
            for name, p in self.named.items()
        }

    def wait(self) -> None:
        """See `tasks.Subject`."""
        if self.on_gpu:
            torch.cuda.synchronize(self.model.device)

    def settings(self) -> dict[str, str]:
        """See `tasks.Subject`."""
        device = self.model.device
        kind = torch.cuda.get_device_name(device) if self.on_gpu else ""
        named = f"{device} {kind}".strip()
        return {"device": named, "threads": str(torch.get_num_threads())}

    def device_peak(self) -> int | None:
        """See `measure.Side`."""
        if not self.on_gpu:
            return None
        most = torch.cuda.max_memory_allocated(self.model.device)
        torch.cuda.reset_peak_memory_stats(self.model.device)
        return most

    def _tensor(self, array: NDArray[Any]) -> torch.Tensor:
        kind = torch.long if array.dtype.kind in "iu" else self.model.dtype
        return torch.from_numpy(array).to(self.model.device, kind)
