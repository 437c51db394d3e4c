"""The prompt that a model is trained and asked with, and an example as tokens: what is read, and from where it is trained."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from medinstruct.errors import UserError
from medinstruct.records import Example

# The two templates of Stanford Alpaca (tatsu-lab/stanford_alpaca), which AlpaCare uses too.
WITH_INPUT = (
    "Below is an instruction that describes a task, paired with an input that provides further context. "
    "Write a response that appropriately completes the request.\n\n"
    "### Instruction:\n{instruction}\n\n### Input:\n{input}\n\n### Response:\n"
)
WITHOUT_INPUT = (
    "Below is an instruction that describes a task. Write a response that appropriately completes the request.\n\n"
    "### Instruction:\n{instruction}\n\n### Response:\n"
)
KINDS = ("alpaca", "chat")


@dataclass(frozen=True)
class Row:
    """One example as the model reads it: its tokens; those from `start` on are trained, the last one ends the answer."""

    id: str
    type: str
    ids: list[int]
    start: int

    @property
    def labels(self) -> list[int]:
        """The tokens that count in the loss; -100 marks those that do not."""
        return [-100] * self.start + self.ids[self.start :]


def prompt(instruction: str, input: str = "") -> str:
    """The Alpaca prompt; the template without an input where there is none (the published code trains on a literal marker).

    >>> prompt("Explain asthma.").endswith("### Response:\\n"), "### Input" in prompt("Explain asthma.")
    (True, False)
    """
    template = WITH_INPUT if input else WITHOUT_INPUT
    before, _, after = template.partition("{instruction}")
    return before + instruction + after.replace("{input}", input)


def message(instruction: str, input: str = "") -> str:
    """What the user says in a chat: the instruction and, after an empty line, its input."""
    return f"{instruction}\n\n{input}" if input else instruction


def encode(examples: Sequence[Example], *, tokenizer: Any, template: str = "alpaca") -> list[Row]:
    """The examples as rows of tokens, by the Alpaca template or the model's own chat template.

    Prompt and answer are tokenised together, as at Stanford; where a token would reach over the border they are tokenised
    apart, so that the prompt's tokens are always those that the model is asked with later.
    """
    if template not in KINDS:
        raise UserError(
            "`template` is not known.", got=template, do=f"Choose from {', '.join(KINDS)}."
        )
    if tokenizer.eos_token_id is None:
        raise UserError(
            "The tokenizer has no end-of-sequence token.",
            got=tokenizer.name_or_path,
            do="Choose another model.",
        )
    pairs = [_texts(example, tokenizer, template) for example in examples]
    special = template == "alpaca"  # a chat template writes its own <s>
    asked = _ids([before for before, _ in pairs], tokenizer, special)
    whole = _ids([before + after for before, after in pairs], tokenizer, special)
    apart = _ids([after for _, after in pairs], tokenizer, False)
    rows = []
    for example, first, both, rest in zip(examples, asked, whole, apart, strict=True):
        ids = both if both[: len(first)] == first else first + rest
        ids = (
            ids
            if ids[-1] == tokenizer.eos_token_id and len(ids) > len(first)
            else [*ids, tokenizer.eos_token_id]
        )
        rows.append(Row(id=example.id, type=example.type, ids=ids, start=len(first)))
    return rows


def asked(instruction: str, input: str = "", *, tokenizer: Any, template: str = "alpaca") -> str:
    """The text that a model is asked with, the same that stands before the answer in training."""
    return (
        prompt(instruction, input)
        if template == "alpaca"
        else _turns(tokenizer, message(instruction, input))
    )


def _texts(example: Example, tokenizer: Any, template: str) -> tuple[str, str]:
    """The text before the answer, and the answer with what the template writes after it."""
    if template == "alpaca":
        return prompt(example.instruction, example.input), example.output
    before = _turns(tokenizer, message(example.instruction, example.input))
    whole = _turns(tokenizer, message(example.instruction, example.input), example.output)
    if not whole.startswith(before):
        do = "Set template: alpaca, or choose a model whose template writes a question the same way with and without its answer."
        raise UserError(
            "The chat template writes the prompt differently once it is answered.",
            got=before[-80:],
            do=do,
        )
    return before, whole[len(before) :].rstrip("\n")


def _turns(tokenizer: Any, question: str, answer: str | None = None) -> str:
    if not tokenizer.chat_template:
        raise UserError(
            "The model has no chat template.",
            got=tokenizer.name_or_path,
            do="Set template: alpaca.",
        )
    turns = [{"role": "user", "content": question}]
    turns += [{"role": "assistant", "content": answer}] if answer is not None else []
    return tokenizer.apply_chat_template(
        turns, tokenize=False, add_generation_prompt=answer is None
    )


def _ids(texts: list[str], tokenizer: Any, special: bool) -> list[list[int]]:
    """Tokens of many texts; an end-of-sequence token that a tokenizer adds by itself is taken away."""
    found = (
        tokenizer(texts, add_special_tokens=special, return_attention_mask=False)["input_ids"]
        if texts
        else []
    )
    return [
        ids[:-1] if ids and ids[-1] == tokenizer.eos_token_id and special else ids for ids in found
    ]
