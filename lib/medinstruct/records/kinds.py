"""The kinds of records: what a task, an example, an answer or a verdict has."""

import hashlib
import json
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

NO_INPUT = {"", "<noinput>", "noinput", "no input", "none", "n/a"}


def content_hash(*parts: object) -> str:
    """Sixteen hex digits that name this content, the same on every machine.

    >>> content_hash("Explain asthma.", "")
    'a41c90dfee35ca93'
    """
    return hashlib.sha256(json.dumps(parts, ensure_ascii=False, sort_keys=True).encode()).hexdigest()[:16]


class Provenance(BaseModel):
    """Where a record came from: the model that wrote it, the request that was sent, the records that stood in the prompt."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    source: str = ""
    model: str = ""
    request: str = ""
    parents: tuple[str, ...] = ()


class Record(BaseModel):
    """What all records share: an id over the fields named in `_content`, and a provenance."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)
    _content: tuple[str, ...] = ()
    id: str = ""
    provenance: Provenance = Provenance()

    @model_validator(mode="after")
    def _name_by_content(self) -> Self:
        if not self.id:
            object.__setattr__(self, "id", content_hash(*(getattr(self, name) for name in self._content)))
        return self


class Task(Record):
    """A medical task: four labels as they were written, an instruction, and an input where one is needed."""

    _content = ("instruction", "input")
    type: str
    topic: str
    view: str
    difficulty: int = Field(ge=1, le=5)
    instruction: str = Field(min_length=1)
    input: str = ""

    @field_validator("input", mode="after")
    @classmethod
    def _no_input_is_empty(cls, text: str) -> str:
        return "" if text.lower().strip("\"' .") in NO_INPUT else text


class Reject(Record):
    """A piece of a reply that did not become a task: its raw text and the reason."""

    _content = ("raw", "reason", "provenance_key")
    raw: str
    reason: str

    @property
    def provenance_key(self) -> str:
        """The request that the piece came from, so that the same words in two replies are two rejects."""
        return self.provenance.request


class Dropped(Record):
    """A task that the filter removed: the rule, and where it was similarity, the nearest kept text and its ROUGE-L F1."""

    _content = ("task", "rule")
    task: str
    instruction: str
    rule: str
    nearest: str = ""
    nearest_text: str = ""
    score: float | None = None


class Response(Record):
    """What a model answered to a task, whole or (then it is not trained on) cut at the token limit."""

    _content = ("task", "text")
    task: str
    text: str
    finish_reason: str = "stop"


class Example(Task):
    """One row of the dataset: a task and its response, which the Alpaca format calls `output`."""

    _content = ("instruction", "input", "output")
    task: str
    output: str = Field(min_length=1)


class TestItem(Record):
    """One free-form test question, with the answers of the reference models by name."""

    __test__ = False
    _content = ("instruction", "input")
    instruction: str = Field(min_length=1)
    input: str = ""
    difficulty: int | None = Field(default=None, ge=1, le=5)
    type: str = ""
    topic: str = ""
    view: str = ""
    references: dict[str, str] = {}


class MultipleChoice(Record):
    """One multiple-choice question with four options, the index of the right one, and why it is right."""

    _content = ("question", "options")
    type: str
    topic: str
    difficulty: int = Field(ge=1, le=5)
    question: str = Field(min_length=1)
    options: tuple[str, str, str, str]
    answer: int = Field(ge=0, le=3)
    rationale: str = Field(min_length=1)


class SafetyPrompt(Record):
    """A prompt that tries an assistant's safety: what a good answer does, and what it must or must not say.

    `must_mention` holds groups of lower-case alternatives separated by "|".
    """

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=False)  # the blank after "not " counts
    _content = ("prompt",)
    category: Literal["emergency", "dosing_trap", "refuse_or_redirect", "harmless_lookalike"]
    topic: str
    prompt: str = Field(min_length=1)
    behaviour: Literal["escalate", "warn", "decline", "answer"]
    expected: str = Field(min_length=1)
    must_mention: tuple[str, ...] = ()
    must_avoid: tuple[str, ...] = ()


class Answer(Record):
    """What one model answered to one test item."""

    _content = ("item", "model", "text")
    item: str
    model: str
    text: str
    finish_reason: str = "stop"


class Verdict(BaseModel):
    """One judgement of one item in one order; `id` is the item's, so that both orders and all references line up.

    `judge` is the model that was asked, `snapshot` what the server said it is, `prompt` the hash of the prompt's wording, `asked`
    how often it was asked. The provenance's parents are the answer's id and the hash of the reference text.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    id: str
    model: str
    reference: str
    order: Literal["model_first", "reference_first"]
    winner: Literal["model", "reference", "tie"] | None
    judge: str = ""
    reply: str = ""
    snapshot: str = ""
    prompt: str = ""
    asked: int = 1
    provenance: Provenance = Provenance()


class Consultation(Record):
    """What one model said in one way of working, to one reader: the question, what it was given, the answer and further samples."""

    _content = ("way", "question", "given", "reader", "model", "text")
    way: str
    case: str
    question: str
    given: str = ""
    reader: str = ""
    model: str
    text: str
    finish_reason: str = "stop"
    samples: tuple[str, ...] = ()
    dataset: str = ""
