# Bigdeli et al. 2017: restorations with the mean-shift prior, tables and figures. The figures' rules come from
# figures.yaml.

MEAN_SHIFT = f"{RESULTS}/mean_shift"


localrules:
    mean_shift,


rule compute_mean_shift_restorations:
    input:
        weights=lambda wildcards: weights_of(prior_of_part(mean_shift_part(wildcards))),
        images=lambda wildcards: own_images(*mean_shift_plan.datasets(mean_shift_part(wildcards))),
        kernels=lambda wildcards: kernels_of_part(mean_shift_part(wildcards)),
    output:
        arrays=f"{MEAN_SHIFT}/restorations/{{part}}.npz",
        table=f"{MEAN_SHIFT}/restorations/{{part}}.csv",
    log:
        "logs/compute_mean_shift_restorations/{part}.log",
    benchmark:
        f"{RESULTS}/benchmarks/compute_mean_shift_restorations/{{part}}.tsv"
    wildcard_constraints:
        part=alternatives(MEAN_SHIFT_PARTS),
    conda:
        ENVIRONMENT
    # One image after the other; two parts side by side are faster than one with two threads.
    threads: 1
    resources:
        mem_mb=lambda wildcards: 2000 if small_part(wildcards) else 4000,
        runtime=lambda wildcards: "60m" if small_part(wildcards) else "24h",
        gpu=lambda wildcards: 0 if small_part(wildcards) else 1,
    params:
        config=CONFIG_FILE,
        trained=lambda wildcards: training_of(prior_of_part(mean_shift_part(wildcards))),
        number=lambda wildcards: mean_shift_part(wildcards).number,
        part=lambda wildcards: mean_shift_plan.part_settings(CONFIG, mean_shift_part(wildcards)),
        preset=CONFIG.preset,
        seed=CONFIG.seed,
        source=lambda wildcards: mean_shift_code("restorations", "blind"),
    message:
        "Restoring {wildcards.part}"
    shell:
        "denoiser-priors compute mean_shift restorations --part {params.number} --config {params.config:q} "
        "--out {output.arrays:q} {output.table:q} --threads {threads} --gpus {resources.gpu} > {log} 2>&1"


rule compute_mean_shift_figure_01:
    input:
        weights=weights_of(VISUALISED),
        images=own_images(CONFIG.mean_shift.figure_01.dataset),
    output:
        result=f"{MEAN_SHIFT}/figure_01.npz",
    log:
        "logs/compute_mean_shift_figure_01.log",
    benchmark:
        f"{RESULTS}/benchmarks/compute_mean_shift_figure_01.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=2000,
        runtime="60m",
        gpu=0 if all_small(VISUALISED) else 1,
    params:
        config=CONFIG_FILE,
        trained=lambda wildcards: training_of(VISUALISED),
        settings=CONFIG.mean_shift.figure_01.model_dump(mode="json"),
        prior=VISUALISED,
        preset=CONFIG.preset,
        seed=CONFIG.seed,
        source=lambda wildcards: mean_shift_code("visualisation", "patch_mixture"),
    message:
        "Bending a drawing towards what priors prefer"
    shell:
        "denoiser-priors compute mean_shift figure_01 --config {params.config:q} --out {output.result:q} "
        "--threads {threads} --gpus {resources.gpu} > {log} 2>&1"


for table in registry.figures("mean_shift", "table").values():

    rule:
        name:
            table.target
        input:
            mean_shift_reads(table),
        output:
            table=report(
                f"{MEAN_SHIFT}/{table.name}.csv",
                caption=f"../report/{table.target}.rst",
                category="mean_shift",
                labels={"figure": table.original, "shows": table.title},
            ),
            page=f"{MEAN_SHIFT}/{table.name}.md",
        log:
            f"logs/{table.target}.log",
        benchmark:
            f"{RESULTS}/benchmarks/{table.target}.tsv"
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
            table=table.name,
            preset=CONFIG.preset,
            source=lambda wildcards: mean_shift_table_code(),
        message:
            f"Gathering {table.document} {table.name}"
        shell:
            "denoiser-priors compute mean_shift {params.table} --config {params.config:q} "
            "--out {output.table:q} {output.page:q} > {log} 2>&1"


for figure in registry.figures("mean_shift", "figure").values():

    rule:
        name:
            figure.target
        input:
            mean_shift_reads(figure),
        output:
            png=report(
                f"{FIGURES}/mean_shift/{figure.name}.png",
                caption=f"../report/{figure.target}.rst",
                category="mean_shift",
                labels={"figure": figure.original, "shows": figure.title},
            ),
            pdf=f"{FIGURES}/mean_shift/{figure.name}.pdf",
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
            source=lambda wildcards: mean_shift_drawing_code(),
        message:
            f"Drawing {figure.document} {figure.name}"
        shell:
            "denoiser-priors draw mean_shift {params.figure} --config {params.config:q} "
            "--out {output.png:q} {output.pdf:q} > {log} 2>&1"


rule mean_shift:
    input:
        [target_files(figure) for figure in registry.figures("mean_shift").values() if mean_shift_can_be_made(figure)],
    message:
        "mean_shift is complete"
