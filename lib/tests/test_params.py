"""Parameters and profiles: nothing unknown, nothing of the wrong type."""

import pytest
import yaml
from packaging.requirements import Requirement

from medinstruct import params, paths
from medinstruct.errors import UserError

PROFILES = params.profiles()
STATED = {
    "budget_usd",
    "output_format",
    "teacher",
    "responder",
    "judge",
    "benchmark_limit",
    "template",
}
NOTEBOOKS = paths.notebooks()


def test_there_are_seven_profiles_and_none_is_over_40_lines():
    names = ["demo", "colab", "gpu", "korean", "local", "openai", "paper"]
    assert [path.stem for path in PROFILES] == names
    assert max(len(path.read_text().splitlines()) for path in PROFILES) <= 40


@pytest.mark.parametrize("path", PROFILES, ids=lambda path: path.stem)
def test_a_profile_states_only_what_differs_and_merges_with_the_right_types(path):
    values = params.merged(path)
    defaults = {name: default for name, (_, default) in params.defaults().items()}
    assert set(values) == set(defaults)
    if path.stem != "demo":
        assert (
            not {key for key, value in params.profile(path).items() if value == defaults[key]}
            - STATED
        )


def test_the_notebooks_own_defaults_are_the_demo():
    assert params.profile("demo") == {"run": "demo"}
    assert params.merged("demo") == {name: value for name, (_, value) in params.defaults().items()}


def test_a_notebook_has_at_most_11_parameters_and_all_together_about_60():
    assert max(len(params.declared(book)) for book in NOTEBOOKS) <= 11
    assert len(params.defaults()) <= 62


def test_a_profile_may_start_from_another(tmp_path):
    (tmp_path / "mine.yaml").write_text("base: openai\nrun: mine\nrequests: 5\n")
    values = params.merged(tmp_path / "mine.yaml")
    assert (values["run"], values["requests"]) == ("mine", 5)
    assert values["teacher"] == params.merged("openai")["teacher"]
    (tmp_path / "loop.yaml").write_text(f"base: {tmp_path / 'loop.yaml'}\nrun: x\n")
    with pytest.raises(UserError, match="its own base"):
        params.profile(tmp_path / "loop.yaml")


def test_a_base_may_lie_beside_the_profile_and_a_circle_is_refused(tmp_path):
    (tmp_path / "mine.yaml").write_text("base: openai\nrun: mine\n")
    (tmp_path / "child.yaml").write_text("base: mine.yaml\nseed: 7\n")
    values = params.profile(tmp_path / "child.yaml")
    assert (values["run"], values["seed"]) == ("mine", 7)
    (tmp_path / "mine.yaml").write_text("base: child.yaml\n")
    with pytest.raises(UserError, match="is its own base"):
        params.profile(tmp_path / "child.yaml")


def test_a_mistyped_profile_is_told_the_nearest_name():
    with pytest.raises(UserError, match="Did you mean openai?"):
        params.profile("opnai")
    with pytest.raises(UserError, match="does not exist"):
        params.profile("params/nowhere.yaml")


def test_the_printed_table_of_one_notebook_is_what_papermill_reads(tmp_path):
    lines = params.table("gpu", "08")
    (tmp_path / "08.yaml").write_text("\n".join(lines))
    values = yaml.safe_load((tmp_path / "08.yaml").read_text())
    book = next(book for book in NOTEBOOKS if book.stem.startswith("08"))
    assert set(values) == set(params.declared(book)) and values["lora_rank"] == 32
    assert all(line.partition("  # ")[2].endswith(".") for line in lines)
    assert len(params.table("gpu")) == len(params.defaults())


def test_a_key_of_two_notebooks_has_one_type_one_default_and_one_sentence():
    seen = {}
    for notebook in NOTEBOOKS:
        lines = params.table("demo", notebook.stem[:2])
        words = {line.partition(":")[0]: line.partition("  # ")[2] for line in lines}
        for key, declared in params.declared(notebook).items():
            entry = (*declared, words[key])
            assert seen.setdefault(key, entry) == entry, (notebook.stem, key)


def test_a_number_read_as_text_is_refused_with_the_way_to_write_it():
    with pytest.raises(UserError, match="2.0e-4"):
        params.check({"__annotations__": {"learning_rate": float}, "learning_rate": "2e-4"})


def test_a_switch_given_as_text_is_refused():
    with pytest.raises(UserError, match="must be bool"):
        params.check({"__annotations__": {"full": bool}, "full": "false"})


def test_an_unknown_key_is_refused_with_the_nearest_name():
    with pytest.raises(UserError, match="`novelty_limit`"):
        params.check(
            {"__annotations__": {"novelty_limit": float}, "novelty_limit": 0.7, "novelty_limt": 0.6}
        )


def test_conda_mamba_and_micromamba_install_the_lock_and_read_no_other_file():
    """Micromamba copies the pip section into a temporary folder and calls pip where it stands."""
    root = paths.root()
    environment = yaml.safe_load((root / "environment.yml").read_text(encoding="utf-8"))
    *conda, section = environment["dependencies"]
    assert {"python", "make", "pip"} == {name.partition("=")[0] for name in conda}
    editable, torch, *locked = section["pip"]
    lock = (root / "requirements.lock").read_text(encoding="utf-8").splitlines()
    assert locked == [line for line in lock if line[0] != "#"], "run: make lock"
    assert editable == "--editable ." and (root / "pyproject.toml").exists()
    assert f"TORCH := {torch}" in (root / "Makefile").read_text(encoding="utf-8")
    assert not [line for line in section["pip"][1:] if line.startswith("-")]
    assert all(Requirement(line) for line in section["pip"][1:])


def test_run_all_twice_in_one_kernel_does_not_mind_the_notebooks_own_variables():
    scope = {"__annotations__": {"novelty_limit": float}, "novelty_limit": 0.7}
    params.check(scope | {"In": ["%run 03"], "Out": {1: 0.7}})  # IPython's, in every notebook
    params.check(scope)
    params.check(scope | {"title": "A finding"})
    with pytest.raises(UserError, match="must be float"):
        params.check(scope | {"novelty_limit": "0.7"})


@pytest.mark.parametrize(
    ("text", "valid"),
    [
        ("novelty_limit=7", "from 0 to 1"),
        ("requests=0", "at least 1"),
        ("train_share=0", "from 0.001 to 1"),
        ("learning_rate=-0.1", "from 0 to 1"),
        ("budget_usd=.nan", "at least 0"),
    ],
)
def test_a_number_out_of_its_range_is_refused_before_a_notebook_runs(text, valid):
    with pytest.raises(UserError, match=f"`{text.partition('=')[0]}` must be {valid}"):
        params.merged("demo", [text])


def test_every_number_of_a_parameters_cell_has_a_range_that_holds_its_default():
    ranges = paths.load("parameter_ranges")
    numbers = {
        n: value for n, (kind, value) in params.defaults().items() if kind in ("int", "float")
    }
    assert not numbers.keys() - ranges.keys()
    assert all(ranges[name][0] <= value <= ranges[name][1] for name, value in numbers.items())


def test_a_path_that_is_empty_or_missing_is_a_user_error():
    for source in ("", "  ", "nowhere.json"):
        with pytest.raises(UserError, match="does not exist"):
            paths.resolve(source)


def test_a_broken_profile_names_its_fault(tmp_path):
    path = tmp_path / "p.yaml"
    for content, fault in (("[1]", "list"), ("a: [", "not valid YAML")):
        path.write_text(content)
        with pytest.raises(UserError, match=fault):
            params.profile(path)


@pytest.mark.parametrize("value", ["medqa_ll, own_ll", 3, {"a": 1}])
def test_a_list_is_a_list_and_no_text_with_commas(value):
    scope = {"__annotations__": {"tasks": list}, "tasks": value}
    with pytest.raises(UserError, match="must be list(.|\n)*YAML list"):
        params.check(scope)


def test_lists_and_maps_may_be_set_on_the_command_line():
    values = params.set_values(["judges=[a, b]", "answer_models={mine: x.jsonl}", "x=1,2"])
    assert values == {"judges": ["a", "b"], "answer_models": {"mine": "x.jsonl"}, "x": "1,2"}


def test_thread_settings_are_made_when_the_package_is_imported():
    import os

    import medinstruct  # noqa: F401

    assert os.environ["GOMP_SPINCOUNT"]


def test_an_unknown_model_is_refused_before_a_notebook_starts(tmp_path, monkeypatch):
    monkeypatch.setenv("MEDINSTRUCT_OUTPUTS", str(tmp_path))
    values = {"run": "new", "teacher": "gpt-4.1-mni"}
    scope = {"__annotations__": dict.fromkeys(values, str), **values}
    with pytest.raises(UserError, match="Did you mean gpt-4.1-mini"):
        params.check(scope, "02_generate_tasks")
    assert not any(tmp_path.iterdir())
