# Di Martino 2024 and Kadkhodaie et al. 2024: small networks, measurements of them, classical denoisers, exact figures.
# The figures' rules come from figures.yaml.


localrules:
    history,


rule train_history_network:
    input:
        images=lambda wildcards: history_images(wildcards.network),
    output:
        weights=f"{HISTORY}/networks/{{network}}/weights.safetensors",
        log=f"{HISTORY}/networks/{{network}}/training.csv",
    log:
        "logs/train_history_network/{network}.log",
    benchmark:
        f"{RESULTS}/benchmarks/train_history_network/{{network}}.tsv"
    wildcard_constraints:
        network=alternatives(HISTORY_NETWORKS),
    priority: 8
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=3000,
        runtime="60m" if CONFIG.preset != "paper" else "2d",
        gpu=0 if CONFIG.preset != "paper" else 1,
    params:
        config=CONFIG_FILE,
        number=lambda wildcards: HISTORY_NUMBERS[wildcards.network],
        spec=lambda wildcards: HISTORY_NETWORKS[wildcards.network],
        seed=CONFIG.seed,
        source=lambda wildcards: history_training_code(wildcards.network),
    message:
        "Training {wildcards.network}"
    shell:
        "denoiser-priors compute history network --part {params.number} --config {params.config:q} "
        "--out {output.weights:q} {output.log:q} --threads {threads} --gpus {resources.gpu} > {log} 2>&1"


rule compute_history_generalization:
    input:
        weights=lambda wildcards: history_weights(*HISTORY_RUNGS[wildcards.rung].networks),
        images=lambda wildcards: history_images(*HISTORY_RUNGS[wildcards.rung].networks),
    output:
        arrays=f"{HISTORY}/generalization/{{rung}}.npz",
        table=f"{HISTORY}/generalization/{{rung}}.csv",
    log:
        "logs/compute_history_generalization/{rung}.log",
    benchmark:
        f"{RESULTS}/benchmarks/compute_history_generalization/{{rung}}.tsv"
    wildcard_constraints:
        rung=alternatives(HISTORY_RUNGS),
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=3000,
        runtime="60m",
    params:
        config=CONFIG_FILE,
        trained=lambda wildcards: history_training_of(*HISTORY_RUNGS[wildcards.rung].networks),
        number=lambda wildcards: HISTORY_RUNGS[wildcards.rung].number,
        settings=CONFIG.history.generalization.model_dump(mode="json", exclude={"families"}),
        preset=CONFIG.preset,
        seed=CONFIG.seed,
        source=lambda wildcards: history_code("ladder") + fingerprint(*SAMPLER),
    message:
        "Sampling from both networks of {wildcards.rung}"
    shell:
        "denoiser-priors compute history generalization --part {params.number} --config {params.config:q} "
        "--out {output.arrays:q} {output.table:q} --threads {threads} > {log} 2>&1"


rule compute_history_slopes:
    input:
        weights=lambda wildcards: history_weights(f"c-alpha-{wildcards.alpha}"),
    output:
        table=f"{HISTORY}/slopes/{{alpha}}.csv",
    log:
        "logs/compute_history_slopes/{alpha}.log",
    benchmark:
        f"{RESULTS}/benchmarks/compute_history_slopes/{{alpha}}.tsv"
    wildcard_constraints:
        alpha=alternatives(HISTORY_ALPHAS),
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=3000,
        runtime="30m",
    params:
        config=CONFIG_FILE,
        trained=lambda wildcards: history_training_of(f"c-alpha-{wildcards.alpha}"),
        number=lambda wildcards: HISTORY_ALPHAS[wildcards.alpha],
        settings=CONFIG.history.slopes.model_dump(mode="json", include={"sigma", "test_images"}),
        seed=CONFIG.seed,
        source=lambda wildcards: history_code("bases"),
    message:
        "Measuring the PSNR slope for alpha = {wildcards.alpha}"
    shell:
        "denoiser-priors compute history slopes --part {params.number} --config {params.config:q} "
        "--out {output.table:q} --threads {threads} > {log} 2>&1"


rule compute_history_bases:
    input:
        weights=lambda wildcards: history_weights(HISTORY_BASES[wildcards.subject]),
        images=lambda wildcards: history_images(HISTORY_BASES[wildcards.subject]),
    output:
        arrays=f"{HISTORY}/bases/{{subject}}.npz",
    log:
        "logs/compute_history_bases/{subject}.log",
    benchmark:
        f"{RESULTS}/benchmarks/compute_history_bases/{{subject}}.tsv"
    wildcard_constraints:
        subject=alternatives(HISTORY_BASES),
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=4000,
        runtime="60m",
    params:
        config=CONFIG_FILE,
        trained=lambda wildcards: history_training_of(HISTORY_BASES[wildcards.subject]),
        number=lambda wildcards: list(HISTORY_BASES).index(wildcards.subject),
        settings=lambda wildcards: history_settings(
            "bases", {"disks": "disks", "faces": "shuffled"}.get(wildcards.subject, "slopes")
        ),
        preset=CONFIG.preset,
        seed=CONFIG.seed,
        source=lambda wildcards: history_code("bases") + fingerprint(*JACOBIAN),
    message:
        "Decomposing the Jacobian on {wildcards.subject}"
    shell:
        "denoiser-priors compute history bases --part {params.number} --config {params.config:q} "
        "--out {output.arrays:q} --threads {threads} > {log} 2>&1"


for experiment, (networks, block, outputs, code, engine) in {
    "shuffled": (("faces-plain", "faces-shuffled"), "shuffled", ("shuffled.npz",), "bases", JACOBIAN),
    "indi": (("indi",), "indi", ("indi.npz", "indi.csv"), "restoration", ["samplers/direct_iteration.py"]),
    "point_geometry": (
        ("surfaces-plain", "surfaces-permuted"),
        "point_geometry",
        ("point_geometry.npz",),
        "geometry",
        SAMPLER,
    ),
}.items():

    rule:
        name:
            f"compute_history_{experiment}"
        input:
            weights=history_weights(*networks),
            images=lambda wildcards, networks=networks: history_images(*networks),
            lpips=images_of("lpips-alexnet") if experiment == "indi" else [],
        output:
            results=[f"{HISTORY}/{file}" for file in outputs],
        log:
            f"logs/compute_history_{experiment}.log",
        benchmark:
            f"{RESULTS}/benchmarks/compute_history_{experiment}.tsv"
        conda:
            ENVIRONMENT
        threads: 1
        resources:
            mem_mb=4000,
            runtime="60m",
        params:
            config=CONFIG_FILE,
            trained=lambda wildcards, networks=networks: history_training_of(*networks),
            experiment=experiment,
            settings=history_settings(block, *(["bases"] if experiment == "shuffled" else [])),
            preset=CONFIG.preset,
            seed=CONFIG.seed,
            source=lambda wildcards, code=code, engine=engine: history_code(code) + fingerprint(*engine),
        message:
            f"Measuring {experiment}"
        shell:
            "denoiser-priors compute history {params.experiment} --config {params.config:q} "
            "--out {output.results:q} --threads {threads} > {log} 2>&1"


rule compute_history_timeline:
    input:
        weights=lambda wildcards: weights_of(name for name in HISTORY_RUNS[wildcards.run].methods if name in DENOISERS),
        images=lambda wildcards: own_images(HISTORY_RUNS[wildcards.run].dataset),
        lpips=images_of("lpips-alexnet") if CONFIG.history.timeline.lpips else [],
    output:
        table=f"{HISTORY}/timeline/{{run}}.csv",
    log:
        "logs/compute_history_timeline/{run}.log",
    benchmark:
        f"{RESULTS}/benchmarks/compute_history_timeline/{{run}}.tsv"
    wildcard_constraints:
        run=alternatives(HISTORY_RUNS),
    # The longest jobs first.
    priority: lambda wildcards: 12 if "bm3d" in HISTORY_RUNS[wildcards.run].methods else 9
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=3000,
        runtime="3h",
    params:
        config=CONFIG_FILE,
        trained=lambda wildcards: training_of(name for name in HISTORY_RUNS[wildcards.run].methods if name in DENOISERS),
        number=lambda wildcards: HISTORY_RUNS[wildcards.run].number,
        settings=CONFIG.history.timeline.model_dump(
            mode="json", exclude={"datasets", "sigma", "split", "dncnn", "bf_dncnn"}
        ),
        methods=lambda wildcards: (HISTORY_RUNS[wildcards.run].methods, HISTORY_RUNS[wildcards.run].sigma),
        seed=CONFIG.seed,
        source=lambda wildcards: evaluation_code()
        + fingerprint("classical/*", "documents/history/timeline.py", "documents/history/methods.py"),
    message:
        "Denoising for table_timeline: {wildcards.run}"
    shell:
        "denoiser-priors compute history timeline --part {params.number} --config {params.config:q} "
        "--out {output.table:q} --threads {threads} > {log} 2>&1"


for experiment in history_plan.EXACT:

    rule:
        name:
            f"compute_history_{experiment}"
        input:
            weights=weights_of(HISTORY_DEEP) if experiment in history_plan.DEEP else [],
            images=lambda wildcards: own_images(CONFIG.history.pictures.dataset),
        output:
            arrays=f"{HISTORY}/{experiment}.npz",
        log:
            f"logs/compute_history_{experiment}.log",
        benchmark:
            f"{RESULTS}/benchmarks/compute_history_{experiment}.tsv"
        conda:
            ENVIRONMENT
        threads: 1
        resources:
            mem_mb=2000,
            runtime="30m",
        params:
            config=CONFIG_FILE,
            trained=lambda wildcards, experiment=experiment: (
                training_of(HISTORY_DEEP) if experiment in history_plan.DEEP else []
            ),
            experiment=experiment,
            settings=CONFIG.history.pictures.model_dump(mode="json"),
            preset=CONFIG.preset,
            seed=CONFIG.seed,
            source=lambda wildcards: fingerprint(
                "classical/*",
                *(f"documents/history/{file}.py" for file in ("arrays", "exact", "mixtures", "subjects")),
            ),
        message:
            f"Computing {experiment}"
        shell:
            "denoiser-priors compute history {params.experiment} --config {params.config:q} "
            "--out {output.arrays:q} --threads {threads} > {log} 2>&1"


for table in registry.figures("history", "table").values():

    rule:
        name:
            table.target
        input:
            history_reads(table),
        output:
            table=report(
                f"{HISTORY}/{table.name}.csv",
                caption=f"../report/{table.target}.rst",
                category="history",
                labels={"figure": table.original, "shows": table.title},
            ),
            page=f"{HISTORY}/{table.name}.md",
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
            fit=CONFIG.history.slopes.fit if table.name == "table_slopes" else None,
            source=lambda wildcards: fingerprint(
                *(f"documents/history/{file}" for file in ("tables.py", "reference.py", "reference/*.csv")),
                "tables.py",
            ),
        message:
            f"Gathering {table.document} {table.name}"
        shell:
            "denoiser-priors compute history {params.table} --config {params.config:q} "
            "--out {output.table:q} {output.page:q} > {log} 2>&1"


for figure in registry.figures("history", "figure").values():

    rule:
        name:
            figure.target
        input:
            history_reads(figure),
        output:
            png=report(
                f"{FIGURES}/history/{figure.name}.png",
                caption=f"../report/{figure.target}.rst",
                category="history",
                labels={"figure": figure.original, "shows": figure.title},
            ),
            pdf=f"{FIGURES}/history/{figure.name}.pdf",
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
            source=lambda wildcards: drawing_code("history") + fingerprint("documents/history/arrays.py"),
        message:
            f"Drawing {figure.document} {figure.name}"
        shell:
            "denoiser-priors draw history {params.figure} --config {params.config:q} "
            "--out {output.png:q} {output.pdf:q} > {log} 2>&1"


rule history:
    input:
        [target_files(figure) for figure in registry.figures("history").values() if history_can_be_made(figure)],
    message:
        "history is complete"
