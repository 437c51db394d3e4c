"""Review cards: a stratified sample of items, blind pairs of two models' answers, their votes."""

import json
import random
import re
from collections import namedtuple
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from medinstruct import audits, labels, paths, records
from medinstruct.errors import UserError
from medinstruct.records import Task, TestItem, content_hash
from medinstruct.review.store import Vote

AXES = ("type", "difficulty", "topic")
EDITABLE = ("instruction", "input", "output")
HIDDEN = "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]"
FIELDS = "id hash kind texts item tags reasons flags earlier weight sides"
Flag = namedtuple("Flag", "field start words reason means")  # suspicious words in a text
Answers = Mapping[str, Mapping[str, str]]  # model -> item id -> text


class Card(namedtuple("Card", FIELDS, defaults=[None, (), (), (), (), 1.0, {}])):
    """One item for review; `hash` identifies its texts, so that votes on older texts do not count.

    `texts` are shown in order; in a comparison (kind answers) they are the question and the answer
    of each model, and `sides`, once it is blinded, holds which model is left and right. `reasons`
    make an item suspicious, `flags` are the words behind them, `earlier` are votes for the
    adjudicator, `weight` is how many items of the dataset a sampled one represents.
    """

    @property
    def key(self) -> tuple[str, str]:
        """The id and the hash of the texts, as in a vote."""
        return self.id, self.hash

    def blinded(self, seed: str) -> "Card":
        """Return a comparison with the models on random sides and without their names."""
        if self.kind != "answers":
            return self
        models = random.Random(seed).sample(sorted(self.texts.keys() - {"question"}), 2)
        sides = dict(zip(("left", "right"), models, strict=True))
        texts = {side: self.texts[model] for side, model in sides.items()}
        return self._replace(texts={"question": self.texts["question"]} | texts, sides=sides)


def cards(items: Sequence[Task], *, kind: str = "dataset") -> list[Card]:
    """Return the cards of examples, or of tasks (`kind` seeds)."""
    deck = []
    for item in items:
        tags = (item.type, item.topic, item.view, f"level {item.difficulty}")
        tags = tuple(visible(str(tag)) for tag in tags if tag)
        flags = tuple(flagged_words(item))
        reasons = tuple(dict.fromkeys(flag.reason for flag in flags))
        deck.append(Card(item.id, text_hash(item), kind, _texts(item), item, tags, reasons, flags))
    return deck


def sample(items: Sequence[Task], number: int, *, kind="dataset", seed=42, share=0.3) -> list[Card]:
    """Return the first `number` cards of a fixed order; a larger sample contains the smaller one.

    Every prefix of the order has the types in proportion, within a type the difficulties, within
    these the topics. Suspicious items are at least `share` of it; the weights correct for that.
    """
    deck = cards(items, kind=kind)
    strata = [[card for card in deck if bool(card.reasons) == odd] for odd in (True, False)]
    odd, plain = (_ordered(s, AXES, random.Random(f"{seed}/{n}")) for n, s in enumerate(strata))
    number = min(number, len(deck))
    rate = max(share, len(odd) / max(len(deck), 1))
    size = min(len(odd), max(round(number * rate), number - len(plain)))
    order = _interleaved([odd[:size], plain[: number - size]], random.Random(f"{seed}/mix"))
    weights = [len(odd) / max(size, 1), len(plain) / max(number - size, 1)]
    return [card._replace(weight=weights[not card.reasons]) for card in order]


def pairs(
    items: Sequence[TestItem], answers: Answers, models: Sequence[str], *, number=0, seed=42
) -> list[Card]:
    """Return comparisons of two models that differ, in random order, at most `number` (0: all)."""
    if answers and (len(models) != 2 or len({*models} & {*answers}) != 2):
        do = f"Name two of {', '.join(answers)}."
        raise UserError("`review_models` must be two models with answers.", got=models, do=do)
    cards = []
    for item in random.Random(f"{seed}/pairs").sample(items, len(items)):
        known = [name for name in models if item.id in answers.get(name, {})]
        texts = {name: answers[name][item.id] for name in known}
        if len({text.strip() for text in texts.values()}) == 2:
            question = {"question": f"{item.instruction}\n{item.input}".strip()}
            name = content_hash(question, sorted(texts.items()))
            cards.append(Card(item.id, name, "answers", question | texts))
    return cards[: number or None]


def write_votes(path: Path, votes: Sequence[Vote], deck: Sequence[Card], model: str) -> list[dict]:
    """Write the comparisons of `model` for notebook 11, without votes on changed answers."""
    keys, rows = {card.key for card in deck if model in card.texts}, []
    for vote in votes:
        if vote.key in keys:
            (reference,) = {*vote.sides.values()} - {model}
            row = {"id": vote.item, "model": model, "reference": reference, "question": "overall"}
            winner = {model: "model", reference: "reference"}.get(vote.decision, "tie")
            rows.append(row | {"rater": vote.reviewer, "winner": winner})
    records.write_text(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return rows


def flagged_words(item: Task) -> list[Flag]:
    """Return the suspicious words of an item: markup, identifiers, risk flags of the audit."""
    rules, flags = paths.load("risk_flags") | paths.load("review")["suspicious"], []
    raised = audits.texts.risks(item) if getattr(item, "output", "") else {}
    for field, text in _texts(item).items():
        places = []
        for reason, words in ({"markup": ""} | (raised if field == "output" else {})).items():
            pattern = rules[reason].get("pattern", re.escape(words))
            case = 0 if rules[reason].get("case_sensitive") else re.IGNORECASE
            matches = re.finditer(pattern, text.rstrip(), case)
            places += [(match.start(), match.group(), reason) for match in matches]
        hits = audits.find_identifiers(text)
        if any(hit.kind != "date" or audits.phi.YEAR.search(hit.text) for hit in hits):
            places += [(hit.start, hit.text, "identifier") for hit in hits]
        flags += [Flag(field, *place, rules[place[-1]]["means"]) for place in places]
    return flags


def pieces(text: str, flags: Iterable[Flag]) -> list[tuple[str, str]]:
    """Return a text in visible pieces, each with the reason if it is flagged, else an empty one."""
    parts, end = [], 0
    for flag in sorted(flags, key=lambda flag: flag.start):
        start, stop = max(flag.start, end), flag.start + len(flag.words)  # what no flag has marked
        parts += [(text[end:start], ""), (text[start:stop], f"{flag.reason}: {flag.means}")]
        end = max(end, stop)
    return [(visible(part), why) for part, why in [*parts, (text[end:], "")] if part]


def text_hash(item: Task) -> str:
    """Return the hash of the texts and labels that a vote is about."""
    return content_hash(*_texts(item).values(), item.type, item.topic, item.view, item.difficulty)


def visible(text: str) -> str:
    """Return a text with its control, bidirectional and zero-width characters written out."""
    symbols = {char: f"⟨U+{ord(char):04X}⟩" for char in set(re.findall(HIDDEN, text))}
    symbols |= {char: chr(0x2400 + ord(char)) for char in symbols if char < " "}
    return text.replace("\r\n", "\n").translate(str.maketrans(symbols))


def _texts(item: Task) -> dict[str, str]:
    return {name: getattr(item, name) for name in EDITABLE if hasattr(item, name)}


def _ordered(deck: Sequence[Card], axes: Sequence[str], rng: random.Random) -> list[Card]:
    """Return the cards so that every prefix is proportional on the first axis, then the next."""
    if not axes:
        return rng.sample(sorted(deck, key=lambda card: card.id), len(deck))
    groups: dict[str, list[Card]] = {}
    for card in deck:
        label = str(getattr(card.item, axes[0]))
        groups.setdefault(labels.canonical(axes[0], label) or label or "(none)", []).append(card)
    return _interleaved([_ordered(groups[name], axes[1:], rng) for name in sorted(groups)], rng)


def _interleaved(groups: Sequence[Sequence[Any]], rng: random.Random) -> list[Any]:
    """Return the entries of all groups, each group spread evenly from a random start."""
    places = []
    for group in groups:
        start = rng.random()
        places += [((n + start) / len(group), rng.random(), card) for n, card in enumerate(group)]
    return [card for *_, card in sorted(places, key=lambda place: place[:2])]
