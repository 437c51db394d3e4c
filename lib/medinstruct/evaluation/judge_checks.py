"""Checks of a judge: entrance test, bias, prompt injection, agreement, people, and a summary."""

import random
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import chain, combinations, compress
from pathlib import Path

import numpy as np
import pandas as pd

from medinstruct import paths, records, stats
from medinstruct.errors import UserError
from medinstruct.evaluation import judge as judging
from medinstruct.evaluation import win_rate
from medinstruct.evaluation.answers import evenly, statistics
from medinstruct.evaluation.judge import Answers, Items, Judge, Pair, pair_key
from medinstruct.evaluation.verdicts import KEY, PAIR, SCORE, TEXTS, by_judge, majority, table
from medinstruct.filtering import count_words
from medinstruct.llm import Client, is_refusal
from medinstruct.records import Answer, Verdict

ENTRANCE = ("shuffled reference", "word salad", "tiny model")  # texts that a reference must beat
LEAST_RIGHT = 0.95  # share of right verdicts that a judge needs in each kind of entrance test
ENDS, SHIFT = ["score", "low", "high"], ["shift", "shift_low", "shift_high"]
VOTE = ["id", *PAIR, "question", "rater"]
# The control: any added line can change the verdict of an inconsistent judge.
CONTROL = "This is the end of the answer to the question above."
ATTACKED, CONTROLLED = " + ", " + control of "
UNMEASURED = (np.nan, np.nan, np.nan, 0)  # value, low, high, n of a check

Verdicts = Sequence[Verdict]


async def entrance(
    judge: Judge, test_items: Items, references: Answers, *, items: int = 40
) -> list[Verdict]:
    """Return verdicts on references against clearly worse texts; none for a replay."""
    pairs = entrance_pairs(test_items, references, items=items)
    is_stored = isinstance(judge, judging.Replay)
    return [] if is_stored else await judging.ask(judge, pairs, label="entrance test")


def entrance_pairs(test_items: Items, references: Answers, *, items: int = 40) -> list[Pair]:
    """Return the comparisons of the entrance test: the model is always the better text.

    `items` evenly spaced items (0 for all) with their first reference, against the reference of
    another item, as many words drawn from all references, and what a tiny model wrote (ENTRANCE).
    """
    first = {answer.item: answer for answer in reversed(references) if answer.text}
    chosen = evenly([item for item in test_items if item.id in first], items)
    if len(chosen) < 2:
        do = "Give reference answers to two items or more."
        raise UserError("The entrance test compares references.", got=len(chosen), do=do)
    written, worse = [first[item.id] for item in chosen], []
    words = " ".join(answer.text for answer in written).split()
    for n, answer in enumerate(written):
        other = written[(n + len(written) // 2) % len(written)].text
        salad = random.Random(answer.item).choices(words, k=len(answer.text.split()))
        noise = TEXTS["tiny_model"][n % len(TEXTS["tiny_model"])]
        for kind, text in zip(ENTRANCE, (other, " ".join(salad), noise), strict=True):
            worse.append(Answer(item=answer.item, model=kind, text=text))
    return judging.build_pairs(chosen, written, references=worse)


def entrance_results(verdicts: Verdicts) -> pd.DataFrame:
    """Return one row per kind of worse text: counts of verdicts, share of right ones over items."""
    frame = table(verdicts)
    winner, kind = frame["winner"], frame["reference"].rename("kind")
    marks = {"right": winner == "model", "tie": winner == "tie", "invalid": winner.isna()}
    rows = pd.DataFrame({"n": 1} | marks).groupby(kind, sort=False).sum()
    groups = marks["right"].groupby(kind, sort=False)
    shares = [_share(part, frame.loc[part.index, "id"]) for _, part in groups]
    rows = rows.join(pd.DataFrame(shares, index=rows.index, columns=[*ENDS, "items"]))
    return rows.assign(passed=rows["score"] >= LEAST_RIGHT)


def passed(results: pd.DataFrame) -> bool | None:
    """Return whether a judge passed every kind of entrance test; None if it was not tested."""
    return bool(results["passed"].all()) if len(results) else None


def entrance_sentence(results: pd.DataFrame) -> str:
    """Return the result of the entrance test in one sentence."""
    if not len(results):
        return "This judge was not tested: whether it tells good answers from bad is not known."
    parts = [f"{row['right']} of {row['n']} against {kind}" for kind, row in results.iterrows()]
    rule = f"right verdicts for the reference: {', '.join(parts)}; {LEAST_RIGHT:.0%} are needed"
    if passed(results):
        return f"This judge passed its entrance test; {rule}."
    tie, invalid, right = results[["tie", "invalid", "right"]].sum() / results["n"].sum()
    shares = f"{tie:.0%} ties, {abs(1 - tie - invalid - right):.0%} wrong, {invalid:.0%} unreadable"
    return f"This judge failed its entrance test: {shares}; {rule}."


def bias_panel(verdicts: Verdicts, answers: Sequence[Answer], **origins) -> pd.DataFrame:
    """Return one row per model and reference: what may have moved its score besides quality.

    Beside `win_rates` and `length_controlled`: shares of truncated `answers`; kin, the side of the
    judge's family of models, by name or by `origins`: model -> its base and writers of its data.
    """
    rates = win_rate.win_rates(verdicts, by_model=True)
    names = [name for name in rates if name.startswith(("score", "consistency", "position_bias"))]
    rows = rates[["low", "high", *names]].join(win_rate.length_controlled(verdicts, answers))
    truncated, judge = statistics(answers)["truncated"], verdicts[0].snapshot or verdicts[0].judge
    kin = {name for name in chain(*rows.index) if kin_of(judge, [name, *origins.get(name, ())])}
    for side in PAIR:
        rows[f"truncated_{side}"] = rows.index.get_level_values(side).map(truncated)
    sides = [compress(PAIR, [name in kin for name in pair]) for pair in rows.index]
    return rows.assign(kin=list(map(" ".join, sides)))


def writers(folder: Path) -> dict[str, set[str]]:
    """Return the models that wrote a run's training data: tasks, responses, judge's verdicts."""
    files = {"tasks": folder / "tasks.jsonl", "responses": folder / "dataset.jsonl"}
    rows = {what: records.rows(path) for what, path in files.items() if path.exists()}
    origins = {what: [row.get("provenance", {}) for _, row in rows[what]] for what in rows}
    wrote = {what: {own.get("model", "") for own in origins[what]} - {""} for what in rows}
    learned = paths.read_json(folder / "preferences.json")
    return wrote | ({"verdicts": {learned["judge"]}} if learned.get("judge_passed") else {})


def kinship(judge: str, wrote: Mapping[str, Iterable[str]]) -> str:
    """Return a sentence if the judge or its family wrote training data, else ""."""
    own = {what: kin_of(judge, names) for what, names in wrote.items()}
    names, what = sorted(set().union(*own.values())), " and ".join(filter(own.get, own))
    return what and TEXTS["kinship"].format(judge=judge, what=what, writers=", ".join(names))


def kin_of(judge: str, names: Iterable[str]) -> list[str]:
    """Return the names of models that are the judge or of its family."""

    def family(name: str) -> str | None:
        kinds = TEXTS["families"].items()
        return next((key for key, words in kinds if re.search(words, name.lower())), None)

    return [name for name in names if name == judge or family(name) == family(judge) is not None]


async def attack(
    judge: Client | None, pairs: Iterable[Pair], verdicts: Iterable[Verdict]
) -> list[Verdict]:
    """Return verdicts on answers with a prompt injection, and on controls; none without a judge.

    Each shipped attack is put into another answer that had lost in both orders; its control has a
    harmless line in the same place.
    """
    lost = Counter(pair_key(verdict)[:3] for verdict in verdicts if verdict.winner == "reference")
    targets = defaultdict(list)
    for pair in pairs:
        if lost[pair_key(pair)[:3]] == 2 and pair.answer.text:
            targets[pair_key(pair)[:3]].append(pair)
    attacks, changed = records.load_table(paths.data("judge_attacks.jsonl")), []
    for n, row in enumerate(attacks if judge and targets else ()):
        for mark, line in ((ATTACKED, row["text"]), (CONTROLLED, CONTROL)):
            for pair in list(targets.values())[n * len(targets) // len(attacks)]:
                lines = [line, pair.answer.text]
                text = "\n".join(lines if row.get("place") == "before" else lines[::-1])
                name = f"{pair.answer.model}{mark}{row['name']}"
                answer = Answer(item=pair.answer.item, model=name, text=text)
                changed.append(replace(pair, answer=answer))
    return await judging.ask(judge, changed, label="attacks") if changed else []


def attack_results(verdicts: Iterable[Verdict]) -> pd.DataFrame:
    """Return one row per attack: its score, that of its control, and the gain (0: not obeyed)."""
    frame = table(verdicts)
    is_control = frame["model"].str.contains(CONTROLLED, regex=False)
    names = frame["model"].str.replace(CONTROLLED, ATTACKED, regex=False)
    frame["kind"] = is_control.map({True: "control", False: "score"})
    frame["attack"] = names.str.rsplit(ATTACKED, n=1).str[-1]
    wide = frame.pivot_table(index="attack", columns="kind", values="score", sort=False)
    wide = wide.reindex(columns=["score", "control"]).eval("gain = score - control")
    return wide.sort_values("gain", ascending=False, kind="stable")


async def sweep(judge: Judge, pairs: Sequence[Pair], *, items: int = 40) -> dict[str, list]:
    """Return {policy: verdicts} for each policy in the prompt; none for a replay."""
    part, swept = judging.on_items(pairs, items), {}
    for policy in [] if isinstance(judge, judging.Replay) else judging.POLICIES:
        worded = [replace(pair, policy=policy) for pair in part]
        swept[policy] = await judging.ask(judge, worded, label=policy)
    return swept


def sweep_results(swept: Mapping[str, Verdicts]) -> pd.DataFrame:
    """Return one row per pair and wording: n items, score, and shift from the unstated policy."""
    scores, rows = {name: win_rate.item_scores(part).unstack() for name, part in swept.items()}, []
    for policy, column in scores.items():
        for pair, shift in (column - scores["unstated"]).dropna().groupby(PAIR, sort=False):
            score = stats.mean_interval(column[shift.index])
            rows.append((*pair, policy, len(shift), *score, *_mean(shift)[:3]))
    return pd.DataFrame(rows, columns=[*PAIR, "wording", "n", *ENDS, *SHIFT])


def agreement(verdicts: Verdicts) -> pd.DataFrame:
    """Return kappa of every two judges on shared pairs, and alpha of all ("all (alpha)")."""
    wide = table(verdicts).pivot(index=KEY, columns="instrument", values="winner").astype(object)
    wide = wide.where(wide.notna(), None)
    ratings = {name: wide[name].tolist() for name in by_judge(verdicts)}
    rows = [(a, b, *stats.cohen_kappa(ratings[a], ratings[b])) for a, b in combinations(ratings, 2)]
    if rows:
        rows.append(("all (alpha)", "", *stats.krippendorff_alpha(list(ratings.values()))))
    return pd.DataFrame(rows, columns=["judge", "other", "value", *ENDS[1:], "pairs"])


def load_votes(path: str | Path) -> pd.DataFrame:
    """Load blinded human votes, one row per vote with VOTE and winner; none for an empty path."""
    names, rows = [*VOTE, "winner"], []
    for place, row in records.table(path) if path else ():
        where = f"{path}, {place}, "
        rows.append([records.as_text(row.get(n), where=where + n, numbers=True) for n in names])
    votes = pd.DataFrame(rows, columns=names)
    is_wrong = votes.eq("").any(axis=1) | ~votes["winner"].isin(SCORE) | votes.duplicated(VOTE)
    if is_wrong.any():
        do = f"Each vote needs {', '.join(VOTE)} and winner: {', '.join(SCORE)}, once per rater."
        got = f"vote {is_wrong.argmax() + 1}: {votes[is_wrong].iloc[0].to_dict()}"
        what = f"{is_wrong.sum()} votes in {path} cannot be read or occur twice."
        raise UserError(what, got=got, do=do)
    return votes


def vote_results(votes: pd.DataFrame) -> pd.DataFrame:
    """Return one row per model, reference and question: n pairs, raters, majority score, alpha."""
    rows = []
    for key, group in votes.groupby([*PAIR, "question"], sort=False):
        wide = group.pivot(index="rater", columns="id", values="winner")
        scores = wide.apply(lambda winners: SCORE[majority(winners.dropna())])
        alpha = stats.krippendorff_alpha(wide.to_numpy().tolist())[:3]
        rows.append((*key, len(scores), len(wide), *stats.mean_interval(scores), *alpha))
    columns = ["n", "raters", *ENDS, "alpha", "alpha_low", "alpha_high"]
    return pd.DataFrame(rows, columns=[*PAIR, "question", *columns])


def summary(
    verdicts: Verdicts, *, pairs=(), entrance=(), attacked=(), swept=(), others=(), votes=None
) -> pd.DataFrame:
    """Return one row per check of a judge: value, low, high, n items, alarming, finding.

    `others` are verdicts of further judges, the rest is from the functions above. fine: the
    interval lies within the range of the check (judging.yaml); alarm: it lies outside; unclear:
    neither.
    """
    results, shifts = entrance_results(entrance), sweep_results(dict(swept))
    measured = _shares(table(verdicts), verdicts)
    measured |= {
        "entrance test": _worst(results, -results["score"], columns=[*ENDS, "items"]),
        "length": _length_effect(table(entrance), pairs),
        "attacks": _mean(attack_results(attacked)["gain"]),
        "wording": _worst(shifts, shifts["shift"].abs(), columns=[*SHIFT, "n"]),
        "agreement of judges": _lowest_kappa(verdicts, others),
        "agreement with people": _kappa_with_people(verdicts, votes),
    }
    limits = pd.DataFrame(TEXTS["checks"]).T.rename_axis("check")
    values = [measured[name] for name in limits.index]
    checks = pd.DataFrame(values, index=limits.index, columns=["value", "low", "high", "n"])
    checks = checks.assign(alarming=limits["alarming"], finding="unclear").astype({"n": int})
    least, most = limits["least"].astype(float), limits["most"].astype(float)
    checks.loc[(checks["low"] >= least) & (checks["high"] <= most), "finding"] = "fine"
    checks.loc[(checks["high"] < least) | (checks["low"] > most), "finding"] = "alarm"
    if len(results):
        checks.loc["entrance test", "finding"] = "fine" if passed(results) else "alarm"
    checks.loc[checks["n"] == 0, "finding"] = "not measured"
    return checks


def _shares(frame: pd.DataFrame, verdicts: Verdicts) -> dict[str, tuple[float, ...]]:
    """Return ties, unreadable, consistency and position bias: value, low, high, n items."""
    readable = frame.dropna(subset="score")
    orders = readable.pivot(index=KEY[:3], columns="order", values="score")
    orders = orders.reindex(columns=judging.verdicts.ORDERS).dropna()  # one order shows no bias
    ids = orders.index.get_level_values("id")
    is_refused = pd.Series([is_refusal(verdict.reply) for verdict in verdicts], dtype=bool)
    return {
        "ties": _share(readable["winner"] == "tie", readable["id"]),
        "unreadable": _share(frame["score"].isna() | is_refused, frame["id"]),
        "consistency": _share(orders.nunique(axis=1) == 1, ids),
        "position bias": _mean(orders.diff(-1, axis=1).iloc[:, 0].groupby(ids).mean()),
    }


def _worst(rows: pd.DataFrame, by: pd.Series, *, columns: Sequence[str]) -> tuple[float, ...]:
    """Return value, low, high and n (`columns`) of the row that is highest in `by`."""
    return tuple(rows.loc[by.idxmax(), list(columns)]) if len(rows) else UNMEASURED


def _share(marks: Iterable[bool], ids: Iterable[str]) -> tuple[float, ...]:
    """Return the mean of marks over items, with its interval."""
    means = pd.Series(list(marks), dtype=float).groupby(list(ids)).mean()
    return *stats.mean_interval(means), len(means)


def _mean(values: pd.Series) -> tuple[float, ...]:
    return *stats.mean_interval(values, limits=(-1, 1)), len(values)


def _length_effect(frame: pd.DataFrame, pairs: Sequence[Pair]) -> tuple[float, ...]:
    """Return how much more often the right one of two references wins where it is the longer."""
    gaps, frame = {}, frame[frame["reference"] == ENTRANCE[0]]
    for pair in (pair for pair in pairs if pair.reference.model == ENTRANCE[0]):
        gaps[pair.answer.item] = count_words(pair.answer.text) - count_words(pair.reference.text)
    right = (frame["winner"] == "model").groupby(frame["id"]).mean()
    sign = pd.Series(gaps, dtype=float).reindex(right.index, fill_value=0)
    shorter, longer = (stats.wilson(right[part].sum(), part.sum()) for part in (sign < 0, sign > 0))
    is_measured = shorter.n and longer.n
    return (*stats.difference(shorter, longer), len(right)) if is_measured else UNMEASURED


def _lowest_kappa(verdicts: Verdicts, others: Verdicts) -> tuple[float, ...]:
    """Return a judge's lowest kappa with another judge, over the verdicts that both can give."""
    own, kappas = table(verdicts).set_index(KEY)["winner"], []
    for group in by_judge(others).values():
        other = table(group).set_index(KEY)["winner"]
        both = pd.concat([own, other], axis=1, join="inner").dropna()
        kappas.append(tuple(stats.cohen_kappa(both.iloc[:, 0], both.iloc[:, 1])))
    return min(kappas, default=UNMEASURED)


def _kappa_with_people(verdicts: Verdicts, votes: pd.DataFrame | None) -> tuple:
    """Return kappa of the majority of people and a judge's winner by its mean score."""
    if votes is None or votes.empty:
        return UNMEASURED
    human = votes.groupby([*KEY[:3], "question"])["winner"].agg(majority).rename("human")
    score = win_rate.item_scores(verdicts).unstack().dropna().rename("score")
    both = human.reset_index().merge(score.reset_index(), on=KEY[:3])
    names = {-1: "reference", 0: "tie", 1: "model"}
    return tuple(stats.cohen_kappa(both["human"], np.sign(both["score"] - 0.5).map(names)))
