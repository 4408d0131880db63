"""Tables: the same bytes for the same numbers, checks that name the fault, means with honest errors."""

import numpy as np
import pandas as pd
import pytest

from denoiser_priors.errors import ResultError
from denoiser_priors.tables import (
    EVALUATION_COLUMNS,
    markdown,
    read_csv,
    require_columns,
    summarise,
    write_csv,
    write_markdown,
)


def frame(**changes):
    columns = {
        "denoiser": ["a", "b"],
        "image": ["01", "nan"],
        "sigma": [10.0, 2.55],
        "psnr": [28.123456789, np.inf],
        "lpips": [np.nan, 1.23456789e-9],
    }
    return pd.DataFrame(columns | changes)


def test_csv_is_written_byte_for_byte(tmp_path):
    write_csv(frame(), tmp_path / "t.csv")
    expected = b"denoiser,image,sigma,psnr,lpips\na,01,10,28.12346,\nb,nan,2.55,inf,1.234568e-09\n"
    assert (tmp_path / "t.csv").read_bytes() == expected


def test_csv_is_the_same_after_reading_and_writing_again(tmp_path):
    write_csv(frame(), tmp_path / "one.csv")
    write_csv(read_csv(tmp_path / "one.csv"), tmp_path / "two.csv")
    assert (tmp_path / "one.csv").read_bytes() == (tmp_path / "two.csv").read_bytes()


def test_names_that_look_like_numbers_or_missing_values_stay_names(tmp_path):
    write_csv(frame(), tmp_path / "t.csv")
    read = read_csv(tmp_path / "t.csv", ["image", "lpips"])
    assert read["image"].tolist() == ["01", "nan"]
    assert np.isnan(read["lpips"][0])
    assert read["sigma"].tolist() == [10.0, 2.55]


def test_a_column_of_nothing_but_missing_values_is_numeric(tmp_path):
    write_csv(frame(lpips=[np.nan, np.nan]), tmp_path / "t.csv")
    assert read_csv(tmp_path / "t.csv")["lpips"].isna().all()
    assert pd.api.types.is_float_dtype(read_csv(tmp_path / "t.csv")["lpips"])


def test_missing_column_is_named_with_the_file(tmp_path):
    write_csv(frame(), tmp_path / "t.csv")
    with pytest.raises(ResultError, match=r"t\.csv: the columns dataset, draw are missing; it has denoiser, image"):
        read_csv(tmp_path / "t.csv", ["denoiser", "dataset", "draw"])


def test_missing_table_is_named(tmp_path):
    with pytest.raises(ResultError, match=r"none\.csv: there is no such table"):
        read_csv(tmp_path / "none.csv")


@pytest.mark.parametrize("content", [b"", b"a,b\n1,2\n1,2,3\n", b"\xff\xfe\x00"], ids=["empty", "ragged", "binary"])
def test_what_is_no_table_is_refused(tmp_path, content):
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(ResultError, match=r"t\.csv: not a CSV table"):
        read_csv(tmp_path / "t.csv", ["a"])


def test_failed_write_leaves_the_old_table(tmp_path, monkeypatch):
    write_csv(frame(), tmp_path / "t.csv")
    before = (tmp_path / "t.csv").read_bytes()

    def fail(*_):
        raise RuntimeError("interrupted")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(RuntimeError, match="interrupted"):
        write_csv(frame(psnr=[1.0, 2.0]), tmp_path / "t.csv")
    assert (tmp_path / "t.csv").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["t.csv"]


def test_markdown_is_aligned_and_escaped(tmp_path):
    table = pd.DataFrame({"name": ["a|b", "c"], "sigma": [10.0, 2.55], "psnr": [28.126, np.nan], "n": [3, 12]})
    expected = (
        "| name | sigma |  psnr |   n |\n"
        "| ---- | ----: | ----: | --: |\n"
        "| a\\|b |    10 | 28.13 |   3 |\n"
        "| c    |  2.55 |       |  12 |\n"
    )
    assert markdown(table) == expected
    assert "| 28.1 |" in markdown(table, decimals={"psnr": 1})
    write_markdown(table, tmp_path / "t.md", title="Quality")
    assert (tmp_path / "t.md").read_text() == "# Quality\n\n" + expected


def measurements(psnr):
    """Rows of one denoiser: `psnr` is images x draws."""
    images, draws = np.shape(psnr)
    rows = [
        ("d", "set", f"i{i}", 10.0, k, "gaussian", "bias_free", 0.0, psnr[i][k], 0.0, 0.0, np.nan)
        for i in range(images)
        for k in range(draws)
    ]
    return pd.DataFrame(rows, columns=list(EVALUATION_COLUMNS))


def test_mean_and_standard_error_of_single_draws():
    summary = summarise(measurements([[30.0], [32.0], [34.0]]))
    assert summary["psnr"].item() == 32
    assert summary["psnr_se"].item() == pytest.approx(2 / np.sqrt(3))
    assert (summary["images"].item(), summary["draws"].item()) == (3, 1)
    assert summary["lpips"].isna().item()


def test_more_draws_do_not_count_as_more_images():
    once = summarise(measurements([[30.0], [34.0]]))
    often = summarise(measurements([[30.0] * 50, [34.0] * 50]))
    assert often["psnr_se"].item() == pytest.approx(once["psnr_se"].item())
    assert often["draws"].item() == 50


def test_standard_error_predicts_the_spread_of_means():
    generator = np.random.default_rng(0)
    images, draws, trials = 12, 4, 400
    values = generator.normal(0, 2, (trials, images, 1)) + generator.normal(0, 3, (trials, images, draws))
    summaries = [summarise(measurements(trial), values=["psnr"]) for trial in values[:60]]
    predicted = np.sqrt(np.mean([summary["psnr_se"].item() ** 2 for summary in summaries]))
    assert predicted == pytest.approx(np.sqrt((4 + 9 / draws) / images), rel=0.15)
    assert values.mean(axis=(1, 2)).std() == pytest.approx(predicted, rel=0.2)


def test_groups_keep_their_order_and_a_single_image_has_no_error():
    low = measurements([[30.0]])
    table = pd.concat([low.assign(denoiser="z"), low.assign(denoiser="a", psnr=20.0)])
    summary = summarise(table, by=["denoiser"], values=["psnr"])
    assert summary["denoiser"].tolist() == ["z", "a"]
    assert summary["psnr"].tolist() == [30, 20]
    assert summary["psnr_se"].isna().all()


def test_summary_names_a_missing_column():
    with pytest.raises(ResultError, match="psnr is missing"):
        summarise(measurements([[30.0]]).drop(columns="psnr"))
    assert require_columns(frame(), ["psnr"], "t.csv").equals(frame())
