from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ganvas.registry.documents import Mistakes, Node, Place
from ganvas.spec.source import assign, expand_path, load_source, quickstart, split_path

BASE = """
name: base
dataset: {use: digits, size: 8, flip: true}
stages:
  gan:
    use: gan
    generator: {use: dcgan, latent: 3, channels: 2}
    discriminator: global
    loss: hinge
    regularizers:
      - {use: r1, weight: 1}
      - orthogonality
    optimizers: {use: adam, lr: 1e-3}
    steps: 2
"""


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "base.yaml"
    path.write_text(BASE)
    return path


def child(base: Path, text: str) -> tuple[dict[str, Any], list[str]]:
    path = base.parent / "child.yaml"
    path.write_text(f"extends: base.yaml\n{text}")
    root, remarks = load_source(path, shown="child.yaml")
    return root.plain, remarks


def changed(base: Path, *settings: str, **options: Any) -> tuple[dict[str, Any], list[str]]:
    root, remarks = load_source(base, settings, **options)
    return root.plain, remarks


# -- extends -----------------------------------------------------------------------------------------------------------


def test_mappings_merge_at_every_depth(base: Path) -> None:
    tree, remarks = child(base, "stages: {gan: {generator: {latent: 9}, steps: 5}, other: {use: classifier, steps: 1}}")
    assert remarks == []
    assert tree["name"] == "base"
    assert tree["stages"]["gan"]["generator"] == {"use": "dcgan", "latent": 9, "channels": 2}
    assert tree["stages"]["gan"]["steps"] == 5
    assert tree["stages"]["gan"]["loss"] == "hinge"
    assert list(tree["stages"]) == ["gan", "other"]
    assert "extends" not in tree


def test_quickstart_is_the_shipped_spec(base: Path) -> None:
    path = base.parent / "child.yaml"
    path.write_text("extends: quickstart\nstages: {gan: {loss: minimax}}")
    shipped = load_source(quickstart())[0].plain
    shipped["stages"]["gan"]["loss"] = "minimax"
    assert load_source(path)[0].plain == shipped
    assert list(shipped["stages"]) == ["features", "attributes", "gan"]
    (base.parent / "quickstart").write_text("name: mine")  # a file of that name comes first
    assert load_source(path)[0].plain == {"name": "mine", "stages": {"gan": {"loss": "minimax"}}}


def test_a_list_replaces(base: Path) -> None:
    tree, remarks = child(base, "stages: {gan: {regularizers: [{use: r1, every: 4}]}}")
    assert tree["stages"]["gan"]["regularizers"] == [{"use": "r1", "every": 4}]
    assert remarks == []


def test_another_component_drops_the_options_and_names_them(base: Path) -> None:
    tree, remarks = child(base, "stages:\n  gan:\n    generator: {use: eigengan, channels: 4}\n")
    assert tree["stages"]["gan"]["generator"] == {"use": "eigengan", "channels": 4}
    assert remarks == [
        "child.yaml:4:16: stages.gan.generator: 'dcgan' became 'eigengan', so its latent no longer count"
    ]


def test_a_bare_name_replaces_a_component_with_options(base: Path) -> None:
    tree, remarks = child(base, "stages:\n  gan:\n    generator: eigengan\n")
    assert tree["stages"]["gan"]["generator"] == "eigengan"
    assert remarks == [
        "child.yaml:4:16: stages.gan.generator: 'dcgan' became 'eigengan', so its latent, channels no longer count"
    ]


def test_the_same_bare_name_keeps_the_options(base: Path) -> None:
    tree, remarks = child(base, "stages: {gan: {generator: dcgan}}")
    assert tree["stages"]["gan"]["generator"] == {"use": "dcgan", "latent": 3, "channels": 2}
    assert remarks == []


def test_options_for_a_bare_name(base: Path) -> None:
    tree, remarks = child(base, "stages: {gan: {loss: {margin: 2}}}")
    assert tree["stages"]["gan"]["loss"] == {"use": "hinge", "margin": 2}
    assert remarks == []


def test_nothing_replaces_too(base: Path) -> None:
    tree, _ = child(base, "stages: {gan: {regularizers: [], optimizers: null}}")
    assert tree["stages"]["gan"]["regularizers"] == []
    assert tree["stages"]["gan"]["optimizers"] is None


def test_extends_over_two_generations_in_another_folder(base: Path) -> None:
    (base.parent / "deep").mkdir()
    (base.parent / "deep" / "middle.yaml").write_text("extends: ../base.yaml\nname: middle\nseed: 4\n")
    (base.parent / "leaf.yaml").write_text("extends: deep/middle.yaml\nseed: 5\n")
    root, _ = load_source(base.parent / "leaf.yaml")
    assert (root.plain["name"], root.plain["seed"], root.plain["dataset"]["use"]) == ("middle", 5, "digits")
    assert str(root.value["name"].place) == "deep/middle.yaml:2:7"
    assert str(root.value["dataset"].place) == "base.yaml:3:10"


def test_an_inherited_path_starts_at_its_own_file(base: Path) -> None:
    (base.parent / "deep").mkdir()
    (base.parent / "deep" / "middle.yaml").write_text("dataset: {use: image-folder, root: pictures}\n")
    (base.parent / "leaf.yaml").write_text("extends: deep/middle.yaml\nother: x\ndataset: {size: 8}\n")
    root, _ = load_source(base.parent / "leaf.yaml")
    assert root.value["dataset"].value["root"].base == (base.parent / "deep").resolve()
    assert root.value["other"].base == base.parent.resolve()


# -- --set -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("setting", "path", "value"),
    [
        ("seed=3", ["seed"], 3),
        ("stages.gan.steps=100", ["stages", "gan", "steps"], 100),
        ("stages.gan.optimizers.lr=1e-4", ["stages", "gan", "optimizers", "lr"], 1e-4),
        ("stages.gan.optimizers.betas=[0, 0.9]", ["stages", "gan", "optimizers", "betas"], [0, 0.9]),
        ("stages.gan.loss=wasserstein", ["stages", "gan", "loss"], "wasserstein"),
        ("stages.gan.loss={use: hinge, margin: 2}", ["stages", "gan", "loss"], {"use": "hinge", "margin": 2}),
        ("stages.gan.loss.margin=2", ["stages", "gan", "loss"], {"use": "hinge", "margin": 2}),
        ("stages.gan.loss.use=wasserstein", ["stages", "gan", "loss"], "wasserstein"),
        ("stages.gan.regularizers[0].weight=7", ["stages", "gan", "regularizers", 0], {"use": "r1", "weight": 7}),
        ("stages.gan.regularizers.0.weight=7", ["stages", "gan", "regularizers", 0, "weight"], 7),
        ("stages.gan.regularizers[1]=r1", ["stages", "gan", "regularizers", 1], "r1"),
        ("stages.gan.regularizers[1].norm=mean", ["stages", "gan", "regularizers", 1, "norm"], "mean"),
        ("stages.gan.regularizers[2]=gradient-penalty", ["stages", "gan", "regularizers", 2], "gradient-penalty"),
        ("stages.gan.evaluate.every=5", ["stages", "gan", "evaluate"], {"every": 5}),
        ("stages.gan.ema=", ["stages", "gan", "ema"], None),
        ("stages.gan.ema=~", ["stages", "gan", "ema"], None),
        ("stages.gan.ema=no", ["stages", "gan", "ema"], "no"),
        (" name = 'a=b' ", ["name"], "a=b"),
        ("stages.new={use: classifier, steps: 1}", ["stages", "new"], {"use": "classifier", "steps": 1}),
    ],
)
def test_set(base: Path, setting: str, path: list[Any], value: Any) -> None:
    tree, remarks = changed(base, setting)
    for step in path:
        tree = tree[step]
    assert tree == value
    assert remarks == []


def test_set_appends_to_a_list_and_leaves_the_rest(base: Path) -> None:
    tree, _ = changed(base, "stages.gan.regularizers[2]=gradient-penalty")
    assert tree["stages"]["gan"]["regularizers"] == [{"use": "r1", "weight": 1}, "orthogonality", "gradient-penalty"]


def test_later_settings_build_on_earlier_ones(base: Path) -> None:
    tree, _ = changed(base, "stages.gan.loss=least-squares", "stages.gan.loss.factor=0.5", "seed=1", "seed=2")
    assert tree["stages"]["gan"]["loss"] == {"use": "least-squares", "factor": 0.5}
    assert tree["seed"] == 2


def test_set_of_use_drops_the_options_and_names_them(base: Path) -> None:
    tree, remarks = changed(base, "stages.gan.generator.use=eigengan")
    assert tree["stages"]["gan"]["generator"] == {"use": "eigengan"}
    assert remarks == [
        "--set stages.gan.generator.use=eigengan: stages.gan.generator.use: "
        "the options latent, channels no longer count"
    ]


def test_set_of_the_same_use_keeps_the_options(base: Path) -> None:
    tree, remarks = changed(base, "stages.gan.generator.use=dcgan")
    assert tree["stages"]["gan"]["generator"] == {"use": "dcgan", "latent": 3, "channels": 2}
    assert remarks == []


def test_set_of_a_bare_name_drops_or_keeps_the_options_in_the_same_way(base: Path) -> None:
    tree, remarks = changed(base, "stages.gan.generator=dcgan")
    assert tree["stages"]["gan"]["generator"] == {"use": "dcgan", "latent": 3, "channels": 2}
    assert remarks == []
    tree, remarks = changed(base, "stages.gan.generator=eigengan")
    assert tree["stages"]["gan"]["generator"] == "eigengan"
    assert remarks == [
        "--set stages.gan.generator=eigengan: stages.gan.generator: "
        "'dcgan' became 'eigengan', so its latent, channels no longer count"
    ]


def test_a_set_value_is_known_by_its_setting(base: Path) -> None:
    root, _ = load_source(base, ["stages.gan.loss={use: hinge, margin: 2}"])
    loss = root.value["stages"].value["gan"].value["loss"]
    assert str(loss.value["margin"].place) == "--set stages.gan.loss={use: hinge, margin: 2}"
    assert str(loss.keys["margin"]) == "--set stages.gan.loss={use: hinge, margin: 2}"


def test_overrides_of_python_take_the_same_paths(base: Path) -> None:
    tree, _ = changed(base, "seed=1", overrides={"seed": 2, "stages.gan.regularizers[0]": {"use": "r1", "every": 3}})
    assert tree["seed"] == 2
    assert tree["stages"]["gan"]["regularizers"][0] == {"use": "r1", "every": 3}


def test_every_bad_setting_is_told(base: Path) -> None:
    with pytest.raises(Mistakes) as raised:
        load_source(base, ["seed", "stages.gam.steps=1", "stages.gan.steps={"])
    assert str(raised.value).splitlines() == [
        "--set seed: write it as --set stages.gan.loss=hinge",
        "--set stages.gam.steps=1: stages.gam.steps: there is no stage 'gam'; did you mean 'gan'?",
        "--set stages.gan.steps={: not YAML: expected the node content, but found '<stream end>'",
    ]


def test_assign_tells_its_problems() -> None:
    root = Node.of({"stages": {"gan": {"steps": 1}}}, Place("x"))
    assert assign(root, "stages.gan.steps", Node.of(4, Place("y"))) == []
    assert root.plain == {"stages": {"gan": {"steps": 4}}}
    assert [str(problem) for problem in assign(root, "stages.no.steps", Node.of(4, Place("y")))] == [
        "y: stages.no.steps: there is no stage 'no'; choose from gan"
    ]


def test_split_path() -> None:
    assert split_path("stages.gan.regularizers[10].weight") == ["stages", "gan", "regularizers", "10", "weight"]
    assert split_path("a.0.b") == ["a", "0", "b"]


# -- paths -------------------------------------------------------------------------------------------------------------


def test_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PICTURES", str(tmp_path / "pictures"))
    assert expand_path("data/x", tmp_path) == tmp_path / "data" / "x"
    assert expand_path("../x", tmp_path / "specs") == tmp_path / "x"
    assert expand_path("~/x", tmp_path) == tmp_path / "home" / "x"
    assert expand_path("$PICTURES/x", Path("/elsewhere")) == tmp_path / "pictures" / "x"
    assert expand_path("${PICTURES}", Path("/elsewhere")) == tmp_path / "pictures"
    assert expand_path("/absolute", tmp_path) == Path("/absolute")
    with pytest.raises(ValueError, match="could not determine home directory"):
        expand_path("~nobody-there/x", tmp_path)
