"""Fashion-MNIST, from a folder of idx files."""

from pathlib import Path

from ganvas_plugins.datasets.idx_files import IdxFiles

DEBIAN = Path("/usr/share/datasets/fashion-mnist")


class FashionMnist(IdxFiles):
    """Pictures of clothes: 60,000 to train and 10,000 to test, ten classes.

    ``images`` uint8 (1, 28, 28), ``labels`` 0 to 9. Read from the four idx files, gzipped or not, in ``root``, where
    Debian's package dataset-fashion-mnist or where an earlier download put them; else downloaded with torchvision.
    Source: Xiao, Rasul & Vollgraf, "Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine Learning
    Algorithms", 2017.
    """

    names = (
        "T-shirt/top",
        "trouser",
        "pullover",
        "dress",
        "coat",
        "sandal",
        "shirt",
        "sneaker",
        "bag",
        "ankle boot",
    )
    title = "Fashion-MNIST"
    torchvision = "FashionMNIST"
    advice = (
        "install the Debian package dataset-fashion-mnist, or put the four idx files (train-images-idx3-ubyte.gz, ...) "
        "from https://github.com/zalandoresearch/fashion-mnist"
    )
    system = DEBIAN
