"""README, pages, citation, containers and workflows: short, linked, current, pinned."""

import hashlib
import json
import re
import tomllib
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
import yaml
from PIL import Image
from support import data_urls

from medinstruct import paths

ROOT = paths.root()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
NAMES = ["README.md", "README.ko.md", "CHANGELOG.md", "lib/medinstruct/data/README.md"]
PAGES = [*(ROOT / name for name in NAMES), *sorted((ROOT / "docs").glob("*.md"))]
TEXT = {page: page.read_text(encoding="utf-8") for page in PAGES}
README = TEXT[ROOT / "README.md"]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))


def anchors(text):
    """The anchors that GitHub gives to the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", re.sub(r"```.*?```", "", text, flags=re.S), re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in headings}


def test_the_readme_is_short():
    assert len(README.splitlines()) <= 150


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_relative_link_leads_somewhere(page):
    links = [link for link in re.findall(r"\]\(([^)\s]+)\)", TEXT[page]) if "://" not in link]
    missing = []
    for link in links:
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        if not target.exists():
            missing.append(link)
        elif anchor and target.suffix == ".md":
            text = target.read_text(encoding="utf-8")
            missing += [] if anchor in anchors(text) else [link]
    assert not missing


def test_the_first_screen_names_readers_a_command_and_three_pictures():
    top = README.partition("## The notebooks")[0]
    for words in (
        "Researchers",
        "Clinicians",
        "Engineers",
        "make demo",
        "Nothing here is medical advice",
    ):
        assert words in top
    pictures = re.findall(r"!\[([^\]]+)\]\((docs/images/[^)]+)\)", top)
    assert len(pictures) == 3 and all(len(alt) > 40 for alt, _ in pictures)
    for _, file in pictures:
        with Image.open(ROOT / file) as image:
            assert image.width >= 1500, "drawn at twice the size"
        assert (ROOT / file).stat().st_size <= 160_000


def test_the_record_of_the_readme_is_one_of_the_demo():
    record = json.loads(re.search(r"```json\n(.*?)```", README, re.S)[1])
    lines = (ROOT / "outputs/demo/dataset.jsonl").read_text(encoding="utf-8").splitlines()
    assert any(record.items() <= json.loads(line).items() for line in lines)


def test_badges_of_a_service_wait_until_the_repository_is_published():
    published = PROJECT["tool"].get("medinstruct", {}).get("published", False)
    live = re.findall(r"badge\.svg|colab-badge|mybinder\.org/badge|kaggle\.com/static", README)
    assert published or not live


def test_citation_and_changelog_name_the_version():
    version = PROJECT["project"]["version"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == version and citation["license"] == PROJECT["project"]["license"]
    assert citation["repository-code"] == PROJECT["project"]["urls"]["Repository"]
    latest = re.search(r"^## \[([\d.]+)\] - ([\d-]+)", TEXT[ROOT / "CHANGELOG.md"], re.M)
    assert latest.groups() == (version, citation["date-released"])


def test_the_page_on_design_draws_every_chapter_in_its_rank():
    from test_structure import CHAPTERS, RANKS

    drawn = TEXT[ROOT / "docs/design.md"]
    table = [row for row in drawn.splitlines() if re.match(r"\| \d, ", row)]
    named = [set(re.findall(r"`(\w+)`(?:[:]| ·| \|)", row)) for row in reversed(table)]
    assert set(CHAPTERS) <= set.union(*named)
    assert named[1:] == RANKS[1:], "docs/design.md must name the chapters of RANKS, rank by rank"
    assert named[0] <= RANKS[0], "docs/design.md names a module of the ground that is gone"


# Containers and workflows


@pytest.mark.parametrize("name", ["cpu", "gpu"])
def test_an_image_is_pinned_and_its_user_has_no_rights(name):
    text = (ROOT / f"containers/{name}.Dockerfile").read_text(encoding="utf-8")
    assert re.search(r"^FROM [\w/]+:\d+\.\d+\.\d+-\S+$", text, re.M)
    assert "USER 1000" in text and "make .venv/ready" in text
    torch = re.findall(r"torch==([\d.]+)", text + (ROOT / ".binder/postBuild").read_text())
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert {f"TORCH := torch=={version}" in makefile for version in torch} == {True}


def test_the_dev_container_builds_an_image_that_exists():
    folder = ROOT / ".devcontainer"
    config = json.loads((folder / "devcontainer.json").read_text(encoding="utf-8"))
    assert (folder / config["build"]["dockerfile"]).resolve().exists()
    assert (folder / config["build"]["context"]).resolve() == ROOT


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_has_few_rights_pinned_actions_and_an_end(path):
    workflow = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert workflow["permissions"] == {"contents": "read"}
    for job in workflow["jobs"].values():
        assert job["timeout-minutes"] <= 90
        for step in job["steps"]:
            assert "uses" not in step or re.search(r"@(v\d+|[0-9a-f]{40})$", step["uses"])
            targets = re.findall(r"\bmake ([\w./]+)", step.get("run", ""))
            assert all(f"\n{name}:" in (ROOT / "Makefile").read_text() for name in targets), targets


def test_a_changed_file_behind_a_pinned_url_is_reported(tmp_path, capsys):
    (tmp_path / "served").mkdir()
    (tmp_path / "served/a.json").write_text("[1]")
    handler = partial(SimpleHTTPRequestHandler, directory=tmp_path / "served")
    handler.log_message = None
    good = hashlib.sha256(b"[1]").hexdigest()
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/a.json"
        profile = tmp_path / "params/p.yaml"
        profile.parent.mkdir()
        profile.write_text(f'seeds: "{url}#sha256={good}"')
        assert data_urls.main([profile.parent]) == 0
        profile.write_text(f'seeds: "{url}#sha256={"0" * 64}"\ntest: "{url}x#sha256={good}"')
        assert data_urls.main([profile.parent]) == 1
        server.shutdown()
    printed = capsys.readouterr().out
    assert "as pinned" in printed and "has the hash" in printed and "does not answer" in printed


def test_the_guard_of_data_urls_finds_those_of_profiles_and_benchmarks():
    urls = [url for url, _ in data_urls.pinned([ROOT / "params", paths.PACKAGE / "data"])]
    assert len(urls) >= 4 and any("med_seed.json" in url for url in urls)
