# Denoisers: trained or fetched, results/denoisers/NAME/weights.safetensors either way.


localrules:
    describe_denoisers,
    fetch_weights,


rule train_denoiser:
    input:
        images=lambda wildcards: own_images(DENOISERS[wildcards.name].dataset, DENOISERS[wildcards.name].validation),
    output:
        weights=f"{RESULTS}/denoisers/{{name}}/weights.safetensors",
        log=f"{RESULTS}/denoisers/{{name}}/training.csv",
    log:
        "logs/train_denoiser/{name}.log",
    benchmark:
        f"{RESULTS}/benchmarks/train_denoiser/{{name}}.tsv"
    wildcard_constraints:
        name=alternatives(name for name, spec in DENOISERS.items() if spec.source == "train"),
    # Before everything else that could run, so that the short steps fill the cores while the last networks train.
    priority: 10
    conda:
        ENVIRONMENT
    # A small network gains nothing from a second thread; two of them train side by side instead.
    threads: lambda wildcards: 1 if is_small(wildcards.name) else 8
    resources:
        mem_mb=lambda wildcards: 2000 if is_small(wildcards.name) else 16000,
        runtime=lambda wildcards: "60m" if is_small(wildcards.name) else "2d",
        gpu=lambda wildcards: 0 if is_small(wildcards.name) else 1,
    params:
        config=CONFIG_FILE,
        spec=lambda wildcards: DENOISERS[wildcards.name].model_dump(mode="json"),
        source=lambda wildcards: training_code(wildcards.name),
    message:
        "Training {wildcards.name}"
    shell:
        "denoiser-priors train {wildcards.name} --config {params.config:q} --out {output.weights:q} "
        "--log-csv {output.log:q} --threads {threads} --gpus {resources.gpu} > {log} 2>&1"


rule fetch_weights:
    input:
        lambda wildcards: DENOISERS[wildcards.name].weights or [],
    output:
        weights=f"{RESULTS}/denoisers/{{name}}/weights.safetensors",
    log:
        "logs/fetch_weights/{name}.log",
    benchmark:
        f"{RESULTS}/benchmarks/fetch_weights/{{name}}.tsv"
    wildcard_constraints:
        name=alternatives(name for name, spec in DENOISERS.items() if spec.source != "train"),
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=2000,
        runtime="30m",
    params:
        config=CONFIG_FILE,
        spec=lambda wildcards: DENOISERS[wildcards.name].model_dump(mode="json", exclude={"training"}),
        source=lambda wildcards: fingerprint("networks/*.py", "networks/*.csv"),
    message:
        "Fetching the weights of {wildcards.name}"
    shell:
        "denoiser-priors fetch-weights {wildcards.name} --config {params.config:q} --out {output.weights:q} > {log} 2>&1"


rule describe_denoisers:
    output:
        table=f"{RESULTS}/denoisers.csv",
    log:
        "logs/describe_denoisers.log",
    params:
        text=inventory(CONFIG),
    message:
        "Describing the denoisers of the configuration"
    run:
        watch = Stopwatch()
        write_text(output.table, params.text)
        # Not this process's own command, which is internal to Snakemake.
        command = {"command": ["snakemake", output.table]}
        write_provenance([output.table], config={"preset": CONFIG.preset}, watch=watch, extra=command)
