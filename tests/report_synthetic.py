"""Made-up results of every document, some missing, one damaged and some malicious, and the report of them."""

import csv
import io
import json
from pathlib import Path

import numpy as np
from PIL import Image

from denoiser_priors.config import load_config
from denoiser_priors.documents import registry
from denoiser_priors.documents.claims import COLUMNS, STATUSES
from denoiser_priors.report.write import write_report

ROOT = Path(__file__).parents[1]
NASTY = "<script>alert('x')</script> <img src=http://example.org/x.png onerror=alert(1)> & \"quotes\""


def png(width=32, height=20):
    content = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 255, (height, width), dtype=np.uint8)
    Image.fromarray(pixels).save(content, "png")
    return content.getvalue()


def write_scores(path, changes=None):
    """A scorecard in which the claims come out in turn each way; `changes` replace cells by claim."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
        writer.writeheader()
        for document in registry.documents():
            for i, claim in enumerate(registry.claims(document)):
                row = dict.fromkeys(COLUMNS, "") | {"claim": claim.id, "document": document, "status": STATUSES[i % 3]}
                row |= {"statement": claim.statement, "where": claim.where, "figure": claim.figure, "why": claim.why}
                row |= {"stated": claim.stated, "criterion": "at least 1 dB", "ours": "1.234", "dataset": "embedded"}
                row |= {"reason": "needs `more`" if i % 3 == 2 else "", "denoisers": "dncnn-bf-0to10"}
                writer.writerow(row | (changes or {}).get(claim.id, {}))


TABLE_1 = """\
table,setting,dataset,images,source,method,psnr,psnr_se,lpips,seconds,reference
table_1,4to1,embedded,2,measured,bicubic,27.94926,2.49991,,0.0001448125,
table_1,4to1,embedded,2,measured,sample,27.62118,1.83101,,81.02,
table_1,4to1,set5,5,quoted,DIP,30.04,,,,"notes, Table 1"
"""
PAGE_1 = """\
# Table 1

Preset quick: embedded, 2 image(s); a < b & `code`.

## 4:1

| method              | psnr         |
| ------------------- | -----------: |
| bicubic             | 27.95 ± 2.50 |
| *DIP* (quoted, set5) | 30.04       |
"""


def synthetic_report(root):
    """Write results and figures under `root`, and of them root/report; returns its pages, the index first.

    Of bias_free, figure_03 is missing, figure_04 is cut off, net_bias.csv is no table, and a claim and a table hold
    HTML; of implicit_prior, table_1 has quoted rows and no other table is there.
    """
    paths = {"results": str(root / "results"), "figures": str(root / "figures")}
    config = load_config(overrides={"preset": "synthetic", "paths": paths})
    results, figures = root / "results", root / "figures"
    write_scores(results / "scorecard.csv", {"BF01": {"statement": NASTY, "detail": NASTY, "ours": "0.7"}})
    for document in registry.documents():
        (figures / document).mkdir(parents=True)
        for name in registry.figures(document, "figure"):
            (figures / document / f"{name}.png").write_bytes(png())
    (figures / "bias_free" / "figure_03.png").unlink()
    (figures / "bias_free" / "figure_04.png").write_bytes(png()[:-30])
    (results / "implicit_prior").mkdir()
    (results / "implicit_prior" / "table_1.csv").write_text(TABLE_1, encoding="utf-8")
    (results / "implicit_prior" / "table_1.md").write_text(PAGE_1, encoding="utf-8")
    (results / "bias_free").mkdir()
    rows = "".join(f'd,{i % 7:02d},1.5,"{NASTY.replace(chr(34), chr(34) * 2)}"\n' for i in range(300))
    (results / "bias_free" / "homogeneity.csv").write_text(f"dataset,image,factor,note\n{rows}", encoding="utf-8")
    (results / "bias_free" / "net_bias.csv").write_text("a,b\n1\n", encoding="utf-8")
    header = "denoiser,architecture,bias,noise_low,noise_high,trained_on,training_set,channels,source,recipe\n"
    network = "dncnn-bf-0to10,dncnn,False,0,10,gaussian,embedded,1,train,quick\n"
    (results / "denoisers.csv").write_text(header + network, encoding="utf-8")
    for i, commit in enumerate(("a" * 40, "a" * 40, "b" * 40)):
        record = {"suite": {"version": "0.1.0", "commit": commit, "dirty": commit[0] == "b"}, "seconds": 30 + i // 2}
        record |= {
            "command": ["x"],
            "packages": {"numpy": "2.0", "torch": None},
            "python": "3.11",
            "peak_memory_mb": 77,
        }
        record |= {"machine": {"processor": "P", "system": "S", "cpus": 2}}
        (results / f"{i}.csv.provenance.json").write_text(json.dumps(record), encoding="utf-8")
    (results / "broken.csv.provenance.json").write_text("{", encoding="utf-8")
    (results / "benchmarks" / "score").mkdir(parents=True)
    (results / "benchmarks" / "bias_free_figure_02.tsv").write_text("s\tmax_rss\n2.5\t100\n", encoding="utf-8")
    for part in "ab":
        (results / "benchmarks" / "score" / f"{part}.tsv").write_text("s\tmax_rss\n60\t200\n", encoding="utf-8")
    return write_report(config, root / "report", ROOT)
