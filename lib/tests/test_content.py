"""The shipped content keeps its promises: numbers, coverage, lengths, balance, and no overlap between what is learned and what is tested."""

import json
import math
import re
from collections import Counter

import pytest
import yaml
from pydantic import Field

from medinstruct import evaluation, filtering, labels, paths, records
from medinstruct.offline.knowledge import conditions, parsed
from medinstruct.records import Record, SafetyPrompt, Task, TestItem

LAY = ("patient", "parent", "caregiver", "family member", "school pupil", "athlete")
WITH_INPUT = {
    "rewrite",
    "summarization",
    "classification",
    "USMLE-style Q&A",
    "multiple-choice Q&A",
}
GAPS = ("Pediatrics", "Gynecology", "Surgery", "Oncology", "Pharmacology")
LABORATORY = r"\d (?:m|n|p|micro)mol/L|\d (?:mg|g|mU|U|ng)/L|\d (?:g|mg)/dL|\d ng/mL|\d x10\^9/L"
# The numbers of a seed that asks for a calculation, what is done with them, and the result.
CALCULATIONS = {
    "rehydration, mL/h": (
        r"-> (\d+) % dehydr.* over (\d+) h .*\((\d+) mL/kg/d for first 10 kg, (\d+) .*use (\d+) kg",
        lambda percent, hours, first, next_ten, kg: (
            10 * percent * kg / hours + (10 * first + (kg - 10) * next_ten) / 24
        ),
        58.3,
    ),
    "amoxicillin, mL a dose": (
        r"child of (\d+) kg .*, (\d+) mg/kg a day in two doses, .* (\d+) mg in (\d+) mL",
        lambda kg, daily, mg, ml: kg * daily / 2 * ml / mg,
        6.75,
    ),
    "burn, mL/h for the six hours that remain": (
        r"(\d+) kilos.* so (\d+) percent.* (\d+) mL of Ringer's lactate",
        lambda kg, percent, ml: kg * percent * ml / 2 / 6,
        360,
    ),
    "carboplatin, mg": (
        r"woman of (\d+) who weighs (\d+) kg, .* of ([\d.]+) mg/dL .*AUC of (\d+)",
        lambda age, kg, creatinine, auc: auc * (0.85 * (140 - age) * kg / (72 * creatinine) + 25),
        503,
    ),
    "norepinephrine, mL/h": (
        r"(\d+) kg, .* noradrenaline ([\d.]+) mcg/kg/min .*\((\d+) mcg/mL\)",
        lambda kg, dose, strength: 60 * kg * dose / strength,
        6,
    ),
    "enoxaparin, IU/mL of anti-Xa four hours after the dose": (
        r"came back as ([\d.]+) IU/mL.* half-life of the anti-Xa effect is about (\d+) hours",
        lambda after_twelve_hours, half_life: after_twelve_hours * 2 ** ((12 - 4) / half_life),
        0.7,
    ),
    "trial drug, h after the injection": (
        r"Two hours .* is (\d+) mg/L, and ten hours .* is (\d+) mg/L.* be ([\d.]+) mg/L",
        lambda at_two, at_ten, low: 2 + 8 * math.log(at_two / low) / math.log(at_two / at_ten),
        18,
    ),
    "gravity drip, drops a minute": (
        r"(\d+) mL of Ringer solution in (\d+) hours.* (\d+) drops are 1 mL",
        lambda ml, hours, drops: ml * drops / (60 * hours),
        41.7,
    ),
    "heparin, mL/h": (
        r"make it (\d+) kg.* then (\d+) units/kg per hour.*([\d,]{6}) units in (\d+) mL",
        lambda kg, hourly, units, ml: kg * hourly * ml / units,
        25.9,
    ),
    "glucose, percent": (
        r"reaches (\d+) mg/kg/min .* BW ([\d.]+) kg.* D10 at \d+ mL/kg/d = (\d+) mL/h",
        lambda wanted, kg, rate: wanted * kg * 60 / rate / 10,
        14.4,
    ),
    "water deficit, L": (
        r" (\d+) kg, .* Na (\d+) mmol/L.* = ([\d.]+) x weight",
        lambda kg, sodium, share: share * kg * (sodium / 140 - 1),
        3.4,
    ),
    "tube feed, mL/h": (
        r"Weight (\d+) kg.* (\d+) kcal/kg a day, feed with ([\d.]+) kcal/mL over (\d+) hours",
        lambda kg, kcal, density, hours: kg * kcal / density / hours,
        70,
    ),
    "corrected QT, ms": (
        r"RR interval ([\d.]+) s, .* QT (\d+) ms",
        lambda interval, qt: qt / math.sqrt(interval),
        500,
    ),
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
    return max(score for _, score in filtering.nearest(texts))


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


def texts_of(seeds):
    return [f"{seed.instruction}\n{seed.input}" for seed in seeds]


def table_of(text):
    return [line.count("|") for line in text.split("\n") if line.count("|") >= 2]


def test_the_readmes_state_the_number_of_seeds(seeds):
    for readme in (paths.root() / "README.md", paths.data("README.md")):
        assert f"{len(seeds)} seed tasks" in readme.read_text(encoding="utf-8"), readme


def test_every_field_of_a_seed_is_written_and_its_id_is_its_content():
    fields = ["id", "type", "topic", "view", "difficulty", "style", "instruction", "input"]
    for line, row in records.rows(paths.data("seeds.jsonl")):
        assert list(row) == fields, line
        assert row["id"] == records.content_hash(row["instruction"], row["input"]), line


def test_every_style_has_at_least_eight_seeds_of_several_types(seeds):
    for style in labels.STYLES:
        in_style = [seed for seed in seeds if seed.style == style]
        assert len(in_style) >= 8 and len({seed.type for seed in in_style}) >= 4, style
    assert {seed.style for seed in seeds} == set(labels.STYLES)


def test_a_seed_is_written_in_the_style_of_its_label_by_a_view_that_writes_so(seeds):
    marks = {
        "SOAP note": r"(?ms)^S: .*^O: .*^A: .*^P: ",
        "dialogue turn": r"(?m)^[A-Z][\w., ]+: ",
        "formal letter": r"^(Dear|Thank you for)",
        "lay message": r"^[a-z]",
        "clinical shorthand": r"\b[A-Z]{2,}\b",
    }
    for seed in seeds:
        text = seed.instruction if seed.style == "lay message" else seed.input or seed.instruction
        assert re.search(marks.get(seed.style, ""), text), seed.instruction
        views = labels.STYLE_VIEWS.get(seed.style, labels.VIEW_GROUPS)
        assert labels.canonical("view", seed.view) in views, seed.instruction


def test_the_specialties_that_were_thin_have_at_least_seven_seeds(seeds):
    topics = Counter(seed.topic for seed in seeds)
    assert min(topics[name] for name in GAPS) >= 7
    assert set(topics) == set(labels.SPECIALTIES)


def test_seeds_hold_laboratory_panels_tables_and_electrocardiograms(seeds):
    texts = texts_of(seeds)
    assert sum(len(re.findall(LABORATORY, text)) >= 3 for text in texts) >= 15
    tables = [rows for rows in map(table_of, texts) if rows]
    assert len(tables) >= 5
    assert all(len(rows) >= 4 and len(set(rows)) == 1 for rows in tables)
    waves = ("P wave", "PR ", "QRS", "QT", "ST ", "T wave")
    assert sum("ECG" in text and sum(wave in text for wave in waves) >= 2 for text in texts) >= 5


@pytest.mark.parametrize("name", CALCULATIONS)
def test_a_seed_that_asks_for_a_calculation_holds_the_numbers_it_needs(seeds, name):
    pattern, calculate, result = CALCULATIONS[name]
    found = [m for m in (re.search(pattern, text, re.DOTALL) for text in texts_of(seeds)) if m]
    assert len(found) == 1
    numbers = (float(number.replace(",", "")) for number in found[0].groups())
    assert calculate(*numbers) == pytest.approx(result, rel=0.01)


def test_no_seed_repeats_a_test_item_by_any_measure(seeds):
    assert filtering.contamination.find(seeds, filtering.contamination.load_items()).empty


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


def test_questions_are_disjoint_from_the_seeds(questions, seeds):
    texts = [seed.input or seed.instruction for seed in seeds]
    near = filtering.nearest([question.question for question in questions], texts)
    assert max(score for _, score in near) < 0.5


def test_210_questions_have_one_right_of_four_different_options(questions):
    assert len(questions) >= 210
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


@pytest.mark.parametrize("levels", [(1, 2, 3), (4, 5)])
@pytest.mark.parametrize("choose", [max, min])
def test_the_length_does_not_give_the_answer_away(questions, choose, levels):
    asked = [q for q in questions if q.difficulty in levels]
    score = sum(
        (len(q.options[q.answer]) == choose(map(len, q.options)))
        / sum(len(o) == choose(map(len, q.options)) for o in q.options)
        for q in asked
    )
    assert 0.15 <= score / len(asked) <= 0.35  # chance is 0.25


@pytest.mark.parametrize("limit", [20, 60, 100, 200])
def test_a_sample_of_the_questions_keeps_levels_and_letters(questions, limit):
    sample = evaluation.evenly(questions, limit)
    for field in ("difficulty", "answer"):
        total = Counter(getattr(question, field) for question in questions)
        drawn = Counter(getattr(question, field) for question in sample)
        for value, n in total.items():
            assert abs(drawn[value] - limit * n / len(questions)) < 2, (field, value)


def test_at_least_40_questions_are_at_each_of_levels_4_and_5_with_a_reasoned_key(questions):
    hard = [question for question in questions if question.difficulty >= 4]
    assert all(n >= 40 for n in Counter(question.difficulty for question in hard).values())
    assert sum(words(question.rationale) >= 40 for question in hard) >= 60


def test_no_question_is_answered_by_all_or_none_of_the_above(questions):
    assert not [
        q
        for q in questions
        for option in q.options
        if re.search(r"\b(all|none|both) of\b", option, re.IGNORECASE)
    ]


@pytest.fixture(scope="module")
def overlap():
    return yaml.safe_load(paths.data("concept_overlap.yaml").read_text(encoding="utf-8"))


def test_the_listed_overlap_of_concepts_names_seeds_and_items_that_exist(
    overlap, seeds, questions, items, prompts
):
    shipped = {"seeds": seeds, "mcq": questions, "freeform": items, "safety": prompts}
    ids = {name: {record.id for record in rows} for name, rows in shipped.items()}
    ids["seeds"] |= {row["id"] for row in korean("seeds")}
    ids["freeform"] |= {row["id"] for row in korean("test_freeform")}
    assert len({row["concept"] for row in overlap}) == len(overlap)
    for row in overlap:
        assert row.keys() <= {"concept", *ids} and row["seeds"] and len(row) >= 3, row
        for name in row.keys() & ids:
            assert set(row[name]) <= ids[name], f"update the ids of {row['concept']!r}"


@pytest.mark.parametrize(
    "case", ["anterior resection", "phenytoin", "capecitabine", "Pipelle|office biopsy", "PID"]
)
def test_hard_questions_share_no_case_with_a_seed(seeds, questions, case):
    """Near twins that two authors had written at once."""
    hard = [question for question in questions if question.difficulty >= 4]
    in_seeds = any(re.search(case, seed.input) for seed in seeds)
    assert not (in_seeds and any(re.search(case, question.question) for question in hard))


REPLACED = {  # test questions that reused the case or the fact of a seed
    "03cf4b11ba9e77e9",
    "2429cd83d2f82761",
    "305f02be4e4beb8f",
    "309ba21fbe31f04b",
    "4555467a37a50f68",
    "6884f3948fc93b5a",
    "806c189d66223490",
    "8569c3d8f97d1065",
    "a34dbe53c43c8baf",
    "a77a065d98933f86",
    "ceff88acc51241f3",
    "dbac76a2a29f3b6c",
    "ee4c91d987cb5914",
}


def test_the_questions_that_reused_a_seed_are_gone(questions):
    assert len(REPLACED) == 13 and not REPLACED & {question.id for question in questions}


def test_60_safety_prompts_in_four_kinds(prompts):
    assert len(prompts) >= 60
    right = {
        "emergency": "escalate",
        "dosing_trap": "warn",
        "refuse_or_redirect": "decline",
        "harmless_lookalike": "answer",
    }
    assert all(prompt.behavior == right[prompt.category] for prompt in prompts)
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


def korean(name):
    return [row for _, row in records.rows(paths.data(f"korean/{name}.jsonl"))]


@pytest.mark.parametrize("name", ["seeds", "test_freeform"])
def test_korean_records_have_the_fields_of_the_english_ones_and_canonical_labels(name):
    fields = list(next(row for _, row in records.rows(paths.data(f"{name}.jsonl"))))
    rows = korean(name)
    assert len({row["id"] for row in rows}) == len(rows) == 24
    for row in rows:
        assert list(row) == fields and row["topic"] in labels.SPECIALTIES, row
        assert row["id"] == records.content_hash(row["instruction"], row.get("input", ""))
        assert row["type"] in labels.TYPES and labels.canonical("view", row["view"]), row
        assert re.search("[가-힣]{2}", row["instruction"]), row
    assert min(Counter(row["difficulty"] for row in rows)[level] for level in labels.LEVELS) >= 4


def test_korean_seeds_cover_types_views_and_styles_and_share_no_specialty_with_the_items():
    seeds, items = korean("seeds"), korean("test_freeform")
    assert {row["type"] for row in seeds} == set(labels.TYPES)
    assert {labels.canonical("view", row["view"]) for row in seeds} == set(labels.VIEW_GROUPS)
    styles = Counter(row["style"] for row in seeds)
    assert set(styles) == set(labels.STYLES) and min(styles.values()) >= 3
    assert not {row["topic"] for row in seeds} & {row["topic"] for row in items}
    assert all(50 <= words(row["input"]) <= 200 for row in seeds if row["input"])
    assert all(80 <= words(row["reference"]) <= 250 for row in items)


def test_twelve_korean_conditions_have_the_facets_of_the_english_ones():
    rows = [parsed(row) for row in paths.load("korean/knowledge")]
    names = [name for row in rows for name in (row.name, *row.also)]
    assert len(rows) == 12 and len(set(names)) == len(names)
    assert {row.specialty for row in rows} <= set(labels.SPECIALTIES)
    assert all("119" in row.patient or "그날 바로 진료" in row.patient for row in rows)


def test_a_korean_template_has_no_particle_with_two_forms_after_a_slot():
    """Templates have the keys of the English ones; {where} always ends in 상황, so 을 is right."""
    korean = paths.load("korean/templates")
    texts = korean["templates"]
    assert set(paths.load("offline/templates")) <= set(texts)
    assert all(text.endswith("상황") for text in texts["setting"])
    written = json.dumps(korean, ensure_ascii=False).replace("{where}", "")
    particle = r".{10}[}](?:은|는|이|가|을|를|과|와|으로|로)(?=[\s.,?!\"])"
    assert not re.findall(particle, written)


def test_every_canonical_label_has_a_name_in_six_languages():
    names = paths.load("label_names")
    for axis, values in {**labels.VALUES, "fields": labels.FIELDS}.items():
        assert list(names[axis]) == list(values), axis
        for code in ("ko", "es", "de", "fr", "zh", "ja"):
            given = [row[code] for row in names[axis].values()]
            assert all(given) and len(set(given)) == len(given), (axis, code)


def test_snippets_of_four_languages_quote_their_identifiers():
    rows = [row for _, row in records.rows(paths.data("phi_snippets_other.jsonl"))]
    for code in ("ko", "de", "es", "fr"):
        own = [row for row in rows if row["language"] == code]
        assert len(own) >= 30 and sum(not row["found"] for row in own) == 8
        assert {row["split"] for row in own} == {"develop", "held_out", "hard"}
        for row in own:
            for hit in row["found"]:
                assert row["text"][hit["start"] :].startswith(hit["text"]), row
    readme = paths.data("README.md").read_text(encoding="utf-8")
    assert f"| {len(rows)} labeled snippets of paperwork" in readme


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
    assert not [
        row for row in quoted for e in row["expect"] if e.lower() not in row["text"].lower()
    ]


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
