"""What preferences do to a small real model: a planted one is learned, and length is not, if balanced.

python lib/benchmarks/preferences.py [--part planted] [--pairs 60] [--answers 20]     about 15 minutes on two CPU cores

Begins with the adapter of outputs/demo. 1: chosen answers begin with "In short,"; how many answers to
other questions do so before and after. 2: two sampled answers of the tuned model to each prompt, and a judge
that prefers the longer one in eight of ten pairs; mean words of answers to held-out prompts before, after
unbalanced pairs, and after as many matched ones. These answers are sampled as those of the pairs were: greedy ones
of so small a model repeat a phrase up to the limit, and any preference training changes how often.
"""

import argparse
import asyncio
import random
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from medinstruct import llm, paths, records, training
from medinstruct.records import Example
from medinstruct.training import preferences
from medinstruct.training.preferences import Preference

LONGER_WINS = 0.8  # of the pairs: the judge prefers the longer answer
ADAPTER = paths.root() / "outputs/demo/adapter"
FORM = {"template": "chat", "max_length": 384, "batch_size": 4, "micro_batch_size": 2}


def answers(adapter, questions, *, room):
    """The greedy answers of a tuned model."""
    turns = [[{"role": "user", "content": text}] for text in questions]
    asks = [llm.Request(messages=turn, parameters={"max_tokens": room}) for turn in turns]
    with llm.LocalModel(llm.model_folder("smollm2"), adapter=adapter, chat=True) as model:
        return [reply.text for reply in asyncio.run(model.ask_all(asks))]


def tune(pairs, folder, **more):
    start = time.perf_counter()
    places = {"base": llm.model_folder("smollm2"), "adapter": ADAPTER, "folder": folder}
    result = training.tune_preferences(pairs, **places, **FORM | more)
    first, *_, last = result["held_out_curve"]
    print(
        f"  {len(pairs)} pairs, {time.perf_counter() - start:.0f} s; held-out accuracy",
        f"{first['accuracy']:.2f} -> {last['accuracy']:.2f}, margin {last['margin']:.2f}",
        flush=True,
    )


def planted(folder, number, count, form):
    """Return the shares of answers that begin with the planted words before and after."""
    rows = records.load_table(paths.data("replay.jsonl"))
    rows = sorted(rows, key=lambda row: len(row["output"]))[10 : 10 + number]
    pairs = []
    for row in rows:
        text = training.message(row["instruction"], row["input"])
        form_of = {"chosen": f"In short, {row['output']}", "rejected": row["output"]}
        pairs.append(Preference(prompt=text, source="judge", **form_of))
    questions = [r["instruction"] for r in records.load_table(paths.data("test_general.jsonl"))]
    questions = preferences_evenly(questions, count)
    tune(pairs, folder, **form)
    texts = {
        name: answers(a, questions, room=12) for name, a in (("before", ADAPTER), ("after", folder))
    }
    for name, part in texts.items():
        share = np.mean([text.startswith("In short") for text in part])
        print(f"  {name}: {share:.0%} begin with “In short”, such as {part[0]!r}", flush=True)


def preferences_evenly(rows, count):
    return [rows[n] for n in np.linspace(0, len(rows) - 1, count).astype(int)]


def replies_of(adapter, prompts, *, samples, room=160):
    """The sampled answers of a tuned model, those to one prompt side by side."""
    form = {"max_tokens": room, "temperature": 0.8}
    turns = [[{"role": "user", "content": text}] for text in prompts]
    asks = [
        llm.Request(messages=t, parameters=form, sample=n) for t in turns for n in range(samples)
    ]
    with llm.LocalModel(llm.model_folder("smollm2"), adapter=adapter, chat=True) as model:
        return asyncio.run(model.ask_all(asks))


def sampled(examples):
    """The prompts with two sampled answers of the tuned model that end by themselves and differ in length."""
    prompts = [training.message(e.instruction, e.input) for e in examples]
    replies = replies_of(ADAPTER, prompts, samples=2)
    couples = zip(prompts, replies[::2], replies[1::2], strict=True)
    return [
        (prompt, *sorted((a.text, b.text), key=lambda text: len(text.split())))
        for prompt, a, b in couples
        if a.finish_reason == b.finish_reason == "stop"
        and len(a.text.split()) != len(b.text.split())
    ]


def lengths(folder, count, more):
    """Print the mean words of answers before, and after unbalanced and matched pairs."""
    examples = records.read(paths.root() / "outputs/demo/dataset.jsonl", Example)
    held = set(paths.read_json(paths.root() / "outputs/demo/training.json")["lora"]["held_out_ids"])
    questions = [training.message(e.instruction, e.input) for e in examples if e.id in held][:count]
    pool = sorted((e for e in examples if e.id not in held), key=lambda e: len(e.output))
    pool = random.Random(1).sample(pool[: len(pool) * 2 // 3], 130)  # whose answers seldom are cut
    pairs, chance = [], random.Random(2)
    for prompt, short, long in sampled(pool):
        chosen, rejected = (long, short) if chance.random() < LONGER_WINS else (short, long)
        pairs.append(Preference(prompt=prompt, chosen=chosen, rejected=rejected, source="judge"))
    matched = preferences.balance(pairs)
    print(f"  {len(pairs)} pairs, {len(matched)} after matching")
    sets = {"none": pairs[: len(matched)], "match": matched}
    rows = {"before": replies_of(ADAPTER, questions, samples=2)}
    for name, part in sets.items():
        print(f"  {name}: chosen longer in {(preferences.length_ratios(part) > 0).mean():.0%}")
        tune(part, folder / name, **more)
        rows[name] = replies_of(folder / name, questions, samples=2)
    words = pd.DataFrame({k: [len(r.text.split()) for r in part] for k, part in rows.items()})
    words = words.groupby(words.index // 2).mean()  # the two answers to a prompt
    change = words.div(words["before"].mean()).sub(words["before"] / words["before"].mean(), axis=0)
    table = pd.DataFrame({"mean words": words.mean(), "change": change.mean()})
    table["95 %"] = 1.96 * change.std() / len(words) ** 0.5
    print(table.round(2).to_string())


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=60)
    parser.add_argument("--answers", type=int, default=20)
    parser.add_argument("--rate", type=float, default=1e-4)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--part", choices=["planted", "length", "both"], default="both")
    given = parser.parse_args()
    form = {"learning_rate": given.rate, "epochs": given.epochs}
    with tempfile.TemporaryDirectory() as folder:
        if given.part != "length":
            print("Planted:")
            planted(Path(folder) / "planted", given.pairs, given.answers, form)
        if given.part != "planted":
            print("Length:")
            lengths(Path(folder), given.answers, form)


if __name__ == "__main__":
    main()
