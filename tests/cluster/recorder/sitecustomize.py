"""On PYTHONPATH, writes down every step of the workflow that starts: its command, and which job of Slurm it is in."""

import json
import os
import sys

if os.environ.get("STEPS_RECORD"):
    words = sys.orig_argv
    command = next((words[i:] for i, word in enumerate(words) if os.path.basename(word) == "denoiser-priors"), None)
    if command:
        job, step = (os.environ.get(name) for name in ("SLURM_JOB_ID", "SLURM_STEP_ID"))
        line = json.dumps(
            {"command": command[1:], "job": job, "step": step, "gpu": os.environ.get("CUDA_VISIBLE_DEVICES")}
        )
        with open(os.environ["STEPS_RECORD"], "a", encoding="utf-8") as stream:
            stream.write(line + "\n")
