"""A dataset under the microscope: examples as the model reads them, with the trained tokens coloured."""

import html
from collections.abc import Sequence
from typing import Any

from medinstruct.records import Example
from medinstruct.training.data import loss_mask

STYLE = {
    True: "background:#bfe3d6;color:#10231c;border-radius:2px;box-shadow:inset -1px 0 #fff",
    False: "opacity:.6;box-shadow:inset -1px 0 #8884",
}


def microscope(
    examples: Sequence[Example],
    *,
    tokenizer: Any,
    max_length: int = 1024,
    template: str = "alpaca",
    longest: int = 400,
) -> str:
    """HTML of some examples token by token; whatever stands in them is escaped. Over `longest` tokens the middle is left out."""
    boxes = []
    for example in examples:
        mask = loss_mask(example, tokenizer=tokenizer, max_length=max_length, template=template)
        trained = sum(is_trained for _, is_trained in mask)
        head = f"{html.escape(example.type)}: {trained} of {len(mask)} tokens are trained"
        body = "".join(_span(*token) for token in mask)
        if len(mask) > longest:
            first, last = mask[: longest // 2], mask[-longest // 2 :]
            gap = f"<em> … {len(mask) - longest} tokens … </em>"
            body = (
                "".join(_span(*token) for token in first)
                + gap
                + "".join(_span(*token) for token in last)
            )
        boxes.append(
            f'<p style="margin:.8em 0 .2em"><b>{head}</b></p><div style="white-space:pre-wrap;font:12px/1.7 monospace">{body}</div>'
        )
    return "\n".join(boxes)


def _span(token: str, is_trained: bool) -> str:
    shown = html.escape(token).replace("\n", "↵\n")
    return f'<span style="{STYLE[is_trained]}">{shown}</span>'
