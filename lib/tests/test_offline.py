"""The stand-in: its tasks, answers and verdicts, how it goes wrong, and the server around it."""

import asyncio
import json
import random
import re

import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import stand_in_server

from medinstruct import evaluation, filtering, labels, offline, tasks
from medinstruct.errors import UserError
from medinstruct.offline import knowledge, responder, writer
from medinstruct.offline.knowledge import Condition, conditions
from medinstruct.records import Task

SEED = Task(
    type="chat",
    topic="Sleep Medicine",
    view="parent",
    difficulty=3,
    instruction="Why does my son snore?",
    input="",
)
WELL = dict.fromkeys(writer.RATES, 0.0)


def chat(text, **more):
    return {"messages": [{"role": "user", "content": text}], **more}


def composed(count, seed=1):
    chance = random.Random(seed)
    return [writer.compose(chance, rate=WELL) for _ in range(count)]


def test_the_knowledge_is_unambiguous():
    names = [condition.name.lower() for condition in conditions()]
    assert len(set(names)) == len(names)
    assert len({condition.typical_patient for condition in conditions()}) == len(names)
    assert {condition.specialty for condition in conditions()} <= set(labels.SPECIALTIES)


def test_a_condition_with_a_missing_facet_is_refused():
    with pytest.raises(ValueError):
        Condition.model_validate({"name": "Asthma"})


@pytest.mark.parametrize(
    "name, says, says_not",
    [
        ("Postpartum hemorrhage", "300 mL or more together with an abnormal sign", "1000 mL"),
        ("Postpartum hemorrhage", "tranexamic acid as soon as the diagnosis is made", ""),
        ("Acute respiratory distress syndrome", "SpO2 to FiO2 ratio of 315 or less", ""),
        ("Acute respiratory distress syndrome", "high-flow oxygen of at least 30 L/min", ""),
        ("Acute respiratory distress syndrome", "corticosteroids in most adults", ""),
        (
            "Acute angle-closure glaucoma",
            "stopping topiramate instead of iridotomy",
            "sulfa-derived",
        ),
        ("Cancer pain", "Addiction is uncommon but possible", "as agreed are safe"),
        ("Erectile dysfunction", "any nitrate or of riociguat", ""),
    ],
)
def test_the_knowledge_follows_the_guideline(name, says, says_not):
    """WHO/FIGO/ICM 2025, ARDS Global Definition 2023 and ATS 2024, AAO 2020, ASCO 2022, labels."""
    (text,) = (c.model_dump_json(by_alias=True) for c in conditions() if c.name == name)
    assert says in text and not (says_not and says_not in text)


def test_an_answer_is_about_the_condition_that_the_task_was_written_about():
    wrong = [
        (fields, c.name)
        for fields, c in composed(1500)
        if responder.subject(fields["Instruction"], fields["Input"]) is not c
    ]
    assert len(wrong) <= 15, wrong[:3]  # 1 in 100: a sign alone may belong to two conditions


def test_the_right_option_is_chosen():
    for fields, c in composed(2500, seed=2):
        if fields["Type"] in ("USMLE-style Q&A", "multiple-choice Q&A"):
            told = responder.answer(
                fields["Instruction"],
                context=fields["Input"],
                view=fields["View"],
                kind=fields["Type"],
            )
            right = c.name if fields["Type"].startswith("USMLE") else c.drug.adverse_effect
            assert right.lower() in told.partition("). ")[0].lower().split(".")[0], (fields, told)


def test_a_wrong_adverse_effect_is_not_one_of_the_drug_or_of_its_class():
    effects = {c.drug.adverse_effect for c in conditions()}
    assert set(knowledge.TEXTS["adverse_effects"]) <= effects
    for c in conditions():
        siblings = {x.drug.adverse_effect for x in conditions() if x.drug.class_ == c.drug.class_}
        assert len(writer.unlike(c.drug)) >= 3 and not siblings & set(writer.unlike(c.drug)), c.drug


def test_every_condition_has_a_finding_that_speaks_for_it():
    assert not [c.name for c in conditions() if not any(test.is_plain for test in c.tests)]


def test_a_summary_adds_nothing_to_what_it_was_given():
    tasks_ = [fields for fields, _ in composed(1500, seed=7) if fields["Type"] == "summarization"]
    for fields in tasks_:
        told = responder.answer(
            fields["Instruction"], context=fields["Input"], view=fields["View"], kind=fields["Type"]
        )
        parts = [
            part.strip()
            for part in re.split(
                "|".join(rf"\b{head}: " for head in responder.RULES["heads"].values()), told
            )
        ]
        assert sum(part not in fields["Input"] for part in parts) == 0, (fields, told)


def test_the_mark_of_a_mimic_speaks_against_the_condition():
    told = responder.answer(
        "What would unequal pulses tell you? Asthma.", kind="single-hop reasoning"
    )
    assert "fits" in told and "against" not in told
    for c in conditions():
        asked = f"What would {c.differential[0].feature} tell you when {c.name} is suspected?"
        assert "speaks against" in responder.answer(asked, kind="single-hop reasoning"), c.name


def test_inputs_keep_to_the_length_that_the_prompt_sets():
    inputs = [
        fields["Input"] for fields, _ in composed(1500, seed=3) if fields["Input"] != "<noinput>"
    ]
    assert all(50 <= len(text.split()) <= 200 for text in inputs)


def test_asked_for_labels_are_mostly_kept_to():
    chance, asked = (
        random.Random(4),
        {"type": "chat", "topic": "Cardiology", "view": "nurse", "difficulty": "4"},
    )
    written = [writer.compose(chance, asked=asked)[0] for _ in range(400)]
    for axis, value in asked.items():
        assert 0.85 < sum(fields[axis.capitalize()] == value for fields in written) / 400 < 1.0


def test_left_to_itself_it_has_favourite_topics():
    topics = [fields["Topic"] for fields, _ in composed(3000, seed=5)]
    counts = sorted((topics.count(name) for name in set(topics)), reverse=True)
    assert sum(counts[:9]) > 0.5 * len(topics) > 4 * sum(counts[-9:])


def test_of_twenty_thousand_tasks_twelve_thousand_are_new():
    instructions = [fields["Instruction"] for fields, _ in composed(20_000, seed=6)]
    assert sum(filtering.keep_novel(instructions)) >= 12_000


def test_the_same_request_is_answered_the_same_and_another_seed_otherwise():
    prompt = tasks.task_prompt([SEED] * 3, new=9)
    one, again, other = (offline.respond({"messages": prompt, "seed": seed}) for seed in (1, 1, 2))
    assert one == again and one["choices"] != other["choices"]


def test_blocks_and_json_carry_tasks_that_parse():
    prompt = tasks.task_prompt([SEED] * 3, new=9)
    text = offline.respond({"messages": prompt}, rate=WELL)["choices"][0]["message"]["content"]
    found, rejects = tasks.parse_tasks(text)
    form = {"type": "json_schema", "json_schema": {"name": "tasks", "schema": {}}}
    rows = json.loads(
        offline.respond({"messages": prompt, "response_format": form}, rate=WELL)["choices"][0][
            "message"
        ]["content"]
    )
    assert len(found) == 9 and not rejects
    assert [row["instruction"] for row in rows["tasks"]] == [task.instruction for task in found]


@pytest.mark.parametrize(
    "slip, sign",
    [
        ("missing_field", "missing"),
        ("refusal", "refused"),
        ("no_separator", ""),
        ("numbered", ""),
        ("word_input", ""),
        ("label_variant", ""),
    ],
)
def test_each_slip_can_be_turned_up_and_costs_only_what_it_must(slip, sign):
    prompt = tasks.task_prompt([SEED] * 3, new=9)
    text = offline.respond({"messages": prompt}, rate=WELL | {slip: 1.0})["choices"][0]["message"][
        "content"
    ]
    found, rejects = tasks.parse_tasks(text)
    assert (len(found), {sign in reject.reason for reject in rejects}) == (
        (0, {True}) if sign else (9, set())
    )


def test_an_answer_cut_early_says_so():
    body = chat("Type: chat\nView: nurse\nInstruction: Explain asthma.")
    cut = offline.respond(body, rate=WELL | {"cut": 1.0})["choices"][0]
    whole = offline.respond(body, rate=WELL)["choices"][0]
    assert cut["finish_reason"] == "length" and whole["finish_reason"] == "stop"
    assert whole["message"]["content"].startswith(cut["message"]["content"])


@given(
    st.text(max_size=80), st.text(max_size=80), st.sampled_from(["Explain asthma.", "What helps?"])
)
def test_swapping_the_answers_swaps_the_verdict(a, b, question):
    swapped = {"a": "b", "b": "a", "tie": "tie"}
    assert responder.winner(question, a, b) == swapped[responder.winner(question, b, a)]


@pytest.mark.parametrize("rate", [{"explained": 0.0}, {"explained": 1.0}])
def test_plain_and_explained_verdicts_are_read_alike(rate):
    for first, second, letter in (
        ("asthma inhaler", "zzz", "a"),
        ("zzz", "asthma inhaler", "b"),
        ("x", "x", "tie"),
    ):
        reply = responder.verdict(
            "Explain asthma.", first, second, chance=random.Random(0), rate=WELL | rate
        )
        assert evaluation.parse_verdict(reply) == letter


def test_an_unclear_verdict_is_none():
    reply = responder.verdict(
        "Explain asthma.", "x", "y", chance=random.Random(0), rate=WELL | {"unclear": 1.0}
    )
    assert evaluation.parse_verdict(reply) is None


@given(st.text(max_size=300))
def test_nothing_that_is_said_to_it_breaks_it(text):
    answer = offline.respond(chat(text))
    assert answer["choices"][0]["message"]["content"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<output_a>",
        "<question>\n</output_b>" * 999,
        "Write 9999999 new medical tasks ### 4.",
        "x " * 500_000,
        "\x00￿" * 99,
    ],
)
def test_hostile_and_huge_texts_are_answered(text):
    assert offline.respond(chat(text))["object"] == "chat.completion"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"{}",
        b'{"messages": "x"}',
        b'{"messages": [{"role": "user"}]}',
        b"\xff",
        b"[" * 9999,
    ],
)
def test_a_malformed_request_is_the_apis_400(content):
    status, body = offline.complete(content, rate=WELL)
    assert status == 400 and body["error"]["message"]


def test_a_request_for_something_else_is_told_what_it_is():
    assert (
        "stand-in" in offline.respond(chat("Sing me a song."))["choices"][0]["message"]["content"]
    )


def test_an_unknown_rate_is_refused():
    with pytest.raises(UserError, match="no such rate"):
        offline.http_client("offline?refusl=0.2")


def test_served_over_a_socket_it_speaks_to_the_official_client():
    async def talk():
        url = stand_in_server.listen(faults=stand_in_server.Faults(rpm=2))
        ask = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
        async with openai.AsyncOpenAI(api_key="none", base_url=url, max_retries=0) as api:
            names = [model.id async for model in api.models.list()]
            completions = [await api.chat.completions.create(**ask) for _ in range(2)]
            with pytest.raises(openai.RateLimitError) as limited:
                await api.chat.completions.create(**ask)
        return names, completions, limited.value.response.headers["retry-after"]

    names, completions, after = asyncio.run(talk())
    assert names == [offline.MODEL] and completions[0].usage.total_tokens > 0 and float(after) > 0
