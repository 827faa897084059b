import pathlib

import pandas
import pytest
from conftest import small_network

from keras_resizable.search import Table, latency
from keras_resizable.subnetworks.pieces import cut_piece, pieces_of_configs

MAKE_NETWORK = small_network


def latency_table(network, device, configs=None, **options):
    table = Table.of(network, configs)
    table.add_latency(network, device, **options)
    return table.to_frame()


class FakeDevice:
    """Takes 1 ms for each kB of a file."""

    name = "fake"
    description = "Made up"

    def __init__(self):
        self.measured = set()

    def measure(self, paths, threads, warmup, runs):
        self.measured |= set(paths)
        return [{"median_ms": pathlib.Path(p).stat().st_size / 1000} for p in paths]


@pytest.fixture
def quick(monkeypatch):
    """Writes files without converting: what a device makes of them does not matter."""

    def convert(model, path):
        path.write_bytes(bytes(100 + 4 * model.count_params()))

    monkeypatch.setattr(latency, "convert", convert)


def test_latencies_are_sums_of_pieces(make_network, tmp_path):
    device = FakeDevice()
    network = make_network(scales=(1.0, 0.5))
    cache = tmp_path / "folder" / "cache.json"
    table = latency_table(network, device, cache=cache, threads=2, verbose=False)
    assert list(table.config) == list(map(str, network.space.configs()))
    assert table.latency_ms_fake.tolist() == pytest.approx(table.size_bytes / 1000)
    assert set(table.measured_fake) == {
        "Made up, 2 threads, 4 rounds of 3 + 10 runs, float32"
    }
    assert table.size_bytes.min() > 4 * network.count_params()

    # The same again, by another name and with other weights: nothing is new.
    device = FakeDevice()
    again = latency_table(
        make_network(scales=(1.0, 0.5), name="other", kernel_regularizer="l2"),
        device,
        cache=cache,
        threads=2,
        verbose=False,
    )
    assert not device.measured
    assert again.equals(table)


def test_a_piece_is_the_same_file_again(make_network, tmp_path):
    """Or else tables of two devices would disagree on sizes."""
    network = make_network(scales=(1.0, 0.5))
    files = []
    for path in (tmp_path / "one.tflite", tmp_path / "two.tflite"):
        piece = pieces_of_configs(network, ["0.5"])[0][1]
        latency.convert(cut_piece(network, piece), path)
        files.append(path.read_bytes())
    assert files[0] == files[1]


def test_only_what_is_new_is_measured(make_network, tmp_path, quick):
    device = FakeDevice()
    options = {"device": device, "cache": tmp_path / "cache.json", "verbose": False}
    network = make_network(scales=(1.0, 0.5))
    latency_table(network, configs=[(1.0, 1.0)], **options)
    assert len(device.measured) == 4  # Stem, two stages, head.
    latency_table(network, configs=[(1.0, 0.5)], **options)
    # The second stage, smaller, and so is what the head gets.
    assert len(device.measured) == 6
    latency_table(make_network(scales=(1.0, 0.75, 0.5)), configs=[(1.0,)], **options)
    assert len(device.measured) == 6
    latency_table(network, configs=[(1.0, 1.0)], threads=3, **options)
    assert len(device.measured) == 10


def test_the_least_of_the_rounds_counts(make_network, tmp_path, quick):
    class Busy(FakeDevice):
        def measure(self, *args):
            self.round = getattr(self, "round", 0) + 1
            slower = 1 + abs(self.round - 2)
            return [
                {"median_ms": r["median_ms"] * slower} for r in super().measure(*args)
            ]

    options = {"configs": [(1.0,)], "verbose": False}
    tables = [
        latency_table(make_network(), device, cache=tmp_path / name, **options)
        for name, device in {"a": FakeDevice(), "b": Busy()}.items()
    ]
    assert tables[0].equals(tables[1])


def test_an_interrupted_measurement_goes_on(make_network, tmp_path, quick):
    class Interrupted(FakeDevice):
        calls = 0

        def measure(self, *args):
            self.calls += 1
            if self.calls > self.last:
                raise KeyboardInterrupt
            return super().measure(*args)

    network = make_network(scales=(1.0, 0.5))
    options = {"cache": tmp_path / "cache.json", "verbose": False}
    whole = Interrupted()
    whole.last = 100
    latency_table(network, whole, cache=tmp_path / "other.json", verbose=False)
    device = Interrupted()
    device.last = whole.calls - 1  # All pieces but those of one have their rounds.
    with pytest.raises(KeyboardInterrupt):
        latency_table(network, device, **options)
    rest = FakeDevice()
    table = latency_table(network, rest, **options)
    assert 0 < len(rest.measured) < len(whole.measured)
    assert table.latency_ms_fake.tolist() == pytest.approx(table.size_bytes / 1000)


def test_a_damaged_cache_is_named(make_network, tmp_path):
    cache = tmp_path / "cache.json"
    for content in ("", "[]", '{"a": {"turns_ms": [], "size_bytes": 1}}'):
        cache.write_text(content)
        with pytest.raises(ValueError, match="cache.json is damaged.*Delete it"):
            latency_table(make_network(), FakeDevice(), cache=cache, verbose=False)


def test_no_place_to_keep_latencies(make_network, tmp_path, quick, monkeypatch):
    """The default one may be missing; one that was asked for is told of at once."""
    monkeypatch.setenv("KERAS_HOME", "/proc/nowhere")
    network, device = make_network(scales=(1.0, 0.5)), FakeDevice()
    with pytest.warns(UserWarning, match="measure these latencies again: .*/proc/nowh"):
        table = latency_table(network, device, verbose=False)
    assert table.latency_ms_fake.tolist() == pytest.approx(table.size_bytes / 1000)
    device = FakeDevice()
    with pytest.raises(OSError, match="/proc/nowhere"):
        latency_table(network, device, cache="/proc/nowhere/c.json", verbose=False)
    assert not device.measured


def test_rows_keep_their_names(make_network, tmp_path, quick):
    """A table of a user's own may leave out stages at the end."""
    network = make_network(scales=(1.0, 0.5))
    table = Table(pandas.DataFrame({"config": ["0.5", "1.0,0.5"], "top1": [0.5, 0.6]}))
    options = {"cache": tmp_path / "cache.json", "verbose": False}
    table.add_latency(network, FakeDevice(), **options)
    assert table.configs == ["0.5", "1.0,0.5"] and len(table) == 2
    assert table.to_frame()["latency_ms_fake"].notna().all()
    assert table["0.5"]["size_bytes"] > 0
