# Mohan et al. 2020: tests of what the denoisers remove, as in Kawar et al. 2021.

from denoiser_priors.documents.bias_free import plan_residuals

TESTED = plan_residuals.tested(CONFIG)


rule compute_bias_free_residuals:
    input:
        weights=f"{RESULTS}/denoisers/{{name}}/weights.safetensors",
        images=images_of(CONFIG.bias_free.dataset),
    output:
        table=f"{BIAS_FREE}/residuals/{{name}}.csv",
    log:
        "logs/compute_bias_free_residuals/{name}.log",
    benchmark:
        f"{RESULTS}/benchmarks/compute_bias_free_residuals/{{name}}.tsv"
    wildcard_constraints:
        name=alternatives(TESTED),
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=3000,
        runtime=lambda wildcards: "30m" if is_small(wildcards.name) else "4h",
        gpu=lambda wildcards: 0 if is_small(wildcards.name) else 1,
    params:
        config=CONFIG_FILE,
        trained=lambda wildcards: training_of([wildcards.name]),
        settings=sizes_of(CONFIG.bias_free.residuals),
        sigma=CONFIG.bias_free.sigma,
        dataset=CONFIG.bias_free.dataset,
        limit=CONFIG.bias_free.limit,
        seed=CONFIG.seed,
        source=lambda wildcards: residual_code(),
    message:
        "Testing what {wildcards.name} removes"
    shell:
        "denoiser-priors compute bias_free residuals --denoiser {wildcards.name} --config {params.config:q} "
        "--out {output.table:q} --threads {threads} --gpus {resources.gpu} > {log} 2>&1"


rule bias_free_table_residuals:
    input:
        tables=[f"{BIAS_FREE}/residuals/{name}.csv" for name in TESTED],
        denoisers=rules.describe_denoisers.output.table,
    output:
        table=f"{BIAS_FREE}/table_residuals.csv",
        summary=report(
            f"{BIAS_FREE}/table_residuals_summary.csv",
            caption="../report/bias_free_table_residuals.rst",
            category="bias_free",
            labels={"figure": "table_residuals", "shows": "is what denoisers remove the noise?"},
        ),
        page=f"{BIAS_FREE}/table_residuals.md",
    log:
        "logs/bias_free_table_residuals.log",
    benchmark:
        f"{RESULTS}/benchmarks/bias_free_table_residuals.tsv"
    group:
        "tables"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=1000,
        runtime="10m",
    params:
        config=CONFIG_FILE,
        source=lambda wildcards: residual_code(),
    message:
        "Gathering the tests of residuals"
    shell:
        "denoiser-priors compute bias_free table_residuals --config {params.config:q} "
        "--out {output.table:q} {output.summary:q} {output.page:q} > {log} 2>&1"
