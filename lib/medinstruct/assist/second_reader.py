"""Second reader: what a judge model lists to check in an answer, and how much it misses."""

import re
from collections import Counter, namedtuple
from collections.abc import Sequence
from contextlib import suppress
from itertools import product
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import TypeAdapter

from medinstruct import paths, records, review, stats
from medinstruct.assist.transcript import Answer, Reading, Turn, given_to
from medinstruct.evaluation import evenly
from medinstruct.evaluation.judge import decoding, fenced
from medinstruct.evaluation.judge_checks import kin_of, writers
from medinstruct.llm import Client, Request, connect

TEXTS = paths.load("second_reader")
LISTS, CHECKS = TEXTS["lists"], TEXTS["checks"]  # list -> title; problem -> its list, words
NOTHING, SHAPE = re.compile(TEXTS["nothing"], re.IGNORECASE), TypeAdapter(dict[str, list[str]])
MOST_ITEMS, LONGEST_ITEM = 8, 300  # of a list; characters of an item
SAMPLE = 10  # examples of a kind with a problem, and as many without, for a model with a price


def request(given: str, answer: str, judge: Client | None = None) -> Request:
    """Return the request to read an answer beside what its model was given."""
    user = f"{TEXTS['prompt']}\n\n{fenced({'question': given, 'answer': answer})}"
    messages = [{"role": "system", "content": TEXTS["system"]}, {"role": "user", "content": user}]
    schema = {"response_format": TEXTS["schema"]}
    return Request(messages=messages, parameters=decoding(judge, "explain") | schema)


def parse(reply: str) -> dict[str, list[str]] | None:
    """Parse the four lists of a reply, cut and escaped; None unless all four are lists of texts."""
    with suppress(ValueError, KeyError):
        lists = SHAPE.validate_json(reply[reply.find("{") : reply.rfind("}") + 1])
        return {name: _shortened(lists[name]) for name in LISTS}
    return None


def _shortened(items: list[str]) -> list[str]:
    """Return items as visible text, at most 8 of 300 characters; "none" is no item."""
    texts = [review.visible(" ".join(text.split())) for text in items if not NOTHING.match(text)]
    short = [text[:LONGEST_ITEM] + "…" * (len(text) > LONGEST_ITEM) for text in texts[:MOST_ITEMS]]
    return short + [f"… and {len(texts) - MOST_ITEMS} more"] * (len(texts) > MOST_ITEMS)


class SecondReader(namedtuple("SecondReader", "client about measured writers", defaults=[()])):
    """A judge as second reader: its client, description, measured errors, writers of the data."""

    async def read(self, turns: Sequence[Turn], *, earlier: Sequence[Turn] = ()) -> None:
        """Add a reading to each answer of the turns; `earlier` turns came before each of them."""
        pairs = [(a, given_to([*earlier, turn], a)) for turn in turns for a in turn.good_answers]
        replies = await _ask(self.client, [(given, answer.text) for answer, given in pairs])
        for (answer, _), reply in zip(pairs, replies, strict=True):
            answer.reading = self.reading(answer, reply)

    def reading(self, answer: Answer, reply: str) -> Reading:
        """Return the lists of a reply about an answer, each with its measured errors."""
        reader, lists, about = self.client.model, parse(reply), self.about
        names = {answer.model, *(self.writers if answer.data else ())}
        if kin := sorted(kin_of(reader, names)):
            about += " " + TEXTS["kinship"].format(names=", ".join(kin))
        if not lists:
            error = f"{TEXTS['unreadable']}: {review.visible(reply)}"[:300].removesuffix(": ")
            return Reading(reader=reader, about=about, state="unreadable", error=error)
        notes = {name: [TEXTS["empty"]] * (not items) for name, items in lists.items()}
        for row in self.measured.to_dict("records"):
            notes[row["list"]].append(TEXTS["measured"].format(**row))
        parts = [(lists[name], " ".join(notes[name]), title) for name, title in LISTS.items()]
        rows = [{"items": items, "note": note, "title": title} for items, note, title in parts]
        return Reading(reader=reader, about=about, lists=rows)


async def open_reader(judge: str, *, folder: Path, **settings: Any) -> SecondReader:
    """Return the judge as second reader, measured on all examples, a sample if it has a price."""
    name = "offline" if judge.startswith("replay:") else judge  # a file cannot read
    client = connect(name, cache=folder / "answers.sqlite", **settings)
    checks = load_checks(SAMPLE if client.price.completion else 0)
    pairs = [(row["given"], row["text"]) if "given" in row else (row["text"], "") for row in checks]
    about, wrote = TEXTS["stand_in" if client.entry.is_stand_in else "model"], writers(folder)
    measured = measure(checks, await _ask(client, pairs))
    return SecondReader(client, about, measured, frozenset().union(*wrote.values()))


async def _ask(client: Client, pairs: Sequence[tuple[str, str]]) -> list[str]:
    """Return the replies to pairs of question and answer, "" where there is none."""
    requests = [request(*pair, client) for pair in pairs]
    replies = await client.ask_all(requests, label="second reader")
    return [reply.text or reply.error if reply else "" for reply in replies]


def load_checks(limit: int = 0) -> list[dict[str, Any]]:
    """Return the labeled examples; `limit` of each kind, with and without a problem, 0 for all."""
    groups: dict[tuple[str, bool], list] = {}
    for row in records.load_table(paths.data("assist_checks.jsonl")):
        if row["check"] in CHECKS and row["part"].startswith("fresh"):
            groups.setdefault((row["check"], bool(row["expect"])), []).append(row)
    return [row for group in groups.values() for row in evenly(group, limit)]


def measure(checks: Sequence[dict[str, Any]], replies: Sequence[str]) -> pd.DataFrame:
    """Return one row per kind of problem: counts of misses, false alarms, unreadable replies."""
    counts = Counter()
    for row, read in zip(checks, map(parse, replies), strict=True):
        kind = CHECKS[row["check"]]
        text = "\n".join(read[kind["list"]] if read else ()).lower()
        words = [re.escape(word.lower()) for word in row["expect"] * kind["words"]]
        listed = bool(text) and all(re.search(rf"(?<![\w.]){w}(?!\w)", text) for w in words)
        counts.update([(row["check"], bool(row["expect"]), listed), (row["check"], read is None)])
    rows = []
    for check, kind in CHECKS.items():
        pairs = product([check], (True, False), (True, False))
        hits, misses, alarms, quiet = map(counts.__getitem__, pairs)
        row = kind | {"misses": misses, "n": hits + misses, "unreadable": counts[check, True]}
        for name, count, other in (("missed", misses, hits), ("false alarms", alarms, quiet)):
            share = stats.wilson(count, count + other)
            bounds = TEXTS["share"].format(**share._asdict()) if share.low == share.low else ""
            row[name] = f"{count} of {count + other}{bounds}"
        rows.append(row)
    return pd.DataFrame(rows)
