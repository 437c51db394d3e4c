"""Pairwise judging: both orders of every pair, empty answers lost by rule, one more question where a reply cannot be read."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from medinstruct.errors import UserError
from medinstruct.evaluation.items import evenly, question
from medinstruct.evaluation.prompts import judge_prompt, prompt_hash
from medinstruct.evaluation.replay import Replay
from medinstruct.evaluation.verdicts import parse_verdict, winner_of
from medinstruct.llm import Client, Reply, Request, forecast, source
from medinstruct.records import Answer, Provenance, TestItem, Verdict, content_hash

ORDERS = ("model_first", "reference_first")
ROOM = {"short": 100, "explain": 700}  # tokens of a reply
PILOT = 40  # verdicts after which a judge that cannot be read is stopped
AGAIN = 500  # what the second question adds to the sample number


@dataclass(frozen=True)
class Pair:
    """One comparison in one order: the request to the judge, or who wins by rule because an answer is empty."""

    id: str
    model: str
    reference: str
    order: str
    style: str
    parents: tuple[str, str]
    request: Request
    by_rule: str = ""

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What names the comparison in a file of verdicts."""
        return self.id, self.model, self.reference, self.order


def judge_pairs(
    items: Iterable[TestItem],
    answers: Iterable[Answer],
    *,
    references: Mapping[str, Mapping[str, str]],
    style: str = "short",
) -> list[Pair]:
    """For each answer, each reference and both orders one pair. `references` is name -> item id -> answer.

    Temperature 0 as in the paper (paper.md, 5.1).
    """
    by_item = {item.id: item for item in items}
    parameters = {"temperature": 0.0, "max_tokens": ROOM.get(style, 100)}
    pairs = []
    for answer in answers:
        for name, texts in references.items():
            if name == answer.model or answer.item not in texts:
                continue
            if answer.item not in by_item:
                raise UserError(
                    "An answer belongs to no item.",
                    got=answer.item,
                    do="Take the answers to this test set.",
                )
            two, rule = (answer.text, texts[answer.item]), _by_rule(answer.text, texts[answer.item])
            parents = (answer.id, content_hash(texts[answer.item]))
            for order in ORDERS:
                shown = two if order == "model_first" else two[::-1]
                request = Request(
                    messages=judge_prompt(question(by_item[answer.item]), *shown, style=style),
                    parameters=parameters,
                )
                pairs.append(
                    Pair(answer.item, answer.model, name, order, style, parents, request, rule)
                )
    return pairs


async def judge(
    judge: Client | Replay, pairs: list[Pair], *, label: str = "verdicts"
) -> list[Verdict]:
    """The verdicts on all pairs, in their order; a reply that cannot be read is asked for once more, then its winner is None.

    The first forty are read before the others are paid for: a judge of whom none can be read is stopped.
    """
    if isinstance(judge, Replay):
        return judge.verdicts(pairs)
    asked = [pair for pair in pairs if not pair.by_rule]
    start = PILOT if judge.mode == "online" else 0
    replies = (
        await judge.ask_all([pair.request for pair in asked[:start]], label=label) if start else []
    )
    if len(replies) == PILOT and not any(parse_verdict(reply.text) for reply in replies):
        do = "Try another judge or style (`judge_style`); what was asked so far is kept."
        raise UserError(
            f"None of the first {PILOT} replies of the judge can be read.",
            got=repr(replies[0].text[:160]),
            do=do,
        )
    replies += await judge.ask_all([pair.request for pair in asked[start:]], label=label)
    unread = [n for n, reply in enumerate(replies) if parse_verdict(reply.text) is None]
    second = [asked[n].request.model_copy(update={"sample": AGAIN}) for n in unread]
    again = dict(
        zip(unread, await judge.ask_all(second, label="asked again") if second else [], strict=True)
    )
    told = {
        pair.key: _verdict(pair, again.get(n, reply), judge=judge.model, asked=1 + (n in again))
        for n, (pair, reply) in enumerate(zip(asked, replies, strict=True))
    }
    return [told.get(pair.key) or _ruled(pair, judge.model, replies) for pair in pairs]


def jury(
    url: str,
    model: str,
    others: str = "",
    *,
    items: Sequence[TestItem] = (),
    named: str = "",
    **settings: Any,
) -> list[Client | Replay]:
    """The judges of a run: the first at `url`, and `others`, "model, model@url, replay:path"; `settings` go to the client.

    A judge at "replay:path" reads its verdicts from a file; where its rows number the items, `items` tells which these are, and
    `named` is the judged model where they do not say. `budget_usd` holds for all together (`judge_all`).
    """
    if url.startswith("replay:"):
        judges: list[Client | Replay] = [Replay.of(url, items=items, model=named)]
    else:
        judges = [Client(url=url, model=model, **settings)]
    for name in (name.strip() for name in others.split(",") if name.strip()):
        own, sign, place = name.rpartition("@")
        known = sign and place.startswith(("http://", "https://", "offline", "replay:"))
        if name.startswith("replay:") or (known and place.startswith("replay:")):
            judges.append(Replay.of(place if known else name, items=items, model=named))
        else:
            judges.append(
                Client(url=place if known else url, model=own if known else name, **settings)
            )
    return judges


def judge_source(judge: Client | Replay) -> str:
    """The words with which a page says whose verdicts it shows."""
    return (
        f"Verdicts of {judge.model}, read from a file."
        if isinstance(judge, Replay)
        else source(judge.url, judge.model)
    )


async def judge_all(
    judges: Sequence[Client | Replay], pairs: list[Pair], *, items: int = 0
) -> list[Verdict]:
    """The verdicts of the first judge on all pairs, and of the others on those of so many items, evenly over them (0: all).

    What is left of the budget for all stays with the first judge, whom attacks, rubrics and anchors ask again.
    """
    few = set(evenly(list(dict.fromkeys(pair.id for pair in pairs)), items))
    verdicts = []
    for n, one in enumerate(judges):
        _share_budget(judges, one)
        part = [pair for pair in pairs if n == 0 or pair.id in few]
        verdicts += await judge(one, part, label=f"judge {n + 1}" if n else "verdicts")
    _share_budget(judges, judges[0])
    return verdicts


async def cost(judge: Client | Replay, pairs: list[Pair], *, pilot: int = 10) -> str:
    """What the verdicts of one judge will cost, from a few that are asked and kept."""
    if isinstance(judge, Replay):
        return f"The verdicts of {judge.model} are read from a file; nothing is paid."
    return str(
        await forecast(judge, [pair.request for pair in pairs if not pair.by_rule], pilot=pilot)
    )


def _share_budget(judges: Sequence[Client | Replay], one: Client | Replay) -> None:
    """Let a judge spend what the others have left of the budget for all."""
    if isinstance(one, Client) and one.budget_usd:
        spent = sum(
            other.usage["usd"] for other in judges if isinstance(other, Client) and other is not one
        )
        one.budget_usd = max(one.budget_usd - spent, 1e-9)


def _by_rule(answer: str, reference: str) -> str:
    """Who wins without a judge: an empty answer loses to one that is not, and two empty ones tie."""
    if answer.strip() and reference.strip():
        return ""
    return "model" if answer.strip() else "reference" if reference.strip() else "tie"


def _verdict(pair: Pair, reply: Reply, *, judge: str, asked: int) -> Verdict:
    return Verdict(
        id=pair.id,
        model=pair.model,
        reference=pair.reference,
        order=pair.order,
        judge=judge,
        reply=reply.text,
        snapshot=reply.model,
        winner=winner_of(parse_verdict(reply.text), pair.order),
        prompt=prompt_hash(pair.style),
        asked=asked,
        provenance=Provenance(
            source="judge", model=reply.model, request=reply.key, parents=pair.parents
        ),
    )


def _ruled(pair: Pair, judge: str, replies: list[Reply]) -> Verdict:
    """The verdict on an empty answer, which nobody was asked about; it counts with the judge's own."""
    return Verdict(
        id=pair.id,
        model=pair.model,
        reference=pair.reference,
        order=pair.order,
        winner=pair.by_rule,
        judge=judge,
        asked=0,
        reply="(by rule: an empty answer loses)",
        snapshot=replies[0].model if replies else "",
        prompt=prompt_hash(pair.style),
        provenance=Provenance(source="rule", parents=pair.parents),
    )
