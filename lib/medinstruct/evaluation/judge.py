"""The judge: prompts, pairs in both orders, verdicts of models and replay of stored verdicts."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from medinstruct import llm
from medinstruct.errors import UserError
from medinstruct.evaluation.test_sets import evenly, question
from medinstruct.evaluation.verdicts import (
    KEY,
    ORDERS,
    TEXTS,
    Pair,
    load_verdicts,
    pair_key,
    parse_verdict,
    single_judge_table,
    winner_by_rule,
    winner_of,
)
from medinstruct.llm import Client, Reply, Request
from medinstruct.records import Answer, Provenance, TestItem, Verdict, content_hash

STYLES = TEXTS["styles"]
MAX_TOKENS = {"short": 100, "explain": 700}
MAX_WORDS = 3000  # of one text; the rest is cut
FENCES = ("question", "output_a", "output_b", "answer", "criterion")
PILOT = 40  # replies after which a judge whose replies cannot be read is stopped
BY_RULE = "(by rule: an empty answer loses)"
RETRY_SAMPLE = 500  # sample number of the second request after an unreadable reply
Answers = Sequence[Answer]


def build_pairs(
    items: Sequence[TestItem], answers: Answers, *, references: Answers, style: str = "short"
) -> list[Pair]:
    """Return one pair for each answer, reference (an answer under another name) and order.

    `style` is short (a bare verdict, as in the paper) or explain.
    """
    if style not in STYLES:
        do = f"Choose from {', '.join(STYLES)}."
        raise UserError("judge_style is not a known style.", got=style, do=do)
    if not answers:
        do = "Name base or tuned in `answer_models`, or files in `answer_files`."
        raise UserError("There are no answers to judge.", do=do)
    questions = {item.id: question(item) for item in items}
    if unknown := [answer.item for answer in answers if answer.item not in questions]:
        do = "Use the answers to this test set."
        raise UserError("An answer belongs to no item.", got=unknown[:3], do=do)
    by_item: dict[str, list[Answer]] = {}
    for reference in references:
        by_item.setdefault(reference.item, []).append(reference)
    return [
        Pair(questions[answer.item], answer, reference, order, style)
        for answer in answers
        for reference in by_item.get(answer.item, ())
        if reference.model != answer.model
        for order in ORDERS
    ]


def judge_request(pair: Pair) -> Request:
    """Return the request for one comparison, at temperature 0 as in the paper (paper.md, 5.1)."""
    outputs = [pair.answer.text, pair.reference.text]
    first, second = outputs if pair.order == "model_first" else outputs[::-1]
    body = fenced({"question": pair.question, "output_a": first, "output_b": second})
    user = f"{TEXTS['criteria']}\n{STYLES[pair.style]}\n\n{body}"
    system = {"role": "system", "content": TEXTS["judge"]}
    settings = {"temperature": 0.0, "max_tokens": MAX_TOKENS[pair.style]}
    return Request(messages=[system, {"role": "user", "content": user}], parameters=settings)


def prompt_hash(style: str) -> str:
    """Return the hash of a style's wording, which keeps verdicts of two wordings apart."""
    return content_hash(TEXTS["judge"], TEXTS["criteria"], STYLES[style])[:8]


def fenced(parts: Mapping[str, str], *, names: Iterable[str] = FENCES) -> str:
    """Return each text between its own tags; tags called `names` inside a text lose their effect.

    >>> print(fenced({"answer": "Rest. </answer> Met"}))
    <answer>
    Rest. (/answer) Met
    </answer>
    """
    tags = re.compile(rf"<(/?\s*(?:{'|'.join(names)})\s*/?)>", re.IGNORECASE)
    safe = {name: tags.sub(r"(\1)", _clipped(text)) or "(empty)" for name, text in parts.items()}
    return "\n\n".join(f"<{name}>\n{text}\n</{name}>" for name, text in safe.items())


@dataclass(frozen=True)
class Replay:
    """A judge that returns stored verdicts on the same answers."""

    url: str
    model: str
    stored: dict[tuple[str, str, str, str], Verdict]

    @classmethod
    def load(cls, url: str, *, items: Sequence[TestItem] = (), model: str = "") -> "Replay":
        """Load the verdicts of "replay:path", which must be of one judge and prompt."""
        loaded = load_verdicts(url.removeprefix("replay:"), items=items, model=model)
        if single_judge_table(loaded).empty:
            raise UserError("The replay holds no verdict.", got=url, do="Choose another file.")
        stored = {pair_key(verdict): verdict for verdict in loaded}
        return cls(url, loaded[0].judge or "unknown judge", stored)

    def verdicts(self, pairs: Sequence[Pair]) -> list[Verdict]:
        """Return the stored verdicts on pairs; raise if one is missing or on another answer."""
        missing = [key for key in map(pair_key, pairs) if key not in self.stored]
        if missing:
            got = f"{len(missing)} of {len(pairs)} pairs are not in the file, first {missing[:3]}"
            do = "Replay verdicts with the same answers, models and references."
            raise UserError("The stored verdicts do not fit.", got=got, do=do)
        verdicts = [self.stored[pair_key(pair)] for pair in pairs]
        for pair, verdict in zip(pairs, verdicts, strict=True):
            if verdict.provenance.parents not in ((), pair.parents):
                do = "Judge the answers again."
                raise UserError("Stored verdicts are about other answers.", got=verdict.id, do=do)
        return verdicts


Judge = Client | Replay


def jury(
    url: str,
    model: str,
    others: str = "",
    *,
    items: Sequence[TestItem] = (),
    judged: str = "",
    **settings: Any,
) -> list[Judge]:
    """Return the judges: the first at `url`, and `others`, "model, model@url, replay:path".

    `settings` are those of `llm.Client`. A replay needs `items` if its rows number the items, and
    `judged`, the model that its verdicts are on, if they do not name it.
    """
    names = filter(None, (name.strip() for name in others.split(",")))
    return [
        Replay.load(place, items=items, model=judged)
        if place.startswith("replay:")
        else Client(url=place, model=name, **settings)
        for name, place in [(model, url), *(_address(name, url) for name in names)]
    ]


async def ask(judge: Judge, pairs: Sequence[Pair], *, label: str = "verdicts") -> list[Verdict]:
    """Return the verdicts on all pairs, in their order; an unreadable reply is requested once more.

    Raises if none of the first 40 replies can be read, before the others are paid for.
    """
    if isinstance(judge, Replay):
        return judge.verdicts(pairs)
    open_pairs = [pair for pair in pairs if not winner_by_rule(pair)]
    requests = [judge_request(pair) for pair in open_pairs]
    pilot = PILOT if judge.mode == "online" else 0
    replies = await judge.ask_all(requests[:pilot], label=label)
    if len(replies) == PILOT and not any(parse_verdict(reply.text) for reply in replies):
        got = repr(replies[0].text[:160])
        do = "Try another judge or `judge_style`; the replies so far are cached."
        raise UserError(f"None of the first {PILOT} verdicts can be read.", got=got, do=do)
    replies += await judge.ask_all(requests[pilot:], label=label)
    unread = [n for n, reply in enumerate(replies) if parse_verdict(reply.text) is None]
    retries = [requests[n].model_copy(update={"sample": RETRY_SAMPLE}) for n in unread]
    again = dict(zip(unread, await judge.ask_all(retries, label="retries"), strict=True))
    results = {
        pair_key(pair): _verdict(pair, again.get(n, reply), judge.model, asked=1 + (n in again))
        for n, (pair, reply) in enumerate(zip(open_pairs, replies, strict=True))
    }
    snapshot = replies[0].model if replies else ""
    rule = Reply(key="", text=BY_RULE, finish_reason="stop", model=snapshot)
    return [
        results.get(pair_key(pair)) or _verdict(pair, rule, judge.model, asked=0) for pair in pairs
    ]


async def ask_jury(
    judges: Sequence[Judge], pairs: Sequence[Pair], *, items: int = 0, budget_usd: float = 0.0
) -> list[Verdict]:
    """Return the verdicts of the first judge on all pairs, of the others on `items` items (0: all).

    `budget_usd` limits all judges together; the first judge may spend the rest of it later.
    """
    subset = set(evenly(list(dict.fromkeys(pair.answer.item for pair in pairs)), items))
    results = []
    for n, judge in enumerate(judges):
        _share_budget(judge, judges, budget_usd)
        part = [pair for pair in pairs if n == 0 or pair.answer.item in subset]
        results += await ask(judge, part, label=f"judge {n + 1}")
    _share_budget(judges[0], judges, budget_usd)
    return results


async def forecast_cost(judge: Judge, pairs: Sequence[Pair], *, pilot: int = 10) -> str:
    """Return a sentence on the cost of a judge's verdicts, from a few that are asked and cached."""
    if isinstance(judge, Replay):
        return f"The verdicts of {judge.model} are read from a file; nothing is paid."
    requests = [judge_request(pair) for pair in pairs if not winner_by_rule(pair)]
    return str(await llm.forecast(judge, requests, pilot=pilot))


def _clipped(text: str) -> str:
    """Return the first words of a text, with a mark if it was cut."""
    ends = [match.end() for match in re.finditer(r"\S+", text)]
    if len(ends) <= MAX_WORDS:
        return text
    return f"{text[: ends[MAX_WORDS - 1]]} [... cut after {MAX_WORDS} words]"


def _address(name: str, url: str) -> tuple[str, str]:
    """Return (model, url) for "model", "model@url" or "replay:path"."""
    model, sign, place = name.rpartition("@")
    is_url = sign and place.startswith(("http://", "https://", "offline"))
    return (model, place) if is_url or place.startswith("replay:") else (name, url)


def _share_budget(judge: Judge, judges: Sequence[Judge], budget_usd: float) -> None:
    """Limit a judge to what the others have left of the common budget."""
    if isinstance(judge, Client) and budget_usd:
        others = [other for other in judges if isinstance(other, Client) and other is not judge]
        spent = sum(other.usage["usd"] for other in others)
        judge.budget_usd = max(budget_usd - spent, 1e-9)


def _verdict(pair: Pair, reply: Reply, judge: str, *, asked: int) -> Verdict:
    """Return the verdict of a reply; with 0 requests the one by rule, in the judge's name."""
    origin = Provenance(source="judge", model=reply.model, request=reply.key, parents=pair.parents)
    return Verdict(
        **dict(zip(KEY, pair_key(pair), strict=True)),
        winner=winner_by_rule(pair) or winner_of(parse_verdict(reply.text), pair.order),
        judge=judge,
        reply=reply.text,
        snapshot=reply.model,
        prompt=prompt_hash(pair.style),
        asked=asked,
        provenance=origin if asked else Provenance(source="rule", parents=pair.parents),
    )
