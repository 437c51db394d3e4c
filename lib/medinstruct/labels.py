"""One spelling for every label: ten task types, seven view groups, the specialties, levels 1 to 5."""

import re
from functools import cache
from typing import Any

import yaml

from medinstruct import paths

TYPES = (
    "text generation",
    "open Q&A",
    "chat",
    "rewrite",
    "summarization",
    "classification",
    "USMLE-style Q&A",
    "multiple-choice Q&A",
    "single-hop reasoning",
    "multiple-hop reasoning",
)
VIEW_GROUPS = (
    "patient/public",
    "student/trainee",
    "clinician",
    "allied health",
    "public health/policy",
    "researcher",
    "educator/writer",
)
LEVELS = (1, 2, 3, 4, 5)
SPECIALTIES = tuple(
    """Cardiology · Vascular Medicine · Pulmonology · Critical Care · Emergency Medicine · Anesthesiology · Sleep Medicine ·
    Toxicology · Gastroenterology · Hepatology · Nephrology · Urology · Endocrinology · Nutrition · Hematology · Oncology ·
    Palliative Care · Infectious Diseases · Microbiology · Immunology and Allergy · Rheumatology · Neurology · Neurosurgery ·
    Psychiatry · Addiction Medicine · Dermatology · Ophthalmology · Otolaryngology · Dentistry · Orthopedics ·
    Sports Medicine · Rehabilitation · General Medicine · Surgery · Obstetrics · Gynecology · Sexual Health · Neonatology · Pediatrics ·
    Geriatrics · Family Medicine · Nursing · Pharmacy · Radiology · Pathology · Laboratory Medicine · Pharmacology ·
    Genetics · Anatomy · Physiology · Pathophysiology · Biochemistry · Epidemiology · Biostatistics · Public Health ·
    Health Policy · Medical Ethics · Medical Education · Medical Informatics · Occupational Medicine ·
    Travel and Tropical Medicine""".replace("\n", " ").split("·")
)
SPECIALTIES = tuple(" ".join(name.split()) for name in SPECIALTIES)
# The specialties by field, for the tree of what is covered; every specialty stands in one field.
FIELDS = {
    "Heart, lungs, acute care": "Cardiology · Vascular Medicine · Pulmonology · Critical Care · Emergency Medicine · Anesthesiology · "
    "Sleep Medicine · Toxicology",
    "Inner organs, metabolism": "Gastroenterology · Hepatology · Nephrology · Urology · Endocrinology · Nutrition",
    "Blood, tumours, defence": "Hematology · Oncology · Palliative Care · Infectious Diseases · Microbiology · Immunology and Allergy · "
    "Rheumatology",
    "Brain and mind": "Neurology · Neurosurgery · Psychiatry · Addiction Medicine",
    "Skin, senses, mouth": "Dermatology · Ophthalmology · Otolaryngology · Dentistry",
    "Movement and surgery": "Orthopedics · Sports Medicine · Rehabilitation · Surgery",
    "Women, children, age": "Obstetrics · Gynecology · Sexual Health · Neonatology · Pediatrics · Geriatrics",
    "General care": "General Medicine · Family Medicine · Nursing · Pharmacy · Occupational Medicine · Travel and Tropical Medicine",
    "Diagnostics": "Radiology · Pathology · Laboratory Medicine",
    "Basic science": "Pharmacology · Genetics · Anatomy · Physiology · Pathophysiology · Biochemistry",
    "Populations and profession": "Epidemiology · Biostatistics · Public Health · Health Policy · Medical Ethics · Medical Education · "
    "Medical Informatics",
}
FIELDS = {field: tuple(names.split(" · ")) for field, names in FIELDS.items()}

# A label has the first type whose words all stand in it.
TYPE_WORDS = (
    ("USMLE-style Q&A", "usmle"),
    ("multiple-choice Q&A", "choice"),
    ("single-hop reasoning", "single"),
    ("multiple-hop reasoning", "multi"),
    ("open Q&A", "open"),
    ("summarization", "summar"),
    ("rewrite", "rewrit"),
    ("classification", "classif"),
    ("text generation", "generation"),
    ("chat", "chat"),
    ("chat", "dialogue"),
    ("open Q&A", "question answering"),
)
# A view belongs to the first group one of whose words it contains; the more special groups stand first.
VIEW_WORDS = {
    "student/trainee": "student training trainee resident intern pupil-doctor fellow undergraduate usmle",
    "educator/writer": "educator educationist tutor teacher writer journalist author editor instructor lecturer professor communicator",
    "public health/policy": "public_health epidemiolog policy administrator health_official government ministry manager officer",
    "researcher": "bioethicist ethicist research scientist biostatistic investigator academic",
    "allied health": "psychotherap nurs pharmacist physiotherap physical_therap dietitian dietician nutritionist paramedic midwife counselor "
    "counsellor occupational_therap technician technolog therapist social_worker radiographer audiologist caregiver_professional",
    "patient/public": "patient parent mother father caregiver carer family public pupil athlete consumer layperson relative "
    "pregnant citizen individual child adult teen user person",
    "clinician": "clinician physician doctor expert surgeon practitioner specialist ologist geneticist intensivist psychiatrist "
    "pediatrician paediatrician obstetrician dentist consultant medical_professional healthcare professional gp hospitalist "
    "provider anesthetist anaesthetist emergency optometrist geriatrician neonatologist oncologist",
}
# Words that point to a specialty which does not carry its own name.
TOPIC_WORDS = {
    "Cardiology": "cardi heart",
    "Pulmonology": "pulmon respirat lung asthma",
    "Neurology": "neuro brain stroke",
    "Endocrinology": "endocrin diabet thyroid hormon",
    "Oncology": "oncolog cancer tumor",
    "Genetics": "genetic genom hereditary",
    "Psychiatry": "psychiat mental psycholog depress anxiety",
    "Infectious Diseases": "infect virus covid hiv vaccin",
    "Immunology and Allergy": "immun allerg",
    "Pediatrics": "pediatr paediatr child",
    "Dermatology": "dermat skin",
    "Orthopedics": "orthop fractur musculoskel bone",
    "Ophthalmology": "ophthalm eye",
    "Otolaryngology": "otolaryng ent ear",
    "Radiology": "radiolog imaging x-ray mri",
    "Pharmacology": "pharmacol drug medication",
    "Pharmacy": "pharmacy",
    "Pathophysiology": "pathophys",
    "Physiology": "physiolog",
    "Anatomy": "anatom",
    "Pathology": "patholog histolog",
    "Epidemiology": "epidemiol",
    "Public Health": "public prevention screening",
    "Medical Ethics": "ethic",
    "Medical Education": "education",
    "Nutrition": "nutrit diet",
    "Nephrology": "nephrol kidney renal",
    "Urology": "urolog",
    "Gastroenterology": "gastro digest",
    "Hepatology": "hepat liver",
    "Hematology": "hemat haemat blood",
    "Rheumatology": "rheumat arthrit",
    "Obstetrics": "obstet pregnan",
    "Gynecology": "gynec gynaec women",
    "Emergency Medicine": "emergency",
    "Surgery": "surg",
    "Geriatrics": "geriat aging elderly",
    "Medical Informatics": "informatic telemedic digital technolog artificial",
    "Biostatistics": "statistic",
    "Health Policy": "policy insurance",
    "Critical Care": "intensive critical",
    "Rehabilitation": "rehabilit physical_therapy",
    "Dentistry": "dent oral",
    "Sleep Medicine": "sleep",
    "Toxicology": "toxic poison",
    "Biochemistry": "biochem metabol",
    "Microbiology": "microbio bacter",
    "Palliative Care": "palliat hospice",
    "Laboratory Medicine": "laborator",
    # a second try for words that would otherwise be too general
    "Infectious Diseases ": "virology epidemic",
    "Pathology ": "histopath",
    "Medical Education ": "literacy",
    "Biostatistics ": "clinical_trial clinical_study",
    "Sports Medicine": "sport",
    "Neonatology": "neonat newborn",
    "Nursing": "nursing",
    "Vascular Medicine": "vascular",
    "General Medicine": "diagnos disease treatment therap symptom clinical_note medical_report general internal_medicine prognos",
}


@cache
def canonical(kind: str, raw: object) -> str | int | None:
    """The one spelling of a label: `kind` is type, view (its group), topic (a specialty) or difficulty; None where nothing fits.

    >>> canonical("type", "Multiple Choice Q&A"), canonical("type", "Rewriting"), canonical("difficulty", "3")
    ('multiple-choice Q&A', 'rewrite', 3)
    >>> canonical("view", "Patient’s Perspective"), canonical("view", "Expert (Doctor)"), canonical("topic", "Genetic Disorders")
    ('patient/public', 'clinician', 'Genetics')
    """
    text = _folded(raw)
    if kind == "difficulty":
        return int(text) if text in {"1", "2", "3", "4", "5"} else None
    if kind == "type":
        return next((name for name, word in TYPE_WORDS if word in text), None)
    if kind == "view":
        return next((group for group, words in VIEW_WORDS.items() if _has(text, words)), None)
    if kind == "topic":
        exact = {_folded(name): name for name in SPECIALTIES}
        return exact.get(text) or next(
            (name.strip() for name, words in TOPIC_WORDS.items() if _has(text, words)), None
        )
    raise ValueError(f"kind must be type, view, topic or difficulty, not {kind!r}")


def _has(text: str, words: str) -> bool:
    """Whether one of the words starts a word of the text ("ologist" may end one)."""
    return bool(_pattern(words).search(text))


@cache
def _pattern(words: str) -> re.Pattern[str]:
    hits = (word.replace("_", " ") for word in words.split())
    return re.compile(
        "|".join(word if word == "ologist" else rf"\b{re.escape(word)}" for word in hits)
    )


def _folded(raw: object) -> str:
    return " ".join(str(raw).lower().replace("’", "'").split())


@cache
def published(data: str, axis: str) -> Any:
    """What the paper's authors published, counts by label or one number: `data` is seeds (167), generated (64,350) or cut.

    >>> published("seeds", "difficulty")[3], published("seeds", "with_input")
    (51, 112)
    """
    return yaml.safe_load(paths.data("published.yaml").read_text(encoding="utf-8"))[data][axis]
