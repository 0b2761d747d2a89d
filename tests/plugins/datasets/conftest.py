import pytest


@pytest.fixture
def asked(tmp_path, miniatures, monkeypatch):
    """A server of idx files in the place of the network: the addresses and digests that it was asked for."""
    from torchvision.datasets import utils

    miniatures.write_idx_folder(tmp_path / "server")
    found = []

    def fetch(address, folder, name, md5):
        found.append((address, md5))
        (type(tmp_path)(folder) / name).write_bytes((tmp_path / "server" / name).read_bytes())

    monkeypatch.setattr(utils, "download_url", fetch)
    return found
