"""Data sets are what they say, and every change comes with its truth."""

import gzip
import hashlib
import pickle
import struct
import sys
from dataclasses import FrozenInstanceError, replace
from pathlib import Path
from urllib.error import URLError

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from PIL import Image

from memlib import data, datasets
from memlib.errors import CorruptResult, MissingData, TooLarge, WrongType

SCRIPTS = Path(__file__).parents[1] / "scripts"
needs_debian = pytest.mark.skipif(
    not (datasets.DEBIAN / "train-images-idx3-ubyte.gz").is_file(),
    reason=f"Debian's dataset-fashion-mnist is not installed in {datasets.DEBIAN}",
)


@pytest.fixture(scope="module")
def mini():
    return data.load("fmnist-mini")


@pytest.fixture(scope="module")
def digits():
    return data.load("digits")


# --- fmnist-mini --------------------------------------------------------------------------------


def test_fmnist_mini_is_balanced_and_under_five_megabytes(mini):
    test = data.load("fmnist-mini", "test")
    assert mini.labels.bincount().tolist() == [500] * 10
    assert test.labels.bincount().tolist() == [100] * 10
    assert mini.images.shape == (5000, 1, 28, 28)
    assert test.images.shape == (1000, 1, 28, 28)
    assert mini.class_names[9] == "Ankle boot"
    assert (datasets.SHIPPED / "fmnist_mini.npz").stat().st_size < 5_000_000
    assert "Zalando" in (datasets.SHIPPED / "LICENSE-fashion-mnist.txt").read_text()


@needs_debian
def test_ids_of_fmnist_mini_are_places_in_fashion_mnist(mini):
    whole = data.load("fashion-mnist").select(mini.ids)
    assert torch.equal(whole.labels, mini.labels)
    torch.testing.assert_close(whole.pixels(), mini.pixels(), rtol=0, atol=1e-6)


@needs_debian
def test_the_committed_script_draws_the_shipped_file(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(SCRIPTS)
    import draw_fmnist_mini

    path = tmp_path / "drawn.npz"
    monkeypatch.setattr(sys, "argv", ["draw_fmnist_mini.py", str(path)])
    draw_fmnist_mini.main()
    drawn, shipped = np.load(path), np.load(datasets.SHIPPED / "fmnist_mini.npz")
    assert drawn.files == shipped.files
    for name in shipped.files:
        assert drawn[name].dtype == shipped[name].dtype
        np.testing.assert_array_equal(drawn[name], shipped[name])


def test_a_changed_or_absent_fmnist_mini_is_refused(monkeypatch, tmp_path):
    content = bytearray((datasets.SHIPPED / "fmnist_mini.npz").read_bytes())
    monkeypatch.setattr(datasets, "SHIPPED", tmp_path)
    with pytest.raises(MissingData, match=r"^fmnist-mini: .*Install memlib again"):
        data.load("fmnist-mini")
    content[len(content) // 2] ^= 1
    (tmp_path / "fmnist_mini.npz").write_bytes(content)
    with pytest.raises(CorruptResult, match=r"fmnist_mini\.npz.*Install memlib again"):
        data.load("fmnist-mini")


# --- all data sets ------------------------------------------------------------------------------


def test_digits_splits_are_disjoint_and_whole_with_36_test_images_of_each_class(digits):
    from sklearn.datasets import load_digits

    test = data.load("digits", "test")
    assert (len(digits), len(test)) == (1437, 360)
    assert test.labels.bincount().tolist() == [36] * 10
    assert sorted([*digits.ids.tolist(), *test.ids.tolist()]) == list(range(1797))
    bunch = load_digits()
    for part in (digits, test):
        expected = torch.tensor(bunch.images[part.ids][:, None] / 16, dtype=torch.float32)
        torch.testing.assert_close(part.pixels(), expected, rtol=0, atol=1e-6)
        assert part.labels.tolist() == bunch.target[part.ids].tolist()


@pytest.mark.parametrize(
    "name", ["fmnist-mini", "digits", pytest.param("fashion-mnist", marks=needs_debian)]
)
def test_the_stated_mean_and_deviation_are_those_of_the_training_pixels(name):
    dataset = data.load(name)
    pixels = dataset.pixels().double()
    assert float(pixels.mean()) == pytest.approx(dataset.mean[0], abs=1e-6)
    assert float(pixels.std(correction=0)) == pytest.approx(dataset.std[0], abs=1e-6)
    test = data.load(name, "test")
    assert (test.mean, test.std) == (dataset.mean, dataset.std)


def test_loading_twice_gives_the_same_content_as_on_every_machine(mini, digits):
    assert data.load("fmnist-mini").fingerprint() == mini.fingerprint()
    assert mini.fingerprint() == "0bfa4b3ce8e179110a33362f3141e3d973c32fe04a673c28efb0f773c2170950"
    assert (
        digits.fingerprint() == "59e5db9b97b9186147206de50754ff28e90cbacd366131f70e64da294e72c554"
    )


def test_pixels_undo_the_normalization(mini):
    with np.load(datasets.SHIPPED / "fmnist_mini.npz") as arrays:
        original = arrays["train_images"][:, None]
    assert torch.equal((mini.pixels() * 255).round().byte(), torch.tensor(original))
    bright = replace(mini, images=mini.images + 1)
    assert float(bright.pixels().max()) == 1


# --- Dataset ------------------------------------------------------------------------------------


def test_a_sample_keeps_its_id_through_selection(digits):
    order = torch.randperm(len(digits), generator=torch.Generator().manual_seed(0))[:50]
    part = digits.select(order).select(np.arange(49, -1, -1))
    assert torch.equal(part.ids, digits.ids[order].flip(0))
    assert torch.equal(part.images, digits.images[order].flip(0))
    assert torch.equal(part.labels, digits.labels[order].flip(0))


def test_positions_are_those_of_whole_ids_only(digits):
    places = np.array([4, 0, 9])
    for ids in (digits.ids[places], digits.ids[places].tolist(), digits.ids[places].int().numpy()):
        np.testing.assert_array_equal(digits.positions(ids), places)
    assert digits.positions([]).tolist() == []
    for ids in ([3.7], [3.0], ["3"], [True], np.array([np.nan])):
        with pytest.raises(WrongType, match=r"ids: .*whole numbers"):
            digits.positions(ids)


def test_a_mask_selects_what_its_positions_do(digits):
    mask = digits.labels == 3
    by_mask, by_place = digits.select(mask), digits.select(mask.nonzero()[:, 0].tolist())
    assert by_mask.fingerprint() == by_place.fingerprint()
    assert digits.select(mask.numpy()).fingerprint() == by_place.fingerprint()
    assert by_mask.num_classes == 10
    assert len(by_mask) == int(mask.sum())


def test_a_selection_is_a_copy(digits):
    before = digits.fingerprint()
    digits.select(range(3)).images.zero_()
    assert digits.fingerprint() == before


def test_relabel_changes_the_labels_only(digits):
    labels = (digits.labels + 1) % 10
    changed = digits.relabel(labels)
    assert torch.equal(changed.labels, labels)
    assert changed.images is digits.images
    assert torch.equal(changed.ids, digits.ids)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
def test_on_a_gpu_a_data_set_does_the_same(digits):
    moved = digits.to("cuda")
    assert {t.device.type for t in (moved.images, moved.labels, moved.ids)} == {"cuda"}
    assert moved.fingerprint() == digits.fingerprint()
    for change in (
        lambda part: part.select([5, 3]),
        lambda part: data.flip_labels(part, 0.1, seed=0)[0],
        lambda part: data.add_duplicates(part, 7, labels="wrong", seed=0)[0],
    ):
        assert change(moved).images.device.type == "cuda"
        assert change(moved).fingerprint() == change(digits).fingerprint()


def test_a_data_set_is_frozen(digits):
    with pytest.raises(FrozenInstanceError):
        digits.name = "other"


def test_fingerprint_sees_every_part_of_the_content_and_not_the_name(digits):
    images, labels, ids = (t.clone() for t in (digits.images, digits.labels, digits.ids))
    images[7, 0, 0, 0] += 1e-3
    labels[7] = (labels[7] + 1) % 10
    ids[7] = 5000
    changed = [
        replace(digits, images=images),
        replace(digits, labels=labels),
        replace(digits, ids=ids),
        replace(digits, images=digits.images.transpose(2, 3)),
        replace(digits, images=digits.images.reshape(-1, 1, 4, 16)),
        replace(digits, class_names=tuple("abcdefghij")),
        replace(digits, mean=(0.0,)),
        replace(digits, std=(1.0,)),
        digits.select(range(1436)),
    ]
    prints = {part.fingerprint() for part in [digits, *changed]}
    assert len(prints) == 1 + len(changed)
    assert replace(digits, name="x").fingerprint() == digits.fingerprint()


# --- changes with ground truth ------------------------------------------------------------------


@pytest.mark.parametrize("fraction", [0.01, 0.1, 0.5])
def test_flipped_labels_are_wrong_exactly_where_the_truth_says(digits, fraction):
    noisy, wrong = data.flip_labels(digits, fraction, seed=0)
    assert wrong.dtype == bool
    assert wrong.sum() == round(fraction * len(digits))
    np.testing.assert_array_equal((noisy.labels != digits.labels).numpy(), wrong)
    assert torch.equal(noisy.images, digits.images)
    assert torch.equal(noisy.ids, digits.ids)


def test_flips_go_uniformly_to_every_other_class(mini):
    noisy, wrong = data.flip_labels(mini, 0.9, seed=1)
    shift = ((noisy.labels - mini.labels) % 10)[torch.from_numpy(wrong)]
    counts = shift.bincount(minlength=10)
    assert counts[0] == 0
    # 4,500 flips over 9 shifts: 500 each, standard deviation 21; five of them allowed
    assert counts[1:].min() > 395
    assert counts[1:].max() < 605


@pytest.mark.parametrize("labels", ["same", "wrong"])
def test_duplicates_are_exact_copies_with_fresh_ids_at_the_end(digits, labels):
    count, n = 250, len(digits)
    more, truth = data.add_duplicates(digits, count, labels=labels, seed=0)
    assert len(more) == n + count
    assert more.select(range(n)).fingerprint() == digits.fingerprint()
    place = {int(sample): position for position, sample in enumerate(digits.ids)}
    originals = digits.select([place[sample] for sample in truth.original_id])
    assert torch.equal(more.images[n:], originals.images)
    assert more.ids[n:].tolist() == truth.duplicate_id.tolist()
    assert truth.duplicate_id.tolist() == list(range(1797, 1797 + count))
    assert truth.original_id.is_unique
    assert originals.labels.tolist() == truth.original_label.tolist()
    assert more.labels[n:].tolist() == truth.duplicate_label.tolist()
    assert set(truth.original_label == truth.duplicate_label) == {labels == "same"}


def test_the_seed_alone_decides_what_is_changed(digits):
    def changed(seed):
        noisy, _ = data.flip_labels(digits, 0.1, seed=seed)
        more, _ = data.add_duplicates(digits, 20, labels="wrong", seed=seed)
        return noisy.fingerprint(), more.fingerprint()

    assert changed(0) == changed(0)
    assert not set(changed(0)) & set(changed(1))


# --- files of others ----------------------------------------------------------------------------


def idx(array: np.ndarray) -> bytes:
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()


@settings(
    deadline=None,
    database=None,
    derandomize=True,
    max_examples=50,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(hnp.arrays(np.uint8, hnp.array_shapes(max_dims=4, max_side=5)))
def test_idx_files_are_read_back_gzipped_or_not_and_refused_when_cut(tmp_path, array):
    content = idx(array)
    (tmp_path / "a").write_bytes(content)
    (tmp_path / "a.gz").write_bytes(gzip.compress(content))
    for name in ("a", "a.gz"):
        path = tmp_path / name
        np.testing.assert_array_equal(datasets.read_idx(path), array)
        whole = path.read_bytes()
        for length in (0, 2, len(whole) // 2, len(whole) - 1):
            path.write_bytes(whole[:length])
            with pytest.raises(CorruptResult, match="Fetch it again"):
                datasets.read_idx(path)
    for damaged in (content + b"x", b"\0\0\x0d" + content[3:], b"\1" + content[1:]):
        (tmp_path / "a").write_bytes(damaged)
        with pytest.raises(CorruptResult, match="Fetch it again"):
            datasets.read_idx(tmp_path / "a")


@pytest.mark.parametrize("below", ["", "FashionMNIST/raw"])
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_fashion_mnist_is_read_from_the_root_first(tmp_path, below, suffix):
    folder = tmp_path / below
    folder.mkdir(parents=True, exist_ok=True)
    pixels = np.arange(5 * 28 * 28, dtype=np.uint8).reshape(5, 28, 28)
    labels = np.array([3, 1, 4, 1, 5], np.uint8)
    compress = gzip.compress if suffix else bytes
    (folder / f"t10k-images-idx3-ubyte{suffix}").write_bytes(compress(idx(pixels)))
    (folder / f"t10k-labels-idx1-ubyte{suffix}").write_bytes(compress(idx(labels)))
    dataset = data.load("fashion-mnist", "test", root=tmp_path)
    assert dataset.labels.tolist() == [3, 1, 4, 1, 5]
    assert dataset.ids.tolist() == list(range(5))
    assert torch.equal((dataset.pixels() * 255).round().byte()[:, 0], torch.tensor(pixels))
    (folder / f"t10k-labels-idx1-ubyte{suffix}").write_bytes(compress(idx(labels[:4])))
    with pytest.raises(CorruptResult, match="do not fit together"):
        data.load("fashion-mnist", "test", root=str(tmp_path))


@pytest.mark.parametrize("name", ["fashion-mnist", "cifar10", "cifar100"])
def test_data_that_cannot_be_had_name_the_folder_and_the_fix(name, tmp_path, monkeypatch):
    def offline(*_, **__):
        raise URLError("no network")

    monkeypatch.setattr(datasets, "DEBIAN", tmp_path / "debian")
    monkeypatch.setattr("torchvision.datasets.mnist.download_and_extract_archive", offline)
    monkeypatch.setattr("torchvision.datasets.cifar.download_and_extract_archive", offline)
    monkeypatch.setenv("MEMLIB_DATA", str(tmp_path / "home"))
    for root in (None, tmp_path / "given"):
        with pytest.raises(MissingData) as caught:
            data.load(name, root=root)
        assert caught.value.value == (root or tmp_path / "home")
        assert "there, or" in str(caught.value)
        assert "root=" in str(caught.value)
        assert "downloading failed" in str(caught.value)


def test_fashion_mnist_is_downloaded_where_nothing_is_found(tmp_path, monkeypatch):
    def fetch(url, download_root, filename, md5):
        array = np.zeros((2, 28, 28) if "images" in filename else 2, np.uint8)
        Path(download_root, filename).write_bytes(gzip.compress(idx(array)))
        Path(download_root, filename.removesuffix(".gz")).write_bytes(idx(array))

    monkeypatch.setattr(datasets, "DEBIAN", tmp_path / "debian")
    monkeypatch.setattr("torchvision.datasets.mnist.download_and_extract_archive", fetch)
    assert len(data.load("fashion-mnist", root=tmp_path)) == 2


@pytest.mark.parametrize(("name", "classes"), [("cifar10", 10), ("cifar100", 100)])
def test_cifar_is_read_in_its_own_format_once_its_checksum_fits(
    name, classes, tmp_path, monkeypatch
):
    import torchvision.datasets

    source = getattr(torchvision.datasets, name.upper())
    folder = tmp_path / source.base_folder
    folder.mkdir()

    def put(file: str, content: dict) -> str:
        (folder / file).write_bytes(pickle.dumps(content))
        return hashlib.md5((folder / file).read_bytes()).hexdigest()

    pixels = np.random.default_rng(0).integers(256, size=(6, 3072), dtype=np.uint8)
    labels = [5, 0, classes - 1, 3, 3, 1]
    key = "labels" if classes == 10 else "fine_labels"
    names = [f"class {number}" for number in range(classes)]
    md5 = put("train_file", {"data": pixels, key: labels})
    monkeypatch.setattr(source, "train_list", [["train_file", md5]])
    monkeypatch.setattr(source, "test_list", [])
    meta = {"filename": "meta_file", "key": source.meta["key"]}
    meta["md5"] = put("meta_file", {meta["key"]: names})
    monkeypatch.setattr(source, "meta", meta)

    dataset = data.load(name, root=tmp_path)
    assert dataset.labels.tolist() == labels
    assert dataset.ids.tolist() == list(range(6))
    assert dataset.class_names == tuple(names)
    expected = torch.tensor(pixels.reshape(6, 3, 32, 32))
    assert torch.equal((dataset.pixels() * 255).round().byte(), expected)

    def offline(*_, **__):
        raise URLError("no network")

    monkeypatch.setattr("torchvision.datasets.cifar.download_and_extract_archive", offline)
    put("train_file", {"data": pixels[::-1], key: labels})
    with pytest.raises(MissingData, match="root"):
        data.load(name, root=tmp_path)


@pytest.fixture
def photographs(tmp_path):
    """Four photographs, taller and wider than high, red in class cat and green in class dog."""
    for position, name in enumerate(["cat/0", "cat/1", "dog/0", "dog/1"]):
        path = tmp_path / "val" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        color = (250, 0, 0) if "cat" in name else (0, 250, 0)
        Image.new("RGB", (300, 260 + 40 * position), color).save(path)
    return tmp_path


def test_imagenet_folder_has_a_class_for_each_folder(photographs):
    dataset = data.load("imagenet-folder", "val", root=photographs)
    assert dataset.images.shape == (4, 3, 224, 224)
    assert dataset.class_names == ("cat", "dog")
    assert dataset.labels.tolist() == [0, 0, 1, 1]
    assert dataset.ids.tolist() == [0, 1, 2, 3]
    assert (dataset.pixels()[:, :, 0, 0] * 255).round().tolist() == [[250, 0, 0]] * 2 + [
        [0, 250, 0]
    ] * 2


def test_imagenet_folder_keeps_the_center(tmp_path):
    image = np.zeros((256, 512, 3), np.uint8)
    image[:, 144 : 144 + 224] = 200
    (tmp_path / "train" / "x").mkdir(parents=True)
    Image.fromarray(image).save(tmp_path / "train" / "x" / "0.png")
    assert (data.load("imagenet-folder", root=tmp_path).pixels() * 255).round().unique() == 200


def test_imagenet_folder_errors_name_the_folder_or_file(photographs, monkeypatch):
    with pytest.raises(MissingData, match="train"):
        data.load("imagenet-folder", "train", root=photographs)
    monkeypatch.setattr(datasets, "_MEMORY", 4 * 4 * 3 * 224 * 224 - 1)
    with pytest.raises(TooLarge, match=r"root: .*val.* 4 images need 0 GB"):
        data.load("imagenet-folder", "val", root=photographs)
    monkeypatch.undo()
    (photographs / "val" / "dog" / "0.png").write_bytes(b"no image")
    with pytest.raises(CorruptResult, match=r"dog/0\.png"):
        data.load("imagenet-folder", "val", root=photographs)


def test_home_is_a_cache_folder_unless_the_environment_names_another(monkeypatch, tmp_path):
    monkeypatch.delenv("MEMLIB_DATA", raising=False)
    assert datasets.home() == Path.home() / ".cache" / "memlib"
    monkeypatch.setenv("MEMLIB_DATA", str(tmp_path))
    assert datasets.home() == tmp_path
