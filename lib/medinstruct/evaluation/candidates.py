"""Candidates: sampled answers of a tuned model to training prompts, and their comparisons."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from medinstruct.evaluation.answers import ask_models
from medinstruct.evaluation.judge import Pair, build_pairs
from medinstruct.llm import LocalModel
from medinstruct.records import Answer, Example, Provenance

WRITTEN = "written"  # the response in the dataset


async def sample(
    examples: Sequence[Example], *, base: str | Path, adapter: str | Path, cache: Any = "", **form
) -> list[Answer]:
    """Return for each example its written response and up to `samples` answers of the tuned model.

    `form` as in `answers.ask_models`. Truncated answers are left out: they would lose for their
    end.
    """
    rows = [Answer(item=example.id, model=WRITTEN, text=example.output) for example in examples]
    if not rows:
        return []
    questions, count = [(e.instruction, e.input) for e in examples], form["samples"]
    with LocalModel(base, adapter=adapter, chat=form["template"] == "chat", cache=cache) as model:
        replies = (await ask_models({"candidates": model}, questions, **form))["candidates"]
    for n, reply in enumerate(replies):
        if reply.finish_reason == "stop" and reply.text:
            origin = Provenance(source="candidate", model=reply.model, request=reply.key)
            about = {"item": examples[n // count].id, "model": f"sample {n % count}"}
            rows.append(Answer(**about, text=reply.text, provenance=origin))
    return rows


def comparisons(examples: Sequence[Example], answers: Sequence[Answer]) -> list[Pair]:
    """Return each two candidates for an example, in both orders."""
    both = build_pairs(examples, answers, references=answers) if answers else []
    return [pair for pair in both if pair.answer.model < pair.reference.model]
