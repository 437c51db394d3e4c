"""Use cases: five tasks of a clinician, their prompts and readers, and the standing notices."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import yaml

from medinstruct import paths
from medinstruct.errors import UserError

NOTICE = (
    "For learning and drafting only. This text is not medical advice and has not been checked; the "
    "clinician who uses it is responsible for what is done."
)
EMERGENCY = (
    "If this could be an emergency, call your local emergency number now, for example 112, 911 or "
    "999. Nothing on this page can rule an emergency out."
)
HEADING = re.compile(r"^\s*#{2,}", re.MULTILINE)


@dataclass(frozen=True)
class UseCase:
    """A use case: its prompt, its readers (name -> what this reader needs), the clinician's part."""

    name: str
    title: str
    responsibility: str
    instruction: str
    question: str
    readers: Mapping[str, str] = field(default_factory=dict)

    def task(self, question: str, given: str = "", *, reader: str = "") -> tuple[str, str]:
        """Return (instruction, input) for a question and the text that it is about.

        Headings in the user's text lose their marks, so that it cannot end its part of a template.
        """
        if reader and reader not in self.readers:
            do = f"Choose from: {', '.join(self.readers) or 'no reader'}."
            raise UserError(f"{self.title} has no such reader.", got=reader, do=do)
        parts = [part.strip() for part in (question or self.question, given) if part.strip()]
        instruction = " ".join(filter(None, [self.instruction, self.readers.get(reader)]))
        return instruction, HEADING.sub("", "\n\n".join(parts))


ROWS = yaml.safe_load(paths.data("use_cases.yaml").read_text(encoding="utf-8"))
USE_CASES = {row["name"]: UseCase(**row) for row in ROWS}


def chat_task(use_case: str, text: str, *, reader: str = "") -> tuple[str, str]:
    """Return (instruction, input) of a chat message; a text without a question is a case.

    >>> chat_task("", "What helps against asthma?")
    ('What helps against asthma?', '')
    """
    if use_case not in USE_CASES:
        return HEADING.sub("", text), ""
    question, given = (text, "") if "?" in text else ("", text)
    return USE_CASES[use_case].task(question, given, reader=reader)
