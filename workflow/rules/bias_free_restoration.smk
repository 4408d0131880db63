# Mohan et al. 2020, Figure 20: restoration of blurred and noisy images.


rule compute_bias_free_restoration:
    input:
        weights=weights_of(RESTORATION_TWINS),
        images=images_of(CONFIG.bias_free.dataset),
    output:
        table=f"{BIAS_FREE}/restoration.csv",
    log:
        "logs/compute_bias_free_restoration.log",
    benchmark:
        f"{RESULTS}/benchmarks/compute_bias_free_restoration.tsv"
    conda:
        ENVIRONMENT
    threads: 1 if all(is_small(name) for name in RESTORATION_TWINS) else 2
    resources:
        mem_mb=3000,
        runtime="60m" if all(is_small(name) for name in RESTORATION_TWINS) else "12h",
        gpu=0 if all(is_small(name) for name in RESTORATION_TWINS) else 1,
    params:
        config=CONFIG_FILE,
        trained=lambda wildcards: training_of(RESTORATION_TWINS),
        grid=CONFIG.bias_free.figure_20.model_dump(mode="json"),
        dataset=CONFIG.bias_free.dataset,
        preset=CONFIG.preset,
        seed=CONFIG.seed,
        source=lambda wildcards: restoration_code(),
    message:
        "Restoring blurred and noisy images"
    shell:
        "denoiser-priors compute bias_free restoration --config {params.config:q} --out {output.table:q} "
        "--threads {threads} --gpus {resources.gpu} > {log} 2>&1"
