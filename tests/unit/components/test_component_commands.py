"""How a component runs `consort`: exit code, output, the study as an argument."""

from pathlib import Path

import pytest

from consort_components import command


def test_a_command_s_exit_code_becomes_the_step_s(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        command.consort("show", "nobody", *command.at(str(tmp_path / "store")))

    assert end.value.code == 2
    shown = capfd.readouterr()
    assert shown.out.startswith("$ consort show nobody") and "unknown member 'nobody'" in shown.err.splitlines()[-1]


def test_output_is_shown_and_returned(capfd: pytest.CaptureFixture[str]) -> None:
    returned = command.consort("--version")

    assert returned and capfd.readouterr().out == f"$ consort --version\n{returned}"


def test_json_is_read_and_not_shown(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert command.consort_json("members", "--json", *command.at(str(tmp_path))) == []
    assert capfd.readouterr().out.count("\n") == 1


def test_the_text_of_a_study_becomes_a_file_and_a_run_stays_a_name() -> None:
    assert command.study_argument("quick/0123456789\n") == "quick/0123456789"
    assert Path(command.study_argument('name = "quick"\n')).read_text() == 'name = "quick"\n'


def test_without_a_store_the_environment_counts() -> None:
    assert command.at("") == [] and command.at("s3://bucket") == ["--store", "s3://bucket"]
