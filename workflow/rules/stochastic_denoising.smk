# Kawar, Vaksman & Elad 2021: samples from the posterior, tables and figures. The figures' rules come from figures.yaml.

STOCHASTIC_DENOISING = f"{RESULTS}/stochastic_denoising"


localrules:
    stochastic_denoising,


rule compute_stochastic_denoising_samples:
    input:
        weights=lambda wildcards: weights_of(score_of(posterior_part(wildcards).set)),
        images=lambda wildcards: images_of_set(posterior_part(wildcards).set),
        lpips=images_of("lpips-alexnet") if CONFIG.stochastic_denoising.lpips else [],
    output:
        arrays=f"{STOCHASTIC_DENOISING}/samples/{{part}}.npz",
        table=f"{STOCHASTIC_DENOISING}/samples/{{part}}.csv",
    log:
        "logs/compute_stochastic_denoising_samples/{part}.log",
    benchmark:
        f"{RESULTS}/benchmarks/compute_stochastic_denoising_samples/{{part}}.tsv"
    wildcard_constraints:
        part=alternatives(POSTERIOR_PARTS),
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=2000 + CONFIG.stochastic_denoising.memory_mb,
        runtime=lambda wildcards: "60m" if all_small(score_of(posterior_part(wildcards).set)) else "12h",
        gpu=lambda wildcards: 0 if all_small(score_of(posterior_part(wildcards).set)) else 1,
    params:
        config=CONFIG_FILE,
        trained=lambda wildcards: training_of(score_of(posterior_part(wildcards).set)),
        number=lambda wildcards: posterior_part(wildcards).number,
        settings=posterior_plan.shared_settings(CONFIG, "classical", "lpips"),
        part=lambda wildcards: posterior_plan.part_settings(posterior_part(wildcards)),
        preset=CONFIG.preset,
        seed=CONFIG.seed,
        source=lambda wildcards: judging_code("samples") + fingerprint("classical/*.py"),
    message:
        "Sampling the posterior of {wildcards.part}"
    shell:
        "denoiser-priors compute stochastic_denoising samples --part {params.number} --config {params.config:q} "
        "--out {output.arrays:q} {output.table:q} --threads {threads} --gpus {resources.gpu} > {log} 2>&1"


for extra, file in posterior_plan.EXTRAS.items():

    rule:
        name:
            f"compute_stochastic_denoising_{extra}"
        input:
            weights=weights_of(score_of(set_of(extra))),
            images=lambda wildcards, extra=extra: images_of_set(set_of(extra)),
            lpips=images_of("lpips-alexnet") if extra == "speed" and CONFIG.stochastic_denoising.lpips else [],
        output:
            result=f"{STOCHASTIC_DENOISING}/{file}",
        log:
            f"logs/compute_stochastic_denoising_{extra}.log",
        benchmark:
            f"{RESULTS}/benchmarks/compute_stochastic_denoising_{extra}.tsv"
        conda:
            ENVIRONMENT
        threads: 1
        resources:
            mem_mb=2000 + CONFIG.stochastic_denoising.memory_mb,
            runtime=weight_of_extra(extra, "60m", "12h"),
            gpu=weight_of_extra(extra, 0, 1),
        params:
            config=CONFIG_FILE,
            trained=lambda wildcards, extra=extra: training_of(score_of(set_of(extra))),
            experiment=extra,
            settings=posterior_plan.shared_settings(CONFIG, *(["lpips"] if extra == "speed" else [])),
            extra=posterior_plan.extra_settings(CONFIG, extra),
            preset=CONFIG.preset,
            seed=CONFIG.seed,
            source=lambda wildcards, extra=extra: (
                judging_code("columns", "extras") if extra == "speed" else posterior_code("extras")
            )
            + (fingerprint("samplers/masks.py") if extra.startswith("inpainting") else ""),
        message:
            f"Sampling the posterior: {extra}"
        shell:
            "denoiser-priors compute stochastic_denoising {params.experiment} --config {params.config:q} "
            "--out {output.result:q} --threads {threads} --gpus {resources.gpu} > {log} 2>&1"


for table in registry.figures("stochastic_denoising", "table").values():

    rule:
        name:
            table.target
        input:
            posterior_reads(table),
        output:
            table=report(
                f"{STOCHASTIC_DENOISING}/{table.name}.csv",
                caption=f"../report/{table.target}.rst",
                category="stochastic_denoising",
                labels={"figure": table.original, "shows": table.title},
            ),
            page=f"{STOCHASTIC_DENOISING}/{table.name}.md",
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
            mem_mb=2000,
            runtime="10m",
        params:
            config=CONFIG_FILE,
            table=table.name,
            preset=CONFIG.preset,
            source=lambda wildcards: posterior_table_code(),
        message:
            f"Gathering {table.document} {table.name}"
        shell:
            "denoiser-priors compute stochastic_denoising {params.table} --config {params.config:q} "
            "--out {output.table:q} {output.page:q} > {log} 2>&1"


for figure in registry.figures("stochastic_denoising", "figure").values():

    rule:
        name:
            figure.target
        input:
            posterior_reads(figure),
        output:
            png=report(
                f"{FIGURES}/stochastic_denoising/{figure.name}.png",
                caption=f"../report/{figure.target}.rst",
                category="stochastic_denoising",
                labels={"figure": figure.original, "shows": figure.title},
            ),
            pdf=f"{FIGURES}/stochastic_denoising/{figure.name}.pdf",
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
            source=lambda wildcards: posterior_drawing_code(),
        message:
            f"Drawing {figure.document} {figure.name}"
        shell:
            "denoiser-priors draw stochastic_denoising {params.figure} --config {params.config:q} "
            "--out {output.png:q} {output.pdf:q} > {log} 2>&1"


rule stochastic_denoising:
    input:
        [
            target_files(figure)
            for figure in registry.figures("stochastic_denoising").values()
            if posterior_can_be_made(figure)
        ],
    message:
        "stochastic_denoising is complete"
