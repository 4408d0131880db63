"""Experiments, figures, claims and the report of the documents: steps of the workflow."""

from __future__ import annotations

import inspect
from argparse import Namespace
from pathlib import Path

from denoiser_priors.errors import ConfigError
from denoiser_priors.steps.common import configuration, set_threads


def compute(options: Namespace) -> None:
    """Run one experiment of a document."""
    from denoiser_priors.documents import registry as documents
    from denoiser_priors.provenance import Stopwatch, write_provenance

    watch = Stopwatch()
    config = configuration(options)
    set_threads(options)
    experiment = documents.experiment(options.document, options.experiment)
    chosen = {key: getattr(options, key) for key in ("denoiser", "part")}
    chosen = {key: value for key, value in chosen.items() if value is not None}
    try:
        inspect.signature(experiment).bind(config, *options.out, **chosen)
    except TypeError as error:
        raise ConfigError(
            f"{options.document} {options.experiment}: not run that way ({error}); see --out, --denoiser and --part"
        ) from None
    inputs = experiment(config, *options.out, **chosen)
    block = getattr(config, options.document).model_dump(mode="json")
    write_provenance(options.out, config=block, inputs=inputs or (), watch=watch, device=options.device)


def draw(options: Namespace) -> None:
    """Draw one figure from results."""
    from denoiser_priors.documents import registry as documents
    from denoiser_priors.provenance import Stopwatch, write_provenance

    watch = Stopwatch()
    config = configuration(options)
    results = Path(config.paths.results)
    documents.draw(options.document, options.figure, results, options.out)
    figure = documents.figures(options.document)[options.figure]
    extra = {"figure": figure.target}
    block = {"preset": config.preset}
    write_provenance(options.out, config=block, inputs=figure.inputs(results), watch=watch, extra=extra)


def score(options: Namespace) -> None:
    """Decide the claims."""
    from denoiser_priors.documents import claims
    from denoiser_priors.provenance import Stopwatch, write_provenance

    watch = Stopwatch()
    config = configuration(options)
    results = Path(config.paths.results)
    outputs = options.out or [results / "scorecard.csv", results / "scorecard.md"]
    claims.write_scorecard(config, outputs)
    write_provenance(outputs, config={"preset": config.preset}, watch=watch)


def report(options: Namespace) -> None:
    """Write the report, as pages for a browser or as Markdown to keep in a repository."""
    from denoiser_priors.report.commands import find_checkout

    config = configuration(options)
    if options.document and not options.markdown:
        raise ConfigError("--document goes with --markdown; the pages for a browser have all documents")
    checkout = find_checkout(options.checkout)
    if options.markdown:
        from denoiser_priors.report.markdown import write_markdown

        pages = write_markdown(config, options.markdown, checkout, options.document)
    else:
        from denoiser_priors.report.write import write_report

        pages = write_report(config, options.out or Path(config.paths.results) / "report", checkout)
    print(f"{pages[0]} ({len(pages)} files, {sum(page.stat().st_size for page in pages) / 1e6:.1f} MB)")
