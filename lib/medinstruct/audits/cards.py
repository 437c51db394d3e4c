"""Cards: findings of audits, licenses of inputs, the dataset card with datasheet, its upload."""

import hashlib
import math
import re
from collections import Counter, namedtuple
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import huggingface_hub as hub
import pandas as pd

from medinstruct import labels, languages, manifest, paths, records, stats
from medinstruct.audits import drift, texts
from medinstruct.audits.phi import phi_accuracy, phi_snippets, scan_identifiers
from medinstruct.errors import UserError
from medinstruct.records import Example, Task

LIMITS: dict[str, list[float]] = paths.load("audit_limits")
UNKNOWN = {"license": "unknown", "hub": "unknown", "url": "", "terms": "", "restricts": ()}
STATES = {True: "within", False: "missed", None: "not shown"}
PHI_SPLITS = {"held-out": "held_out", "hard": "hard"}
SET_ASIDE = ("rejects", "dropped", "unfinished")
SIZES = {1_000: "n<1K", 10_000: "1K<n<10K", 100_000: "10K<n<100K", 1_000_000: "100K<n<1M"}


class Finding(namedtuple("Finding", "audit value low high n limit keeps")):
    """One number of an audit beside its threshold; `keeps` is None if it is not shown."""


def finding(audit: str, value: float, *, low=math.nan, high=math.nan, n=0, subject="") -> Finding:
    """Compare an audit's number with its threshold in `LIMITS`; `subject` says of what.

    Where the threshold has a bound, the whole interval must be on one side to decide. The interval
    of a share of fewer than `stats.LEAST` is not shown but still decides: 0 of 7 misses 0.9.
    """
    least, most, *bound = LIMITS[audit]
    limit = f"{least:g} to {most:g}"
    if math.isinf(most):
        limit = f"at least {least:g}"
    elif math.isinf(least):
        limit = f"at most {most:g}"
    name = f"{audit}, {subject}" if subject else audit
    ends = (low, high) if bound else (value, value)
    if bound and 0 < n < stats.LEAST and 0 <= value <= 1:
        ends = stats.wilson(value * n, n, least=1)[1:3]
    inside, outside = least <= ends[0] and ends[1] <= most, ends[1] < least or ends[0] > most
    passed = bool(inside) if inside or outside else None
    return Finding(name, float(value), float(low), float(high), int(n), limit, passed)


def dataset_findings(
    examples: Sequence[Example],
    *,
    seeds: Sequence[Task],
    versions: Sequence,
    snippets=None,
    language_drift: pd.DataFrame | None = None,
) -> list[Finding]:
    """Return the findings of all audits of a dataset.

    `snippets`: sets for `phi_accuracy`; `language_drift`: that of all texts, also set aside.
    """
    answered = {row.id: f"{row.instruction} {row.input} {row.output}" for row in examples}
    asked = {row.id: f"{row.instruction} {row.input}" for row in seeds}
    rows = {}
    for name, part in {"dataset": answered, "seeds": asked}.items():
        hits = scan_identifiers(part).query("counted")["where"].nunique()
        share = stats.wilson(hits, len(part))
        rows["identifiers", f"in the {name}"] = (*share[:3], share.n)
    snippets = snippets or {name: phi_snippets(split) for name, split in PHI_SPLITS.items()}
    for name, part in snippets.items():
        recall = phi_accuracy(part).loc["all"]
        rows["PHI recall", name] = recall[["recall", "recall_low", "recall_high", "labels"]]
    sex = texts.balance(list(answered.values()))
    rows["female share", ""] = [sex[k] for k in ("female", "female_low", "female_high", "one_sex")]
    views = {row.id: labels.canonical("view", row.view) for row in examples}
    levels = texts.reading_levels({row.id: row.output for row in examples}, views)
    lay = levels.loc[levels["view"] == texts.VIEWS[0], "grade"]
    rows["patients' grade", ""] = (*stats.mean_interval(lay, limits=()), len(lay))
    rates = texts.flag_rates(texts.flagged(examples), n=len(examples)).filter(LIMITS, axis="index")
    rows |= {(name, ""): row for name, row in rates[["share", "low", "high", "n"]].iterrows()}
    table = drift.language_drift(examples) if language_drift is None else language_drift
    for kind, part in table.groupby("kind", sort=False):
        share = stats.wilson(part["hits"].sum(), part["n"].sum())
        rows["language drift", kind] = (*share[:3], share.n)
    tables = drift.compare_versions(*versions), drift.compare_flags(*versions)
    alarms = pd.concat(table["alarm"] for table in tables)
    rows["version alarms", ""] = (alarms.sum(), math.nan, math.nan, len(alarms))
    return [
        finding(audit, value, low=low, high=high, n=n, subject=subject)
        for (audit, subject), (value, low, high, n) in rows.items()
    ]


def findings_table(findings: Iterable[Finding]) -> pd.DataFrame:
    """Return all findings, those that miss their threshold first; `status` says it in words."""
    frame = pd.DataFrame(findings, columns=list(Finding._fields)).set_index("audit")
    frame["status"] = frame["keeps"].map(STATES.get).where(frame["value"].notna(), "not measured")
    rank = frame["keeps"].map({False: 0, None: 1, True: 2}.get)
    return frame.loc[rank.sort_values(kind="stable").index]


class InputLicense(namedtuple("InputLicense", "what license hub url terms restricts")):
    """The terms of one input; `restricts` names conditions that reach what is made from it."""


def input_licenses(*, seeds: str, models: Iterable[str]) -> list[InputLicense]:
    """Return the license of the seeds and of every model that wrote."""
    is_ours = (paths.find(seeds) or Path()).resolve().is_relative_to(paths.data("korean"))
    name = "own" if is_ours else seeds if "://" in seeds else Path(seeds).name
    inputs = [("seeds", "the seed tasks", name)]
    inputs += [("models", f"the texts of {model}", Path(model).name) for model in models]
    rows = []
    for kind, what, name in inputs:
        table = paths.load("input_licenses")[kind]
        terms = next((row for row in table if re.search(row["pattern"], name, re.IGNORECASE)), {})
        rows.append(InputLicense(what, **UNKNOWN | {k: terms[k] for k in UNKNOWN if k in terms}))
    return rows


def license_conflicts(rows: Sequence[InputLicense], *, release: str = "Apache-2.0") -> list[str]:
    """Return conditions of inputs that a release would drop, for people to settle."""
    looked, restricted = paths.load("input_licenses")["looked"], [r for r in rows if r.restricts]
    messages = [
        f"{row.what} ({row.license}) come with a condition that {release} would drop: "
        f"{', '.join(row.restricts)}. Terms as of {looked}: {row.url}"
        for row in restricted
    ]
    unknown = [row.what for row in rows if row.license == "unknown"]
    messages += [f"The terms of {w} are not known: name them before a release." for w in unknown]
    kinds = sorted({row.license for row in restricted})
    more = [f"Several restrictions apply at once: {', '.join(kinds)}."] if len(kinds) > 1 else []
    return messages + more


def dataset_facts(folder: str | Path, *, file: str = "dataset.jsonl") -> dict[str, Any]:
    """Return what a run's files say about its dataset; missing files are skipped."""
    folder = Path(folder)
    examples = records.read(folder / file, Example)
    models = Counter(row.provenance.model or "unknown" for row in examples)
    explored = manifest.load(folder).get("01_explore_seeds", {}).get("values", {})
    licenses = input_licenses(seeds=explored.get("seeds", "own"), models=models)
    digest = hashlib.sha256((folder / file).read_bytes()).hexdigest()
    facts = {"file": file, "sha256": digest, "models": dict(models), "examples": len(examples)}
    facts["with_input"] = sum(bool(row.input) for row in examples)
    facts["labels"] = {axis: drift.label_counts(examples, axis) for axis in labels.VALUES}
    words = {n: drift.lengths(examples, n) for n in ("instruction", "output")}
    facts["words"] = {name: median(counts or [0]) for name, counts in words.items()}
    codes = (row.language or languages.detect(row.instruction + row.input) for row in examples)
    facts["languages"] = Counter(filter(None, codes))
    aside = {name: folder / f"{name}.jsonl" for name in SET_ASIDE}
    facts["set_aside"] = {n: len(records.rows(p)) for n, p in aside.items() if p.exists()}
    facts |= {"licenses": licenses, "conflicts": license_conflicts(licenses)}
    facts["stand_in"] = any("stand-in" in model for model in models)
    results = {name: folder / f"{name}.json" for name in ("generation", "audits", "agreement")}
    return facts | {n: paths.read_json(p) for n, p in results.items() if p.exists()}


def write_card(folder: str | Path, facts: Mapping[str, Any], *, name: str) -> Path:
    """Write README.md, the dataset card with its datasheet, beside the data."""
    licenses = facts["licenses"]
    names = {row.hub for row in licenses if row.restricts} or {row.hub for row in licenses}
    head = hub.DatasetCardData(
        pretty_name=name,
        license=names.pop() if len(names) == 1 else "other",
        size_categories=[next((s for n, s in SIZES.items() if facts["examples"] < n), "n>1M")],
        language=[c for c, n in facts["languages"].most_common() if 100 * n >= facts["examples"]],
        **paths.load("dataset_card"),
        configs=[{"config_name": "default", "data_files": facts["file"]}],
    )
    template = str(paths.data("dataset_card.md.j2"))
    given = {"name": name, "facts": facts, "languages": languages}
    card = hub.DatasetCard.from_template(head, template_path=template, **given)
    return records.write_text(Path(folder) / "README.md", str(card))


def check_release(folder: str | Path, facts: Mapping, *, private: bool) -> None:
    """Raise if the data holds identifiers, or is to be public with license conflicts."""
    if facts["conflicts"] and not private:
        got = "; ".join(facts["conflicts"])
        do = "Settle them first, or upload privately."
        raise UserError("The dataset has license conflicts and is not published.", got=got, do=do)
    rows = records.read(Path(folder) / facts["file"], Example)
    texts = {row.id: f"{row.instruction} {row.input} {row.output}" for row in rows}
    pairs = Path(folder) / "preferences.jsonl"
    for place, row in records.table(pairs) if pairs.exists() else ():
        texts[f"pair {place}"] = " ".join(str(row.get(k)) for k in ("prompt", "chosen", "rejected"))
    hits = scan_identifiers(texts).query("counted")
    if len(hits):
        do = "Look at them in notebook 07, and reject or edit them in its review."
        got = f"{hits['where'].nunique()} texts"
        raise UserError("The dataset may name people and is not uploaded.", got=got, do=do)


def push_to_hub(folder: str | Path, repo: str, *, facts: Mapping, private=True) -> str:
    """Upload data and card to `repo` (if any); never identifiers, nor conflicts in public."""
    if not repo:
        return ""
    check_release(folder, facts, private=private)
    api = hub.HfApi()
    url = str(api.create_repo(repo, repo_type="dataset", private=private, exist_ok=True))
    card = write_card(folder, facts, name=repo.rpartition("/")[2])
    files = {"folder_path": str(folder), "allow_patterns": [facts["file"], card.name]}
    api.upload_folder(repo_id=repo, repo_type="dataset", **files)
    return url
