"""The audits find what was planted and nothing where nothing is: people, reading level, risky words."""

import asyncio
import json
import math

import numpy as np
import pytest

from medinstruct import audits, labels, safety
from medinstruct.audits import texts as reading
from medinstruct.records import Example
from medinstruct.safety import counterfactual

COUNTED = {
    "thyroid": 2,
    "liver": 2,
    "hepatitis": 4,
    "cirrhosis": 3,
    "migraine": 2,
    "seizure": 2,
    "epilepsy": 4,
    "rheumatoid": 3,
    "osteoporosis": 6,
    "psoriasis": 4,
    "penicillin": 4,
    "ibuprofen": 4,
    "aspirin": 3,
    "warfarin": 3,
    "bruise": 1,
    "dizzy": 2,
    "weakness": 2,
    "shoulder": 2,
    "abdominal": 4,
    "intestine": 3,
    "colonoscopy": 5,
    "radiation": 4,
    "cancer": 2,
    "benign": 2,
    "lymph": 1,
    "immune": 2,
    "vaccine": 2,
    "caused": 1,
    "treated": 2,
    "increase": 2,
    "exercise": 3,
    "dehydration": 4,
    "evaluate": 4,
    "neuropathy": 4,
    "hearing": 2,
    "placenta": 3,
    "calcium": 3,
    "potassium": 4,
    "dialysis": 4,
    "asthma": 2,
    "diabetes": 4,
    "bacteria": 4,
    "pneumonia": 4,
    "diarrhea": 4,
    "ambulance": 3,
    "table": 2,
    "measles": 2,
}


def example(output, *, instruction="What helps?", kind="open Q&A", view="patient"):
    return Example(
        task="",
        type=kind,
        topic="",
        view=view,
        difficulty=1,
        instruction=instruction,
        output=output,
    )


def test_who_is_mentioned_is_counted_and_an_age_in_figures_counts():
    texts = [
        "A 72-year-old Black woman without insurance.",
        "He is 8 weeks old; a 3-week-old boy.",
        "Managing a 40-year-old man with a black eye.",
    ]
    table = audits.texts.demographic_shares(texts)["texts"]
    assert table["sex", "female"] == 1 and table["sex", "male"] == 2
    assert table["age", "older"] == 1 and table["age", "child"] == 1 and table["age", "adult"] == 1
    assert table["ethnicity", "Black"] == 1 and table["insurance", "uninsured"] == 1


def test_words_of_the_laboratory_are_no_people():
    table = audits.texts.demographic_shares(
        [
            "Sister chromatids separate. Human management, a white blood cell, a double-blind study, insulin."
        ]
    )
    assert table["texts"].sum() == 0


def test_a_dataset_about_one_sex_is_out_of_balance():
    found = audits.texts.balance(["The woman coughs."] * 18 + ["The man coughs."] * 2)
    ends = {"low": found["female_low"], "high": found["female_high"]}
    assert found["female"] == 0.9
    assert audits.finding("female share", found["female"], **ends).keeps is False


def test_syllables_of_medical_words_are_counted():
    wrong = {word for word, count in COUNTED.items() if reading.syllables(word) != count}
    assert len(wrong) <= 0.05 * len(COUNTED), wrong


def test_the_grade_is_the_published_formula():
    # Kincaid and others (1975): 0.39 words a sentence + 11.8 syllables a word - 15.59
    assert reading.grade("The cat sat on the mat.") == pytest.approx(0.39 * 6 + 11.8 - 15.59)
    assert reading.grade("The doctor looked. The nurse smiled.") == pytest.approx(
        0.39 * 3 + 11.8 * 7 / 6 - 15.59
    )
    assert math.isnan(reading.grade("")) and math.isnan(reading.grade("123 ..."))


def test_a_text_in_plain_words_is_easier_than_the_same_in_latin():
    plain = "You have high blood pressure. Take one pill a day. Call us if you feel bad."
    hard = "Essential hypertension necessitates antihypertensive pharmacotherapy, periodic reevaluation and individualized cardiovascular risk stratification."
    assert reading.grade(plain) < 4 < 15 < reading.grade(hard)


def test_the_english_formula_grades_no_other_language():
    texts = {
        "ko": "COPD 환자에게 LAMA와 LABA를 함께 쓰는 까닭을 설명해 주세요. " * 20,
        "de": "Nehmen Sie jeden Morgen eine Tablette und rufen Sie uns bei Schwindel an. " * 3,
        "en": "Take one tablet in the morning and call us if you feel dizzy. " * 3,
    }
    assert list(reading.reading_levels(texts, {}).index) == ["en"]
    assert reading.no_formula(texts.values()) == "Korean (1), German (1)"
    assert reading.no_formula(["Take one tablet in the morning.", "500"]) == ""


def test_clinicians_read_harder_texts_in_the_published_seeds(real_data):
    rows = [
        json.loads(line)
        for line in (real_data / "alpacare" / "MedInstruct-test.jsonl")
        .read_text(encoding="utf-8")
        .splitlines()
    ]
    texts = {
        str(n): row["instruction"] + " " + (row.get("input") or "") for n, row in enumerate(rows)
    }
    levels = audits.texts.reading_levels(texts, {}, minimum=5)
    assert len(levels) > 150 and 4 < levels["grade"].median() < 16


@pytest.mark.parametrize(
    ("flag", "output"),
    [
        ("absolute claim", "This drug is completely safe."),
        ("dose or unit", "Take .5 mg at night."),
        ("dose or unit", "Give 5.0 mg now."),
        ("dose or unit", "Inject 10 U."),
        ("contraindication", "It is contraindicated in asthma."),
        ("truncated", "The next step is to"),
        ("answer is", "The answer is (B)."),
        ("refusal", "I'm sorry, but I can't help with that."),
        ("machine speaks", "As an AI language model, I think so."),
    ],
)
def test_a_risky_word_is_flagged(flag, output):
    assert flag in audits.texts.risks(example(output))


@pytest.mark.parametrize(
    "output",
    [
        "Take 0.5 mg at night.",
        "Give 100 % oxygen.",
        "Take paracetamol 1 g, at most 4 g a day.",
        "Take paracetamol, at most 4,000 mg a day.",
        "Take amlodipine 2,5 mg.",
        "Take levothyroxine 0,125 mg.",
        "Rest and drink.",
        "Always wash your hands.",
        "See **this**",
    ],
)
def test_a_harmless_text_is_not_flagged(output):
    assert audits.texts.risks(example(output)) == {}


def test_the_answer_is_belongs_where_there_is_something_to_choose():
    assert audits.texts.risks(example("The answer is (B).", kind="multiple-choice Q&A")) == {}


def test_every_flag_has_a_rate_with_an_interval():
    table = audits.texts.flag_rates(
        audits.texts.flagged([example("Take .5 mg for"), example("Rest.")]), n=20
    )
    assert table.loc["dose or unit", "share"] == 0.05 and table.loc["truncated", "hits"] == 1
    assert (table["low"] <= table["share"]).all() and (table["share"] <= table["high"]).all()
    assert labels.canonical("view", "patient") == "patient/public"


def counted_identifiers(planted):
    texts = {str(n): "The patient has a fever." for n in range(50)}
    texts |= {"planted": "Mr. Oskar Trell, MRN 00482913, has a fever."} if planted else {}
    hits = audits.scan_identifiers(texts).query("counted")
    return hits["where"].nunique() / len(texts), {}


def phi_recall(planted):
    labeled = [{"kind": "name", "start": 4, "text": "Oskar Trell"}]
    missed = [
        {"text": "our tall Oskar came", "found": [{"kind": "name", "start": 9, "text": "Oskar"}]}
    ]
    snippets = [{"text": "Mr. Oskar Trell was seen", "found": labeled}] * 90
    row = audits.phi.phi_accuracy(snippets + missed * 10 * planted).loc["all"]
    return row["recall"], {"low": row["recall_low"], "high": row["recall_high"]}


def female_share(planted):
    texts = ["She has a fever.", "He has a fever."] * 100 + ["He coughs."] * 100 * planted
    row = audits.texts.balance(texts)
    return row["female"], {"low": row["female_low"], "high": row["female_high"]}


def biased_differences(planted):
    cases = counterfactual.cases()
    answers = counterfactual.planted_answers(cases, against="uninsured" if planted else "")
    table = counterfactual.case_differences(counterfactual.measure_cases(cases, answers))
    return table["biased"].sum(), {}


def detectable_loss(planted):
    return counterfactual.detectable_loss(8 if planted else 60), {}


def patients_grade(planted):
    hard = "Administer intravenous antihypertensive medication immediately after hospitalization. "
    text = (hard if planted else "Drink a lot of water and rest in bed for two days. ") * 3
    levels = reading.reading_levels({"1": text}, {"1": "patient/public"}, minimum=5)
    lay = levels["grade"].mean()
    return lay, {"low": lay, "high": lay}


def flag(name, output):
    def rate(planted):
        rows = [example("Rest and drink.", instruction=f"{n}?") for n in range(400)]
        rows += [example(output)] * 10 * planted
        rates = audits.texts.flag_rates(audits.texts.flagged(rows), n=len(rows))
        return rates.loc[name, "share"], dict(rates.loc[name, ["low", "high"]])

    return rate


def safe_answers(category):
    def share(planted):
        prompts = [row for row in safety.load_safety() if row.category == category]
        texts = [". ".join(group.split("|")[0] for group in row.must_mention) for row in prompts]
        texts = [text or "An answer." for text in texts]
        texts[: len(texts) // 2 * planted] = ["I'm sorry, but I can't help with that."] * (
            len(texts) // 2 * planted
        )
        results = asyncio.run(safety.evaluate_safety(3 * prompts, {"m": 3 * texts}, judge=None))
        rates = safety.responses.safety_rates(results).loc[("m", category)]
        return rates["score"], dict(rates[["low", "high"]])

    return share


def version_alarms(planted):
    before = [example("Rest. " * (n % 9 + 1), kind="chat") for n in range(200)]
    kind = "rewrite" if planted else "chat"
    after = [example("Rest. " * (n % 9 + 1), kind=kind) for n in range(200)]
    return audits.drift.compare_versions(before, after)["alarm"].sum(), {}


def language_drift(planted):
    rows = [
        example("Rest in bed and drink plenty of water.", instruction=f"{n}?") for n in range(90)
    ]
    rows += [example("Descanse en la cama y beba mucha agua.")] * 20 * planted
    row = audits.drift.language_drift(rows).loc["answers", "English"]
    return row["share"], dict(row[["low", "high"]])


OFFENDERS = {
    "identifiers": counted_identifiers,
    "PHI recall": phi_recall,
    "female share": female_share,
    "biased differences": biased_differences,
    "detectable loss": detectable_loss,
    "patients' grade": patients_grade,
    "absolute claim": flag("absolute claim", "This drug is completely safe."),
    "dose or unit": flag("dose or unit", "Take .5 mg at night."),
    "truncated": flag("truncated", "The next step is to"),
    "answer is": flag("answer is", "The answer is (B)."),
    "refusal": flag("refusal", "I'm sorry, but I can't help with that."),
    "machine speaks": flag("machine speaks", "As an AI language model, I think so."),
    "language drift": language_drift,
    "version alarms": version_alarms,
}
OFFENDERS |= {category: safe_answers(category) for category in safety.responses.CATEGORIES}


def test_every_audit_has_a_planted_offender():
    assert set(OFFENDERS) == set(audits.LIMITS)


@pytest.mark.parametrize("audit", audits.LIMITS)
def test_an_audit_misses_with_a_planted_offender_and_keeps_without(audit):
    clean, ends = OFFENDERS[audit](False)
    assert audits.finding(audit, clean, **ends).keeps is True
    planted, ends = OFFENDERS[audit](True)
    assert audits.finding(audit, planted, **ends).keeps is False


def test_an_interval_that_crosses_the_threshold_shows_nothing_on_either_side():
    unsure = audits.finding("PHI recall", 1.0, low=0.944, high=1.0, n=65)
    assert unsure.keeps is None and audits.finding("PHI recall", 1.0).keeps is None
    assert audits.finding("PHI recall", 1.0, low=0.951, high=1.0, n=75).keeps is True
    assert audits.finding("female share", 0.5, low=0.19, high=0.81, n=6).keeps is None
    assert audits.finding("PHI recall", 0.94, low=0.9, high=0.96, n=300).keeps is None
    assert audits.finding("PHI recall", 0.75, low=0.6, high=0.9, n=24).keeps is False
    assert audits.finding("emergency", 1.0, low=0.806, high=1.0, n=16).keeps is None
    assert audits.finding("emergency", 0.0, n=7).keeps is False, "no interval is shown, it decides"
    assert audits.finding("emergency", 6 / 7, n=7).keeps is None
    nothing = audits.finding("female share", float("nan"))
    table = audits.cards.findings_table([unsure, nothing, audits.finding("version alarms", 0)])
    assert table["status"].tolist() == ["not shown", "not measured", "within"]


def test_one_call_gives_the_finding_of_every_audit_and_finds_what_is_planted_in_each():
    rows = [
        example("Rest and drink a lot of water in bed. " * 3, instruction=f"She asks {n}?")
        for n in range(100)
    ]
    rows += [
        example("Rest and drink a lot of water in bed. " * 3, instruction=f"He asks {n}?")
        for n in range(100)
    ]
    versions = rows[::2], rows[1::2]
    clean = audits.dataset_findings(rows, seeds=rows[:5], versions=versions)
    names = [row.audit for row in clean]
    assert names[:4] == [
        "identifiers, in the dataset",
        "identifiers, in the seeds",
        "PHI recall, held-out",
        "PHI recall, hard",
    ]
    recall = {row.audit: row.keeps for row in clean if "recall" in row.audit}
    assert list(recall.values()) == [None, False], "hard snippets have a finding of their own"
    assert all(row.keeps for row in clean if row.audit in ("female share", "version alarms"))
    bad = [
        example(t, instruction=f"{n}?")
        for n, t in enumerate(["Mr. Oskar Trell has MRN 00482913.", "Take .5 mg."] * 5)
    ]
    moved = [example("Rest.", kind="rewrite") for _ in range(60)]
    named = [example("Rest.", instruction="Mr. Oskar Trell has MRN 00482913.")]
    hard = {name: audits.phi.phi_snippets("hard") for name in ("held-out", "hard")}
    spoiled = audits.dataset_findings(
        rows[:30] + bad, seeds=named, versions=(rows, moved), snippets=hard
    )
    missed = {row.audit for row in spoiled if row.keeps is False}
    assert missed >= {*names[:4], "dose or unit", "version alarms"}


@pytest.mark.parametrize(
    ("text", "trait", "groups"),
    [
        ("44살 남자구요 담배는 끊었어요", "sex", {"male"}),
        ("72/F, 3일간 설사", "sex", {"female"}),
        ("72/F, 3일간 설사", "age", {"older"}),
        ("연구 참여자의 딸꾹질", "sex", set()),
        ("65세 이상에게 권합니다", "age", set()),
        ("산모에게 드릴 안내문", "pregnancy", {"pregnant"}),
    ],
)
def test_groups_are_read_in_korean(text, trait, groups):
    assert audits.texts.mentions(text)[trait] == groups


def test_groups_that_a_text_mentions_are_read_by_trait():
    groups = audits.texts.mentions("A 72-year-old Black woman without insurance")
    read = [groups[trait] for trait in ("sex", "age", "ethnicity", "insurance")]
    assert read == [{"female"}, {"older"}, {"Black"}, {"uninsured"}]


def test_the_alarm_threshold_of_large_counts_is_the_usual_one():
    counts = np.array([5000, 5000])
    assert audits.drift.psi_limit(counts, counts) == 0.2


def test_advice_counts_urgency_and_tests():
    read = counterfactual.advice("I am sorry. Call 112 now; they will do an ECG and a troponin.")
    assert (read["words"], read["urgency"], read["tests"]) == (14, 3, 2)
