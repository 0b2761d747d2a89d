"""MNIST in full, from a folder of idx files; ``mnist-5k`` needs no download."""

from ganvas_plugins.datasets.idx_files import IdxFiles


class Mnist(IdxFiles):
    """Handwritten digits: 60,000 to train and 10,000 to test.

    ``images`` uint8 (1, 28, 28), ``labels`` 0 to 9. Read from the four idx files, gzipped or not, in ``root`` or where
    an earlier download put them; else downloaded with torchvision. ``mnist-5k`` has 5,000 of them without a download.
    Source: LeCun, Bottou, Bengio & Haffner, "Gradient-Based Learning Applied to Document Recognition", 1998.
    """

    names = tuple("0123456789")
    title = "MNIST"
    torchvision = "MNIST"
    advice = "put the four idx files (train-images-idx3-ubyte.gz, ...)"
