"""What is said of a key that a table of a study file does not have."""

import pytest
from test_study import MINIMAL

from consort.errors import InputError
from consort.study.execution import Toleration
from consort.study.explain import keys_of
from consort.study.file import Study, parse_study


@pytest.mark.parametrize(("line", "instead"), [
    ('architectures."wrn-10-2" = {pretrained = true}', "existing weights are imported with `weights`"),
    ("lr = 0.1", r"it is `learning_rate`, in \[recipe]"),
    ("epochs = 3", r"it stands in \[recipe]"),
    ("run.gpus = 1", r"it stands in \[cluster]"),
])
def test_a_key_that_stands_elsewhere_or_has_another_name_here(line, instead):
    text = f"{line}\n{MINIMAL}" if "arch" not in line else MINIMAL + line.removeprefix("architectures.")
    with pytest.raises(InputError, match=instead) as refused:
        parse_study(text, "here.toml")
    assert "did you mean" not in str(refused.value)


def test_every_table_of_a_study_knows_its_keys():
    assert {"name", "epochs"} <= keys_of(["recipe"], Study)
    assert keys_of(["search", "recipe"], Study) == keys_of(["architectures", "wrn-10-1", "recipe"], Study)
    assert "epochs" in keys_of(["search", "recipe"], Study) and "space" in keys_of(["search"], Study)
    assert keys_of(["cluster", "tolerations", "0"], Study) == set(Toleration.model_fields)
    assert keys_of(["data", "also", "0"], Study) == {"name", "source"}
