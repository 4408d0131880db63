"""What there is, and the configuration, printed."""

from __future__ import annotations

import sys
from argparse import Namespace
from pathlib import Path

from denoiser_priors.steps.common import configuration


def show_list(options: Namespace) -> None:
    """Print what there is, one line each."""
    config = configuration(options)
    if options.what == "denoisers":
        rows = [("NAME", "ARCHITECTURE", "BIAS", "SIGMA", "CHANNELS", "SOURCE", "RECIPE", "STATE")]
        for name, spec in config.denoisers_by_name().items():
            low, high = spec.noise_range
            state = "ready" if config.weights_path(name).is_file() else "-"
            bias = "biased" if spec.bias else "bias-free"
            kind = f"{low:g}-{high:g}" + (" uniform" if spec.noise == "uniform" else "")
            kind += " blur {:g}-{:g}".format(*spec.blur_range) if any(spec.blur_range) else ""
            rows.append((name, spec.architecture, bias, kind, str(spec.channels), spec.source, spec.recipe, state))
        from denoiser_priors import classical

        for name in classical.names():
            method = classical.METHODS[name]
            state = "ready" if method.available else f'pip install "denoiser-priors[{method.extra}]"'
            rows.append((name, "classical", "-", "told: --sigma", "1", "-", "-", state))
    elif options.what == "datasets":
        from denoiser_priors.data import registry

        rows = [("NAME", "IMAGES", "SIZE", "LICENCE", "STATE")]
        for name, dataset in registry.datasets().items():
            state = "ready" if (Path(config.paths.data) / name / "manifest.json").is_file() else "-"
            rows.append((name, dataset.title, f"{dataset.bytes / 1e6:.1f} MB", dataset.licence, state))
        rows += [(name, folder.images, "", "your own", "") for name, folder in config.datasets.items()]
    else:
        from denoiser_priors.documents import registry as documents

        if options.what == "figures":
            rows = [("TARGET", "WHAT")]
            rows += [
                (f"{d}_{i}", figure.title) for d in documents.documents() for i, figure in documents.figures(d).items()
            ]
        else:
            rows = [("CLAIM", "DOCUMENT", "SHOWN IN", "STATEMENT")]
            rows += [(c.id, d, c.figure, c.statement) for d in documents.documents() for c in documents.claims(d)]
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def show_config(options: Namespace) -> None:
    """Print the configuration or what the model says of itself."""
    import yaml

    from denoiser_priors.config import docs as config_docs

    if options.defaults:
        text = config_docs.documented_yaml()
    elif options.schema:
        text = config_docs.schema_yaml()
    elif options.docs:
        text = config_docs.reference_markdown()
    elif options.commands:
        from denoiser_priors.commands.reference import commands_markdown

        text = commands_markdown()
    else:
        text = yaml.safe_dump(configuration(options).model_dump(mode="json"), sort_keys=False)
    sys.stdout.write(text)
