"""Files that come along: the embedded MNIST (`build` makes it anew), published points, our tables."""
