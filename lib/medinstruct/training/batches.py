"""Which examples make a step: at random, or with others of like length so that little is padded; the same at every start."""

import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from medinstruct.errors import UserError

SORTED_OVER = (
    50  # batches that are sorted together, so that there is still chance in who meets whom
)


class Order:
    """The order of the examples in each epoch, by seed and epoch alone: a resumed run sees what an undisturbed one saw.

    `batch_size` is the global batch; its members have like lengths where `by_length`. The longest batch comes first, so that
    a batch that does not fit fails at the first step. `epoch` says which epoch is under way.
    """

    def __init__(
        self,
        lengths: Sequence[int],
        *,
        batch_size: int,
        seed: int,
        by_length: bool,
        epoch: Callable[[], int] = lambda: 0,
    ) -> None:
        self.lengths, self.batch_size, self.seed, self.by_length, self.epoch = (
            list(lengths),
            batch_size,
            seed,
            by_length,
            epoch,
        )

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self) -> Iterator[int]:
        chance = random.Random(f"{self.seed} {self.epoch()}")
        order = chance.sample(range(len(self.lengths)), len(self.lengths))
        return iter(self._grouped(order, chance) if self.by_length else order)

    def _grouped(self, order: list[int], chance: random.Random) -> list[int]:
        size, span = self.batch_size, self.batch_size * SORTED_OVER
        pools = [
            sorted(order[n : n + span], key=lambda i: -self.lengths[i])
            for n in range(0, len(order), span)
        ]
        batches = [pool[n : n + size] for pool in pools for n in range(0, len(pool), size)]
        last = (
            [batches.pop()] if len(batches[-1]) < size else []
        )  # a smaller batch stays last, or steps would drift
        chance.shuffle(batches)
        longest = max(range(len(batches)), key=lambda n: self.lengths[batches[n][0]], default=0)
        batches = batches[longest : longest + 1] + batches[:longest] + batches[longest + 1 :]
        return [n for batch in batches + last for n in batch]


def padding(lengths: Sequence[int], order: Sequence[int], *, batch_size: int) -> float:
    """The share of tokens that are padding when examples are read in this order.

    >>> padding([4, 2, 4, 2], [0, 1, 2, 3], batch_size=2), padding([4, 2, 4, 2], [0, 2, 1, 3], batch_size=2)
    (0.25, 0.0)
    """
    batches = [
        [lengths[i] for i in order[n : n + batch_size]] for n in range(0, len(order), batch_size)
    ]
    read = sum(max(batch) * len(batch) for batch in batches)
    return 1 - sum(lengths[i] for i in order) / read


def keeps_apart(model: Any, *, tolerance: float = 1e-4) -> float:
    """The largest difference of logits between two short documents in one row and each alone.

    Raises where the attention mixes them: then packing would train on answers to other questions.
    """
    import torch

    size = model.config.vocab_size
    first, second = (
        torch.arange(n, n + 24, device=model.device)[None] % (size - 8) + 4 for n in (3, 40)
    )
    places = torch.cat([torch.arange(24, device=model.device)] * 2)[None]
    was_training = model.training
    model.eval()
    with torch.inference_mode():
        ends = torch.tensor([0, 24, 48], dtype=torch.int32, device=model.device)
        lengths = {
            "cu_seq_lens_q": ends,
            "cu_seq_lens_k": ends,
            "max_length_q": 24,
            "max_length_k": 24,
        }
        row = {
            "input_ids": torch.cat([first, second], dim=1),
            "position_ids": places,
            "use_cache": False,
        }
        both = model(**row, **lengths).logits.float()
        alone = torch.cat(
            [model(input_ids=one, use_cache=False).logits.float() for one in (first, second)], dim=1
        )
    model.train(was_training)
    apart = (both - alone).abs().max().item()
    limit = tolerance if model.dtype == torch.float32 else 0.05 * alone.abs().max().item()
    if apart > limit:
        do = "Set batching: sorted, or install flash-attn (Ampere or later)."
        raise UserError(
            "This model's attention mixes the examples of one row.",
            got=f"logits differ by {apart:.3g}",
            do=do,
        )
    return apart
