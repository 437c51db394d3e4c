"""The shipped content keeps its promises: numbers, coverage, lengths, balance, and no overlap between what is learned and what is tested."""

import re
from collections import Counter

import pytest
from pydantic import Field

from medinstruct import filtering, labels, paths, records
from medinstruct.offline.knowledge import conditions
from medinstruct.records import Record, SafetyPrompt, Task, TestItem

LAY = ("patient", "parent", "caregiver", "family member", "school pupil", "athlete")
WITH_INPUT = {
    "rewrite",
    "summarization",
    "classification",
    "USMLE-style Q&A",
    "multiple-choice Q&A",
}


# A bad criterion begins with one of these: it hits what an answer asserts, never what it mentions.
ASSERTING = ("Advises", "Blames", "Claims", "Concludes", "Decides", "Dismisses", "Gives")
ASSERTING += ("Promises", "Recommends", "Says", "States", "Uses")


class MultipleChoice(Record):
    """A multiple-choice question: four options, the index of the right one, its rationale."""

    _content = ("question", "options")
    type: str
    topic: str
    difficulty: int = Field(ge=1, le=5)
    question: str = Field(min_length=1)
    options: tuple[str, str, str, str]
    answer: int = Field(ge=0, le=3)
    rationale: str = Field(min_length=1)


@pytest.fixture(scope="module")
def seeds():
    return records.read(paths.data("seeds.jsonl"), Task)


@pytest.fixture(scope="module")
def items():
    rows = [row for _, row in records.rows(paths.data("test_freeform.jsonl"))]
    return [
        TestItem.model_validate(
            {k: v for k, v in row.items() if k != "reference"}
            | {"references": {"written": row["reference"]}}
        )
        for row in rows
    ]


@pytest.fixture(scope="module")
def questions():
    return records.read(paths.data("test_mcq.jsonl"), MultipleChoice)


@pytest.fixture(scope="module")
def prompts():
    return records.read(paths.data("test_safety.jsonl"), SafetyPrompt)


def words(text):
    return len(text.split())


def nearest_other(texts):
    return max(score for _, score in filtering.nearest_other(texts))


def test_at_least_200_seeds_cover_types_topics_views_and_levels(seeds):
    assert len(seeds) >= 200
    assert {seed.type for seed in seeds} == set(labels.TYPES)
    assert len({seed.topic for seed in seeds}) >= 35 and {seed.topic for seed in seeds} <= set(
        labels.SPECIALTIES
    )
    assert len({seed.view for seed in seeds}) >= 25
    assert {labels.canonical("view", seed.view) for seed in seeds} == set(labels.VIEW_GROUPS)
    for kind in labels.TYPES:
        assert len({seed.difficulty for seed in seeds if seed.type == kind}) >= 3
    assert {seed.difficulty for seed in seeds} == set(labels.LEVELS)


def test_inputs_of_seeds_keep_the_papers_own_rule(seeds):
    wrong = [
        (words(seed.input), seed.instruction)
        for seed in seeds
        if seed.input and not 50 <= words(seed.input) <= 200
    ]
    assert not wrong
    assert all(seed.input for seed in seeds if seed.type in WITH_INPUT)


def test_choices_are_lettered_in_the_input(seeds):
    for seed in seeds:
        if seed.type in ("USMLE-style Q&A", "multiple-choice Q&A"):
            assert len(set(re.findall(r"^\(([A-E])\) ", seed.input, re.MULTILINE))) >= 4, (
                seed.instruction
            )


def test_lay_views_speak_in_the_first_person(seeds):
    for seed in seeds:
        if seed.view in LAY:
            assert re.search(
                r"\b(I|me|my|we|our)\b", f"{seed.instruction} {seed.input}", re.IGNORECASE
            ), seed.instruction


def test_no_two_seeds_are_alike(seeds):
    assert nearest_other([seed.instruction for seed in seeds]) <= 0.6


def test_150_free_form_items_30_a_level_with_careful_references(items):
    assert len(items) >= 150
    assert min(Counter(item.difficulty for item in items)[level] for level in labels.LEVELS) >= 30
    wrong = [
        (words(item.references["written"]), item.instruction)
        for item in items
        if not 80 <= words(item.references["written"]) <= 250
    ]
    assert not wrong
    assert all(
        item.type in labels.TYPES and item.topic in labels.SPECIALTIES and item.view
        for item in items
    )


def test_free_form_items_are_disjoint_from_the_seeds(items, seeds):
    near = filtering.nearest(
        [item.instruction for item in items], [seed.instruction for seed in seeds]
    )
    assert max(score for _, score in near) < 0.5
    assert nearest_other([item.instruction for item in items]) <= 0.7


@pytest.fixture(scope="module")
def rubrics(items):
    by_id = {item.id: item for item in items}
    rows = records.load_table(paths.data("rubrics.jsonl"))
    return [(by_id[row["item"]], row["criteria"]) for row in rows]


def test_100_items_have_rubrics_and_half_of_these_are_hard(rubrics):
    levels = Counter(item.difficulty for item, _ in rubrics)
    assert len(rubrics) >= 100 and (levels[4] + levels[5]) / len(rubrics) >= 0.5
    assert min(levels[4], levels[5]) >= 30 and set(levels) == set(labels.LEVELS)


def test_the_readme_counts_rubrics_and_criteria(rubrics):
    n, criteria = len(rubrics), sum(len(criteria) for _, criteria in rubrics)
    readme = paths.data("README.md").read_text(encoding="utf-8")
    assert f"for {n} of the free-form questions" in readme and f"({criteria} criteria" in readme


def test_a_bad_criterion_hits_an_assertion_and_no_mention(rubrics):
    bad = [c["criterion"] for _, criteria in rubrics for c in criteria if c["points"] < 0]
    assert not [text for text in bad if text.split()[0] not in ASSERTING]


def test_numbers_in_criteria_stand_in_the_question_or_the_reference(rubrics):
    number = re.compile(r"\d+(?:[.,]\d+)*")
    for item, criteria in rubrics:
        known = set(number.findall(f"{item.instruction} {item.references['written']}"))
        for text in (c["criterion"] for c in criteria if c["points"] > 0):
            strange = [n for n in number.findall(text) if n not in known]
            assert not strange, (item.id, text, strange)


def test_a_hand_over_states_no_finding_that_its_note_does_not_give(rubrics):
    for item, criteria in rubrics:
        if item.type == "summarization":
            good = " ".join(c["criterion"] for c in criteria if c["points"] > 0)
            assert "hypotensive" not in good, item.instruction


def test_a_focal_sign_after_a_blow_to_the_head_leads_to_an_emergency_department_first(items):
    (athlete,) = [item for item in items if item.id.startswith("3dbc5a87")]
    assert "emergency department now" in athlete.references["written"].split(".")[0]
    assert "excluded" in athlete.references["written"]


def test_150_questions_have_one_right_of_four_different_options(questions):
    assert len(questions) >= 150
    for question in questions:
        assert (
            len({option.lower() for option in question.options}) == 4
            and question.topic in labels.SPECIALTIES
        )
        assert question.type in ("USMLE-style Q&A", "multiple-choice Q&A")
    assert {question.difficulty for question in questions} == set(labels.LEVELS)


def test_the_letter_does_not_give_the_answer_away(questions):
    share = Counter(question.answer for question in questions)
    assert all(0.2 <= share[letter] / len(questions) <= 0.3 for letter in range(4))


@pytest.mark.parametrize("choose", [max, min])
def test_the_length_does_not_give_the_answer_away(questions, choose):
    score = sum(
        (len(q.options[q.answer]) == choose(map(len, q.options)))
        / sum(len(o) == choose(map(len, q.options)) for o in q.options)
        for q in questions
    )
    assert 0.15 <= score / len(questions) <= 0.35  # chance is 0.25


def test_no_question_is_answered_by_all_or_none_of_the_above(questions):
    assert not [
        q
        for q in questions
        for option in q.options
        if re.search(r"\b(all|none|both) of\b", option, re.IGNORECASE)
    ]


def test_60_safety_prompts_in_four_kinds(prompts):
    assert len(prompts) >= 60
    right = {
        "emergency": "escalate",
        "dosing_trap": "warn",
        "refuse_or_redirect": "decline",
        "harmless_lookalike": "answer",
    }
    assert all(prompt.behaviour == right[prompt.category] for prompt in prompts)
    assert min(Counter(prompt.category for prompt in prompts).values()) >= 10
    assert all(
        text == text.lower()
        for prompt in prompts
        for text in (*prompt.must_mention, *prompt.must_avoid)
    )


def test_waiting_times_after_a_dangerous_drug_are_asked_for(prompts):
    expected = {prompt.prompt.split()[0]: prompt.expected for prompt in prompts}
    assert "24 hours" in expected["Sildenafil"]
    (alcohol,) = [prompt for prompt in prompts if "disulfiram" in prompt.prompt]
    assert "two weeks" in alcohol.expected
    assert not [prompt for prompt in prompts if "metronidazole" in prompt.prompt.lower()]


def test_90_conditions_over_35_specialties():
    assert (
        len(conditions()) >= 90 and len({condition.specialty for condition in conditions()}) >= 35
    )


@pytest.fixture(scope="module")
def checks():
    return records.load_table(paths.data("assist_checks.jsonl"))


def test_the_fresh_checks_hold_findings_and_harmless_rows_of_each_kind(checks):
    fresh = [row for row in checks if row["part"] == "fresh2"]
    kinds = Counter((row["check"], bool(row["expect"])) for row in fresh)
    names = ("red_flags", "marks", "claims", "allergy", "omissions")
    assert len(fresh) >= 100 and set(kinds) == {(n, has) for n in names for has in (True, False)}
    assert min(kinds.values()) >= 6 and kinds["red_flags", True] >= 30


def test_the_fresh_checks_repeat_no_older_row_and_quote_their_answers(checks):
    fresh = [row for row in checks if row["part"] == "fresh2"]
    older = [f"{row.get('given', '')} {row['text']}" for row in checks if row not in fresh]
    texts = [f"{row.get('given', '')} {row['text']}" for row in fresh]
    assert max(score for _, score in filtering.nearest(texts, older)) < 0.7
    quoted = [row for row in fresh if row["check"] in ("marks", "allergy")]
    assert not [row for row in quoted for e in row["expect"] if e.lower() not in row["text"].lower()]


def test_nothing_looks_like_a_real_person(seeds, items, questions, prompts):
    texts = [f"{s.instruction} {s.input}" for s in seeds] + [
        f"{i.instruction} {i.references['written']}" for i in items
    ]
    texts += [q.question for q in questions] + [p.prompt for p in prompts]
    identifying = re.compile(
        r"\b\d{3}[-.]\d{3}[-.]\d{4}\b|\b\d{1,2}/\d{1,2}/(?:19|20)\d\d\b|\b\S+@\S+\.\w+\b|\bMRN\b|https?://"
    )
    assert not [text for text in texts if identifying.search(text)]


def test_every_file_has_a_line_in_the_readme():
    readme = paths.data("README.md").read_text(encoding="utf-8")
    files = [
        path.relative_to(paths.data(""))
        for path in sorted(paths.data("").rglob("*"))
        if path.is_file()
    ]
    assert not [
        file
        for file in files
        if file.name != "README.md" and str(file) not in readme and f"{file.parent}/" not in readme
    ]
    assert "not reviewed by clinicians" in readme
