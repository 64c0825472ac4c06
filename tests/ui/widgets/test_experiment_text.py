"""An experiment is read from text, and nothing in the text is run."""

import pytest

import explorer as ex
from explorer.ui.widgets import experiment_text

EXP = ex.Experiment(
    lr=0.05, pruning={"schedule": "iterative", "options": {"rounds": 3}}, clipping={"rule": ("norm", "value")}
)


@pytest.mark.parametrize(
    "text",
    [
        EXP.to_json(),
        EXP.code(),
        f"exp = {EXP.code()}",
        f"import explorer as ex\nexp = {EXP.code()}",
        EXP.code().replace("ex.", "explorer."),
        EXP.code().replace("ex.", ""),
    ],
)
def test_an_experiment_is_read_from_json_and_from_code(text):
    assert experiment_text.read(text) == EXP


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("  ", "there is no text"),
        ("{", "not JSON"),
        ("ex.Experiment(", "neither JSON nor Python"),
        ("print('x')", "'print' is not allowed"),
        ("ex.Experiment(lr=open('x'))", "'open' is not allowed"),
        ("ex.Experiment(lr=a.b)", "'a.b' is not allowed"),
        ("__import__('os').system('x')", "is not allowed"),
        ("ex.Experiment(**{'lr': 1})", "by name"),
        ("ex.Experiment(0.1)", "by name"),
        ("ex.Experiment(learning_rate=1)", "learning_rate"),
        ("ex.Experiment(lr=-1)", "lr = -1"),
        ("ex.Pruning()", "describes no Experiment"),
        ("1; 2", "describes no Experiment"),
        ("ex.train(ex.Experiment())", "'ex.train' is not allowed"),
        ("(" * 2000, "neither JSON nor Python"),
    ],
)
def test_what_does_not_fit_is_told(text, told):
    with pytest.raises(ValueError, match=told.replace("(", r"\(").replace("'", ".")):
        experiment_text.read(text)
