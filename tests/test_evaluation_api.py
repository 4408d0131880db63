"""The public functions: names, arrays and files in; tables, arrays and files out; or one clear error."""

import numpy as np
import PIL.Image
import pytest
import torch
from skimage import data

import denoiser_priors
from denoiser_priors.config import load_config
from denoiser_priors.data.images import Image
from denoiser_priors.errors import ConfigError, DataError, DenoiserPriorsError, ResultError
from denoiser_priors.evaluation.api import denoise, denoise_file, evaluate
from denoiser_priors.networks import zoo
from denoiser_priors.tables import EVALUATION_COLUMNS


def halve(noisy):
    return 0.5 * noisy


@pytest.fixture
def gray():
    return data.camera()[100:140, 200:250]


@pytest.fixture
def colour():
    return data.astronaut()[100:140, 200:250]


@pytest.fixture
def network():
    return zoo.fold(zoo.build("dncnn", bias=False, depth=4, width=8))


@pytest.fixture
def project(tmp_path):
    """A configuration with paths of its own, one denoiser with weights, and a folder of images."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for index in (2, 10, 1):
        PIL.Image.fromarray(data.camera()[index : index + 40, :50]).save(folder / f"p{index}.png")
    paths = {key: str(tmp_path / key) for key in ("data", "results", "figures", "cache")}
    config = load_config(overrides={"paths": paths, "datasets": {"mine": {"images": str(folder)}}})
    spec = config.denoiser("dncnn-bf-0to10")
    model = zoo.build(spec.architecture, bias=spec.bias, **spec.network)
    zoo.save(model, config.weights_path(spec.name), spec.model_dump(mode="json"))
    return config, folder


# evaluate


def test_evaluate_by_name_by_file_and_by_module_agree(project):
    config, folder = project
    spec = config.denoiser("dncnn-bf-0to10")
    weights = config.weights_path(spec.name)
    options = {"sigma": [10, 90], "lpips": False, "config": config}
    by_name = evaluate("dncnn-bf-0to10", images=folder, **options)
    assert tuple(by_name.columns) == EVALUATION_COLUMNS
    assert by_name["denoiser"].unique().tolist() == ["dncnn-bf-0to10"]
    assert by_name["dataset"].unique().tolist() == ["photos"]
    assert by_name["image"].tolist() == ["p1", "p1", "p2", "p2", "p10", "p10"]
    by_file = evaluate(weights, images=str(folder), **options)
    by_module = evaluate(zoo.load(weights), images=folder, **options)
    for other in (by_file, by_module):
        assert other["denoiser"].unique().tolist() == ["dncnn-bf-0to10"]
        np.testing.assert_allclose(other["psnr"], by_name["psnr"], rtol=0, atol=1e-4)


def test_evaluate_on_a_folder_of_the_configuration(project):
    config, _ = project
    table = evaluate(halve, "mine", sigma=25, lpips=False, config=config, limit=2)
    assert table["dataset"].tolist() == ["mine", "mine"]
    assert table["image"].tolist() == ["p1", "p2"]
    assert table["denoiser"].unique().tolist() == ["halve"]


def test_evaluate_on_a_dataset_takes_its_test_images(project):
    config, _ = project
    table = evaluate(halve, "embedded", sigma=25, lpips=False, config=config)
    from denoiser_priors.data.images import load_images

    names = [image.name for image in load_images("embedded", config.paths.data, split="test")]
    assert sorted(table["image"]) == sorted(names)
    assert evaluate(halve, "embedded", sigma=25, lpips=False, config=config, limit=1)["image"].tolist() == names[:1]


def test_evaluate_measures_lpips(project, mirror):
    config, folder = project
    config = config.model_copy(update={"mirror": str(mirror)})
    table = evaluate(lambda x: x, images=folder, sigma=[5, 50], config=config, name="nothing")
    low, high = table.groupby("sigma")["lpips"].mean()
    assert 0 < low < high
    assert table["denoiser"].unique().tolist() == ["nothing"]


def test_evaluate_on_arrays(gray, colour):
    table = evaluate(halve, images=[gray, colour, gray], sigma=np.float32(25), lpips=False, limit=2)
    assert table["image"].tolist() == ["image-0000", "image-0001"]
    same = evaluate(halve, images=[Image("image-0000", gray[..., None])], sigma=25, lpips=False)
    assert same["psnr"][0] == pytest.approx(table["psnr"][0], abs=1e-9)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "either a dataset or images"),
        ({"dataset": "embedded", "images": "x"}, "either a dataset or images"),
        ({"dataset": "embeded"}, "embeded"),
        ({"dataset": "embedded", "sigma": -1}, "sigma: expected"),
        ({"dataset": "embedded", "limit": 0}, "limit: expected"),
        ({"dataset": "embedded", "noise": "salt"}, "not 'salt'"),
        ({"dataset": "embedded", "protocol": "mine"}, "'mine' is unknown"),
        ({"images": "no-such-folder"}, "no-such-folder"),
        ({"images": [np.zeros((8, 8))]}, "image 0: expected a uint8 array"),
    ],
)
def test_evaluate_refuses_what_it_cannot_do(arguments, message, project):
    with pytest.raises(DenoiserPriorsError, match=message):
        evaluate(halve, **({"sigma": 10, "lpips": False, "config": project[0]} | arguments))


def test_unknown_denoiser_is_refused(project, gray):
    with pytest.raises(ConfigError, match="dncnn-bf-0to10"):
        evaluate("dncnn-bf-0to11", images=[gray], sigma=10, config=project[0])
    with pytest.raises(ConfigError, match="not int"):
        denoise(gray, 3)


# denoise


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
@pytest.mark.parametrize("kind", ["gray", "colour"])
def test_denoise_keeps_shape_and_dtype(dtype, kind, request, network):
    image = request.getfixturevalue(kind)
    scaled = image if dtype == np.uint8 else (image / 255).astype(dtype)
    result = denoise(scaled, network)
    assert (result.shape, result.dtype) == (image.shape, dtype)
    with torch.no_grad():
        channels = torch.from_numpy(np.atleast_3d(image)).permute(2, 0, 1)[:, None].float() / 255
        expected = network(channels)[:, 0].permute(1, 2, 0).numpy().reshape(image.shape)
    if dtype == np.uint8:
        assert np.abs(result - np.clip(expected, 0, 1) * 255).max() <= 0.5 + 1e-3
    else:
        np.testing.assert_allclose(result, expected, rtol=0, atol=1e-5)


def test_denoise_is_public():
    image = np.full((8, 8), 100, np.uint8)
    assert (denoiser_priors.denoise(image, halve) == 50).all()


def test_denoise_does_not_clip_floating_point(gray):
    noisy = gray / 255 - 0.2
    np.testing.assert_allclose(denoise(noisy, halve), noisy / 2, rtol=0, atol=1e-6)
    assert denoise(np.array([[0, 255]], np.uint8), lambda x: 3 * x - 1).tolist() == [[0, 255]]


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((4, 4, 4)), r"not \(4, 4, 4\)"),
        (np.zeros(5), r"not \(5,\)"),
        (np.zeros((0, 5)), r"not \(0, 5\)"),
        (np.zeros((4, 4), np.int64), "not int64"),
        (np.full((4, 4), 128.0), "reaches 128"),
        (np.full((4, 4), np.nan), "not finite"),
    ],
)
def test_denoise_refuses_what_is_no_image(image, message):
    with pytest.raises(DataError, match=message):
        denoise(image, halve)


def test_denoise_refuses_gray_for_colour_and_output_that_is_not_finite(gray):
    colour_network = zoo.fold(zoo.build("dncnn", bias=False, channels=3, depth=3, width=4))
    with pytest.raises(DataError, match="gray but the denoiser is for colour"):
        denoise(gray, colour_network)
    with pytest.raises(ResultError, match="not finite"):
        denoise(gray, lambda x: x / 0)


# denoise_file


@pytest.mark.parametrize("suffix", [".png", ".tif", ".bmp", ".PNG"])
@pytest.mark.parametrize("kind", ["gray", "colour"])
def test_file_holds_what_denoise_gives(tmp_path, kind, suffix, request, network):
    image = request.getfixturevalue(kind)
    PIL.Image.fromarray(image).save(tmp_path / "in.png")
    target = tmp_path / "new" / f"out{suffix}"
    assert denoise_file(tmp_path / "in.png", target, network) == [target]
    with PIL.Image.open(target) as written:
        np.testing.assert_array_equal(np.asarray(written), denoise(image, network))


def test_lossy_file_is_close(tmp_path, gray):
    PIL.Image.fromarray(gray).save(tmp_path / "in.png")
    denoise_file(tmp_path / "in.png", tmp_path / "out.jpg", halve)
    with PIL.Image.open(tmp_path / "out.jpg") as written:
        assert np.abs(np.asarray(written).astype(float) - gray / 2).mean() < 2


def test_gray_goes_into_a_colour_format(tmp_path, gray):
    PIL.Image.fromarray(gray).save(tmp_path / "in.png")
    denoise_file(tmp_path / "in.png", tmp_path / "out.ppm", halve)
    with PIL.Image.open(tmp_path / "out.ppm") as written:
        assert np.asarray(written).shape == (*gray.shape, 3)


def test_folder_gives_every_image(project, tmp_path):
    _, folder = project
    (folder / ".hidden").write_text("no image")
    written = denoise_file(folder, tmp_path / "out", halve)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["p1.png", "p10.png", "p2.png"]
    assert len(written) == 3


def test_file_into_a_folder_keeps_its_name(project, tmp_path):
    (tmp_path / "out").mkdir()
    assert denoise_file(project[1] / "p1.png", tmp_path / "out", halve) == [tmp_path / "out" / "p1.png"]


@pytest.mark.parametrize("fault", ["missing", "no image", "truncated", "folder with no image", "empty folder"])
def test_faulty_input_is_named_and_nothing_is_written(fault, project, tmp_path):
    _, folder = project
    good = (folder / "p1.png").read_bytes()
    sources = {
        "missing": folder / "none.png",
        "no image": folder / "text.png",
        "truncated": folder / "half.png",
        "folder with no image": folder,
        "empty folder": tmp_path / "empty",
    }
    (tmp_path / "empty").mkdir()
    if fault in ("no image", "folder with no image"):
        (folder / "text.png").write_text("not an image")
    (folder / "half.png").write_bytes(good[: len(good) // 2]) if fault == "truncated" else None
    source = sources[fault]
    named = "text.png" if fault == "folder with no image" else source.name
    with pytest.raises(DataError, match=named):
        denoise_file(source, tmp_path / "out" / "x.png" if source.suffix else tmp_path / "out", halve)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["out.xyz", "out", "out.svg"])
def test_unknown_output_type_is_refused_before_anything_is_done(name, project, tmp_path):
    def must_not_run(_):
        raise AssertionError("denoised for nothing")

    with pytest.raises(DataError, match=r"cannot write an image of type .*\.png, \.jpg"):
        denoise_file(project[1] / "p1.png", tmp_path / name, must_not_run)
    assert not (tmp_path / name).exists()


def test_colours_do_not_fit_a_gray_format(tmp_path, colour):
    PIL.Image.fromarray(colour).save(tmp_path / "in.png")
    with pytest.raises(DataError, match=r"\.pgm files are gray"):
        denoise_file(tmp_path / "in.png", tmp_path / "out.pgm", halve)
    assert not (tmp_path / "out.pgm").exists()


def test_output_never_replaces_the_input(project):
    _, folder = project
    before = (folder / "p1.png").read_bytes()
    for source, target in ((folder / "p1.png", folder / "p1.png"), (folder / "p1.png", folder), (folder, folder)):
        with pytest.raises(DataError, match="replace the input"):
            denoise_file(source, target, halve)
    assert (folder / "p1.png").read_bytes() == before


def test_folder_into_a_file_is_refused(project):
    _, folder = project
    with pytest.raises(DataError, match="is a file"):
        denoise_file(folder, folder / "p1.png", halve)


def test_error_of_the_denoiser_names_the_file(project, tmp_path):
    with pytest.raises(ResultError, match=r"p1\.png: the denoiser gives values that are not finite"):
        denoise_file(project[1] / "p1.png", tmp_path / "out.png", lambda x: x / 0)
    assert not (tmp_path / "out.png").exists()


def test_an_unknown_dataset_shows_before_the_network_is_looked_for():
    with pytest.raises(DataError, match="Did you mean 'embedded'"):
        evaluate("dncnn-bf-0to10", dataset="embeded", sigma=10)
