# Kadkhodaie & Simoncelli 2020: samples, restorations, tables and figures. The figures' rules come from figures.yaml.

IMPLICIT_PRIOR = f"{RESULTS}/implicit_prior"


localrules:
    implicit_prior,


rule compute_implicit_prior_synthesis:
    input:
        weights=weights_of(prior_of(CONFIG.implicit_prior.synthesis.channels)),
    output:
        arrays=f"{IMPLICIT_PRIOR}/synthesis.npz",
        traces=f"{IMPLICIT_PRIOR}/synthesis.csv",
    log:
        "logs/compute_implicit_prior_synthesis.log",
    benchmark:
        f"{RESULTS}/benchmarks/compute_implicit_prior_synthesis.tsv"
    conda:
        ENVIRONMENT
    threads: 1 if all_small(prior_of(CONFIG.implicit_prior.synthesis.channels)) else 2
    resources:
        mem_mb=2000 + CONFIG.implicit_prior.memory_mb,
        runtime="60m" if all_small(prior_of(CONFIG.implicit_prior.synthesis.channels)) else "12h",
        gpu=0 if all_small(prior_of(CONFIG.implicit_prior.synthesis.channels)) else 1,
    params:
        config=CONFIG_FILE,
        trained=lambda wildcards: training_of(prior_of(CONFIG.implicit_prior.synthesis.channels)),
        settings=prior_plan.sampler_settings(CONFIG, "synthesis", "final"),
        preset=CONFIG.preset,
        seed=CONFIG.seed,
        source=lambda wildcards: sampling_code("experiments", "tables_traces"),
    message:
        "Sampling from the prior of photographs"
    shell:
        "denoiser-priors compute implicit_prior synthesis --config {params.config:q} "
        "--out {output.arrays:q} {output.traces:q} --threads {threads} --gpus {resources.gpu} > {log} 2>&1"


rule compute_implicit_prior_digits:
    input:
        weights=weights_of(PRIORS["digits"]),
    output:
        arrays=f"{IMPLICIT_PRIOR}/digits.npz",
    log:
        "logs/compute_implicit_prior_digits.log",
    benchmark:
        f"{RESULTS}/benchmarks/compute_implicit_prior_digits.tsv"
    conda:
        ENVIRONMENT
    threads: 1 if all_small(PRIORS["digits"]) else 2
    resources:
        mem_mb=2000 + CONFIG.implicit_prior.memory_mb,
        runtime="60m" if all_small(PRIORS["digits"]) else "12h",
        gpu=0 if all_small(PRIORS["digits"]) else 1,
    params:
        config=CONFIG_FILE,
        trained=lambda wildcards: training_of(PRIORS["digits"]),
        settings=prior_plan.sampler_settings(CONFIG, "digits", "final"),
        preset=CONFIG.preset,
        seed=CONFIG.seed,
        source=lambda wildcards: sampling_code("experiments"),
    message:
        "Sampling from the prior of digits"
    shell:
        "denoiser-priors compute implicit_prior digits --config {params.config:q} --out {output.arrays:q} "
        "--threads {threads} --gpus {resources.gpu} > {log} 2>&1"


rule compute_implicit_prior_manifold:
    output:
        arrays=f"{IMPLICIT_PRIOR}/manifold.npz",
    log:
        "logs/compute_implicit_prior_manifold.log",
    benchmark:
        f"{RESULTS}/benchmarks/compute_implicit_prior_manifold.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=2000,
        runtime="30m",
    params:
        config=CONFIG_FILE,
        settings=prior_plan.sampler_settings(CONFIG, "manifold"),
        preset=CONFIG.preset,
        seed=CONFIG.seed,
        source=lambda wildcards: fingerprint(
            "documents/implicit_prior/manifold.py", "samplers/manifold.py", *SAMPLER, "noise.py"
        ),
    message:
        "Sampling on a curve in two dimensions"
    shell:
        "denoiser-priors compute implicit_prior manifold --config {params.config:q} --out {output.arrays:q} "
        "--threads {threads} > {log} 2>&1"


rule compute_implicit_prior_examples:
    input:
        weights=weights_of(prior_of(CONFIG.implicit_prior.examples.channels)),
        images=images_of(CONFIG.implicit_prior.examples.dataset),
    output:
        arrays=f"{IMPLICIT_PRIOR}/examples_{{task}}.npz",
    log:
        "logs/compute_implicit_prior_examples/{task}.log",
    benchmark:
        f"{RESULTS}/benchmarks/compute_implicit_prior_examples/{{task}}.tsv"
    wildcard_constraints:
        task=alternatives(prior_plan.EXAMPLES),
    conda:
        ENVIRONMENT
    threads: 1 if all_small(prior_of(CONFIG.implicit_prior.examples.channels)) else 2
    resources:
        mem_mb=2000 + CONFIG.implicit_prior.memory_mb,
        runtime="60m" if all_small(prior_of(CONFIG.implicit_prior.examples.channels)) else "12h",
        gpu=0 if all_small(prior_of(CONFIG.implicit_prior.examples.channels)) else 1,
    params:
        config=CONFIG_FILE,
        trained=lambda wildcards: training_of(prior_of(CONFIG.implicit_prior.examples.channels)),
        settings=prior_plan.sampler_settings(CONFIG, "beta", "final"),
        examples=lambda wildcards: prior_plan.example_settings(CONFIG, wildcards.task),
        preset=CONFIG.preset,
        seed=CONFIG.seed,
        source=lambda wildcards: solving_code("examples"),
    message:
        "Restoring the examples of {wildcards.task}"
    shell:
        "denoiser-priors compute implicit_prior examples_{wildcards.task} --config {params.config:q} "
        "--out {output.arrays:q} --threads {threads} --gpus {resources.gpu} > {log} 2>&1"


rule compute_implicit_prior_restorations:
    input:
        weights=lambda wildcards: weights_of(prior_of(prior_part(wildcards).settings.channels)),
        images=lambda wildcards: images_of(prior_part(wildcards).settings.dataset),
        lpips=images_of("lpips-alexnet") if CONFIG.implicit_prior.lpips else [],
    output:
        table=f"{IMPLICIT_PRIOR}/restorations/{{part}}.csv",
    log:
        "logs/compute_implicit_prior_restorations/{part}.log",
    benchmark:
        f"{RESULTS}/benchmarks/compute_implicit_prior_restorations/{{part}}.tsv"
    wildcard_constraints:
        part=alternatives(PRIOR_PARTS),
    conda:
        ENVIRONMENT
    threads: lambda wildcards: 1 if all_small(prior_of(prior_part(wildcards).settings.channels)) else 2
    resources:
        mem_mb=2000 + CONFIG.implicit_prior.memory_mb,
        runtime=lambda wildcards: "60m" if all_small(prior_of(prior_part(wildcards).settings.channels)) else "12h",
        gpu=lambda wildcards: 0 if all_small(prior_of(prior_part(wildcards).settings.channels)) else 1,
    params:
        config=CONFIG_FILE,
        trained=lambda wildcards: training_of(prior_of(prior_part(wildcards).settings.channels)),
        number=lambda wildcards: prior_part(wildcards).number,
        settings=prior_plan.sampler_settings(CONFIG, "beta", "lpips"),
        part=lambda wildcards: prior_plan.part_settings(prior_part(wildcards)),
        seed=CONFIG.seed,
        source=lambda wildcards: solving_code("restorations"),
    message:
        "Restoring the images of {wildcards.part}"
    shell:
        "denoiser-priors compute implicit_prior restorations --part {params.number} --config {params.config:q} "
        "--out {output.table:q} --threads {threads} --gpus {resources.gpu} > {log} 2>&1"


for table in registry.figures("implicit_prior", "table").values():

    rule:
        name:
            table.target
        input:
            parts=[part.path(CONFIG) for part in prior_plan.parts(CONFIG, table.name)],
            denoisers=rules.describe_denoisers.output.table,
        output:
            table=report(
                f"{IMPLICIT_PRIOR}/{table.name}.csv",
                caption=f"../report/{table.target}.rst",
                category="implicit_prior",
                labels={"figure": table.original, "shows": table.title},
            ),
            page=f"{IMPLICIT_PRIOR}/{table.name}.md",
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
            source=lambda wildcards: prior_table_code(),
        message:
            f"Gathering {table.document} {table.name}"
        shell:
            "denoiser-priors compute implicit_prior {params.table} --config {params.config:q} "
            "--out {output.table:q} {output.page:q} > {log} 2>&1"


for figure in registry.figures("implicit_prior", "figure").values():

    rule:
        name:
            figure.target
        input:
            [f"{RESULTS}/{file}" for file in figure.reads],
        output:
            png=report(
                f"{FIGURES}/implicit_prior/{figure.name}.png",
                caption=f"../report/{figure.target}.rst",
                category="implicit_prior",
                labels={"figure": figure.original, "shows": figure.title},
            ),
            pdf=f"{FIGURES}/implicit_prior/{figure.name}.pdf",
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
            source=lambda wildcards: prior_drawing_code(),
        message:
            f"Drawing {figure.document} {figure.name}"
        shell:
            "denoiser-priors draw implicit_prior {params.figure} --config {params.config:q} "
            "--out {output.png:q} {output.pdf:q} > {log} 2>&1"


rule implicit_prior:
    input:
        [target_files(figure) for figure in registry.figures("implicit_prior").values() if can_be_made(figure)],
    message:
        "implicit_prior is complete"
