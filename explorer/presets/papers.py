"""The papers whose points are published, at their sparsity."""

from explorer.experiment import Clipping, Experiment, Pruning
from explorer.presets.preset import Preset

HAN = "Han, Pool, Tran & Dally 2015, https://arxiv.org/abs/1506.02626"
SURGERY = "Guo, Yao & Chen 2016, https://arxiv.org/abs/1608.04493"
DROPOUT = "Molchanov, Ashukha & Vetrov 2017, https://arxiv.org/abs/1701.05369"
OTHERWISE = (
    "We do not have the paper's method: gradual magnitude pruning goes to the same sparsity, for comparison."
)


def _lenet(
    model: str, pruning: Pruning, epochs: int = 30, lr: float = 0.05, weight_decay: float = 5e-4
) -> Experiment:
    """Return the papers' networks: momentum, weight decay, a learning rate that falls to 0 at the end.

    Han's row was chosen on validation images, 3 or 5 seeds each: of ten recipes (learning rate 0.05 or 0.1,
    constant or cosine, weight decay 1e-4 to 2e-3, 30 or 40 epochs, the pruning's end) the one whose pruned
    network made the fewest mistakes there.
    """
    return Experiment(
        model=model,
        lr=lr,
        lr_decay="cosine",
        momentum=0.9,
        weight_decay=weight_decay,
        batch_size=128,
        epochs=epochs,
        pruning=pruning,
        clipping=Clipping(max_norm=5.0),
    )


def _gradual(threshold: float) -> Pruning:
    return Pruning(threshold=threshold, allocation="erk", schedule="gradual", begin_epoch=1, end_epoch=12)


def _surgery(threshold: float, *shares: float) -> Pruning:
    """A wide margin: unseen weights drift, and with the usual 0.1 so many come back that nothing settles."""
    given = {"shares": shares} if shares else {}
    return Pruning(
        threshold=threshold,
        allocation="shares" if shares else "erk",
        schedule="splicing",
        begin_epoch=2,
        end_epoch=14,
        options={"margin": 1.0, **given},
    )


def _shares(threshold: float, *shares: float, end_epoch: float = 12) -> Pruning:
    """Han's shares of the layers, reached gradually."""
    return Pruning(
        threshold=threshold,
        allocation="shares",
        schedule="gradual",
        begin_epoch=1,
        end_epoch=end_epoch,
        options={"shares": shares},
    )


PAPERS = {
    "han-2015-lenet-300-100": Preset(
        lambda: _lenet(
            "lenet-300-100",
            _shares(0.9182, 0.08, 0.09, 0.26, end_epoch=20),
            lr=0.1,
            weight_decay=1e-3,
        ),
        "LeNet-300-100, 92 % pruned",
        "Each layer comes to keep the paper's share, 8, 9 and 26 %, while the network learns. The paper "
        "reports an error of 1.59 % after pruning, 1.64 % before; here, over 5 seeds, 1.46 % and the dense "
        "twin 1.42 %.",
        HAN,
    ),
    "han-2015-lenet-5": Preset(
        lambda: _lenet("lenet-5", _shares(0.9184, 0.66, 0.12, 0.08, 0.19), epochs=20),
        "LeNet-5, 92 % pruned",
        "Each layer keeps the paper's share: the first convolution most, the large Linear layer least. The "
        "paper reports an error of 0.77 % after pruning, 0.80 % before.",
        HAN,
    ),
    "han-2016-deep-compression": Preset(
        lambda: _lenet(
            "lenet-300-100",
            Pruning(
                threshold=0.9182,
                allocation="shares",
                schedule="iterative",
                options={"shares": (0.08, 0.09, 0.26), "rounds": 5},
            ),
        ),
        "LeNet-300-100, the pruning of deep compression",
        "The paper prunes as in 2015, in rounds, then quantises and codes what is left, to a fortieth of the "
        "storage and an error of 1.58 %. Only the pruning is done here.",
        "Han, Mao & Dally 2016, https://arxiv.org/abs/1510.00149",
    ),
    "guo-2016-lenet-300-100": Preset(
        lambda: _lenet(
            "lenet-300-100",
            _surgery(0.982),
        ),
        "LeNet-300-100, 98.2 % by surgery",
        "Pruned weights go on learning unseen and come back when they matter. The paper reports an error of "
        "1.99 % with 1.8 % of the weights.",
        SURGERY,
    ),
    "guo-2016-lenet-5": Preset(
        lambda: _lenet(
            "lenet-5",
            _surgery(0.991, 0.142, 0.031, 0.007, 0.043),
            epochs=20,
            lr=0.01,
        ),
        "LeNet-5, 99.1 % by surgery",
        "The same on a convolutional network, each layer with a share given by hand. The paper keeps 0.9 % "
        "of the weights, at an error of 0.91 % as before.",
        SURGERY,
    ),
    "molchanov-2017-lenet-300-100": Preset(
        lambda: _lenet("lenet-300-100", _gradual(0.985)),
        "LeNet-300-100 at 98.5 %",
        "Sparse variational dropout learns which weights are noise; the paper reports an error of 1.92 %. "
        + OTHERWISE,
        DROPOUT,
    ),
    "molchanov-2017-lenet-5": Preset(
        lambda: _lenet("lenet-5", _gradual(0.996), epochs=20),
        "LeNet-5 at 99.6 %",
        "Sparse variational dropout keeps one weight in 280; the paper reports an error of 0.75 %. "
        + OTHERWISE,
        DROPOUT,
    ),
    "ullrich-2017-lenet-300-100": Preset(
        lambda: _lenet("lenet-300-100", _gradual(0.956)),
        "LeNet-300-100 at 95.6 %",
        "Soft weight-sharing pulls weights to a few values, zero among them; the paper reports an error of "
        "1.94 %. " + OTHERWISE,
        "Ullrich, Meeds & Welling 2017, https://arxiv.org/abs/1702.04008",
    ),
}
