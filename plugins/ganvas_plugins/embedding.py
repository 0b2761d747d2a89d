"""A feature space in a few dimensions: t-SNE, and a scatter plot of what it gives."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def tsne(features: np.ndarray, seed: int, *, dimensions: int = 2, perplexity: float = 30.0) -> np.ndarray:
    """Points (N, dimensions) whose neighbourhoods are those of the features (N, F), as far as there is room for them.

    The perplexity is lowered to a third of the points where those are few. 500 iterations start at the principal
    components. The same seed gives the same points.
    Source: van der Maaten & Hinton, "Visualizing Data using t-SNE", 2008.
    """
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    features = np.asarray(features, np.float64)
    if np.ptp(features, axis=0).max() == 0:  # a collapsed encoder: there is nothing to spread
        return np.zeros((len(features), dimensions))
    perplexity = min(perplexity, (len(features) - 1) / 3)
    # Threads would add up the forces in any order, and the points differ from run to run.
    with threadpool_limits(limits=1):
        method = TSNE(dimensions, perplexity=perplexity, init="pca", max_iter=500, random_state=seed)
        return method.fit_transform(features)


def scatter(points: np.ndarray, labels: np.ndarray | None, names: Sequence[str], pixels: int = 640) -> np.ndarray:
    """A picture (H, W, 3), uint8, of points (N, 2), coloured by their labels (N,), with a legend for 20 at the most."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(pixels / 100, pixels / 100), dpi=100, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_subplot(xticks=[], yticks=[])
    if labels is None:
        axes.scatter(*points.T, s=8)
    else:
        axes.scatter(
            *points.T, s=8, c=labels, cmap="tab10" if len(names) <= 10 else "tab20", vmin=0, vmax=_colours(names)
        )
        if len(names) <= 20:
            colour = axes.collections[0].to_rgba
            for label in np.unique(labels):
                axes.scatter([], [], s=30, color=[colour(label)], label=names[label])
            axes.legend(fontsize=8, loc="best", framealpha=0.6)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def _colours(names: Sequence[str]) -> int:
    """The label of the map's last colour: its steps are whole labels then."""
    return 9 if len(names) <= 10 else max(19, len(names) - 1)
