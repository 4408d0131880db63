# Datasets: each is there once its manifest is, which is written last.


localrules:
    fetch_dataset,


rule fetch_dataset:
    output:
        f"{DATA}/{{dataset}}/manifest.json",
    log:
        "logs/fetch_dataset/{dataset}.log",
    benchmark:
        f"{RESULTS}/benchmarks/fetch_dataset/{{dataset}}.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=1000,
        runtime="60m",
    params:
        config=CONFIG_FILE,
        downloads=lambda wildcards: downloads_of(wildcards.dataset),
    message:
        "Fetching {wildcards.dataset}"
    shell:
        "denoiser-priors fetch {wildcards.dataset} --config {params.config:q} > {log} 2>&1"
