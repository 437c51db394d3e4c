"""The model beside a clinician: five ways of working, and rules that look at question and answer, whatever the model says."""

from medinstruct.assist.agreeing import Agreement, agreement
from medinstruct.assist.asking import consult, looked_at
from medinstruct.assist.cases import Case, cases, points_held
from medinstruct.assist.chat import chat
from medinstruct.assist.checking import Checked, checked, clean, criticals
from medinstruct.assist.claims import Conflict, conflicts
from medinstruct.assist.drawing import found_figure, level_figure, panel_figure, points_figure
from medinstruct.assist.drugs import drug_names, find_drugs
from medinstruct.assist.marking import Mark, marks
from medinstruct.assist.pages import case_html, panel_table, toy_notice, ways_html
from medinstruct.assist.panels import Value, cautions, read_panel
from medinstruct.assist.plain import BANDS, band, reading_grade
from medinstruct.assist.quizzing import as_case, chosen, draw_quiz, quiz_html, score
from medinstruct.assist.ranges import Analyte, analytes
from medinstruct.assist.redflags import Emergency, emergencies
from medinstruct.assist.summing import (
    found_table,
    levels_of,
    missed_and_false,
    points_table,
    rule_agreement,
)
from medinstruct.assist.transcript import Transcripts, as_jsonl, as_markdown
from medinstruct.assist.ways import NOTICE, WAYS, Way

__all__ = [
    "Transcripts",
    "as_jsonl",
    "as_markdown",
    "chat",
    "BANDS",
    "NOTICE",
    "WAYS",
    "Agreement",
    "Analyte",
    "Case",
    "Checked",
    "Conflict",
    "Emergency",
    "Mark",
    "Value",
    "Way",
    "agreement",
    "analytes",
    "as_case",
    "band",
    "case_html",
    "cases",
    "cautions",
    "checked",
    "chosen",
    "clean",
    "conflicts",
    "consult",
    "criticals",
    "draw_quiz",
    "drug_names",
    "emergencies",
    "find_drugs",
    "found_figure",
    "found_table",
    "level_figure",
    "levels_of",
    "looked_at",
    "marks",
    "missed_and_false",
    "panel_figure",
    "panel_table",
    "points_figure",
    "points_held",
    "points_table",
    "quiz_html",
    "read_panel",
    "reading_grade",
    "rule_agreement",
    "score",
    "toy_notice",
    "ways_html",
]
