"""The model beside a clinician: five ways of working, and rules that look at question and answer, whatever the model says."""

from medinstruct.assist.agreeing import Agreement, agreement
from medinstruct.assist.chat import chat
from medinstruct.assist.checking import Checked, checked, clean
from medinstruct.assist.claims import Conflict, conflicts
from medinstruct.assist.drugs import drug_names, find_drugs
from medinstruct.assist.marking import Mark, marks
from medinstruct.assist.panels import Value, cautions, read_panel
from medinstruct.assist.plain import BANDS, band, reading_grade
from medinstruct.assist.ranges import Analyte, analytes
from medinstruct.assist.redflags import Emergency, emergencies
from medinstruct.assist.transcript import Transcripts, as_jsonl, as_markdown
from medinstruct.assist.ways import NOTICE, WAYS, Way

__all__ = [
    "BANDS", "Transcripts", "as_jsonl", "as_markdown", "chat", "NOTICE", "WAYS", "Agreement", "Analyte", "Checked", "Conflict", "Emergency", "Mark", "Value", "Way", "agreement", "analytes",
    "band", "cautions", "checked", "clean", "conflicts", "drug_names", "emergencies", "find_drugs", "marks", "read_panel", "reading_grade",
]  # fmt: skip
