"""Classical denoisers: one contract for all of them, and what each must do where the answer is known."""

import numpy as np
import pytest
import pywt
import torch
from scipy.fft import dctn
from scipy.ndimage import gaussian_filter
from skimage import data

from denoiser_priors import classical
from denoiser_priors.classical import (
    collaborative,
    dictionary,
    diffusion,
    neighbours,
    spectra,
    tuning,
    variational,
    wavelets,
    wiener,
)
from denoiser_priors.classical import registry as rooms
from denoiser_priors.errors import ConfigError, DataError
from denoiser_priors.noise import keyed_generator


def named(name):
    """The denoiser, or a skip where what it needs is not installed."""
    if not classical.METHODS[name].available:
        pytest.skip(f"{name} needs the package {classical.METHODS[name].extra}")
    return classical.get(name)


# The transforms of the package bm3d do not keep a constant, nor so the level of an image, to the last digit.
LOOSE = {"bm3d": 5e-4}


def noisy(clean, sigma, *key):
    return clean + keyed_generator("test", *key).standard_normal(clean.shape) * sigma / 255


@pytest.fixture(scope="module")
def photograph():
    """Part of a training photograph, (H, W) in [0, 1]."""
    return data.astronaut()[60:132, 190:258].mean(axis=2) / 255


# The contract


@pytest.mark.parametrize("sigma", [15, 25, 50])
@pytest.mark.parametrize("name", classical.names())
def test_every_method_improves_on_the_noisy_image(name, sigma, photograph):
    denoise, y = named(name), noisy(photograph, sigma, sigma)
    before = np.square(np.clip(y, 0, 1) - photograph).mean()
    after = np.square(np.clip(denoise(y, sigma), 0, 1) - photograph).mean()
    assert after < 0.75 * before


@pytest.mark.parametrize("name", classical.names())
def test_shape_dtype_and_kind_stay_and_images_are_independent(name, photograph):
    denoise = named(name)
    batch = noisy(photograph[None, None, :25, :31].repeat(2, 0), 25).astype(np.float32)
    given = batch.copy()
    result = denoise(batch, 25)
    assert (result.shape, result.dtype) == (batch.shape, np.float32)
    np.testing.assert_array_equal(batch, given)
    tensor = denoise(torch.from_numpy(batch).double(), 25)
    assert (tensor.shape, tensor.dtype) == (batch.shape, torch.float64)
    np.testing.assert_allclose(tensor.numpy(), result, rtol=0, atol=1e-5)
    np.testing.assert_allclose(denoise(batch[1], 25), result[1], rtol=0, atol=1e-6)
    np.testing.assert_allclose(denoise(batch[1, 0], 25), result[1, 0], rtol=0, atol=1e-6)
    at = denoise.at(25)
    np.testing.assert_array_equal(at(batch[:1]), result[:1])
    assert at.channels == denoise.channels == 1
    assert at.__name__ == name


@pytest.mark.parametrize("value", [0.0, 0.3, -0.2])
@pytest.mark.parametrize("name", classical.names())
def test_constant_images_stay(name, value):
    flat = np.full((20, 17), value)
    np.testing.assert_allclose(named(name)(flat, 25), flat, rtol=0, atol=LOOSE.get(name, 1e-6))


@pytest.mark.parametrize("name", classical.names())
def test_a_brighter_image_is_denoised_alike(name, photograph):
    y = noisy(photograph[:32, :32], 25)
    np.testing.assert_allclose(
        named(name)(y - 0.4, 25), named(name)(y, 25) - 0.4, rtol=0, atol=20 * LOOSE.get(name, 1e-7)
    )


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (3, 2), (8, 40)])
@pytest.mark.parametrize("name", classical.names())
def test_small_images(name, shape):
    y = noisy(np.full(shape, 0.5), 25)
    denoised = named(name)(y, 25)
    assert denoised.shape == shape
    assert np.abs(denoised - 0.5).max() <= np.abs(y - 0.5).max() + 1e-3


@pytest.mark.parametrize("name", classical.names())
def test_without_noise_nothing_is_done(name, photograph):
    part = photograph[:24, :24]
    np.testing.assert_array_equal(named(name)(part, 0), part)
    assert np.abs(named(name)(part, 0.05) - part).max() < 5e-3


@pytest.mark.parametrize("sigma", [None, -1, np.nan, np.inf, "much"])
def test_no_noise_level_is_refused(sigma):
    with pytest.raises(ConfigError, match=r"noise level.*\[0, 255\] scale"):
        classical.get("heat")(np.zeros((4, 4)), sigma)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros(4), r"not \(4,\)"),
        (np.zeros((0, 4)), r"not \(0, 4\)"),
        (np.zeros((4, 4), np.uint8), "not uint8"),
        (np.full((4, 4), np.nan), "not finite"),
    ],
)
def test_what_is_no_image_is_refused(image, message):
    with pytest.raises(DataError, match=message):
        classical.get("heat")(image, 25)


def test_unknown_names_and_parameters_are_refused():
    with pytest.raises(ConfigError, match="'median'; there are heat, "):
        classical.get("median")
    with pytest.raises(ConfigError, match="heat has no parameter 'tme'; it has time"):
        classical.get("heat")(np.zeros((4, 4)), 25, tme=3)
    with pytest.raises(ConfigError, match="no parameter"):
        classical.get("nlm").at(25, h=1)


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setattr(rooms.importlib.util, "find_spec", lambda name: None)
    for use in (lambda d: d(np.zeros((4, 4)), 25), lambda d: d.at(25), lambda d: d.ready()):
        with pytest.raises(ConfigError, match=r'needs the package bm3d.*pip install "denoiser-priors\[bm3d\]"'):
            use(classical.get("bm3d"))


# Parameters that follow the noise level


def test_parameters_are_interpolated_in_the_logarithm():
    values = {"sigma": [10, 20, 40], "methods": {"m": {"a": [1.0, 2.0, 8.0], "n": [3, 5, 9], "c": 7}}}
    at = {sigma: rooms.interpolate(values, "m", sigma) for sigma in (5, 10, np.sqrt(800), 40, 80)}
    assert [at[sigma]["a"] for sigma in at] == pytest.approx([0.5, 1, 4, 8, 32])
    assert [at[sigma]["n"] for sigma in (5, 40, 80)] == [3, 9, 9]
    assert at[10]["c"] == 7


def test_chosen_parameters_are_complete_and_accepted():
    values = rooms.table()
    assert values["sigma"] == list(tuning.LEVELS)
    assert set(values["methods"]) == set(tuning.SEARCHED) == set(classical.names()) - {"ksvd", "bm3d"}
    for name, searched in tuning.SEARCHED.items():
        chosen = values["methods"][name]
        assert list(chosen) == list(searched)
        for sigma in (1, 33, 200):
            assert set(classical.get(name).parameters(sigma)) == set(searched)
        for key, choice in searched.items():
            assert len(chosen[key]) == len(values["sigma"])
            low, high = min(choice), max(choice)
            assert all(low <= value <= high for value in chosen[key])


def test_tuning_finds_the_best_parameter(photograph):
    images = [photograph[:40, :40]]
    best, psnr = tuning.choose("heat", images, 25, {"time": (0.05, 5)})
    grid = [tuning.quality("heat", images, 25, {"time": time}) for time in np.geomspace(0.05, 5, 40)]
    assert psnr > max(grid) - 0.01
    assert tuning.quality("heat", images, 25, best) == pytest.approx(psnr, abs=0.01)
    best, psnr = tuning.choose("wiener-local", images, 25, {"window": [3, 5, 7]})
    assert psnr == max(tuning.quality("wiener-local", images, 25, {"window": n}) for n in (3, 5, 7))


def test_tuning_never_sees_a_test_image(tmp_path):
    from denoiser_priors.data.images import load_images

    crops = tuning.crops(tmp_path)
    tests = load_images("embedded", tmp_path, split="test")
    trained = {image.name for image in load_images("embedded", tmp_path, split="train")}
    assert len(crops) == len(trained) - 1
    assert not trained & {image.name for image in tests}
    assert {crop.shape for crop in crops} == {(tuning.CROP, tuning.CROP)}


# Closed forms


@pytest.mark.parametrize("deviation", [1.5, 3])
def test_heat_equation_is_a_gaussian_convolution(photograph, deviation):
    blurred = gaussian_filter(photograph, deviation, mode="reflect", truncate=12)
    np.testing.assert_allclose(diffusion.heat(photograph, deviation**2 / 2), blurred, rtol=0, atol=1e-4)


def test_heat_flows_on(photograph):
    twice = diffusion.heat(diffusion.heat(photograph, 1.25), 0.5)
    np.testing.assert_allclose(twice, diffusion.heat(photograph, 1.75), rtol=0, atol=1e-12)
    np.testing.assert_allclose(diffusion.heat(photograph, 1e6), photograph.mean(), rtol=0, atol=1e-9)


def test_perona_malik_without_edges_is_the_heat_equation(photograph):
    smooth = diffusion.heat(photograph, 8)
    steps = diffusion.perona_malik(smooth, contrast=np.inf, time=3, step=0.05)
    np.testing.assert_allclose(steps, diffusion.heat(smooth, 3), rtol=0, atol=2e-3)


@pytest.mark.parametrize("conductivity", ["exponential", "rational"])
@pytest.mark.parametrize("presmoothing", [0, 0.7])
def test_perona_malik_keeps_mean_and_range(photograph, conductivity, presmoothing):
    y = noisy(photograph, 25)
    x = diffusion.perona_malik(y, 0.1, 5, conductivity, presmoothing)
    assert x.mean() == pytest.approx(y.mean(), abs=1e-12)
    assert y.min() <= x.min() < x.max() <= y.max()


def test_perona_malik_leaves_an_edge_that_heat_blurs():
    step = np.repeat([0.2, 0.8], 16)[None].repeat(12, 0)
    y = noisy(step, 5)
    kept = diffusion.perona_malik(y, contrast=0.1, time=10)
    assert (kept[:, 16] - kept[:, 15]).min() > 0.5
    assert np.abs(np.diff(kept[:, :16])).max() < 0.02
    blurred = diffusion.heat(y, 10)
    assert (blurred[:, 16] - blurred[:, 15]).max() < 0.1


def test_tikhonov_solves_its_normal_equations(photograph):
    weight = 3.7
    x = variational.tikhonov(photograph, weight)
    gradient = np.zeros_like(x)
    for axis in (0, 1):
        gradient -= np.diff(np.diff(x, axis=axis), axis=axis, prepend=0, append=0)
    np.testing.assert_allclose(x + weight * gradient, photograph, rtol=0, atol=1e-12)
    response = dctn(x) / dctn(photograph)
    np.testing.assert_allclose(response, 1 / (1 + weight * spectra.laplacian(x.shape)), rtol=1e-6)


def test_energy_penalty_shrinks(photograph):
    np.testing.assert_allclose(variational.energy(photograph, 0.25), photograph / 1.25)


def test_total_variation_of_two_flat_halves_is_known():
    # Of a step of height a between columns of n pixels, each side moves towards the other by weight / n.
    step = np.repeat([0.2, 0.8], 10)[None].repeat(6, 0)
    x = variational.total_variation(step, 0.5, iterations=5000)
    np.testing.assert_allclose(x, np.repeat([0.25, 0.75], 10)[None].repeat(6, 0), rtol=0, atol=2e-3)
    np.testing.assert_array_equal(variational.total_variation(np.full((5, 5), 0.3), 1.0), 0.3)


def test_wiener_filter_is_the_best_linear_one_for_its_spectrum():
    generator, sigma, shape = keyed_generator("wiener"), 0.1, (48, 40)
    power = np.zeros(shape)
    np.power(spectra.squared_norm(shape), -1.0, out=power, where=spectra.squared_norm(shape) > 0)
    power *= 0.04 * power.size / power.sum()
    errors = {exponent: [] for exponent in (1.0, 2.0, 3.0)}
    for _ in range(8):
        clean = spectra.filtered(generator.standard_normal(shape), np.sqrt(power)) + 0.5
        y = clean + sigma * generator.standard_normal(shape)
        for exponent, found in errors.items():
            found.append(np.square(wiener.fourier(y, sigma, exponent) - clean).mean())
    expected = (power * sigma**2 / (power + sigma**2)).mean()
    means = {exponent: np.mean(found) for exponent, found in errors.items()}
    assert means[2.0] == pytest.approx(expected, rel=0.1)
    assert means[2.0] < min(means[1.0], means[3.0])


def test_local_wiener_filter_keeps_what_varies_and_averages_what_does_not():
    generator = keyed_generator("local")
    texture = generator.choice([0.0, 1.0], (40, 40))
    assert np.abs(wiener.local(texture, 0.05) - texture).max() < 0.02
    noise = 0.05 * generator.standard_normal((40, 40))
    assert wiener.local(noise, 0.1, window=5).std() == pytest.approx(0.05 / 5, rel=0.3)


@pytest.mark.parametrize("mode", ["soft", "hard"])
def test_thresholds(mode):
    x = np.array([-3.0, -1.5, -0.2, 0.0, 1.0, 1.5, 4.0])
    expected = {"soft": [-1.5, 0, 0, 0, 0, 0, 2.5], "hard": [-3, -1.5, 0, 0, 0, 1.5, 4]}[mode]
    np.testing.assert_allclose(wavelets.shrunk(x, 1.5, mode), expected)
    np.testing.assert_array_equal(wavelets.shrunk(x, 0, mode), x)


@pytest.mark.parametrize("mode", ["soft", "hard"])
def test_wavelet_thresholding_solves_the_penalised_problem(mode, photograph):
    y, level = photograph[:64, :64], 0.3
    x = getattr(wavelets, mode)(y, 0.1, factor=3, levels=2, edges="periodization")

    def objective(image):
        details = np.concatenate(
            [b.ravel() for bands in pywt.wavedec2(image, "sym4", "periodization", 2)[1:] for b in bands]
        )
        penalty = level * np.abs(details).sum() if mode == "soft" else level**2 / 2 * (np.abs(details) > 1e-9).sum()
        return np.square(image - y).sum() / 2 + penalty

    least = objective(x)
    assert least < min(objective(y), objective(np.full_like(y, y.mean())))
    generator = keyed_generator("prox")
    for scale in (1e-3, 1e-2, 0.1):
        assert least < objective(x + scale * generator.standard_normal(y.shape))
        assert least <= objective(x + scale * (y - x)) + 1e-9


def test_cycle_spinning_is_the_mean_over_shifts_and_helps(photograph):
    y = noisy(photograph, 25)
    plain, spun = (wavelets.hard(y, 25 / 255, spins=spins) for spins in (0, 3))
    assert np.square(spun - photograph).mean() < 0.9 * np.square(plain - photograph).mean()
    once = [wavelets.hard(np.pad(y, ((1, 0), (1, 0)), mode="symmetric")[i:, j:], 0.1) for i in (0, 1) for j in (0, 1)]
    cut = [x[-y.shape[0] :, -y.shape[1] :] for x in once]
    np.testing.assert_allclose(wavelets.hard(y, 0.1, spins=1), np.mean(cut, axis=0), rtol=0, atol=1e-12)


def test_bayes_threshold_follows_the_bands():
    # A band of noise alone has no standard deviation to spare: its threshold is above everything in it.
    y = 0.5 + 0.1 * keyed_generator("bayes").standard_normal((64, 64))
    # What is left is the coarse band of 8 x 8 coefficients.
    assert wavelets.bayes(y, 0.12).std() == pytest.approx(0.1 * 8 / 64, rel=0.25)
    strong = data.astronaut()[60:124, 190:254].mean(axis=2) / 255
    assert np.abs(wavelets.bayes(strong, 1e-4) - strong).max() < 1e-4


def test_bilateral_filter_is_its_definition(photograph):
    y, contrast, radius = photograph[:24, :20] - 0.5, 0.2, 1.0
    padded = np.pad(y, 3, mode="symmetric")
    offsets = range(-3, 4)
    windows = {(i, j): padded[3 + i : 27 + i, 3 + j : 23 + j] for i in offsets for j in offsets}
    weights = {
        (i, j): np.exp(-(i * i + j * j) / (2 * radius**2) - (window - y) ** 2 / (2 * contrast**2))
        for (i, j), window in windows.items()
    }
    expected = sum(weights[o] * windows[o] for o in windows) / sum(weights.values())
    np.testing.assert_allclose(neighbours.bilateral(y, contrast, radius), expected, rtol=0, atol=1e-12)


def test_non_local_means_averages_repetitions():
    tile = keyed_generator("tile").random((6, 6))
    clean = np.tile(tile, (8, 8))
    y = noisy(clean, 15)
    x = neighbours.non_local_means(y, 15 / 255, strength=0.8, patch=5, reach=13)
    assert np.square(x - clean).mean() < 0.15 * np.square(y - clean).mean()


# The learned dictionary


def test_pursuit_agrees_with_scikit_learn():
    linear_model = pytest.importorskip("sklearn.linear_model")
    generator = keyed_generator("pursuit")
    atoms = generator.standard_normal((40, 16))
    atoms /= np.linalg.norm(atoms, axis=1, keepdims=True)
    patches = generator.standard_normal((30, 16))
    gram, products, squares = atoms @ atoms.T, atoms @ patches.T, np.square(patches).sum(axis=1)
    for tolerance in (0.5, 3.0):
        expected = linear_model.orthogonal_mp_gram(gram, products, tol=tolerance, norms_squared=squares).T
        codes = dictionary.pursue(atoms, patches, tolerance, most=16)
        np.testing.assert_allclose(codes, expected, rtol=0, atol=1e-8)
    assert not dictionary.pursue(atoms, patches, 100.0).any()


def test_pursuit_finds_sparse_sums():
    atoms = np.linalg.qr(keyed_generator("atoms").standard_normal((16, 16)))[0]
    codes = np.zeros((5, 16))
    codes[np.arange(5), [3, 5, 7, 9, 11]] = 1
    codes[:, 0] = -0.5
    np.testing.assert_allclose(dictionary.pursue(atoms, codes @ atoms, 1e-12), codes, rtol=0, atol=1e-9)


def test_cosines_are_unit_atoms_without_mean():
    atoms = dictionary.cosines(8, 16)
    assert atoms.shape == (255, 64)
    np.testing.assert_allclose(np.linalg.norm(atoms, axis=1), 1, atol=1e-12)
    np.testing.assert_allclose(atoms.sum(axis=1), 0, atol=1e-10)
    # With as many cosines as samples it is the orthonormal transform.
    square = dictionary.cosines(8, 8)
    np.testing.assert_allclose(square @ square.T, np.eye(63), atol=1e-10)


def test_learning_lowers_the_error_and_keeps_unit_atoms():
    generator = keyed_generator("learn")
    truth = generator.standard_normal((20, 16))
    truth /= np.linalg.norm(truth, axis=1, keepdims=True)
    codes = np.zeros((600, 20))
    for row in codes:
        row[generator.choice(20, 2, replace=False)] = generator.standard_normal(2)
    patches = codes @ truth
    start = generator.standard_normal((20, 16))
    start /= np.linalg.norm(start, axis=1, keepdims=True)
    learned = dictionary.learn(start, patches, 0.3, 20)
    np.testing.assert_allclose(np.linalg.norm(learned, axis=1), 1, atol=1e-9)

    def used(atoms):
        return (dictionary.pursue(atoms, patches, 0.3) != 0).sum()

    def error(atoms):
        return np.square(patches - dictionary.pursue(atoms, patches, 0, most=2) @ atoms).mean()

    assert used(learned) < 0.5 * used(start)
    assert error(learned) < 0.2 * error(start)


def test_a_learned_dictionary_is_better_than_cosines_and_repeatable(photograph):
    texture = data.brick()[:72, :72] / 255
    y = noisy(texture, 25)
    plain, learned, again = (dictionary.sparse(y, 25 / 255, iterations=n) for n in (0, 5, 5))
    assert np.square(learned - texture).mean() < np.square(plain - texture).mean()
    np.testing.assert_array_equal(learned, again)


# Values that make no sense


@pytest.mark.parametrize(
    "call",
    [
        lambda y: diffusion.heat(y, -1),
        lambda y: diffusion.perona_malik(y, 0, 1),
        lambda y: diffusion.perona_malik(y, 0.1, -1),
        lambda y: diffusion.perona_malik(y, 0.1, 1, step=0.3),
        lambda y: diffusion.perona_malik(y, 0.1, 1, "linear"),
        lambda y: variational.tikhonov(y, -1),
        lambda y: variational.total_variation(y, np.inf),
        lambda y: wiener.fourier(y, 0.1, -1),
        lambda y: wiener.local(y, 0.1, 4),
        lambda y: wavelets.soft(y, 0.1, -1),
        lambda y: wavelets.soft(y, 0.1, wavelet="none"),
        lambda y: wavelets.soft(y, 0.1, wavelet="bior2.2"),
        lambda y: wavelets.hard(y, 0.1, levels=0),
        lambda y: wavelets.hard(y, 0.1, edges="zero"),
        lambda y: wavelets.bayes(y, 0.1, spins=-1),
        lambda y: wavelets.shrunk(y, 1, "garrote"),
        lambda y: neighbours.bilateral(y, 0, 1),
        lambda y: neighbours.non_local_means(y, 0.1, patch=4),
        lambda y: dictionary.sparse(y, 0.1, atoms=200),
        lambda y: dictionary.sparse(y, 0.1, gain=0),
    ],
)
def test_values_out_of_range_are_refused(call, photograph):
    with pytest.raises(ConfigError, match=r"not|must|no "):
        call(photograph[:16, :16])


@pytest.mark.parametrize("profile", collaborative.PROFILES)
def test_bm3d_gives_the_same_image_every_time(profile):
    """With the package's default number of threads, hardly two of six results are the same."""
    pytest.importorskip("bm3d")
    noisy = np.random.default_rng(0).random((25, 25))
    assert len({collaborative.bm3d(noisy, 0.2, profile).tobytes() for _ in range(6)}) == 1


def test_unknown_profile_of_bm3d_is_refused(photograph):
    pytest.importorskip("bm3d")
    with pytest.raises(ConfigError, match="no profile 'best'"):
        collaborative.bm3d(photograph, 0.1, "best")
