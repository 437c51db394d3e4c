"""A dataset on the hub: uploaded only where somebody named the place, where it names nobody and where its licences allow it."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from medinstruct import records
from medinstruct.audits.dataset_card import write_papers
from medinstruct.audits.phi import scan_identifiers
from medinstruct.errors import UserError
from medinstruct.records import Example


def push_to_hub(
    folder: str | Path, repo: str, *, known: Mapping[str, Any], private: bool = True
) -> str:
    """Upload the data and its papers to a (private) dataset repository, owner/name; its address. An empty `repo` uploads nothing.

    Refused where something in the very file that would go could name a person, and in public while conditions of its inputs are open.
    """
    if not repo:
        return ""
    if known["conflicts"] and not private:
        do = "Settle them first; a private upload is none."
        raise UserError(
            "The dataset has licences in conflict and is not published.",
            got="; ".join(known["conflicts"]),
            do=do,
        )
    file = Path(folder) / known["file"]
    texts = {
        one.id: f"{one.instruction} {one.input} {one.output}" for one in records.read(file, Example)
    }
    found = scan_identifiers(texts).query("counted")
    if len(found):
        do = "Look at them in notebook 06, and reject or edit them in its review."
        raise UserError(
            "The dataset may name people and is not uploaded.",
            got=f"{found['where'].nunique()} texts",
            do=do,
        )
    from huggingface_hub import HfApi

    api = HfApi()
    url = str(api.create_repo(repo, repo_type="dataset", private=private, exist_ok=True))
    papers = write_papers(
        folder,
        known,
        name=repo.rpartition("/")[2],
        url=url,
        date=time.strftime("%Y-%m-%d", time.gmtime()),
    )
    wanted = [known["file"], *(paper.name for paper in papers)]
    api.upload_folder(
        folder_path=str(folder), repo_id=repo, repo_type="dataset", allow_patterns=wanted
    )
    return url
