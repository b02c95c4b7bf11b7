"""The tracker's streamed scores equal what a naive loop over samples computes."""

import io
import math
from datetime import timedelta
from itertools import pairwise

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import nn
from torch.utils.data import DataLoader, Subset, TensorDataset
from torch.utils.data.distributed import DistributedSampler

from memlib import dynamics
from memlib.dynamics import DynamicsTracker
from memlib.errors import (
    DuplicateIds,
    EmptySelection,
    ForeignResult,
    InvalidInput,
    LabelOutOfRange,
    NonFiniteNumber,
    NotPositive,
    UnknownIds,
    UnknownName,
    UnseenIds,
    WrongShape,
    WrongType,
)
from memlib.losses import input_gradients

quick = settings(deadline=None, max_examples=60)


def naive_scores(ids, epochs, tau, squared):
    """Scores from lists of (id, logits, target, gradient), one list per epoch, sample by sample."""
    rows = {}
    for sample in ids:
        seen = []  # (epoch, loss, probability, margin, correct, squared norm, norm)
        for t, presented in enumerate(epochs):
            values = []
            for id_, logits, y, gradient in presented:
                if id_ != sample:
                    continue
                top = max(logits)
                total = math.fsum(math.exp(z - top) for z in logits)
                loss = math.log(total) + top - logits[y]
                margin = logits[y] - max(z for k, z in enumerate(logits) if k != y)
                square = math.fsum(g * g for g in gradient)
                values.append((loss, math.exp(-loss), margin, square, math.sqrt(square)))
            if values:
                means = [math.fsum(column) / len(values) for column in zip(*values, strict=True)]
                seen.append((t, *means[:3], all(v[2] > 0 for v in values), *means[3:]))
        if not seen:
            continue
        right = [t for t, *_, correct, _, _ in seen if correct]
        wrong = [t for t, *_, correct, _, _ in seen if not correct]
        after = [t for t in right if t > max(wrong, default=-1)]
        running = [math.fsum(row[5] for row in seen[:k]) / k for k in range(1, len(seen) + 1)]
        never = len(epochs)
        rows[sample] = {
            "csl": math.fsum(row[1] for row in seen),
            "csl_gibbs": math.fsum(1 - row[2] for row in seen),
            "csg": math.fsum(row[5 if squared else 6] for row in seen),
            "learning_time_first": min(right, default=never),
            "learning_time_stable": min(after, default=never),
            "learning_time_gradient": next(
                (k for k, mean in enumerate(running, 1) if mean <= tau), never
            ),
            "cslt": len(wrong),
            "forgetting_events": sum(a[4] and not b[4] for a, b in pairwise(seen)),
            "negative_aum": -math.fsum(row[3] for row in seen) / len(seen),
        }
    return rows


def run_of_correctness(pattern, classes=2):
    """A tracker of one sample, id 0, label 0, right where the pattern says 1."""
    tracker = DynamicsTracker([0], classes, trajectories=True)
    for right in pattern:
        logits = torch.zeros(1, classes)
        logits[0, 0 if right else 1] = 1.0
        tracker.update(torch.tensor([0]), logits, torch.tensor([0]))
        tracker.end_epoch()
    return tracker


def fill(tracker, epochs=2, seed=0):
    """Feed every id once an epoch with random logits, in a random order, in batches of 3."""
    random = torch.Generator().manual_seed(seed)
    for _ in range(epochs):
        for batch in torch.randperm(len(tracker.ids), generator=random).split(3):
            logits = torch.randn(len(batch), tracker.classes, generator=random).double()
            targets = torch.randint(tracker.classes, (len(batch),), generator=random)
            own = torch.randn(len(batch), 2, generator=random).double()
            own = own if tracker.needs_input_grads else None
            tracker.update(tracker.ids[batch], logits, targets, own)
        tracker.end_epoch()
    return tracker


def assert_same_state(ours, theirs):
    for name in ("settings", "epochs"):
        assert ours[name] == theirs[name]
    assert ours["state"].keys() == theirs["state"].keys()
    for name in ours["state"]:
        assert torch.equal(ours["state"][name], theirs["state"][name]), name
    for name in ("ids", "sums"):
        assert torch.equal(ours[name], theirs[name])
    assert torch.equal(ours["trajectories"].nan_to_num(-7), theirs["trajectories"].nan_to_num(-7))


def assert_close_state(ours, theirs):
    """Compare states that were reduced in other groups of batches: equal up to rounding."""
    for name in ("settings", "epochs"):
        assert ours[name] == theirs[name]
    for name in ours["state"]:
        torch.testing.assert_close(ours["state"][name], theirs["state"][name])
    for name in ("ids", "sums", "trajectories"):
        torch.testing.assert_close(ours[name], theirs[name], equal_nan=True)


@quick
@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 6),
    st.integers(2, 5),
    st.integers(1, 7),
    st.booleans(),
    st.booleans(),
)
def test_scores_equal_a_naive_loop_over_samples(seed, n, classes, epochs, squared, integer):
    random = np.random.default_rng(seed)
    ids = random.choice(np.arange(-50, 50) if seed % 2 else np.arange(n), n, replace=False)
    tracker = DynamicsTracker(
        ids, classes, tau=1.5, squared=squared, input_grads=True, trajectories=True
    )
    record = []
    for _ in range(epochs):
        presented = []
        for _ in range(random.integers(1, 4)):  # batches: samples may be missing or come twice
            size = random.integers(1, 2 * n + 1)
            chosen, y = random.choice(ids, size), random.integers(0, classes, size)
            logits = 3 * random.standard_normal((size, classes))
            logits = np.round(logits) if integer else logits  # whole logits have ties
            own = random.standard_normal((size, 1, 2, 2)) * random.choice([0.1, 1.0])
            tracker.update(*map(torch.tensor, (chosen, logits, y, own)))
            presented += list(
                zip(
                    chosen.tolist(), logits.tolist(), y.tolist(), own.reshape(size, 4).tolist(),
                    strict=True,
                )
            )  # fmt: skip
        tracker.end_epoch()
        record.append(presented)
    expected = naive_scores(ids.tolist(), record, 1.5, squared)
    scores = tracker.scores(missing="nan")
    assert scores.index.tolist() == ids.tolist()
    assert scores.index.name == "sample"
    for sample, row in scores.iterrows():
        if sample in expected:
            assert list(row.index) == list(expected[sample])
            np.testing.assert_allclose(row, list(expected[sample].values()), rtol=1e-9, atol=1e-9)
        else:
            assert row.isna().all()
    loss = tracker.trajectories()["loss"]
    assert loss.shape == (epochs, n)
    np.testing.assert_allclose(np.nansum(loss, 0), scores["csl"].fillna(0), rtol=1e-5, atol=1e-5)
    assert np.array_equal((~np.isnan(loss)).sum(0), tracker.epochs_seen)


def test_example_of_appendix_c5_has_learning_time_3_and_cslt_5():
    scores = run_of_correctness([0, 0, 0, 1, 1, 0, 1, 1, 0, 1, 1, 1]).scores().loc[0]
    assert scores["learning_time_first"] == 3
    assert scores["cslt"] == 5
    assert scores["learning_time_stable"] == 9
    assert scores["forgetting_events"] == 2


def test_never_learned_is_the_number_of_epochs_and_not_zero():
    never, at_once = run_of_correctness([0] * 7).scores(), run_of_correctness([1] * 7).scores()
    for column in ("learning_time_first", "learning_time_stable"):
        assert never[column].tolist() == [7]
        assert at_once[column].tolist() == [0]
    assert never["forgetting_events"].tolist() == [0]
    assert run_of_correctness([1, 0]).scores()["learning_time_stable"].tolist() == [2]


def test_constant_logits_count_as_wrong():
    tracker = DynamicsTracker([0, 1], 3)
    tracker.update(torch.tensor([0, 1]), torch.zeros(2, 3), torch.tensor([0, 2]))
    tracker.end_epoch()
    assert tracker.scores()["cslt"].tolist() == [1, 1]
    assert tracker.scores()["negative_aum"].tolist() == [0, 0]
    np.testing.assert_allclose(tracker.scores()["csl"], math.log(3), rtol=1e-6)
    np.testing.assert_allclose(tracker.scores()["csl_gibbs"], 2 / 3, rtol=1e-6)


def test_a_sample_is_wrong_in_an_epoch_unless_right_at_every_presentation():
    tracker = DynamicsTracker([5], 2)
    logits = torch.tensor([[3.0, 0.0], [0.0, 1.0]])
    tracker.update(torch.tensor([5, 5]), logits, torch.tensor([0, 0]))
    tracker.end_epoch()
    scores = tracker.scores().loc[5]
    assert scores["cslt"] == 1
    assert scores["negative_aum"] == -1.0  # the mean of 3 and -1


def test_a_tiny_loss_keeps_its_relative_precision():
    tracker = DynamicsTracker([0], 2)
    tracker.update(torch.tensor([0]), torch.tensor([[60.0, 20.0]]), torch.tensor([0]))
    tracker.end_epoch()
    np.testing.assert_allclose(tracker.scores()["csl"], math.exp(-40), rtol=1e-5)
    np.testing.assert_allclose(tracker.scores()["csl_gibbs"], math.exp(-40), rtol=1e-5)


gradients = st.lists(st.integers(0, 12).map(lambda k: k / 4), min_size=1, max_size=30)


@quick
@example([0.5, 2.0, 2.0], 0.25)  # the first mean is tau itself
@given(gradients, st.sampled_from([0.25, 0.5, 1.0, 2.25, 4.0]))
def test_learning_time_is_csg_over_tau_to_within_one_step(norms, tau):
    """R1 and R4, in numbers that float64 holds exactly."""
    tracker = DynamicsTracker([0], 2, tau=tau, input_grads=True)
    for norm in norms:
        own = torch.tensor([[-norm]])
        tracker.update(torch.tensor([0]), torch.zeros(1, 2), torch.tensor([1]), own)
        tracker.end_epoch()
    scores = tracker.scores().loc[0]
    cumulative = [0.0, *np.cumsum(np.square(norms))]  # cumulative[T] = CSG_{<T}
    time = int(scores["learning_time_gradient"])
    assert scores["csg"] == cumulative[-1]
    assert time <= 1 + scores["csg"] / tau  # R1
    learned = [k for k in range(1, len(norms) + 1) if cumulative[k] <= k * tau]
    assert time == (learned[0] if learned else len(norms))
    assert tracker.learned.tolist() == [bool(learned)]
    if learned:
        assert cumulative[time] / tau <= time  # R4
        assert time == 1 or time < 1 + cumulative[time - 1] / tau
    else:
        assert cumulative[-1] / tau > len(norms)


def test_a_sample_learned_at_the_last_epoch_is_told_from_one_never_learned():
    tracker = DynamicsTracker([5, 3], 2, tau=1.0, input_grads=True)
    ids, labels = torch.tensor([5, 3]), torch.tensor([1, 1])
    for norms in ([1.5, 1.5], [0.0, 1.5], [0.5, 1.5]):  # the first's mean squares end at 0.833
        tracker.update(ids, torch.zeros(2, 2), labels, torch.tensor(norms)[:, None])
        tracker.end_epoch()
    assert tracker.scores()["learning_time_gradient"].to_dict() == {5: 3, 3: 3}
    assert tracker.learned.tolist() == [True, False]
    with pytest.raises(InvalidInput, match="tau"):
        _ = DynamicsTracker([0], 2).learned


def test_unsquared_csg_leaves_the_learning_time_on_squares():
    def scores(squared):
        tracker = DynamicsTracker([0], 2, tau=4.0, squared=squared, input_grads=True)
        for norm in (3.0, 1.0):
            own = torch.tensor([[norm, 0.0]])
            tracker.update(torch.tensor([0]), torch.zeros(1, 2), torch.tensor([1]), own)
            tracker.end_epoch()
        return tracker.scores().loc[0]

    # The mean of squares, 9 and then 5, stays above 4; the mean norm would be 3 at once.
    assert scores(True)["csg"] == 10.0
    assert scores(False)["csg"] == 4.0
    assert scores(True)["learning_time_gradient"] == scores(False)["learning_time_gradient"] == 2


def test_scores_hold_only_the_columns_that_apply():
    plain = fill(DynamicsTracker(range(4), 3)).scores()
    assert not {"csg", "learning_time_gradient"} & {*plain}
    assert "csg" in fill(DynamicsTracker(range(4), 3, input_grads=True)).scores()
    integer = {"learning_time_first", "learning_time_stable", "cslt", "forgetting_events"}
    assert {name for name in plain if plain[name].dtype == np.int64} == integer


def test_a_subset_with_arbitrary_ids_gets_its_scores_through_a_shuffling_loader():
    torch.manual_seed(0)
    n, classes = 40, 4
    table, y = torch.randn(n, classes), torch.randint(classes, (n,))
    everything = TensorDataset(torch.arange(n) * 7919 - 10**12, table, y)
    subset = Subset(everything, torch.randperm(n)[:13].tolist())
    tracker = DynamicsTracker([int(subset[i][0]) for i in range(13)], classes)
    for _ in range(3):
        for ids, logits, targets in DataLoader(subset, batch_size=5, shuffle=True):
            tracker.update(ids, logits, targets)
        tracker.end_epoch()
    loss = nn.functional.cross_entropy(table, y, reduction="none")
    positions = (torch.tensor(tracker.scores().index) + 10**12) // 7919
    np.testing.assert_allclose(tracker.scores()["csl"], 3 * loss[positions], rtol=1e-5)


@pytest.mark.parametrize("ids", [[3, 0, 5], [-(2**62), 2**62, 7], [-(2**63), 2**63 - 1, 0]])
def test_ids_may_lie_anywhere_and_unknown_ones_between_them_are_refused(ids):
    tracker = fill(DynamicsTracker(ids, 2))
    assert tracker.scores().index.tolist() == ids
    for other in (1, 4, 6, -1, 2**63 - 2, -(2**63) + 1):
        tracker.update(torch.tensor([ids[0], other]), torch.zeros(2, 2), torch.tensor([0, 1]))
        with pytest.raises(UnknownIds) as error:
            tracker.end_epoch()
        assert error.value.value == [other]


def test_the_order_of_batches_and_early_reduction_do_not_change_the_scores(monkeypatch):
    late = fill(DynamicsTracker(range(11), 3, tau=2.0, input_grads=True, trajectories=True), 4)
    monkeypatch.setattr(dynamics, "_BUFFERED", 1)  # every batch is reduced at once
    early = fill(DynamicsTracker(range(11), 3, tau=2.0, input_grads=True, trajectories=True), 4)
    assert_close_state(late.state_dict(), early.state_dict())


def test_waiting_logits_are_reduced_once_they_exceed_the_bound(monkeypatch):
    monkeypatch.setattr(dynamics, "_BUFFERED", 60)
    tracker = DynamicsTracker(range(10), 2)
    for _ in range(50):
        tracker.update(torch.arange(10), torch.zeros(10, 2), torch.zeros(10, dtype=torch.int64))
        assert sum(logits.numel() for _, logits, _ in tracker._pending) < 60


def test_logits_of_a_training_step_do_not_keep_its_graph_alive():
    model, tracker = nn.Linear(3, 2), DynamicsTracker(range(4), 2)
    for _ in range(2):  # the first batch is processed at once
        logits = model(torch.randn(4, 3))
        tracker.update(torch.arange(4), logits, torch.zeros(4, dtype=torch.int64))
    assert not any(tensor.requires_grad for batch in tracker._pending for tensor in batch)


@pytest.mark.parametrize("changed", ["ids", "logits", "targets"])
def test_a_waiting_tensor_changed_in_place_is_refused_with_the_fix(changed):
    tracker = fill(DynamicsTracker(range(4), 2))
    before = tracker.state_dict()
    batch = {
        "ids": torch.arange(4),
        "logits": torch.randn(4, 2),
        "targets": torch.zeros(4, dtype=torch.int64),
    }
    tracker.update(**batch)
    batch[changed].zero_()
    with pytest.raises(InvalidInput, match=rf"{changed}.*in place.*{changed}\.clone\(\)"):
        tracker.end_epoch()
    assert_same_state(tracker.state_dict(), before)


def test_logits_made_in_inference_mode_are_taken():
    tracker = fill(DynamicsTracker(range(4), 2))
    with torch.inference_mode():
        logits, targets = torch.ones(4, 2), torch.zeros(4, dtype=torch.int64)
        tracker.update(torch.arange(4), logits, targets)
        logits.zero_()  # not tracked there, so a copy is kept
        logits[:, 0] = 9.0
        tracker.end_epoch()
    assert tracker.scores()["learning_time_stable"].tolist() == [3] * 4


def test_half_precision_logits_and_gradients_do_not_overflow():
    tracker = DynamicsTracker([0], 2, input_grads=True)
    logits = torch.tensor([[-6e4, 6e4]], dtype=torch.float16)
    own = torch.full((1, 10000), 1000.0, dtype=torch.float16)
    tracker.update(torch.tensor([0]), logits, torch.tensor([0]), own)
    tracker.end_epoch()
    np.testing.assert_allclose(tracker.scores()["csl"], 120000, rtol=1e-3)
    np.testing.assert_allclose(tracker.scores()["csg"], 1e10, rtol=1e-3)


def test_input_gradients_of_a_linear_softmax_model_have_the_closed_form():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 5)).double()
    images = torch.randn(7, 3, 2, 2, dtype=torch.float64)
    y = torch.arange(7) % 5
    residual = model(images).softmax(1) - nn.functional.one_hot(y, 5)  # p - e_y
    expected = (residual @ model[1].weight).view_as(images)  # W^T (p - e_y)
    with torch.no_grad():
        own = input_gradients(model, images, y)
    torch.testing.assert_close(own, expected.detach(), rtol=1e-12, atol=1e-14)
    assert all(parameter.grad is None for parameter in model.parameters())


def test_input_gradients_are_taken_in_eval_mode_and_the_modes_are_put_back():
    model = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(4), nn.Dropout(0.5), nn.Linear(4, 3))
    model[1].eval()
    images, y = torch.randn(6, 1, 2, 2), torch.zeros(6, dtype=torch.int64)
    together = input_gradients(model, images, y)
    alone = torch.cat([input_gradients(model, images[i : i + 1], y[:1]) for i in range(6)])
    torch.testing.assert_close(together, alone)
    assert [module.training for module in model] == [True, False, True, True]
    assert model[1].num_batches_tracked == 0


def test_unseen_samples_raise_by_name_or_become_nan():
    tracker = DynamicsTracker([4, 9, 2], 2)
    with pytest.raises(UnseenIds, match=r"4, 9, 2.*end_epoch"):
        tracker.scores()
    tracker.update(torch.tensor([9]), torch.randn(1, 2), torch.tensor([1]))
    tracker.end_epoch()
    with pytest.raises(UnseenIds) as error:
        tracker.scores()
    assert error.value.value == [4, 2]
    table = tracker.scores(missing="nan")
    assert table.loc[[4, 2]].isna().all(axis=None)
    assert table.loc[9].notna().all()
    with pytest.raises(UnknownName, match="missing"):
        tracker.scores(missing="zero")


def test_a_non_finite_value_drops_the_epoch_and_names_the_sample():
    for place in ("logits", "input_grads"):
        tracker = fill(DynamicsTracker([7, 3, 8], 2, input_grads=True))
        before = tracker.state_dict()
        batch = {"logits": torch.randn(3, 2), "input_grads": torch.randn(3, 5)}
        batch[place][1, 0] = math.nan
        y = torch.zeros(3, dtype=torch.int64)
        tracker.update(torch.tensor([7, 3, 8]), targets=y, **batch)
        with pytest.raises(NonFiniteNumber, match=r"ids \[3\]"):
            tracker.end_epoch()
        assert_same_state(tracker.state_dict(), before)


def test_an_epoch_without_samples_is_refused():
    tracker = fill(DynamicsTracker(range(3), 2))
    with pytest.raises(EmptySelection, match="update"):
        tracker.end_epoch()
    assert tracker.epochs == 2


def test_trajectories_need_to_be_asked_for():
    with pytest.raises(InvalidInput, match="trajectories=True"):
        fill(DynamicsTracker(range(3), 2)).trajectories()
    assert DynamicsTracker(range(3), 2, trajectories=True).trajectories()["loss"].shape == (0, 3)
    assert "gradient" not in run_of_correctness([1]).trajectories()
    kept = run_of_correctness([0, 1]).trajectories()
    odds = 1 / (1 + math.e)
    np.testing.assert_allclose(kept["probability"][:, 0], [odds, 1 - odds], rtol=1e-6)
    assert kept["correct"].tolist() == [[0.0], [1.0]]
    assert kept["margin"].tolist() == [[-1.0], [1.0]]


def test_a_state_saved_in_the_middle_of_an_epoch_goes_on_exactly():
    def halves(tracker, between):
        fill(tracker, 2, seed=1)
        torch.manual_seed(5)
        for part in torch.arange(9).split(3):
            y = torch.zeros(3, dtype=torch.int64)
            tracker.update(part, torch.randn(3, 4), y, torch.randn(3, 6))
            if part[0] == 3:
                tracker = between(tracker)
        tracker.end_epoch()
        return tracker

    def fresh():
        return DynamicsTracker(range(9), 4, tau=3.0, input_grads=True, trajectories=True)

    def through_a_file(tracker):
        file = io.BytesIO()
        torch.save(tracker.state_dict(), file)
        file.seek(0)
        other = fresh()
        other.load_state_dict(torch.load(file, weights_only=True))
        return other

    def kept_in_memory(tracker):
        tracker.state_dict()  # which reduces what waits, as saving does
        return tracker

    straight = halves(fresh(), kept_in_memory)
    resumed = halves(fresh(), through_a_file)
    assert_same_state(straight.state_dict(), resumed.state_dict())


def test_saving_or_restoring_an_empty_tracker_changes_nothing():
    saved, restored, used = (DynamicsTracker(range(9), 4) for _ in range(3))
    restored.load_state_dict(saved.state_dict())
    used.load_state_dict(fill(DynamicsTracker(range(9), 4)).state_dict())
    wrong = torch.arange(9, 12), torch.zeros(3, 4), torch.zeros(3, dtype=torch.int64)
    for tracker in (saved, restored):  # the very first batch is still checked at once
        with pytest.raises(UnknownIds):
            tracker.update(*wrong)
    used.update(*wrong)
    with pytest.raises(UnknownIds):
        used.end_epoch()


def test_a_dropped_epoch_leaves_the_closed_ones():
    tracker = DynamicsTracker(range(9), 4)
    for epochs in (0, 2):
        tracker = fill(tracker, epochs)
        before = tracker.state_dict()
        for _ in range(2):
            zeros = torch.zeros(9, dtype=torch.int64)
            tracker.update(tracker.ids, torch.randn(9, 4), zeros)
        tracker.drop_epoch()
        after = tracker.state_dict()
        assert_same_state(after, before)
        assert after["waiting"] == before["waiting"]


def test_a_state_of_other_ids_or_settings_is_refused_by_name():
    state = fill(DynamicsTracker(range(4), 3)).state_dict()
    with pytest.raises(ForeignResult, match="classes"):
        DynamicsTracker(range(4), 2).load_state_dict(state)
    with pytest.raises(ForeignResult, match="ids"):
        DynamicsTracker([3, 2, 1, 0], 3).load_state_dict(state)


def test_a_saved_state_does_not_move_with_the_tracker():
    tracker = fill(DynamicsTracker(range(4), 3, trajectories=True))
    state = tracker.state_dict()
    kept = state["state"]["totals"].clone()
    other = DynamicsTracker(range(4), 3, trajectories=True)
    other.load_state_dict(state)
    fill(tracker), fill(other)
    assert torch.equal(state["state"]["totals"], kept)
    assert not state["sums"].any()
    assert len(state["trajectories"]) == 2


def test_merged_shards_equal_one_tracker_of_all():
    def settings():
        return {"tau": 2.0, "input_grads": True, "trajectories": True}

    torch.manual_seed(0)
    whole = DynamicsTracker([5, 1, 8, 0, 3], 3, **settings())
    shards = [DynamicsTracker(ids, 3, **settings()) for ids in ([5, 1], [8, 0, 3])]
    for _ in range(4):
        logits, own = torch.randn(5, 3).double(), torch.randn(5, 2).double()
        y = torch.tensor([0, 1, 2, 0, 1])
        whole.update(whole.ids, logits, y, own)
        shards[0].update(whole.ids[:2], logits[:2], y[:2], own[:2])
        shards[1].update(whole.ids[2:], logits[2:], y[2:], own[2:])
        for tracker in (whole, *shards):
            tracker.end_epoch()
    merged = DynamicsTracker.merge(shards)
    assert_close_state(merged.state_dict(), whole.state_dict())
    fill(merged, 1)  # it goes on like any other


def test_shards_that_do_not_fit_are_refused():
    one = fill(DynamicsTracker([0, 1], 3))
    with pytest.raises(DuplicateIds, match="1"):
        DynamicsTracker.merge([one, fill(DynamicsTracker([1, 2], 3))])
    with pytest.raises(InvalidInput, match="epochs 2"):
        DynamicsTracker.merge([one, fill(DynamicsTracker([2], 3), epochs=3)])
    with pytest.raises(InvalidInput, match="settings"):
        DynamicsTracker.merge([one, fill(DynamicsTracker([2], 4))])
    with pytest.raises(EmptySelection, match="trackers"):
        DynamicsTracker.merge([])


def _logits(ids, epoch):
    """Logits as a function of sample and epoch, whoever computes them."""
    classes = torch.arange(3)
    return torch.sin(1.0 + ids[:, None] * (classes + 1.7) + 0.9 * epoch * (classes + 1)).double()


def _process(rank, folder):
    dist.init_process_group("gloo", f"file://{folder}/rendezvous", rank=rank, world_size=2)
    ids = torch.arange(11) * 3
    tracker = DynamicsTracker(ids, 3, trajectories=True)
    sampler = DistributedSampler(TensorDataset(ids), num_replicas=2, rank=rank, shuffle=True)
    for epoch in range(4):
        sampler.set_epoch(epoch)
        chosen = ids[list(sampler)]  # 6 of 11: one sample pads, so it comes twice
        assert len(chosen) == 6
        for part in chosen.split(4):
            tracker.update(part, _logits(part, epoch), part % 3)
        tracker.end_epoch()
    torch.save(tracker.state_dict(), f"{folder}/{rank}.pt")
    apart = DynamicsTracker(ids[rank::2], 3)
    apart.update(apart.ids, _logits(apart.ids, 0), apart.ids % 3)
    with pytest.raises(ForeignResult, match="merge"):
        apart.end_epoch()
    dist.destroy_process_group()


def test_two_processes_with_changing_partitions_and_padding_equal_one(tmp_path):
    torch.multiprocessing.spawn(_process, (str(tmp_path),), nprocs=2)
    ids = torch.arange(11) * 3
    alone = DynamicsTracker(ids, 3, trajectories=True)
    for epoch in range(4):
        alone.update(ids, _logits(ids, epoch), ids % 3)
        alone.end_epoch()
    states = [torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in (0, 1)]
    assert_same_state(*states)
    both = DynamicsTracker(ids, 3, trajectories=True)
    both.load_state_dict(states[0])
    for column, values in alone.scores().items():
        np.testing.assert_allclose(both.scores()[column], values, rtol=1e-12, atol=1e-12)


def _one_fails(rank, folder):
    dist.init_process_group(
        "gloo", f"file://{folder}/rendezvous", rank=rank, world_size=2,
        timeout=timedelta(seconds=20),
    )  # fmt: skip
    tracker = fill(DynamicsTracker(range(6), 3), 1)
    before = tracker.state_dict()
    targets = torch.tensor([0, 1, 2])
    tracker.update(torch.tensor([0, 1, 2]), torch.randn(3, 3), targets)
    assert tracker.state_dict()["sums"].any()  # part of the epoch is added up already
    tracker.update(torch.tensor([3, 4, 5]), torch.randn(3, 3), targets + rank)
    expected, text = [(InvalidInput, "Another process"), (LabelOutOfRange, r"targets: \[3\]")][rank]
    with pytest.raises(expected, match=text):
        tracker.end_epoch()
    assert_same_state(tracker.state_dict(), before)
    fill(tracker, 1)
    torch.save(tracker.state_dict(), f"{folder}/{rank}.pt")
    dist.destroy_process_group()


def test_a_batch_that_one_process_refuses_ends_the_epoch_in_all(tmp_path):
    torch.multiprocessing.spawn(_one_fails, (str(tmp_path),), nprocs=2)
    states = [torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in (0, 1)]
    assert_same_state(*states)
    assert states[0]["epochs"] == 2


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_tensors_on_the_gpu_give_the_scores_of_the_cpu():
    torch.manual_seed(0)
    trackers = [DynamicsTracker(range(50), 10, input_grads=True) for _ in range(2)]
    for _ in range(3):
        for part in torch.randperm(50).split(16):
            y, own = torch.randint(10, (len(part),)), torch.randn(len(part), 1, 4, 4)
            logits = torch.randn(len(part), 10)
            trackers[0].update(part, logits, y, own)
            trackers[1].update(part.cuda(), logits.cuda(), y.cuda(), own.cuda())
        for tracker in trackers:
            tracker.end_epoch()
    for column, values in trackers[0].scores().items():
        np.testing.assert_allclose(trackers[1].scores()[column], values, rtol=1e-4, atol=1e-5)


# Each entry breaks one argument of a correct update and says what must come back.
BAD_UPDATES = {
    "label below zero": (LabelOutOfRange, "targets", lambda b, k: b["targets"].fill_(-k)),
    "label too large": (LabelOutOfRange, "targets", lambda b, k: b["targets"].fill_(2 + k)),
    "unknown id": (UnknownIds, "ids", lambda b, k: b["ids"].fill_(100 + k)),
    "negative id": (UnknownIds, "ids", lambda b, k: b["ids"].fill_(-k)),
    "more classes": (WrongShape, "logits", lambda b, k: b.update(logits=torch.zeros(4, 3 + k))),
    "one class": (WrongShape, "logits", lambda b, k: b.update(logits=torch.zeros(4, 1))),
    "flat logits": (WrongShape, "logits", lambda b, k: b.update(logits=torch.zeros(k))),
    "deep logits": (WrongShape, "logits", lambda b, k: b.update(logits=torch.zeros(4, 3, k))),
    "whole logits": (WrongType, "logits", lambda b, k: b.update(logits=b["logits"].long())),
    "ids too long": (WrongShape, "ids", lambda b, k: b.update(ids=torch.arange(4 + k))),
    "ids too short": (WrongShape, "ids", lambda b, k: b.update(ids=torch.arange(4 - k % 4 - 1))),
    "targets too long": (
        WrongShape,
        "targets",
        lambda b, k: b.update(targets=torch.zeros(4 + k, dtype=torch.int64)),
    ),
    "soft targets": (WrongType, "targets", lambda b, k: b.update(targets=torch.zeros(4, k))),
    "real ids": (WrongType, "ids", lambda b, k: b.update(ids=torch.rand(4) * k)),
    "boolean ids": (WrongType, "ids", lambda b, k: b.update(ids=torch.ones(4).bool())),
    "listed ids": (WrongType, "ids", lambda b, k: b.update(ids=[10] * 4)),
    "listed targets": (WrongType, "targets", lambda b, k: b.update(targets=[0] * 4)),
    "listed logits": (WrongType, "logits", lambda b, k: b.update(logits=[[0.0, k]] * 4)),
    "gradients missing": (InvalidInput, "input_grads", lambda b, k: b.update(input_grads=None)),
    "gradients of others": (
        WrongShape,
        "input_grads",
        lambda b, k: b.update(input_grads=torch.zeros(4 + k, 2)),
    ),
    "gradients reduced": (
        WrongShape,
        "input_grads",
        lambda b, k: b.update(input_grads=torch.zeros(4)),
    ),
}


@settings(deadline=None, max_examples=120)
@given(st.sampled_from(sorted(BAD_UPDATES)), st.integers(1, 5), st.booleans())
def test_a_bad_update_names_argument_value_and_fix_and_leaves_the_state(name, k, first):
    expected, argument, spoil = BAD_UPDATES[name]
    tracker = DynamicsTracker([10, 11, 12, 13], 2, input_grads=True, trajectories=True)
    if not first:  # the very first batch is checked at once, later ones by end_epoch
        fill(tracker, 1)
    before = tracker.state_dict()
    batch = {
        "ids": torch.arange(10, 14),
        "logits": torch.randn(4, 2),
        "targets": torch.tensor([0, 1, 0, 1]),
        "input_grads": torch.randn(4, 1, 2, 2),
    }
    spoil(batch, k)
    with pytest.raises(expected) as error:
        tracker.update(**batch)
        tracker.end_epoch()
    assert type(error.value) is expected
    assert error.value.argument == argument
    assert str(error.value).startswith(f"{argument}: ")
    assert str(error.value).endswith(error.value.fix)
    assert_same_state(tracker.state_dict(), before)
    fill(tracker, 1)
    assert tracker.epochs == (1 if first else 2)


def test_a_wrong_first_batch_is_refused_by_update_itself():
    tracker = DynamicsTracker(range(4), 2)
    with pytest.raises(UnknownIds, match="9"):
        tracker.update(torch.tensor([9]), torch.zeros(1, 2), torch.tensor([0]))


def test_gradients_that_were_not_promised_are_refused():
    tracker = DynamicsTracker(range(1), 2)
    with pytest.raises(InvalidInput, match="input_grads=True"):
        tracker.update(torch.arange(1), torch.zeros(1, 2), torch.arange(1), torch.zeros(1, 2))


@quick
@given(st.data())
def test_a_bad_constructor_call_names_the_argument(data):
    value = data.draw(st.integers(0, 30))
    cases = [
        (DuplicateIds, "ids", lambda: DynamicsTracker([value, 99, value], 2)),
        (EmptySelection, "ids", lambda: DynamicsTracker([], 2)),
        (WrongShape, "ids", lambda: DynamicsTracker(torch.zeros(2, value).long(), 2)),
        (WrongShape, "ids", lambda: DynamicsTracker(value, 2)),
        (WrongType, "ids", lambda: DynamicsTracker([value + 0.5], 2)),
        (WrongType, "ids", lambda: DynamicsTracker(["a", value], 2)),
        (WrongType, "ids", lambda: DynamicsTracker([[value], [1, 2]], 2)),
        (WrongType, "classes", lambda: DynamicsTracker([value], 2.5)),
        (NotPositive, "classes", lambda: DynamicsTracker([value], 1 - value)),
        (NotPositive, "tau", lambda: DynamicsTracker([1], 2, tau=-value, input_grads=True)),
        (NotPositive, "tau", lambda: DynamicsTracker([1], 2, tau=math.nan, input_grads=True)),
        (InvalidInput, "tau", lambda: DynamicsTracker([1], 2, tau=1.0 + value)),
    ]
    expected, argument, call = data.draw(st.sampled_from(cases))
    with pytest.raises(expected) as error:
        call()
    assert error.value.argument == argument
    assert error.value.fix in str(error.value)
