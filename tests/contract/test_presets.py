"""Presets: each is a plain Experiment that can be trained, with a commentary and a source."""

import pytest

import explorer as ex
from explorer.engine.training.trainer import Trainer
from explorer.presets import PRESETS
from explorer.presets.__main__ import shortened


def test_the_package_reads_like_a_mapping():
    assert set(ex.presets) == set(PRESETS)
    assert len(ex.presets) == len(PRESETS)
    assert "han-2015-lenet-300-100" in ex.presets
    with pytest.raises(KeyError, match="did you mean 'han-2015-lenet-5'"):
        ex.presets["han-2015-lenet5"]


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_says_what_happens_and_where_it_comes_from(name):
    preset = PRESETS[name]
    assert 2 <= preset.commentary.count(". ") + preset.commentary.count("? ") + 1 <= 4
    assert preset.title
    assert "article" in preset.source or "https://" in preset.source


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_trains(name, tiny):
    """Its own model and methods, on few images: the trainer takes it, and it ends where it says."""
    experiment = PRESETS[name].experiment
    assert eval(experiment.code(), {"ex": ex}) == experiment
    small = shortened(experiment, 1).replace(dataset=tiny().dataset, validation=100, batch_size=50)
    trainer = Trainer([small], "cpu")
    assert trainer.total > 0
    if small.pruning is not None:
        assert trainer.lanes[0].plan


@pytest.mark.parametrize("name", [n for n in PRESETS if f"{n}-matched" in PRESETS])
def test_a_matched_sibling_differs_in_its_pruning_alone(name):
    published, matched = (PRESETS[n].experiment for n in (name, f"{name}-matched"))
    assert published.dense() == matched.dense()
    assert published.pruning != matched.pruning


def test_article_000_takes_3_percent_by_magnitude_at_its_threshold():
    """|w| < 0.001 where 784 · 128 weights are even up to 1/28 and 1,280 up to 1/√128, before training."""
    trainer = Trainer([PRESETS["article-000-magnitude"].experiment], "cpu")
    view, decision = trainer.preview(trainer.lanes[0].experiment)
    expected = (100_352 * 0.001 * 28 + 1_280 * 0.001 * 128**0.5) / 101_632
    assert trainer.observer.sparsity(view) == pytest.approx(expected, abs=0.003)
    assert decision.cutoffs == pytest.approx([0.001, 0.001])
