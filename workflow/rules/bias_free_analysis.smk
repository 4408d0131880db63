# Mohan et al. 2020: net bias, Jacobians, weighting functions. The figures' rules come from figures.yaml.

from denoiser_priors.documents.bias_free import plan_analysis

BIASED_NETWORKS = plan_analysis.biased_networks(CONFIG)
SUBSPACE_PARTS = plan_analysis.parts(CONFIG)


rule compute_bias_free_net_bias:
    input:
        weights=f"{RESULTS}/denoisers/{{name}}/weights.safetensors",
        images=images_of(CONFIG.bias_free.dataset),
    output:
        table=f"{BIAS_FREE}/net_bias/{{name}}.csv",
    log:
        "logs/compute_bias_free_net_bias/{name}.log",
    benchmark:
        f"{RESULTS}/benchmarks/compute_bias_free_net_bias/{{name}}.tsv"
    wildcard_constraints:
        name=alternatives(BIASED_NETWORKS),
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=3000,
        runtime="4h",
    params:
        config=CONFIG_FILE,
        trained=lambda wildcards: training_of([wildcards.name]),
        settings=lambda wildcards: sizes_of(BIASED_NETWORKS[wildcards.name]),
        dataset=CONFIG.bias_free.dataset,
        limit=CONFIG.bias_free.limit,
        seed=CONFIG.seed,
        source=lambda wildcards: analysis_code(),
    message:
        "Separating linear part and net bias of {wildcards.name}"
    shell:
        "denoiser-priors compute bias_free net_bias --denoiser {wildcards.name} --config {params.config:q} "
        "--out {output.table:q} --threads {threads} > {log} 2>&1"


rule bias_free_table_net_bias:
    input:
        tables=[f"{BIAS_FREE}/net_bias/{name}.csv" for name in BIASED_NETWORKS],
        denoisers=rules.describe_denoisers.output.table,
    output:
        table=report(
            f"{BIAS_FREE}/net_bias.csv",
            caption="../report/bias_free_table_net_bias.rst",
            category="bias_free",
            labels={"figure": "table_net_bias", "shows": "norms of residual and net bias"},
        ),
    log:
        "logs/bias_free_table_net_bias.log",
    benchmark:
        f"{RESULTS}/benchmarks/bias_free_table_net_bias.tsv"
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
        source=lambda wildcards: gathering_code(),
    message:
        "Gathering the norms of residual and net bias"
    shell:
        "denoiser-priors compute bias_free table_net_bias --config {params.config:q} --out {output.table:q} > {log} 2>&1"


rule compute_bias_free_subspaces:
    input:
        weights=f"{RESULTS}/denoisers/{{name}}/weights.safetensors",
        images=images_of(CONFIG.bias_free.dataset),
    output:
        table=f"{BIAS_FREE}/subspaces/{{name}}/part-{{part}}.csv",
        spectra=f"{BIAS_FREE}/subspaces/{{name}}/part-{{part}}-spectra.csv",
        vectors=f"{BIAS_FREE}/subspaces/{{name}}/part-{{part}}-vectors.npz",
    log:
        "logs/compute_bias_free_subspaces/{name}/part-{part}.log",
    benchmark:
        f"{RESULTS}/benchmarks/compute_bias_free_subspaces/{{name}}/part-{{part}}.tsv"
    wildcard_constraints:
        name=alternatives(dict.fromkeys(part.denoiser for part in SUBSPACE_PARTS)),
        part=r"\d+",
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=2000 + CONFIG.bias_free.subspaces.memory_mb,
        runtime="4h",
    params:
        config=CONFIG_FILE,
        trained=lambda wildcards: training_of([wildcards.name]),
        settings=sizes_of(CONFIG.bias_free.subspaces),
        dataset=CONFIG.bias_free.dataset,
        limit=CONFIG.bias_free.limit,
        seed=CONFIG.seed,
        source=lambda wildcards: analysis_code("subspaces"),
    message:
        "Decomposing Jacobians of {wildcards.name}, part {wildcards.part}"
    shell:
        "denoiser-priors compute bias_free subspaces --denoiser {wildcards.name} --part {wildcards.part} "
        "--config {params.config:q} --out {output.table:q} {output.spectra:q} {output.vectors:q} --threads {threads} "
        "> {log} 2>&1"


rule bias_free_table_subspaces:
    input:
        parts=[file for part in SUBSPACE_PARTS for file in map(str, part.paths(CONFIG))],
        denoisers=rules.describe_denoisers.output.table,
    output:
        table=report(
            f"{BIAS_FREE}/subspaces.csv",
            caption="../report/bias_free_table_subspaces.rst",
            category="bias_free",
            labels={"figure": "table_subspaces", "shows": "measures of every Jacobian"},
        ),
        spectra=f"{BIAS_FREE}/spectra.csv",
        vectors=f"{BIAS_FREE}/singular_vectors.npz",
    log:
        "logs/bias_free_table_subspaces.log",
    benchmark:
        f"{RESULTS}/benchmarks/bias_free_table_subspaces.tsv"
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
        source=lambda wildcards: gathering_code(),
    message:
        "Gathering the decomposed Jacobians"
    shell:
        "denoiser-priors compute bias_free table_subspaces --config {params.config:q} "
        "--out {output.table:q} {output.spectra:q} {output.vectors:q} > {log} 2>&1"


rule compute_bias_free_filters:
    input:
        weights=weights_of(plan_analysis.filter_networks(CONFIG).values()),
        images=images_of(CONFIG.bias_free.dataset),
    output:
        arrays=f"{BIAS_FREE}/filters.npz",
    log:
        "logs/compute_bias_free_filters.log",
    benchmark:
        f"{RESULTS}/benchmarks/compute_bias_free_filters.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=3000,
        runtime="30m",
    params:
        config=CONFIG_FILE,
        trained=lambda wildcards: training_of(plan_analysis.filter_networks(CONFIG).values()),
        settings=sizes_of(CONFIG.bias_free.filters),
        dataset=CONFIG.bias_free.dataset,
        limit=CONFIG.bias_free.limit,
        preset=CONFIG.preset,
        seed=CONFIG.seed,
        source=lambda wildcards: analysis_code(),
    message:
        "Weighting functions of the bias-free networks"
    shell:
        "denoiser-priors compute bias_free filters --config {params.config:q} --out {output.arrays:q} "
        "--threads {threads} > {log} 2>&1"


rule compute_bias_free_decomposition:
    input:
        weights=weights_of(plan_analysis.decomposed_networks(CONFIG).values()),
        images=images_of(CONFIG.bias_free.dataset),
    output:
        arrays=f"{BIAS_FREE}/decomposition.npz",
    log:
        "logs/compute_bias_free_decomposition.log",
    benchmark:
        f"{RESULTS}/benchmarks/compute_bias_free_decomposition.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=3000,
        runtime="30m",
    params:
        config=CONFIG_FILE,
        trained=lambda wildcards: training_of(plan_analysis.decomposed_networks(CONFIG).values()),
        settings=sizes_of(CONFIG.bias_free.decomposition),
        dataset=CONFIG.bias_free.dataset,
        limit=CONFIG.bias_free.limit,
        preset=CONFIG.preset,
        seed=CONFIG.seed,
        source=lambda wildcards: analysis_code(),
    message:
        "Linear part and net bias of the networks with bias"
    shell:
        "denoiser-priors compute bias_free decomposition --config {params.config:q} --out {output.arrays:q} "
        "--threads {threads} > {log} 2>&1"
