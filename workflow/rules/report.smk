# The scorecard: every claim of every document, decided. And the report: pages that show all there is.

from denoiser_priors.provenance import config_hash

REPORT = f"{RESULTS}/report"

# Captions and presets are those of this checkout, wherever the working folder is.
CHECKOUT = Path(workflow.basedir)


localrules:
    report,


rule score:
    input:
        results=[f"{RESULTS}/{file}" for file in CLAIMS_READ],
        denoisers=rules.describe_denoisers.output.table,
    output:
        table=report(
            f"{RESULTS}/scorecard.csv",
            caption="../report/score.rst",
            category="scorecard",
            labels={"figure": "scorecard", "shows": "every claim, decided"},
        ),
        page=f"{RESULTS}/scorecard.md",
    log:
        "logs/score.log",
    benchmark:
        f"{RESULTS}/benchmarks/score.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=1000,
        runtime="10m",
    params:
        config=CONFIG_FILE,
        preset=CONFIG.preset,
        source=lambda wildcards: fingerprint(
            "documents/claims.py",
            "documents/*/claims.yaml",
            "documents/*/measures*.py",
            "documents/*/tables*.py",
            "documents/*/reference/*.csv",
        ),
    message:
        "Deciding the claims"
    shell:
        "denoiser-priors score --config {params.config:q} --out {output.table:q} {output.page:q} > {log} 2>&1"


rule write_report:
    input:
        documents=[getattr(rules, document).input for document in registry.documents()],
        scorecard=rules.score.output.table,
    output:
        index=f"{REPORT}/index.html",
        pages=[f"{REPORT}/{document}.html" for document in registry.documents()],
    log:
        "logs/write_report.log",
    benchmark:
        f"{RESULTS}/benchmarks/write_report.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=1000,
        runtime="10m",
    params:
        config=CONFIG_FILE,
        checkout=str(CHECKOUT),
        folder=subpath(output.index, parent=True),
        settings=config_hash(CONFIG.model_dump(mode="json", exclude={"paths", "mirror", "offline"})),
        captions=lambda wildcards: fingerprint("*.rst", root=CHECKOUT / "workflow" / "report"),
        source=lambda wildcards: fingerprint(
            "report/*.py", "report/*.yaml", "report/templates/*", "documents/*/figures.yaml"
        ),
    message:
        "Writing the report"
    shell:
        "denoiser-priors report --config {params.config:q} --checkout {params.checkout:q} --out {params.folder:q} > {log} 2>&1"


rule report:
    input:
        rules.write_report.output,
    message:
        "The report is complete"
