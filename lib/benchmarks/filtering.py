"""Keep-first against the published loop and against a plain all-pairs pass; a million tasks; the same decisions as `rouge_score`.

The texts are real sentences (answers to patients, abstracts, model answers) of the folder `--data`, cut to the lengths around
`--words`. A quarter of them are near-duplicates: another sentence of the set with one to eight words replaced. Where more are
wanted than there are, the first half of one sentence goes on with the second half of another.

`minhash` compares with datasketch, the MinHash library whose method text-dedup and datatrove use; it is no dependency of ours:
`pip install --target /tmp/peers --no-deps datasketch`, then add /tmp/peers to PYTHONPATH. Two settings are tried: five-word shingles
at a Jaccard similarity of 0.7 (text-dedup's defaults, with 256 permutations), and single words at 0.5, about what ROUGE-L 0.7
demands of two texts of equal length (0.7 / (2 - 0.7) = 0.54), as favorable to MinHash as it gets.

    python lib/benchmarks/filtering.py keep --words 20
    python lib/benchmarks/filtering.py keep --words 10
    python lib/benchmarks/filtering.py keep --words 20 --size 1000000 --alone
    python lib/benchmarks/filtering.py minhash
    python lib/benchmarks/filtering.py loop
    python lib/benchmarks/filtering.py same
    python lib/benchmarks/filtering.py others
"""

import argparse
import json
import random
import re
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from rapidfuzz import process
from rapidfuzz.distance import Indel
from rouge_score import rouge_scorer, tokenize

from medinstruct import filtering, paths
from medinstruct.filtering import novelty

SCORER = rouge_scorer.RougeScorer(["rougeL"], use_stemmer=False)


def sentences(data: Path) -> list[str]:
    """All different sentences of the real texts."""
    texts = [
        row[field]
        for row in json.loads((data / "chatdoctor/chatdoctor5k.json").read_text())
        for field in ("input", "output")
    ]
    for file in sorted(data.glob("alpacare/reference_outputs/*/*.jsonl")):
        for row in map(json.loads, file.read_text().splitlines()):
            texts += [
                row.get(field) or "" for field in ("instruction", "input", "output", "response")
            ]
    for row in json.loads((data / "benchmarks/pubmedqa_ori_pqal.json").read_text()).values():
        texts += [row["QUESTION"], *row["CONTEXTS"], row["LONG_ANSWER"]]
    return list(
        dict.fromkeys(
            part.strip() for text in texts for part in re.split(r"(?<=[.!?])\s+|\n+", text)
        )
    )


def corpus(data: Path, size: int, words: int, seed: int = 0) -> list[str]:
    """So many texts of about so many words, by the recipe above."""
    chance = random.Random(seed)
    plain = [text for text in sentences(data) if 0.7 * words <= len(text.split()) <= 1.4 * words]
    chance.shuffle(plain)
    whole = plain[: size * 3 // 4]
    while len(whole) < size * 3 // 4:
        one, other = chance.choice(plain).split(), chance.choice(plain).split()
        whole.append(" ".join(one[: len(one) // 2] + other[len(other) // 2 :]))
    made = whole + [
        _edited(chance.choice(whole), chance.choice(plain), chance)
        for _ in range(size - len(whole))
    ]
    chance.shuffle(made)
    return made


def keep(given: argparse.Namespace) -> None:
    """Keep-first, timed, beside the plain all-pairs pass and the published loop (measured on a sample and extrapolated)."""
    texts = corpus(given.data, given.size, given.words)
    pairs = len(texts) * (len(texts) - 1) / 2
    before = _memory()
    with timed() as ours:
        flags = filtering.keep_novel(texts)
    print(
        f"{len(texts):,} tasks of {np.mean([len(filtering.tokenize(text)) for text in texts]):.1f} tokens, {sum(flags):,} kept"
    )
    print(
        f"keep-first: {_seconds(ours)}, {pairs / ours['wall'] / 1e6:,.0f} M pairs/s, peak {_memory():.0f} MB ({before:.0f} before)"
    )
    if given.alone:
        return
    with timed() as plain:
        same = _plain(texts)
    print(
        f"plain RapidFuzz pass: {_seconds(plain)}, {pairs / plain['wall'] / 1e6:,.0f} M pairs/s; same decisions: {same == flags}"
    )
    words, chance = [tokenize.tokenize(text, None) for text in texts], random.Random(1)
    sample = [(chance.choice(words), chance.choice(words)) for _ in range(20_000)]
    with timed() as loop:
        for one, other in sample:
            rouge_scorer._score_lcs(one, other)
    published = loop["cpu"] / len(sample) * len(texts) * (len(texts) - 1)
    print(
        f"published loop: {published / 3600:.1f} h of one core, extrapolated from {len(sample):,} timed pairs (all with all)"
    )
    print(
        f"ratio: {plain['cpu'] / ours['cpu']:.1f} times the plain pass and {published / ours['cpu']:,.0f} times the published loop in CPU time;"
        f" {plain['wall'] / ours['wall']:.1f} and {published / ours['wall']:,.0f} in wall time"
    )


def minhash(given: argparse.Namespace) -> None:
    """Pairs above ROUGE-L 0.7, exact, and those that MinHash with LSH proposes for the same texts."""
    texts = corpus(given.data, given.size, given.words)
    before = _memory()
    with timed() as ours:
        every = novelty.Encoder().encode(texts)
        later, earlier, _ = novelty.Index(every).pairs(every, 0.7, own=True)
    exact = set(zip(later.tolist(), earlier.tolist(), strict=True))
    print(f"{len(texts):,} texts, {len(exact):,} pairs above ROUGE-L 0.7")
    print(f"ours, every pair: {_seconds(ours)}, peak {_memory():.0f} MB ({before:.0f} before)")
    try:
        import datasketch
    except ImportError:
        print("datasketch is not installed: no MinHash peer (see the head of this file)")
        return
    for name, size, threshold in (("5-word shingles, 0.7", 5, 0.7), ("single words, 0.5", 1, 0.5)):
        before = _memory()
        with timed() as spent:
            proposed = set(_proposed(datasketch, texts, size=size, threshold=threshold))
        missed = exact - proposed
        print(
            f"MinHash, {name}: {_seconds(spent)}, peak {_memory():.0f} MB ({before:.0f} before); misses {len(missed):,} pairs"
            f" ({len(missed) / max(len(exact), 1):.1%}), proposes {len(proposed - exact):,} that are not above the limit"
        )
        for n, m in sorted(missed)[:2]:
            print(f"  missed: {texts[m][:110]} | {texts[n][:110]}")


def _proposed(datasketch, texts: list[str], *, size: int, threshold: float) -> Iterator[tuple]:
    """Pairs (later, earlier) that share a bucket of the LSH index."""
    index = datasketch.MinHashLSH(threshold=threshold, num_perm=256)
    for n, text in enumerate(texts):
        words = filtering.tokenize(text)
        shingles = {" ".join(words[k : k + size]) for k in range(max(len(words) - size + 1, 1))}
        sketch = datasketch.MinHash(num_perm=256, seed=42)
        sketch.update_batch([shingle.encode() for shingle in shingles])
        yield from ((n, m) for m in index.query(sketch))
        index.insert(n, sketch)


def loop(given: argparse.Namespace) -> None:
    """Twelve new tasks that join a pool, as in the generation loop."""
    texts = corpus(given.data, given.size + 1200, given.words)
    pool = filtering.Pool(texts[: given.size], limit=0.7)
    pool.add_novel(texts[:12])
    spent = []
    for start in range(given.size, given.size + 1200, 12):
        with timed() as one:
            pool.add_novel(texts[start : start + 12])
        spent.append(one)
    wall, cpu = (1000 * np.median([one[kind] for one in spent]) for kind in ("wall", "cpu"))
    print(
        f"12 new tasks against {given.size:,}: {wall:.1f} ms wall, {cpu:.1f} ms CPU (median of {len(spent)})"
    )


def same(given: argparse.Namespace) -> None:
    """The scores of nearest texts, and the decisions that follow from them, against `rouge_score`."""
    texts = corpus(given.data, given.size, given.words)
    words, wrong, above = [tokenize.tokenize(text, None) for text in texts], 0, 0
    for n, (match, score) in enumerate(filtering.nearest(texts)):
        published = rouge_scorer._score_lcs(words[n], words[match]).fmeasure
        wrong += abs(published - score) > 1e-12
        above += score > 0.7
    print(f"{len(texts):,} scores, {above:,} above 0.7: {wrong} differ from rouge_score")


def others(given: argparse.Namespace) -> None:
    """The other passes at this size: evidence and the curve."""
    texts = corpus(given.data, given.size, given.words)
    with timed() as spent:
        filtering.nearest(texts)
    print(f"nearest others of {len(texts):,}: {_seconds(spent)}")
    with timed() as spent:
        counts = [sum(filtering.keep_novel(texts, limit=n)) for n in (0.5, 0.6, 0.7, 0.8, 0.9)]
    print(f"five limits: {_seconds(spent)}: {counts}")
    print(f"peak {_memory():.0f} MB")


def _plain(texts: list[str]) -> list[bool]:
    """Keep-first by RapidFuzz alone: every text with all before it, in blocks on two threads."""
    codes: dict[str, str] = {}
    words = [filtering.tokenize(text) for text in texts]
    strings = ["".join(codes.setdefault(w, chr(len(codes) + 1)) for w in row) for row in words]
    lengths, flags = np.array([len(row) for row in words]), np.ones(len(texts), bool)
    for start in range(0, len(texts), 256):
        part = slice(start, start + 256)
        left = process.cdist(
            strings[part], strings[: start + 256], scorer=Indel.distance, dtype=np.int32, workers=2
        )
        total = lengths[part, None] + lengths[: start + 256]
        near = 10 * left < 3 * total
        for n, row in enumerate(near, start):
            flags[n] = not (row[:n] & flags[:n]).any()
    return flags.tolist()


def _edited(text: str, other: str, chance: random.Random) -> str:
    words, source = text.split(), other.split()
    for _ in range(chance.randint(1, 8)):
        words[chance.randrange(len(words))] = chance.choice(source)
    return " ".join(words)


@contextmanager
def timed() -> Iterator[dict[str, float]]:
    """Wall and CPU seconds of a block."""
    spent, wall, cpu = {}, time.perf_counter(), time.process_time()
    yield spent
    spent |= {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}


def _seconds(spent: dict[str, float]) -> str:
    return f"{spent['wall']:.1f} s wall, {spent['cpu']:.1f} s CPU"


def _memory() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["keep", "minhash", "loop", "same", "others"])
    parser.add_argument("--data", type=Path, default=paths.root().parent / "shared" / "data")
    parser.add_argument("--size", type=int, default=52_000)
    parser.add_argument("--words", type=int, default=20)
    parser.add_argument(
        "--alone", action="store_true", help="Only ours, without the two to compare with."
    )
    arguments = parser.parse_args()
    commands = {"keep": keep, "minhash": minhash, "loop": loop, "same": same, "others": others}
    commands[arguments.what](arguments)
