# Mohan et al. 2020: evaluations, experiments, tables and figures. The figures' rules come from figures.yaml.

BIAS_FREE = f"{RESULTS}/bias_free"


localrules:
    bias_free,


rule evaluate_denoiser:
    input:
        weights=f"{RESULTS}/denoisers/{{name}}/weights.safetensors",
        images=lambda wildcards: images_of(wildcards.dataset),
        lpips=images_of("lpips-alexnet") if CONFIG.bias_free.lpips else [],
    output:
        table=f"{BIAS_FREE}/evaluations/{{dataset}}-{{noise}}/{{name}}.csv",
    log:
        "logs/evaluate_denoiser/{dataset}-{noise}/{name}.log",
    benchmark:
        f"{RESULTS}/benchmarks/evaluate_denoiser/{{dataset}}-{{noise}}/{{name}}.tsv"
    wildcard_constraints:
        dataset=alternatives([CONFIG.bias_free.dataset]),
        noise="gaussian|uniform",
        name=alternatives(DENOISERS),
    group:
        "evaluations"
    conda:
        ENVIRONMENT
    threads: lambda wildcards: 1 if is_small(wildcards.name) else 2
    resources:
        mem_mb=lambda wildcards: 2000 if is_small(wildcards.name) else 6000,
        runtime=lambda wildcards: "60m" if is_small(wildcards.name) else "12h",
        gpu=lambda wildcards: 0 if is_small(wildcards.name) else 1,
    params:
        config=CONFIG_FILE,
        trained=lambda wildcards: training_of([wildcards.name]),
        sigma=lambda wildcards: " ".join(
            f"{sigma:g}"
            for sigma in (CONFIG.bias_free.sigma if wildcards.noise == "gaussian" else CONFIG.bias_free.uniform_sigma)
        ),
        draws=CONFIG.bias_free.draws,
        seed=CONFIG.seed,
        options=options_of(CONFIG.bias_free, CONFIG.bias_free.lpips),
        source=lambda wildcards: evaluation_code(),
    message:
        "Evaluating {wildcards.name} on {wildcards.dataset} under {wildcards.noise} noise"
    shell:
        "denoiser-priors evaluate {wildcards.name} --config {params.config:q} --dataset {wildcards.dataset} "
        "--sigma {params.sigma} --noise {wildcards.noise} --draws {params.draws} {params.options} "
        "--out {output.table:q} --threads {threads} --gpus {resources.gpu} > {log} 2>&1"


rule compute_bias_free_figure_02:
    input:
        weights=weights_of(EXAMPLE_TWINS),
        images=images_of(CONFIG.bias_free.dataset),
    output:
        arrays=f"{BIAS_FREE}/figure_02.npz",
    log:
        "logs/compute_bias_free_figure_02.log",
    benchmark:
        f"{RESULTS}/benchmarks/compute_bias_free_figure_02.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=3000,
        runtime="30m",
    params:
        config=CONFIG_FILE,
        trained=lambda wildcards: training_of(EXAMPLE_TWINS),
        example=CONFIG.bias_free.figure_02.model_dump(mode="json"),
        dataset=CONFIG.bias_free.dataset,
        preset=CONFIG.preset,
        seed=CONFIG.seed,
        source=lambda wildcards: experiment_code(),
    message:
        "Denoising the example image of figure 2"
    shell:
        "denoiser-priors compute bias_free figure_02 --config {params.config:q} --out {output.arrays:q} "
        "--threads {threads} > {log} 2>&1"


rule bias_free_table_homogeneity:
    input:
        weights=weights_of(plan.bias_free_denoisers(CONFIG)),
        images=images_of(CONFIG.bias_free.dataset),
    output:
        table=report(
            f"{BIAS_FREE}/homogeneity.csv",
            caption="../report/bias_free_table_homogeneity.rst",
            category="bias_free",
            labels={"figure": "table_homogeneity", "shows": "error of f(a y) = a f(y)"},
        ),
    log:
        "logs/bias_free_table_homogeneity.log",
    benchmark:
        f"{RESULTS}/benchmarks/bias_free_table_homogeneity.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=3000,
        runtime="30m",
    params:
        config=CONFIG_FILE,
        trained=lambda wildcards: training_of(plan.bias_free_denoisers(CONFIG)),
        dataset=CONFIG.bias_free.dataset,
        seed=CONFIG.seed,
        source=lambda wildcards: experiment_code(),
    message:
        "Checking that bias-free denoisers commute with scaling"
    shell:
        "denoiser-priors compute bias_free homogeneity --config {params.config:q} --out {output.table:q} "
        "--threads {threads} > {log} 2>&1"


rule bias_free_table_quality:
    input:
        evaluations=[evaluation.path(CONFIG) for evaluation in plan.evaluations(CONFIG)],
        denoisers=rules.describe_denoisers.output.table,
    output:
        table=f"{BIAS_FREE}/table_quality.csv",
        summary=report(
            f"{BIAS_FREE}/table_quality_summary.csv",
            caption="../report/bias_free_table_quality.rst",
            category="bias_free",
            labels={"figure": "table_quality", "shows": "quality of every denoiser"},
        ),
        page=f"{BIAS_FREE}/table_quality.md",
    log:
        "logs/bias_free_table_quality.log",
    benchmark:
        f"{RESULTS}/benchmarks/bias_free_table_quality.tsv"
    group:
        "tables"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=2000,
        runtime="10m",
    params:
        config=CONFIG_FILE,
        source=lambda wildcards: table_code(),
    message:
        "Gathering all evaluations"
    shell:
        "denoiser-priors compute bias_free table_quality --config {params.config:q} "
        "--out {output.table:q} {output.summary:q} {output.page:q} > {log} 2>&1"


rule bias_free_table_slopes:
    input:
        summary=rules.bias_free_table_quality.output.summary,
    output:
        table=report(
            f"{BIAS_FREE}/table_slopes.csv",
            caption="../report/bias_free_table_slopes.rst",
            category="bias_free",
            labels={"figure": "table_slopes", "shows": "slopes of output against input PSNR"},
        ),
        page=f"{BIAS_FREE}/table_slopes.md",
    log:
        "logs/bias_free_table_slopes.log",
    benchmark:
        f"{RESULTS}/benchmarks/bias_free_table_slopes.tsv"
    group:
        "tables"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=2000,
        runtime="10m",
    params:
        config=CONFIG_FILE,
        source=lambda wildcards: table_code(),
    message:
        "Fitting the slopes of all curves"
    shell:
        "denoiser-priors compute bias_free table_slopes --config {params.config:q} "
        "--out {output.table:q} {output.page:q} > {log} 2>&1"


for figure in registry.figures("bias_free", "figure").values():

    rule:
        name:
            figure.target
        input:
            [f"{RESULTS}/{file}" for file in figure.reads],
        output:
            png=report(
                f"{FIGURES}/bias_free/{figure.name}.png",
                caption=f"../report/{figure.target}.rst",
                category="bias_free",
                labels={"figure": figure.original, "shows": figure.title},
            ),
            pdf=f"{FIGURES}/bias_free/{figure.name}.pdf",
        log:
            f"logs/{figure.target}.log",
        benchmark:
            f"{RESULTS}/benchmarks/{figure.target}.tsv"
        group:
            "figures"
        conda:
            ENVIRONMENT
        threads: 1
        resources:
            mem_mb=1000,
            runtime="10m",
        params:
            config=CONFIG_FILE,
            figure=figure.name,
            source=lambda wildcards: drawing_code("bias_free"),
        message:
            f"Drawing {figure.document} {figure.name}"
        shell:
            "denoiser-priors draw bias_free {params.figure} --config {params.config:q} --out {output.png:q} {output.pdf:q} "
            "> {log} 2>&1"


rule bias_free:
    input:
        [target_files(figure) for name, figure in registry.figures("bias_free").items() if name not in WITHOUT],
    message:
        "bias_free is complete"
