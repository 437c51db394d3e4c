"""Candidates: sampled answers of a tuned model to training prompts, and their comparisons."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from medinstruct.evaluation.answers import ALPACA_STOPS
from medinstruct.evaluation.judge import Pair, build_pairs
from medinstruct.llm import LocalModel, Request
from medinstruct.records import Answer, Example, Provenance
from medinstruct.training import message, prompt

WRITTEN = "written"  # the response in the dataset


async def sample(
    examples: Sequence[Example],
    *,
    base: str | Path,
    adapter: str | Path,
    template: str,
    number: int,
    **parameters: Any,
) -> list[Answer]:
    """Return for each example its written response and up to `number` answers of the tuned model.

    `parameters` are max_tokens, a temperature above 0, and perhaps `cache`. Answers that were cut
    are left out: they would lose for their end. Without examples no model is loaded.
    """
    rows = [Answer(item=example.id, model=WRITTEN, text=example.output) for example in examples]
    if not rows:
        return []
    cache = parameters.pop("cache", "")
    parameters |= {"stop": list(ALPACA_STOPS)} if template == "alpaca" else {}
    wording = prompt if template == "alpaca" else message
    asked = {}
    for example in examples:
        turns = [{"role": "user", "content": wording(example.instruction, example.input)}]
        form = {"messages": turns, "parameters": parameters}
        asked |= {(example.id, f"sample {n}"): Request(**form, sample=n) for n in range(number)}
    with LocalModel(base, adapter=adapter, chat=template == "chat", cache=cache) as model:
        replies = await model.ask_all(asked.values(), label="candidates")
    for (id, name), reply in zip(asked, replies, strict=True):
        if reply.finish_reason == "stop" and reply.text:
            origin = Provenance(source="candidate", model=reply.model, request=reply.key)
            rows.append(Answer(item=id, model=name, text=reply.text, provenance=origin))
    return rows


def comparisons(examples: Sequence[Example], answers: Sequence[Answer]) -> list[Pair]:
    """Return each two candidates for an example, in both orders."""
    both = build_pairs(examples, answers, references=answers) if answers else []
    return [pair for pair in both if pair.answer.model < pair.reference.model]
