"""The systems of the five articles, with their own numbers; beside each a sibling at equal sparsity."""

from explorer.experiment import Clipping, Experiment, Pruning
from explorer.presets.preset import Preset


def _article_000(pruning: Pruning | None, clipping: Clipping | None = None) -> Experiment:
    """784-128-10, plain SGD at 0.01, batches of 64, 10 epochs, pixels from 0 to 1."""
    return Experiment(epochs=10, lr=0.01, normalise=False, pruning=pruning, clipping=clipping)


def _article_001(pruning: Pruning | None) -> Experiment:
    """784-64-32-10, Adam with its defaults, batches of 32, 10 epochs; pruned when they are over."""
    return Experiment(
        model="mlp-784-64-32-10",
        optimizer="adam",
        lr=0.001,
        batch_size=32,
        epochs=10,
        normalise=False,
        pruning=pruning,
        clipping=None,
    )


def _article_004(criterion: str) -> Experiment:
    """SGD at 0.01; the article drops a tenth."""
    return Experiment(lr=0.01, epochs=3, pruning=Pruning(criterion=criterion, threshold=0.1), clipping=None)


TAU = {"threshold": 1e-3, "unit": "score"}
NEURON = {"criterion": "activity", "granularity": "neuron"}
MATCHED = "At equal sparsity methods can be compared; one seed shows an example, not a ranking."

ARTICLES = {
    "article-000-magnitude": Preset(
        lambda: _article_000(Pruning(**TAU)),
        "Weight pruning with τ = 0.001",
        "Weights start out spread evenly up to 0.036, so |w| < 0.001 takes about 3 % of them, and nobody "
        "notices. A threshold says little until one asks what share it cuts.",
        "article 000, sections 3.3.1 and 4.2",
    ),
    "article-000-magnitude-matched": Preset(
        lambda: _article_000(Pruning(threshold=0.9)),
        "Weight pruning at 90 %",
        "The same system, told what share to prune instead of a score. " + MATCHED,
        "article 000, sections 3.3.1 and 4.2; the sparsity is ours",
    ),
    "article-000-gradient": Preset(
        lambda: _article_000(Pruning(criterion="gradient", **TAU)),
        "Gradient pruning with τ = 0.001",
        "The very τ that took 3 % by magnitude takes about 97 % here, because gradients of a trained network "
        "are small. The network collapses at the prune event, and fine-tuning has to build on what is left.",
        "article 000, sections 3 and 4.1",
    ),
    "article-000-gradient-matched": Preset(
        lambda: _article_000(Pruning(criterion="gradient", threshold=0.9)),
        "Gradient pruning at 90 %",
        "A small gradient says that a weight has found its place, not that it can go: large, settled weights "
        "fall as well. " + MATCHED,
        "article 000, sections 3 and 4.1; the sparsity is ours",
    ),
    "article-000-neuron": Preset(
        lambda: _article_000(Pruning(**NEURON, **TAU)),
        "Neuron pruning with τ = 0.001",
        "Hidden neurons with mean |a| below 0.001 would fall, but a ReLU neuron that ever answers exceeds "
        "that, so hardly one does. The article's code zeroed the whole network instead.",
        "article 000, sections 3.3.2 and 4.3",
    ),
    "article-000-neuron-matched": Preset(
        lambda: _article_000(Pruning(**NEURON, threshold=0.9)),
        "Neuron pruning at 90 %",
        "115 of the 128 hidden neurons fall with all their weights. What is left is a small dense network, "
        "which computers like better than scattered zeros. " + MATCHED,
        "article 000, sections 3.3.2 and 4.3; the sparsity is ours",
    ),
    "article-000-gradient-step": Preset(
        lambda: _article_000(None, Clipping(rule="threshold", options={"tau": 1e-3})),
        "Gradients below 0.001 dropped in each step",
        "What the article's code does to gradients, with |g| in place of its signed g, which killed every "
        "negative one. No weight is pruned, but most components are never sent.",
        "article 000, section 4.1",
    ),
    "article-001-gradient-mean": Preset(
        lambda: _article_001(Pruning(criterion="gradient", threshold=0.5, unit="mean", begin_epoch=10)),
        "Gradient pruning at half the mean",
        "After ten epochs, weights whose gradient is below half of their layer's mean fall, and nothing is "
        "fine-tuned. Gradients have long tails, so half the mean already cuts most of them.",
        "article 001, sections 3.3 and 4",
    ),
    "article-001-gradient-mean-matched": Preset(
        lambda: _article_001(Pruning(criterion="magnitude", threshold=0.6, begin_epoch=10)),
        "Magnitude pruning at a like share",
        "About as many weights fall, by size and not by gradient, and again nothing is fine-tuned. "
        + MATCHED,
        "article 001, sections 3.3 and 4; the criterion and the sparsity are ours",
    ),
    "article-001-vanishing": Preset(
        lambda: Experiment(
            model="deep-sigmoid", epochs=3, lr=0.1, normalise=False, pruning=None, clipping=None
        ),
        "Vanishing gradients through depth",
        "Eight sigmoid layers, each of which passes on at most a quarter of the slope: the first layers "
        "hardly learn. Look at the gradient norm of each layer; pruning is no cure for this.",
        "article 001, sections 2.2 and 3.2",
    ),
    "article-002-iterative": Preset(
        lambda: Experiment(
            epochs=10,
            lr=0.1,
            pruning=Pruning(
                criterion="gradient",
                threshold=0.01,
                unit="score",
                schedule="iterative",
                options={"rounds": 5},
            ),
            clipping=None,
        ),
        "Train, prune by gradient, repeat",
        "The article's loop with its τ = 0.01, reached in five rounds. Gradients of a trained network lie "
        "below that nearly everywhere, so that the very first round takes almost the whole network.",
        "article 002, sections 2.4 and 3.2",
    ),
    "article-002-iterative-matched": Preset(
        lambda: Experiment(
            epochs=10,
            lr=0.1,
            pruning=Pruning(criterion="gradient", threshold=0.9, schedule="iterative", options={"rounds": 5}),
            clipping=None,
        ),
        "Train, prune by gradient to 90 %, repeat",
        "Five rounds, each taking the same share of what is left and fine-tuning the rest. " + MATCHED,
        "article 002, sections 2.4 and 3.2; the sparsity is ours",
    ),
    "article-003-clip-value": Preset(
        lambda: Experiment(lr=0.01, epochs=3, pruning=None, clipping=Clipping(rule="value", max_norm=0.1)),
        "Clipping by value at 0.1",
        "Each component of the gradient is cut to ±0.1, and its direction may turn. Look at the share of "
        "clipped steps: a bound that never binds does nothing.",
        "article 003, sections 3.2 and 4",
    ),
    "article-003-clip-norm": Preset(
        lambda: Experiment(lr=0.01, epochs=3, pruning=None, clipping=Clipping(rule="norm", max_norm=0.1)),
        "Clipping by norm at 0.1",
        "The whole gradient is shortened to length 0.1, and its direction stays. As nearly every step is "
        "clipped, all steps are about as long, and learning is slow and even.",
        "article 003, section 3.2",
    ),
    "article-003-compressed": Preset(
        lambda: Experiment(
            epochs=3, pruning=None, clipping=Clipping(rule="top-k", options={"error_feedback": True})
        ),
        "A tenth of the gradient sent",
        "Only the largest 10 % of the components are applied; the others wait in a residual until they are "
        "large enough. The summary counts the bytes that would cross a network.",
        "article 003, section 2",
    ),
    "article-004-class-gradient": Preset(
        lambda: Experiment(
            lr=0.01, epochs=3, pruning=Pruning(criterion="class-gradient", threshold=0.1), clipping=None
        ),
        "Gradients split by class, 10 % pruned",
        "A weight that two classes pull in opposite directions has no gradient in sum, and still both need "
        "it. Splitting by class sees that, and keeps it.",
        "article 004, sections 2 to 4",
    ),
    "article-004-class-gradient-matched": Preset(
        lambda: _article_004("gradient"),
        "Plain gradients, 10 % pruned",
        "The same share by |∂L/∂w| alone, in which classes cancel. " + MATCHED,
        "article 004, sections 2 to 4; the criterion is ours",
    ),
}
