"""The records that the stages hand on, and how they are read and written.

Tasks are the noun of chapters 1 to 3, Response and Example of chapter 4, TestItem, Answer and Verdict of chapter 8. Every record
carries an id that is a hash of its content, and the provenance that tells which model wrote it from what.
"""

from medinstruct.records.files import parse, read, rows, write, write_json, write_text
from medinstruct.records.kinds import (
    NO_INPUT,
    Answer,
    Consultation,
    Dropped,
    Example,
    MultipleChoice,
    Provenance,
    Record,
    Reject,
    Response,
    SafetyPrompt,
    Task,
    TestItem,
    Verdict,
    content_hash,
)

__all__ = [
    "NO_INPUT", "Answer", "Consultation", "Dropped", "Example", "MultipleChoice", "Provenance", "Record", "Reject", "Response", "SafetyPrompt",
    "Task", "TestItem", "Verdict", "content_hash", "parse", "read", "rows", "write", "write_json", "write_text",
]  # fmt: skip
