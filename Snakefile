configfile: "config/config.yaml"


# What steps run in with --software-deployment-method apptainer; made from containers/ (docs/cluster.md).
container: "containers/denoiser-priors.sif"


include: "workflow/rules/common.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/denoisers.smk"
include: "workflow/rules/bias_free_common.smk"
include: "workflow/rules/bias_free.smk"
include: "workflow/rules/bias_free_analysis.smk"
include: "workflow/rules/bias_free_restoration.smk"
include: "workflow/rules/bias_free_residuals.smk"
include: "workflow/rules/implicit_prior_common.smk"
include: "workflow/rules/implicit_prior.smk"
include: "workflow/rules/stochastic_denoising_common.smk"
include: "workflow/rules/stochastic_denoising.smk"
include: "workflow/rules/mean_shift_common.smk"
include: "workflow/rules/mean_shift.smk"
include: "workflow/rules/history_common.smk"
include: "workflow/rules/history.smk"
include: "workflow/rules/report.smk"


rule all:
    input:
        rules.bias_free.input,
        rules.implicit_prior.input,
        rules.stochastic_denoising.input,
        rules.mean_shift.input,
        rules.history.input,
        rules.score.output,
        rules.report.input,
