# The scorecard: every claim of every document, decided.


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
        source=fingerprint(
            "documents/claims.py",
            "documents/*/claims.yaml",
            "documents/*/measures*.py",
            "documents/*/tables*.py",
            "documents/*/reference/*.csv",
        ),
    message:
        "Deciding the claims"
    shell:
        "denoiser-priors score --config {params.config} --out {output.table} {output.page} > {log} 2>&1"
