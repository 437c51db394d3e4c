"""The judge: pairs in both orders, prompts, verdicts of models, replay of stored verdicts."""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from medinstruct import languages
from medinstruct.errors import UserError
from medinstruct.evaluation import verdicts
from medinstruct.evaluation.answers import evenly, question
from medinstruct.evaluation.verdicts import TEXTS, parse_verdict
from medinstruct.llm import Client, Reply, Request, connect
from medinstruct.records import Answer, Example, Provenance, TestItem, Verdict, content_hash

STYLES, POLICIES = TEXTS["styles"], TEXTS["policies"]
MAX_TOKENS = {"short": 100, "explain": 700, "grade": 50}  # of the stand-in's replies
MAX_WORDS = 3000  # of one text; the rest is cut
FENCES = re.compile(r"(?i)<(/?\s*(?:question|output_[ab]|prompt|answer|criterion)\s*/?)>")
WHOLE = re.compile(rf"\s*+(?:\S++\s*+){{0,{MAX_WORDS}}}")
PILOT = 40  # replies; if none of these can be read, the judge is stopped
BY_RULE = "(by rule: an empty answer loses)"
RETRY_SAMPLE = 500  # sample number of the second request after an unreadable reply

Items, Answers = Sequence[TestItem], Sequence[Answer]


@dataclass(frozen=True)
class Pair:
    """One comparison in one order; `style`: short (a bare verdict, as in the paper) or explain."""

    question: str
    answer: Answer
    reference: Answer
    order: str
    style: str = ""
    policy: str = "unstated"

    @property
    def parents(self) -> tuple[str, str]:
        """Return the id of the answer and the hash of the reference text."""
        return self.answer.id, content_hash(self.reference.text)


class Replay(NamedTuple):
    """A judge whose verdicts are in a file: its address "replay:path", its name, the verdicts."""

    url: str
    model: str
    verdicts: list[Verdict]

    @property
    def source(self) -> str:
        """Return a sentence on the origin of the verdicts."""
        return f"Verdicts of {self.model}, read from a file."


Judge = Client | Replay


def pair_key(pair: Pair | Verdict) -> tuple[str, str, str, str]:
    """Return the key of a comparison: item id, model, reference, order."""
    if isinstance(pair, Pair):
        return pair.answer.item, pair.answer.model, pair.reference.model, pair.order
    return pair.id, pair.model, pair.reference, pair.order


def build_pairs(items: Items, answers: Answers, *, references: Answers) -> list[Pair]:
    """Return one pair for each answer, reference (an answer under another name) and order.

    Of two models with answers, the earlier one in `references` is the reference.
    """
    if not answers:
        do = "Name models or files in `answer_models`, or set `answerer`."
        raise UserError("There are no answers to judge.", do=do)
    questions, names = {item.id: question(item) for item in items}, {row.model for row in answers}
    both = dict.fromkeys(row.model for row in references if row.model in names)
    rank = {name: n for n, name in enumerate(both)}
    return [
        Pair(questions[answer.item], answer, reference, order)
        for answer in answers
        for reference in references
        if reference.item == answer.item
        if rank.get(reference.model, -1) < rank.get(answer.model, len(rank))
        for order in verdicts.ORDERS
    ]


def comparisons(examples: Sequence[Example], answers: Sequence[Answer]) -> list[Pair]:
    """Return every two candidates for an example, in both orders."""
    both = build_pairs(examples, answers, references=answers) if answers else []
    return [pair for pair in both if pair.answer.model < pair.reference.model]


def winner_by_rule(pair: Pair) -> verdicts.Winner | None:
    """Return the winner where a text is empty (a tie where both are), else None."""
    if pair.answer.text:
        return None if pair.reference.text else "model"
    return "reference" if pair.reference.text else "tie"


def decoding(judge: Client | None, form: str) -> dict[str, Any]:
    """Return a judge's decoding parameters and JSON schema; `form`: short, explain or grade."""
    settings, entry = {"temperature": 0.0}, getattr(judge, "entry", None)
    if not entry or entry.is_stand_in:
        return settings | {"max_tokens": MAX_TOKENS[form]}
    settings["response_format"] = TEXTS["schemas"][form]
    return settings | {"max_tokens": entry.judge_max_tokens}


def style_of(pair: Pair, judge: Client | None) -> str:
    """Return the style of a comparison: its own, else that of the judge's model."""
    entry = getattr(judge, "entry", None)
    return pair.style or (entry.judge_style if entry and not entry.is_stand_in else "short")


def judge_request(pair: Pair, judge: Client | None = None) -> Request:
    """Return the request for one comparison; without a judge, in the stand-in's form."""
    style = style_of(pair, judge)
    outputs = [pair.answer.text, pair.reference.text]
    first, second = outputs if pair.order == "model_first" else outputs[::-1]
    body = fenced({"question": pair.question, "output_a": first, "output_b": second})
    form = languages.spoken(STYLES[style], languages.detect(pair.question), "judge")
    user = {"role": "user", "content": f"{criteria(pair.policy)}\n{form}\n\n{body}"}
    messages = [{"role": "system", "content": TEXTS["judge"]}, user]
    return Request(messages=messages, parameters=decoding(judge, style))


def criteria(policy: str) -> str:
    """Return the criteria of the judge, with a policy on unasked and unverifiable statements."""
    return f"{TEXTS['criteria']}\n{POLICIES[policy]}".rstrip()


def prompt_hash(style: str, policy: str = "unstated") -> str:
    """Return the hash of a prompt's wording, which separates verdicts of two wordings."""
    return content_hash(TEXTS["judge"], criteria(policy), STYLES[style])[:8]


def fenced(parts: Mapping[str, str]) -> str:
    """Return each text between its own tags; such tags inside a text lose their brackets."""
    fences = []
    for name, text in parts.items():
        if (start := WHOLE.match(text)[0]) != text:
            text = f"{start.rstrip()} [... cut after {MAX_WORDS} words]"
        safe = FENCES.sub(r"(\1)", text) or "(empty)"
        fences.append(f"<{name}>\n{safe}\n</{name}>")
    return "\n\n".join(fences)


def unread(replies: Sequence[Reply], parse: Callable) -> str:
    """Return the first reply and how all replies ended, if none can be read; else ""."""
    is_read = any(parse(reply.text, reply.finish_reason) is not None for reply in replies)
    reasons = Counter(reply.finish_reason for reply in replies).most_common()
    ends = ", ".join(f"{count} of {len(replies)} ended by {name}" for name, count in reasons)
    first = [(reply.text or reply.error)[:160] for reply in replies[:1]]
    return "" if is_read or not first else f"{first[0]!r}; {ends}"


def jury(names: Sequence[str], *, items: Items = (), judged="", **settings: Any) -> list[Judge]:
    """Return judges by name, "model@url" or "replay:path"; they share one `budget_usd`.

    A replay needs `items` if its rows number them, and `judged`, if they do not name the model.
    """
    judges, usage = [], Counter()  # one count for all judges, and so one budget
    for name in names:
        kind, _, path = name.partition(":")
        if kind == "replay":
            if not (stored := verdicts.load_verdicts(path, items=items, model=judged)):
                raise UserError("The file holds no verdict.", got=path, do="Choose another file.")
            verdicts.single_judge_table(stored)
            judges.append(Replay(name, stored[0].judge or "unknown judge", stored))
        else:
            judges.append(connect(name, **settings))
            judges[-1].usage = usage
    return judges


async def ask(judge: Judge, pairs: Sequence[Pair], *, label: str = "verdicts") -> list[Verdict]:
    """Return the verdicts on all pairs; raise if none of the first 40 replies can be read."""
    if isinstance(judge, Replay):
        return _stored(judge, pairs)
    pairs = [replace(pair, style=style_of(pair, judge)) for pair in pairs]
    asked = [pair for pair in pairs if not winner_by_rule(pair)]
    requests = {pair_key(pair): judge_request(pair, judge) for pair in asked}
    waiting = list(requests.values())
    replies = await judge.ask_all(waiting[:PILOT], label=label)
    if len(replies) == PILOT and (got := unread(replies, parse_verdict)):
        do = "Raise `judge_max_tokens` or change `judge_style` in params/models.yaml."
        raise UserError(f"None of the first {PILOT} verdicts can be read.", got=got, do=do)
    replies += await judge.ask_all(waiting[PILOT:], label=label)
    attempts = {key: [reply] for key, reply in zip(requests, replies, strict=True)}
    again = [key for key, (row,) in attempts.items() if not (_letter(row) or row.error)]
    retries = [requests[key].model_copy(update={"sample": RETRY_SAMPLE}) for key in again]
    for key, reply in zip(again, await judge.ask_all(retries, label="retries"), strict=True):
        attempts[key].append(reply)
    snapshot = replies[0].model if replies else ""
    rule = Reply(key="", text=BY_RULE, finish_reason="stop", model=snapshot)
    return [_verdict(pair, attempts.get(pair_key(pair), []), rule, judge.model) for pair in pairs]


def _letter(reply: Reply) -> str | None:
    return parse_verdict(reply.text, reply.finish_reason)


def on_items(pairs: Sequence[Pair], items: int) -> list[Pair]:
    """Return the pairs on `items` items, evenly spaced; 0 for all."""
    subset = set(evenly(list(dict.fromkeys(pair.answer.item for pair in pairs)), items))
    return [pair for pair in pairs if pair.answer.item in subset]


def _stored(replay: Replay, pairs: Sequence[Pair]) -> list[Verdict]:
    """Return the stored verdicts on pairs; raise if one is missing or about other answers."""
    stored = {pair_key(verdict): verdict for verdict in replay.verdicts}
    results = [stored.get(pair_key(pair)) for pair in pairs]
    both = zip(pairs, results, strict=True)
    wrong = [pair_key(p) for p, v in both if not v or v.provenance.parents not in ((), p.parents)]
    if wrong:
        got = f"{len(wrong)} of {len(pairs)} pairs are missing or about other answers: {wrong[:3]}"
        do = "Replay verdicts on the same answers, models and references."
        raise UserError("The stored verdicts do not fit.", got=got, do=do)
    return results


def _verdict(pair: Pair, replies: Sequence[Reply], rule: Reply, judge: str) -> Verdict:
    """Return the verdict of the last reply, or without replies the verdict by rule."""
    reply = replies[-1] if replies else rule
    source = {"source": "judge", "model": reply.model, "request": reply.key}
    origin = Provenance(**source if replies else {"source": "rule"}, parents=pair.parents)
    fields = dict(zip(verdicts.KEY, pair_key(pair), strict=True)) | {"judge": judge}
    fields["winner"] = winner_by_rule(pair) or verdicts.winner_of(_letter(reply), pair.order)
    fields |= {"snapshot": reply.model, "finish_reason": reply.finish_reason}
    fields |= {"prompt": prompt_hash(pair.style, pair.policy), "asked": len(replies)}
    return Verdict(**fields, reply=reply.text or reply.error, provenance=origin)
