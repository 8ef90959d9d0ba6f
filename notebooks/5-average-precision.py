# ---
# jupyter:
#   jupytext:
#     cell_metadata_filter: tags
#     notebook_metadata_filter: kernelspec,jupytext,-jupytext.text_representation.jupytext_version
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # WIDER FACE: what an average precision is made of
#
# Face detectors are compared by three numbers: the average precision on the Easy, Medium and Hard
# faces of WIDER FACE. This notebook shows what is behind the three numbers of FeatherFace: curves,
# face sizes and events. It then evaluates predictions of your own by the same protocol.

# %%
import os
from pathlib import Path

import pandas as pd
from IPython.display import SVG, display

from analysis.report.plots import widerface as plots
from analysis.report.plots.style import render
from analysis.widerface import breakdown, history
from analysis.widerface.average_precision import evaluate_files
from analysis.widerface.breakdown import by_event, by_height
from analysis.widerface.comparison import compare

# %% [markdown]
# ## On record
#
# Every published set of weights, on all validation images. Hard is mostly *small*: most of its
# faces are less than 30 pixels high.

# %%
# Figure: Precision against recall of four sets of weights on Easy, Medium and Hard, with their AP.
on_record = breakdown.read(history.HISTORY.with_name(breakdown.FILE))[-1]
title = history.title(on_record["protocol"], on_record["images"])
figures = plots.figures(on_record, title)
display(SVG(render(figures["curves"], "svg")))

# %%
# Figure: AP on Hard by height of the face: low below 20 pixels, high above 50.
display(SVG(render(figures["height"], "svg")))

# %%
# Figure: AP on Hard of each event of WIDER FACE.
display(SVG(render(figures["events"], "svg")))

# %% [markdown]
# ## The history
#
# Every evaluation is a row of one file, and so is every figure that somebody published. Rows of
# different protocols or images are never put side by side: looking at each image at ten sizes finds
# more, and takes longer.

# %%
rows = pd.DataFrame([row.model_dump() for row in history.latest(history.read())])
rows["protocol"] = [protocol["name"] for protocol in rows["protocol"]]
for (protocol, images), group in rows.groupby(["protocol", "images"]):
    print(f"\nprotocol: {protocol}, {images:,} images")
    columns = ["detector", "source", "easy", "medium", "hard", "mean", "params", "by"]
    display(group[columns].style.format(precision=4, thousands=",", na_rep="–").hide())

# %% [markdown]
# ## Your own predictions
#
# Predictions and the benchmark's ground truth are no part of this project.
# `featherface widerface fetch --out data/wider` gets the ground truth, and
# `featherface widerface predict --out data/wider/predictions/official` makes predictions;
# `DATA` is the folder of both.

# %%
DATA = Path(os.environ.get("FEATHERFACE_SHARED", "../data")) / "wider"
GROUND_TRUTH = DATA / "ground_truth"
PREDICTIONS = sorted(DATA.glob("predictions/*"))  # folders or archives of EVENT/IMAGE.txt

evaluations = {}
if GROUND_TRUTH.is_dir() and PREDICTIONS:
    for path in PREDICTIONS[:2]:
        evaluations[path.name.split(".")[0]] = evaluate_files(path, GROUND_TRUTH)
else:
    print(f"Skipped: no ground truth and predictions in {DATA}")
records = {name: evaluation.as_dict() for name, evaluation in evaluations.items()}
if records:
    display(pd.DataFrame(records, index=["easy", "medium", "hard", "mean", "images", "boxes"]).T)

# %%
# Figure: Precision against recall of your predictions; the table above has their AP.
if evaluations:
    curves = {
        name: {**evaluation.curves_as_dict(), "ap": records[name]}
        for name, evaluation in evaluations.items()
    }
    display(SVG(render(plots.precision_recall(curves, "WIDER FACE val"), "svg")))

# %%
# Figure: AP on Hard of your predictions by height of the face.
if evaluations:
    heights = {name: by_height(evaluation.matches) for name, evaluation in evaluations.items()}
    display(SVG(render(plots.by_height(heights, "AP on Hard by height of the face"), "svg")))

# %%
# Figure: AP on Hard of your predictions by event.
if evaluations:
    events = {name: by_event(evaluation.matches) for name, evaluation in evaluations.items()}
    display(SVG(render(plots.by_event(events, "AP on Hard by event"), "svg")))

# %% [markdown]
# A difference in AP does not say *which* faces differ. The table counts faces that both, one or
# neither found, at scores where both have as many false alarms.

# %%
if len(evaluations) == 2:
    a, b = evaluations
    changed = compare(evaluations[a], evaluations[b], equal_false_alarms=True)
    print(f"A: {a}, B: {b}, compared at scores {changed['scores']}")
    display(pd.DataFrame(changed["subsets"]).T)

# %% [markdown]
# **On the command line**: write EVENT/IMAGE.txt as the benchmark asks, and run
# `featherface widerface evaluate DIR --ground-truth DIR`. In CI,
# `--expect official --tolerance 0.001` fails the day the AP falls.
