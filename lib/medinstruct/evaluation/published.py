"""A worked example on real verdicts: what gpt-4o-mini said of one published model, and what its published table does not say."""

from dataclasses import dataclass

import pandas as pd

from medinstruct import paths
from medinstruct.errors import UserError
from medinstruct.evaluation.aligning import load_answers
from medinstruct.evaluation.bias import bias_panel
from medinstruct.evaluation.items import load_items, reference_texts
from medinstruct.evaluation.looks import texts_of
from medinstruct.evaluation.replay import load_verdicts
from medinstruct.evaluation.winrates import win_rates
from medinstruct.records import TestItem, Verdict

MODEL = "Alpaca-Llama-2-7b-chat"
# the published table's measures -> ours
SAME = {
    "win_rate": "win_rate",
    "win_rate_non_tied": "win_rate_non_tied",
    "win_rate_half_ties": "half_ties",
    "consistency": "consistency",
}


@dataclass(frozen=True)
class Example:
    """The stored verdicts with all that belongs to them."""

    items: list[TestItem]
    verdicts: list[Verdict]
    texts: dict[str, dict[str, str]]
    published: pd.DataFrame

    def beside(self) -> pd.DataFrame:
        """Each published number and ours in per cent, and whether they agree to the printed digit."""
        rates = win_rates(self.verdicts)
        rows = [
            (reference, name, row[name], round(100 * rates.loc[reference, own], 1))
            for reference, row in self.published.iterrows()
            for name, own in SAME.items()
        ]
        frame = pd.DataFrame(rows, columns=["reference", "measure", "published", "ours"])
        return frame.assign(same=frame["published"] == frame["ours"])

    def panel(self) -> pd.DataFrame:
        """The bias panel of the stored verdicts, by reference."""
        return bias_panel(self.verdicts, self.texts).droplevel("model")


def published_example(folder: str) -> Example | None:
    """The stored verdicts on MedInstruct-test in a folder with judge_verdicts/ and alpacare/; None where no folder is named."""
    if not folder:
        return None
    place = paths.resolve(folder)
    missing = [name for name in ("judge_verdicts", "alpacare") if not (place / name).is_dir()]
    if missing:
        raise UserError(
            "The folder does not hold the published verdicts.",
            got=missing,
            do="Leave the parameter empty to skip this.",
        )
    items = load_items(str(place / "alpacare/MedInstruct-test.jsonl"))
    stored = place / "judge_verdicts" / MODEL
    verdicts = load_verdicts(f"{stored}.jsonl", items=items, model=MODEL)
    texts = texts_of(load_answers(f"{MODEL}={stored}.answers.json", items)) | reference_texts(items)
    return Example(
        items, verdicts, texts, pd.read_csv(f"{stored}.published.csv", index_col="reference")
    )
