"""After training: whether answers end by themselves, and the adapter folded into the weights it was trained on."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from medinstruct import stats
from medinstruct.errors import UserError
from medinstruct.training.loading import load_model, load_tokenizer

PROBE = "The patient has had a cough and fever for three days."


def stop_gate(reasons: Sequence[str], *, least: float = 0.9) -> dict[str, Any]:
    """How many answers ended at the end-of-sequence token ("stop"), with a 95 % Wilson interval, and a warning when few did.

    >>> stop_gate(["stop"] * 8 + ["length"] * 2)["warning"]
    'Only 8 of 10 answers end by themselves (the gate is 90 %): train longer, or give answers more room.'
    >>> stop_gate(["stop"] * 10)["warning"]
    ''
    """
    if not reasons:
        raise UserError(
            "There are no answers to look at.",
            got=0,
            do="Hold some examples out: raise eval_share.",
        )
    n, ended = len(reasons), sum(reason == "stop" for reason in reasons)
    share, low, high, *_ = stats.wilson(ended, n)
    warning = f"Only {ended} of {n} answers end by themselves (the gate is {100 * least:.0f} %): train longer, or give answers more room."
    return {
        "asked": n,
        "ended": ended,
        "share": round(share, 4),
        "low": round(low, 4),
        "high": round(high, 4),
        "warning": "" if share >= least else warning,
    }


def merge(
    base: str | Path,
    *,
    adapter: str | Path,
    folder: str | Path,
    precision: str = "float32",
    tolerance: float = 1e-3,
) -> float:
    """Fold an adapter into the whole base model (never into its 4-bit copy) and save it; returns the largest relative change.

    The change is that of the logits on a sentence, relative to the largest logit: at most `tolerance` in float32, and at most
    0.05 in half precision; where it is larger nothing is saved.
    """
    import torch
    from peft import PeftModel

    tokenizer, model = load_tokenizer(base), load_model(base, precision=precision)
    try:
        tuned = PeftModel.from_pretrained(model, str(adapter)).eval()
    except (OSError, ValueError) as error:
        do = "Give the folder of a LoRA adapter."
        raise UserError(
            "The adapter could not be loaded.", got=str(error).split("\n")[0], do=do
        ) from None
    given = tokenizer(PROBE, return_tensors="pt")["input_ids"].to(model.device)
    with torch.inference_mode():
        before = tuned(input_ids=given).logits.float()
        merged = tuned.merge_and_unload()
        after = merged(input_ids=given).logits.float()
    change = ((after - before).abs().max() / before.abs().max()).item()
    limit = tolerance if precision == "float32" else 0.05
    if not change <= limit:
        got = f"logits change by {change:.2g}"
        raise UserError(
            "The merged model answers differently.", got=got, do="Set precision: float32."
        )
    draft = Path(folder).with_name(f".{Path(folder).name}")
    shutil.rmtree(draft, ignore_errors=True)
    merged.save_pretrained(draft, safe_serialization=True)
    tokenizer.save_pretrained(draft)
    shutil.rmtree(folder, ignore_errors=True)
    draft.rename(folder)
    return change
