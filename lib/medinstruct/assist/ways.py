"""Five ways of working with the model beside a clinician: what it is asked, for whom, and what the clinician stays responsible for."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from medinstruct.errors import UserError
from medinstruct.training.templates import message, prompt

NOTICE = (
    "Written by a language model for learning and drafting. It is no medical advice, nobody has checked it, and the clinician "
    "who uses it answers for what is done."
)
HEADING = re.compile(r"^\s*#{2,}", re.MULTILINE)


@dataclass(frozen=True)
class Way:
    """One way of working. `instruction` is what the model is told, `readers` for whom it writes (name -> what this reader needs),
    `question` what is asked where the user gives a text alone."""

    name: str
    title: str
    responsibility: str
    instruction: str
    question: str = ""
    readers: Mapping[str, str] = field(default_factory=dict)

    def task(self, question: str, given: str = "", *, reader: str = "") -> tuple[str, str]:
        """(instruction, input) as the model was trained on them; headings in the user's text lose their marks, so that it cannot
        end its own part of the template."""
        if reader and reader not in self.readers:
            do = (
                f"Choose from {', '.join(self.readers)}."
                if self.readers
                else "Leave `reader` away."
            )
            raise UserError(f"{self.title} has no such reader.", got=reader, do=do)
        told = f"{self.instruction} {self.readers[reader]}" if reader else self.instruction
        parts = [part.strip() for part in (question or self.question, given) if part.strip()]
        return told, HEADING.sub("", "\n\n".join(parts))

    def prompt(
        self, question: str, given: str = "", *, reader: str = "", template: str = "chat"
    ) -> list[dict[str, str]]:
        """The messages for one question, in the template that the model was trained with (alpaca or chat).

        >>> WAYS["learning"].prompt("Why does asthma wheeze?")[0]["role"]
        'user'
        """
        worded = prompt if template == "alpaca" else message
        return [{"role": "user", "content": worded(*self.task(question, given, reader=reader))}]


WAYS: dict[str, Way] = {
    way.name: way
    for way in (
        Way(
            "decision",
            "Decision support",
            "The clinician examines the patient, weighs what the model cannot see, orders the tests and decides. A list from a model "
            "is a reminder of what to think of, never a ranking of how likely it is.",
            "A clinician describes a case. List the likely diagnoses and those that must not be missed. For each, name the findings "
            "for it and against it. Then name the next tests, the red flags, and what result would change your mind. Say what is "
            "missing in the description. Use no number and no drug that the case does not give.",
            question="What should be considered?",
        ),
        Way(
            "education",
            "Patient education",
            "The clinician checks every sentence before a patient reads it, adapts it to this patient, and hears from the patient in "
            "their own words what was understood.",
            "Explain the text to a patient, keep its content, and add nothing to it. End with two questions by which the patient can "
            "show in their own words that they understood (teach-back).",
            question="Explain this to a patient.",
            readers={
                "simple": "Write for a reader with five years of school: short sentences, everyday words, no technical term.",
                "everyday": "Write for a reader with eight years of school: plain sentences, and explain each technical term.",
                "advanced": "Write for a reader who knows the field: use technical terms and the mechanism.",
            },
        ),
        Way(
            "results",
            "Reading of results",
            "The rules mark what is out of range before the model speaks. The clinician compares with earlier values, the sample and "
            "the patient, and acts on critical values without waiting for any text.",
            "A laboratory panel or a report is given. Say which values are abnormal and how they fit together, what could explain "
            "them, whether an error of the sample is possible, and what must be done first. Repeat values as they are given and do "
            "not invent any.",
            question="What do these results mean together?",
        ),
        Way(
            "handover",
            "Hand-over between specialties",
            "The sender answers for what is handed over: nothing that matters may be missing, nothing may be added, and open questions "
            "are put to a person by name.",
            "A case is handed over. Write what this reader needs to go on with the care, and end with a list of the open questions. "
            "Add nothing that the case does not say.",
            question="Write the hand-over.",
            readers={
                "cardiologist": "The reader is the cardiologist: rhythm, pump function, ischaemia, what was found and what is asked.",
                "pharmacist": "The reader is the pharmacist: each drug with its dose, kidney function, interactions, allergies, what was changed.",
                "nurse": "The reader is the nurse on the ward: what to watch, how often, and when to call.",
                "family": "The reader is the family: what happened and what comes next, in plain words, without technical terms.",
            },
        ),
        Way(
            "learning",
            "Learning",
            "The learner answers first, then reads the explanation that people wrote; the model's own is shown to be judged, not to be "
            "believed.",
            "Answer the multiple-choice question: name the letter of the right option, then explain in a few sentences why it is right "
            "and why each of the others is not.",
            question="Which answer is right, and why?",
        ),
    )
}
