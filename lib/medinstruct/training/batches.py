"""Which examples make a step: at random, or with others of like length so that little is padded; the same at every start."""

import random
from collections.abc import Callable, Iterator, Sequence

SORTED_OVER = 50  # batches that are sorted together, so that there is still chance in who meets whom


class Order:
    """The order of the examples in each epoch, by seed and epoch alone: a resumed run sees what an undisturbed one saw.

    `batch_size` is the global batch; its members have like lengths where `by_length`. The longest batch comes first, so that
    a batch that does not fit fails at the first step. `epoch` says which epoch is under way.
    """

    def __init__(
        self, lengths: Sequence[int], *, batch_size: int, seed: int, by_length: bool, epoch: Callable[[], int] = lambda: 0
    ) -> None:
        self.lengths, self.batch_size, self.seed, self.by_length, self.epoch = list(lengths), batch_size, seed, by_length, epoch

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self) -> Iterator[int]:
        chance = random.Random(f"{self.seed} {self.epoch()}")
        order = chance.sample(range(len(self.lengths)), len(self.lengths))
        return iter(self._grouped(order, chance) if self.by_length else order)

    def _grouped(self, order: list[int], chance: random.Random) -> list[int]:
        size, span = self.batch_size, self.batch_size * SORTED_OVER
        pools = [sorted(order[n : n + span], key=lambda i: -self.lengths[i]) for n in range(0, len(order), span)]
        batches = [pool[n : n + size] for pool in pools for n in range(0, len(pool), size)]
        last = [batches.pop()] if len(batches[-1]) < size else []  # a smaller batch stays last, or steps would drift
        chance.shuffle(batches)
        longest = max(range(len(batches)), key=lambda n: self.lengths[batches[n][0]], default=0)
        batches = batches[longest : longest + 1] + batches[:longest] + batches[longest + 1 :]
        return [n for batch in batches + last for n in batch]


def padding(lengths: Sequence[int], order: Sequence[int], *, batch_size: int) -> float:
    """The share of tokens that are padding when examples are read in this order.

    >>> padding([4, 2, 4, 2], [0, 1, 2, 3], batch_size=2), padding([4, 2, 4, 2], [0, 2, 1, 3], batch_size=2)
    (0.25, 0.0)
    """
    batches = [[lengths[i] for i in order[n : n + batch_size]] for n in range(0, len(order), batch_size)]
    read = sum(max(batch) * len(batch) for batch in batches)
    return 1 - sum(lengths[i] for i in order) / read
