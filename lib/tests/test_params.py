"""Parameters and profiles: nothing unknown, nothing of the wrong type."""

import pytest

from medinstruct import params, paths
from medinstruct.errors import UserError

PROFILES = sorted((paths.root() / "params").glob("*.yaml"))
NOTEBOOKS = sorted((paths.root() / "notebooks").glob("[0-9]*.ipynb"))


def test_all_profiles_have_the_same_keys_in_the_same_order():
    assert len(PROFILES) == 6
    assert len({tuple(params.profile(path)) for path in PROFILES}) == 1


@pytest.mark.parametrize("path", PROFILES, ids=lambda path: path.stem)
def test_a_profile_has_just_the_keys_of_the_notebooks_with_their_types(path):
    kinds = {
        key: kind for notebook in NOTEBOOKS for key, (kind, _) in params.declared(notebook).items()
    }
    values = params.profile(path)
    assert set(values) == set(kinds)
    for key, value in values.items():
        params.typed(key, value, kinds[key])


def test_a_key_of_two_notebooks_has_one_type_and_one_default():
    seen = {}
    for notebook in NOTEBOOKS:
        for key, declared in params.declared(notebook).items():
            assert seen.setdefault(key, declared) == declared, (notebook.stem, key)


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


def test_the_conda_environment_installs_the_lock():
    text = (paths.root() / "environment.yml").read_text()
    assert "-r requirements.lock" in text and "torch==2.13.0" in text
    assert "torch==2.13.0" in (paths.root() / "Makefile").read_text()


def test_run_all_twice_in_one_kernel_does_not_mind_the_notebooks_own_variables():
    scope = {"__annotations__": {"novelty_limit": float}, "novelty_limit": 0.7}
    params.check(scope | {"In": ["%run 03"], "Out": {1: 0.7}})  # IPython's, in every notebook
    params.check(scope)
    params.check(scope | {"title": "A finding"})
    with pytest.raises(UserError, match="must be float"):
        params.check(scope | {"novelty_limit": "0.7"})


def test_a_path_that_is_empty_or_missing_is_a_user_error():
    for source in ("", "  ", "nowhere.json"):
        with pytest.raises(UserError, match="does not exist"):
            paths.resolve(source)


def test_a_nested_or_broken_profile_names_its_fault(tmp_path):
    path = tmp_path / "p.yaml"
    for content, fault in (("a: {b: 1}", "got: a"), ("[1]", "list"), ("a: [", "not valid YAML")):
        path.write_text(content)
        with pytest.raises(UserError, match=fault):
            params.profile(path)
