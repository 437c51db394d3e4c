"""The stand-in: its tasks, answers and verdicts, how it goes wrong, and the server around it."""

import asyncio
import functools
import json
import random
import re

import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr
from support import stand_in_server

from medinstruct import evaluation, filtering, labels, offline, paths, tasks
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


CHANCE, WRITTEN = random.Random(6), []


def composed(count):
    """Return the first tasks, with their conditions, of a list that all tests share."""
    WRITTEN.extend(writer.compose(CHANCE, rate=WELL) for _ in range(count - len(WRITTEN)))
    return WRITTEN[:count]


def test_the_knowledge_is_unambiguous():
    names = [condition.name.lower() for condition in conditions()]
    assert len(set(names)) == len(names)
    assert len({condition.typical_patient for condition in conditions()}) == len(names)
    assert {condition.specialty for condition in conditions()} <= set(labels.SPECIALTIES)


def test_every_condition_has_all_its_facets():
    with pytest.raises(TypeError, match="missing"):
        Condition(name="Asthma")
    least = {"causes": 3, "presentation": 4, "red_flags": 2, "tests": 2}
    least |= {"differential": 3, "treatment": 3, "prevention": 2}
    for c in (*conditions(), *map(knowledge.parsed, paths.load("korean/knowledge"))):
        assert len(c.also) <= 4 and all(len(getattr(c, name)) >= n for name, n in least.items())
        texts = [c.definition, c.mechanism, c.patient, c.pearl]
        assert all(text.endswith((".", "!", "?")) for text in texts), c.name
        parts = c._replace(also="may be empty"), c.drug, *c.tests, *c.differential
        assert all(map(all, parts)), c.name


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
    (text,) = (repr(c) for c in conditions() if c.name == name)
    assert says in text and not (says_not and says_not in text)


def test_an_answer_is_about_the_condition_that_the_task_was_written_about():
    wrong = [
        (fields, c.name)
        for fields, c in composed(1500)
        if responder.subject(fields["Instruction"], fields["Input"]) is not c
    ]
    assert len(wrong) <= 15, wrong[:3]  # 1 in 100: a sign alone may belong to two conditions


@functools.cache
def reply(number):
    """Return the answer to one of the tasks that all tests share."""
    fields = WRITTEN[number][0]
    context = fields["Input"].removeprefix("<noinput>")
    form = {"context": context, "view": fields["View"], "kind": fields["Type"]}
    return responder.answer(fields["Instruction"], **form)


def answered(count, *kinds):
    """Return tasks of some types (of all without any) with conditions and answers."""
    rows = enumerate(composed(count))
    return [(*row, reply(n)) for n, row in rows if row[0]["Type"] in kinds or not kinds]


def plainly(text):
    return knowledge.swapped(text, responder.SWAPS)


def test_the_right_option_is_chosen():
    for fields, c, text in answered(1500, "USMLE-style Q&A", "multiple-choice Q&A"):
        right = c.name if fields["Type"].startswith("USMLE") else c.plain_tests[0].clause
        assert text.removeprefix("- ").partition(") ")[2].lower().startswith(right.lower()), (
            fields,
            text,
        )


def test_every_wrong_option_belongs_to_a_mimic_of_the_condition():
    for fields, c, _ in answered(1500, "USMLE-style Q&A", "multiple-choice Q&A"):
        options = re.findall(responder.RULES["option"], plainly(fields["Input"]))
        near = [x for m in c.differential for x in (m.condition, m.feature)]
        near = [x.lower() for x in (*near, c.name, c.plain_tests[0].clause)]
        assert len(options) == 4 and all(text.lower() in near for _, text in options), fields


def test_every_facet_that_a_task_names_is_in_its_answer():
    missing = []
    for fields, c, text in answered(1500, "open Q&A", "text generation", "chat"):
        asked = plainly(f"{fields['Instruction']} {fields['Input'].partition('simple words')[2]}")
        limited = re.search(r"\d words|sentences", asked)
        for table in ("aspects", "lay_aspects"):
            for facet, phrases in knowledge.TEXTS[table].items():
                is_named = any(
                    phrase.format(c=knowledge.called(c.name)) in asked for phrase in phrases
                )
                head = responder.RULES["heads"][facet]
                if (
                    is_named
                    and not limited
                    and f"{head}: " not in text
                    and "plain words" not in text
                ):
                    missing.append((facet, fields, text))
    assert not missing, missing[:2]


def test_who_asks_for_treatment_is_answered_with_a_treatment():
    """Before, none of the 14 tasks of the demo that asked how the treatment follows had one."""
    asked = 0
    kinds = ("open Q&A", "text generation", "multiple-hop reasoning")
    for fields, c, text in answered(1500, *kinds):
        words = plainly(fields["Instruction"])
        if re.search(r"treatment (?:follow|of [a-z])|first treatment|how .+ is treated", words):
            asked += 1
            assert any(step in text for step in c.treatment), (fields, text)
    assert asked > 40


def test_who_asks_what_to_do_overnight_or_at_once_is_answered_with_urgent_advice():
    for fields, _, text in answered(1000):
        request = plainly(f"{fields['Instruction']} {fields['Input']}")
        if re.search(r"to do overnight|to be done overnight", request):
            assert re.search(r"at once", text) and "for the morning" in text, (fields, text)
        if "do today" in request and "words" not in fields["Instruction"]:
            assert re.search(r"today|at once", text), (fields, text)


def test_an_emergency_is_never_put_off_to_the_next_appointment():
    for name in ("Acute bacterial meningitis", "Testicular torsion", "Acute myocardial infarction"):
        (c,) = (c for c in conditions() if c.name == name)
        assert "by day or night" in knowledge.facts(c)["wait"], name


def test_a_limit_of_words_or_sentences_is_kept():
    kept, numbers = [], responder.RULES["numbers"]
    for fields, _, text in answered(1200):
        asked, _, added = fields["Instruction"].partition("Then add")
        words, count = (
            re.search(r"(\d+) words", asked),
            re.search(r"(?:to|in) (\w+) sentences", asked),
        )
        if words and not added:
            kept.append(len(text.split()) <= 1.1 * int(words[1]))
        if count and not added:
            kept.append(len(re.split(rf"(?<=[.!?]){knowledge.BETWEEN}", text)) <= numbers[count[1]])
    assert len(kept) > 150 and sum(kept) >= 0.95 * len(kept), (sum(kept), len(kept))


def test_a_rewritten_text_keeps_the_content_of_the_given_one_in_other_words():
    for fields, _, text in answered(1000, "rewrite"):
        given = set(re.findall(r"[a-z]{5,}", fields["Input"].lower()))
        own = set(re.findall(r"[a-z]{5,}", text.lower()))
        assert len(given & own) >= 0.6 * len(given) and fields["Input"] not in text, (fields, text)


def test_plain_words_keep_the_names_of_illnesses():
    """Before, "neuroleptic malignant syndrome" became "neuroleptic cancerous syndrome"."""
    for c in conditions():
        names = {c.name, *(m.condition for m in c.differential)}
        for facet in knowledge.FACETS:
            text = knowledge.facet_text(c, facet)
            plain = responder._reworded(c, text, "for a worried relative")
            lost = [n for n in names if n in text and n.lower() not in plain.lower()]
            assert not lost and "\0" not in plain, (lost, plain)
            assert not re.search(r"oint breathing|air-sac bone|by raised|ystic scarring", plain)


def test_a_sign_called_missing_is_in_no_case_and_no_list_of_findings():
    """Before, 5 of 13 answers of the demo listed the sign that their task called missing."""
    rows = [row for row in answered(2500) if "is missing here" in row[0]["Instruction"]]
    for fields, _, text in rows:
        case, _, after = plainly(fields["Instruction"]).partition("Bear in mind that ")
        sign = after.partition(" is missing here")[0]
        assert sign not in case + plainly(fields["Input"]).split("Which")[0] or sign == "fever", (
            fields
        )
        if fields["Type"] == "multiple-hop reasoning":
            assert sign not in text.partition("Step 2")[0], (fields, text)
        assert f"absence of {sign}" in text, (fields, text)
    assert len(rows) > 15


def test_the_deciding_finding_decides():
    named = {c.name: c.plain_tests[0] for c in conditions()}
    assert "plasma glucose" in named["Gestational diabetes"].finding
    assert "symptoms" in named["Sport-related concussion"].finding
    for fields, c, text in answered(1500, "classification"):
        assert f"Deciding finding: {c.plain_tests[0].clause}" in text, (fields, text)


def test_a_case_does_not_give_its_diagnosis_away():
    for fields, c, _ in answered(1500, "classification", "USMLE-style Q&A"):
        case = plainly(fields["Input"]).partition("(A)")[0].lower()
        assert not any(f" {name.lower()} " in case for name in (c.name, *c.also)), fields
        assert not re.search(r"in (?:both )?type \d|in simple|in primary disease", case), fields


def test_people_fit_the_condition():
    """A baby has no notes of its own, a man no preeclampsia, and no one reports for a newborn."""
    for fields, c, _ in answered(1500):
        text = plainly(f"{fields['Instruction']} {fields['Input']}")
        assert "my own case" not in text and "who reports" not in text
        if re.search(r"hour old|day-old|month-old|\b[1-9]-year-old", c.typical_patient):
            assert "my notes" not in text.lower(), fields
        if c.specialty in ("Obstetrics", "Gynecology"):
            assert not re.search(r"my (?:\w+ )?(?:brother|uncle|father|nephew)'s notes", text), (
                fields
            )
        if c.name in ("Benign prostatic hyperplasia", "Erectile dysfunction", "Testicular torsion"):
            assert not re.search(r"my (?:\w+ )?(?:mother|sister|aunt|niece)'s notes", text), fields


MIMICS = {mimic.condition.lower() for c in conditions() for mimic in c.differential}


def demand(fields, text):
    """Return how hard a task is, estimated from what its answer joins and never from its label.

    Pieces of knowledge in the answer, rival conditions that the task names and the answer weighs,
    and hurdles that the answer takes: a missing test, treatment or sign, a reason against a drug.
    """
    heads = "|".join((*responder.RULES["heads"].values(), "Step \\d", "Urgent", "Against", "Next"))
    hurdles = (
        r"Without|not to be had|not wanted|do not give|absence of|Both sides|What would change"
    )
    pieces = set(re.findall(rf"\b(?:{heads}|{hurdles}|has not decided)\b", text))
    request = plainly(fields["Instruction"]).lower()
    mimics = filter(text.lower().__contains__, MIMICS)
    return len(pieces) + sum(name in request for name in mimics)


def test_the_difficulty_label_follows_what_its_answer_demands():
    """In the demo of version 2 the rank correlation with this estimate was 0.09."""
    rows = answered(1200)
    levels = [int(fields["Difficulty"]) for fields, *_ in rows]
    assert spearmanr(levels, [demand(fields, text) for fields, _, text in rows])[0] >= 0.3


def styled(style, count=60, **asked):
    chance = random.Random(19)
    asked = {"style": style, **asked}
    return [writer.compose(chance, asked=asked, rate=WELL)[0] for _ in range(count)]


@pytest.mark.parametrize(
    "style, mark, view",
    [
        ("lay message", r"\b(?:teh|wiht|taht|fro|abuot|plz|thx|hi|hey|ok so)\b", "patient"),
        ("non-native speaker", r"English|foreigner|not from here|very much for", "nurse"),
        ("clinical shorthand", r"w/|\bpt\b|\bdx\b|\+|\bhx\b|pls|^Q:|TIA|\?\?|hand-over", "nurse"),
        ("SOAP note", r"(?m)^S[:/]|\bS: ", "nurse"),
        ("formal letter", r"Dear |To whom", "nurse"),
        ("dialogue turn", r"(?m)^\w+: ", "nurse"),
    ],
)
def test_each_style_is_written_and_named(style, mark, view):
    def share(rows):
        texts = [f"{row['Instruction']}\n{row['Input']}" for row in rows]
        return sum(bool(re.search(mark, text)) for text in texts) / len(rows)

    rows = styled(style, view=view)
    assert {row["Style"] for row in rows} == {style}
    assert share(rows) >= 0.9 and share(styled("plain prose", view=view)) <= 0.1


def test_a_style_goes_only_with_views_that_write_in_it():
    rows = styled("lay message", view="radiologist") + styled("SOAP note", view="patient")
    assert {row["Style"] for row in rows} == {"plain prose"}


def test_a_style_changes_how_a_task_is_written_and_not_what_is_answered():
    for fields, _, text in answered(600):
        assert text != responder.UNKNOWN, fields
        assert not set(re.findall(r"\bteh\b|\bwiht\b|w/", text)), text
    swaps = [form.get("swaps", {}) for form in writer.STYLES.values()]
    for form in swaps:
        assert all(
            knowledge.swapped(short, responder.SWAPS) == word for word, short in form.items()
        )


def test_every_condition_has_a_finding_that_speaks_for_it():
    hedges = knowledge.TEXTS["hedges"]
    assert not [c.name for c in conditions() if re.search(hedges, c.plain_tests[0].clause)]


def test_a_summary_adds_nothing_to_what_it_was_given():
    for fields, _, text in answered(1500, "summarization"):
        if "Then add" not in fields["Instruction"]:
            given = set(re.findall(r"[a-z]{4,}", fields["Input"].lower()))
            assert set(re.findall(r"[a-z]{4,}", text.lower())) <= given, (fields, text)


def test_the_mark_of_a_mimic_speaks_against_the_condition():
    told = responder.answer(
        "What would unequal pulses tell you? Asthma.", kind="single-hop reasoning"
    )
    assert "fits" in told and "against" not in told
    for c in conditions():
        asked = f"What would {c.differential[0].feature} tell you when {c.name} is suspected?"
        assert "speaks against" in responder.answer(asked, kind="single-hop reasoning"), c.name


def test_inputs_keep_to_the_length_that_the_prompt_sets():
    inputs = [fields["Input"] for fields, _ in composed(1500) if fields["Input"] != "<noinput>"]
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
    topics = [fields["Topic"] for fields, _ in composed(3000)]
    counts = sorted((topics.count(name) for name in set(topics)), reverse=True)
    assert sum(counts[:9]) > 0.5 * len(topics) > 4 * sum(counts[-9:])


def test_of_twenty_thousand_tasks_twelve_thousand_are_new():
    instructions = [fields["Instruction"] for fields, _ in composed(20_000)]
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


def test_signs_and_causes_of_one_or_two_words_describe_a_condition():
    """Short phrases have no whole word inside, by which longer ones are looked for."""
    described = 0
    for condition in conditions():
        phrases = [text.lower() for text in (*condition.presentation, *condition.causes)]
        short = [phrase for phrase in phrases if len(phrase.split()) < 3]
        if len(short) < 4:
            continue
        text = f"A person with {'s, '.join(short)}s."  # a plural holds the phrase too
        best = responder.subject(text)
        signs = (*best.presentation, *best.causes, *(test.finding for test in best.tests))
        assert sum(sign.lower() in text for sign in signs) >= len(short), condition.name
        described += 1
    assert described > 5
