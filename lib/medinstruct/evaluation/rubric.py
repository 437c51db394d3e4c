"""Rubrics: weighted criteria per item, graded one by one and scored as in HealthBench."""

import logging
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd

from medinstruct import languages, paths, records, stats
from medinstruct.evaluation.answers import question
from medinstruct.evaluation.judge import decoding, fenced, unread
from medinstruct.evaluation.verdicts import TEXTS, stated_value
from medinstruct.llm import Client, Request
from medinstruct.records import Answer, TestItem

COLUMNS = ["item", "model", "criterion", "points", "axis", "met", "good", "judge", "reply"]
EMPTY = "(by rule: an empty answer meets nothing)"


def load_rubrics() -> list[dict]:
    """Return the shipped rubrics (not reviewed by clinicians)."""
    return records.load_table(paths.data("rubrics.jsonl"))


def criterion_request(
    parts: Mapping[str, str], *, wording: str, system: str = "", judge: Client | None = None
) -> Request:
    """Return the request that asks whether the answer in `parts` meets the criterion in them."""
    wording = languages.spoken(wording, languages.detect(parts.get("question", "")), "grader")
    messages = [{"role": "system", "content": system}] if system else []
    messages += [{"role": "user", "content": f"{wording}\n\n{fenced(parts)}"}]
    return Request(messages=messages, parameters=decoding(judge, "grade"))


def parse_grade(reply: str, finish_reason: str = "stop") -> bool | None:
    """Parse whether a criterion is met, as `verdicts.stated_value` does; None if unclear."""
    return {"met": True, "unmet": False}.get(stated_value(reply, "grade", finish_reason))


async def ask_grader(
    judge: Client | None, parts: Sequence[Mapping[str, str]], *, label: str, **form: str
) -> list[tuple[bool | None, str]]:
    """Return (met, reply) for each of `parts`; met is None if unread, False for an empty answer."""
    if not judge:
        return [(None, EMPTY)] * len(parts)
    asked = [n for n, part in enumerate(parts) if part["answer"].strip()]
    requests = [criterion_request(parts[n], judge=judge, **form) for n in asked]
    replies, grades = await judge.ask_all(requests, label=label), [(False, EMPTY)] * len(parts)
    if got := unread(replies, parse_grade):
        logging.getLogger("medinstruct").warning(TEXTS["unread"].format(got=got))
    for n, reply in zip(asked, replies, strict=True):
        grades[n] = parse_grade(reply.text, reply.finish_reason), reply.text or reply.error
    return grades


async def grade(
    judge: Client | None, rubrics: list[dict], items: Iterable[TestItem], answers: list[Answer]
) -> pd.DataFrame:
    """Return one row per answer and criterion (COLUMNS); nothing without a judge.

    good: a criterion with points is met, or one with negative points is avoided; None if unread.
    """
    questions, rows = {item.id: question(item) for item in items} if judge else {}, []
    for rubric in rubrics:
        for answer in (a for a in answers if a.item == rubric["item"] and a.item in questions):
            about = {"model": answer.model, "answer": answer.text}
            about |= {"item": answer.item, "question": questions[answer.item]}
            rows += [criterion | about for criterion in rubric["criteria"]]
    form = {"wording": TEXTS["grading"], "system": TEXTS["grader"], "label": "criteria"}
    parts = [{n: row[n] for n in ("question", "answer", "criterion")} for row in rows]
    for row, (met, text) in zip(rows, await ask_grader(judge, parts, **form), strict=True):
        good = None if met is None else met == (row["points"] > 0)
        row |= {"met": met, "good": good, "reply": text, "judge": judge.model}
    return pd.DataFrame(rows, columns=COLUMNS).astype({"met": object, "good": object})


def scores(grades: pd.DataFrame) -> pd.DataFrame:
    """Return one row per model: n items, score with its 95% interval, unread grades.

    An item's score is the points met over all positive points; unread counts as not met.
    """
    frame = grades.assign(possible=grades["points"].clip(lower=0))
    frame["got"], table = frame["points"] * frame["met"].eq(True), {}
    for model, group in frame.groupby("model", sort=False):
        items = group.groupby("item", sort=False)[["got", "possible"]].sum()
        values = np.clip(stats.mean_interval(items["got"] / items["possible"]), 0, 1)
        table[model] = [len(items), *values, int(group["met"].isna().sum())]
    columns = ["n", "score", "low", "high", "unread"]
    return pd.DataFrame.from_dict(table, orient="index", columns=columns).rename_axis("model")
