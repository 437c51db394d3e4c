"""The stand-in in Korean: tasks of all types, answers to what is asked, verdicts, and English."""

import hashlib
import json
import random
import re

import pytest

from medinstruct import labels, llm, offline, paths, tasks
from medinstruct.offline import knowledge, responder, writer
from medinstruct.records import Task

WELL = dict.fromkeys(writer.RATES, 0.0)
KOREAN = knowledge.conditions("korean")
SENTENCE = paths.load("korean/prompts")["tasks"]
SEED = Task(
    type="chat",
    topic="Cardiology",
    view="parent",
    difficulty=3,
    instruction="Why does my son faint?",
    input="",
)


def composed(count, seed=1, **asked):
    chance = random.Random(seed)
    form = {"asked": asked, "rate": WELL, "language": "korean"}
    return [writer.compose(chance, **form) for _ in range(count)]


def answer(fields):
    form = {"context": fields["Input"].removeprefix("<noinput>"), "view": fields["View"]}
    return responder.answer(fields["Instruction"], kind=fields["Type"], **form)


def written(cells, form="blocks"):
    """Return the tasks of a request whose rules end with the Korean sentence."""
    prompt = tasks.task_prompt([SEED] * 3, new=len(cells), cells=cells, form=form)
    prompt[-1]["content"] = prompt[-1]["content"].replace("\nList of", f"\n{SENTENCE}\nList of")
    more = {"response_format": {"type": "json_schema"}} if form == "json" else {}
    reply = offline.respond({"messages": prompt, **more}, rate=WELL)
    return tasks.parse_tasks(reply["choices"][0]["message"]["content"])


@pytest.mark.parametrize("form", ["blocks", "json"])
def test_a_korean_request_gets_korean_tasks_of_all_types_with_english_labels(form):
    cells = [{"type": kind, "view": "nurse", "difficulty": 2} for kind in labels.TYPES]
    found, rejects = written(cells, form)
    assert not rejects and [task.type for task in found] == list(labels.TYPES)
    for task in found:
        assert len(re.findall("[가-힣]", task.instruction)) > 10, task
        assert not re.search("[가-힣]", f"{task.topic}{task.view}{task.style}"), task
        assert not re.search(r"\b(?:an?|the|is|of|with)\b", f"{task.instruction}\n{task.input}")


def test_korean_examples_alone_do_not_make_the_tasks_korean():
    korean = SEED.model_copy(update={"instruction": "우리 아이는 왜 쓰러지나요?"})
    prompt = tasks.task_prompt([korean] * 3, new=2)
    text = offline.respond({"messages": prompt}, rate=WELL)["choices"][0]["message"]["content"]
    assert text and not re.search("[가-힣]", text)


def test_an_answer_is_in_korean_about_the_condition_of_its_task_and_whole():
    for fields, c in composed(800, 2):
        assert responder.subject(fields["Instruction"], fields["Input"]) is c, fields
        text = answer(fields)
        assert re.search("[가-힣]{2}", text) and not llm.is_refusal(text), (fields, text)
        assert not re.search(r"\b(?:an?|the|is|of|with)\b", text), text


def test_an_answer_names_the_facet_that_its_task_names():
    asked = 0
    for fields, c in composed(800, 3):
        if fields["Type"] not in ("open Q&A", "text generation"):
            continue
        text, names = answer(fields), (c.name, *c.also)
        for table in ("aspects", "lay_aspects"):
            for facet, phrases in c.texts[table].items():
                is_named = any(
                    p.format(c=n) in fields["Instruction"] for p in phrases for n in names
                )
                head = responder.rules_for(text)["heads"][facet]
                if is_named and not re.search(r"\d어절|문장", fields["Instruction"]):
                    asked += 1
                    assert f"{head}: " in text or "쉬운 말로: " in text, (facet, fields, text)
    assert asked > 150


def test_the_right_option_is_chosen():
    for kind in ("USMLE-style Q&A", "multiple-choice Q&A"):
        for fields, c in composed(100, 4, type=kind):
            right = c.name if kind.startswith("USMLE") else [t.finding for t in c.plain_tests]
            chosen = re.match(r"정답은 \([A-D]\) (.+?)(?:입니다|이고)", answer(fields))
            assert chosen and chosen[1] in right, (fields, answer(fields))


def test_the_verdict_prefers_the_right_answer_in_both_orders():
    """Compared by pairs of syllables, since particles are written onto the nouns."""
    rows = composed(200, 5)
    answers = [answer(fields) for fields, _ in rows]
    right = []
    for (fields, c), text in zip(rows, answers, strict=True):
        other = next(t for t, (_, d) in zip(answers, rows, strict=True) if d is not c)
        question = f"{fields['Instruction']}\n\n{fields['Input'].removeprefix('<noinput>')}"
        verdicts = responder.winner(question, text, other), responder.winner(question, other, text)
        assert verdicts in (("a", "b"), ("b", "a"), ("tie", "tie"))
        right.append(verdicts == ("a", "b"))
    assert sum(right) >= 0.93 * len(right), sum(right)


def test_a_sign_alone_is_not_taken_for_a_condition():
    """Before, a Korean question on tiredness was answered as one on iron deficiency."""
    items = paths.data("korean/test_freeform.jsonl").read_text(encoding="utf-8").splitlines()
    for item in map(json.loads, items):
        text = f"{item['instruction']} {item.get('input', '')}"
        c = responder.subject(item["instruction"], item.get("input", ""))
        assert c is None or any(name in text for name in (c.name, *c.also)), (c.name, text)


def test_outside_the_knowledge_the_reply_says_so_in_korean():
    rules = responder.rules_for("가")
    assert responder.answer("코를 고는 이유는 무엇입니까?") == rules["unknown"]
    assert responder.winner("코를 고는 이유는 무엇입니까?", "가", "나") == "tie"
    assert llm.is_refusal(rules["no_tasks"]) and llm.is_refusal(rules["no_answer"])


def test_every_entry_has_the_keys_of_the_english_one():
    for file in ("templates", "responder", "styles", "rewordings", "writer", "grader"):
        own, english = paths.load("korean/templates").get(file, {}), knowledge.texts(file)
        new = {key for key in own if key not in english and not key.startswith("tails_")}
        assert not new and {type(own[k]) is type(english.get(k, {})) for k in own} == {True}, file
    assert responder.rules_for("가")["asked"].keys() == responder.RULES["asked"].keys()


def test_the_english_replies_are_what_they_were():
    """Prompts and replies are keys of caches: a word changed here makes the demo another one."""
    chance = random.Random(77)
    asked = [{"style": style, "view": "patient"} for style in labels.STYLES[:3]]
    asked += [{"style": style, "view": "nurse"} for style in labels.STYLES[3:]]
    rows = [writer.compose(chance, asked=one, rate=WELL)[0] for one in 20 * asked]
    texts = [*map(str, rows), *map(answer, rows)]
    digest = hashlib.sha256("\n".join(texts).encode()).hexdigest()
    assert digest.startswith("a9c7fade33a2de1b")
