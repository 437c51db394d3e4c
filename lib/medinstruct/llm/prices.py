"""What a model costs: a dated table that ships with the package, which the user can extend."""

from dataclasses import dataclass

import yaml

from medinstruct import paths
from medinstruct.errors import UserError


@dataclass(frozen=True)
class Price:
    """US dollars a million tokens, for prompt and completion, and the share of it that a batch costs."""

    prompt: float
    completion: float
    batch_share: float = 0.5
    source: str = ""

    def of(self, prompt_tokens: float, completion_tokens: float, *, batch: bool = False) -> float:
        """The cost in US dollars of so many tokens."""
        usd = (prompt_tokens * self.prompt + completion_tokens * self.completion) / 1e6
        return usd * (self.batch_share if batch else 1.0)


FREE = Price(0.0, 0.0, source="no price is asked")


def price(model: str, *, table: str = "", given: tuple[float, float] = (0.0, 0.0)) -> Price | None:
    """The price of a model: as given, else from the user's table, else from the shipped one; None where it is not known.

    A dated name such as "gpt-4o-2024-08-06" has the price of the name that it begins with, unless it has its own.
    """
    if any(given):
        return Price(*given, source="given as parameters")
    for name in (table, str(paths.data("prices.yaml"))):
        rows = _table(name) if name else {}
        known = [
            key
            for key in rows
            if model == key or model.startswith(f"{key}-2") or model.startswith(f"{key}-0")
        ]
        if known:
            return _price(rows[max(known, key=len)], where=f"{name}, {model}")
    return None


def _table(name: str) -> dict[str, dict[str, float]]:
    path = paths.resolve(name)
    try:
        return dict(yaml.safe_load(path.read_text(encoding="utf-8"))["models"])
    except (yaml.YAMLError, KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{path} is not a price table.",
            got=str(error)[:200],
            do="Write it like the shipped prices.yaml.",
        ) from None


def _price(row: dict[str, float], *, where: str) -> Price:
    try:
        return Price(
            float(row["prompt"]),
            float(row["completion"]),
            float(row.get("batch_share", 1.0)),
            source=where,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{where} has no usable price.",
            got=row,
            do="It needs prompt and completion, in USD a million tokens.",
        ) from error
