"""The prompt that a model is trained and asked with."""

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


def prompt(instruction: str, input: str = "") -> str:
    """The Alpaca prompt; the template without an input where there is none (the published code trains on a literal marker).

    >>> prompt("Explain asthma.").endswith("### Response:\\n"), "### Input" in prompt("Explain asthma.")
    (True, False)
    """
    template = WITH_INPUT if input else WITHOUT_INPUT
    before, _, after = template.partition("{instruction}")
    return before + instruction + after.replace("{input}", input)
