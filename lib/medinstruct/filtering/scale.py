"""The same filter past one machine: keep-first over partitions as a Dask job (the extra `scale`)."""

from collections.abc import Sequence
from typing import Any

from medinstruct.filtering.novelty import keep_novel


def keep_novel_on_dask(
    partitions: Sequence[Any],
    *,
    limit: float = 0.7,
    pool: Sequence[str] = (),
    tokenizer: str = "rouge",
) -> list[list[bool]]:
    """`keep_novel` over partitions in their order: one list of flags a partition, the same as on one machine.

    A partition is a list of texts, or a delayed one that a worker loads. What is kept of the first partition is final; all later
    ones are checked against it at once, then the second is final, and so on: a wavefront, so that the workers hold two
    partitions at a time. Runs on the Dask client that is active, else on local threads.
    """
    import dask

    check, finish = dask.delayed(_against), dask.delayed(_finished)
    texts = [dask.delayed(part) if isinstance(part, (list, tuple)) else part for part in partitions]
    flags = [check(part, None, list(pool), limit, tokenizer) for part in texts]
    for n in range(len(texts)):
        flags[n] = finish(texts[n], flags[n], limit, tokenizer)
        kept = dask.delayed(_kept)(texts[n], flags[n])
        for later in range(n + 1, len(texts)):
            flags[later] = check(texts[later], flags[later], kept, limit, tokenizer)
    return [list(map(bool, part)) for part in dask.compute(*flags)]


def _against(
    texts: list[str], flags: list[bool] | None, kept: list[str], limit: float, tokenizer: str
) -> list[bool]:
    """Which texts of those still there are unlike all kept ones of an earlier partition."""
    from medinstruct.filtering.novelty import Pool

    flags = list(flags) if flags is not None else [True] * len(texts)
    rows = [n for n, there in enumerate(flags) if there]
    novel = Pool(kept, limit=limit, tokenizer=tokenizer).are_novel([texts[n] for n in rows])
    for n, is_novel in zip(rows, novel, strict=True):
        flags[n] = is_novel
    return flags


def _finished(texts: list[str], flags: list[bool], limit: float, tokenizer: str) -> list[bool]:
    """Keep-first within a partition, among the texts that all earlier partitions have left."""
    left = iter(
        keep_novel(
            [text for text, there in zip(texts, flags, strict=True) if there],
            limit=limit,
            tokenizer=tokenizer,
        )
    )
    return [there and next(left) for there in flags]


def _kept(texts: list[str], flags: list[bool]) -> list[str]:
    return [text for text, there in zip(texts, flags, strict=True) if there]
