import json

import pytest

from benchmarks.result_file import write_result


def test_what_is_written_is_read_and_a_figure_that_is_none_is_refused(tmp_path):
    file = tmp_path / "new" / "result.json"
    write_result(file, {"auroc": 0.5, "name": "Épernay", "missing": None})
    assert json.loads(file.read_text("utf-8"))["name"] == "Épernay"
    before = file.read_bytes()
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_result(file, {"auroc": float("nan")})
    assert file.read_bytes() == before
