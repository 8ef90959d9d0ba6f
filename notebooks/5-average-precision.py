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
# faces of WIDER FACE. This notebook evaluates predictions by the benchmark's protocol and takes
# the three numbers apart again: into curves, face sizes, events, and single faces.
#
# It evaluates predictions by the benchmark's ground truth; neither is part of this project.
# `featherface widerface fetch --out data/wider` gets the ground truth, and
# `featherface widerface predict --out data/wider/predictions/official` makes predictions;
# `DATA` is the folder of both. Without them the figures are those on record.

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

DATA = Path(os.environ.get("FEATHERFACE_SHARED", "../data")) / "wider"
GROUND_TRUTH = DATA / "ground_truth"
PREDICTIONS = sorted(DATA.glob("predictions/*"))  # folders or archives of EVENT/PICTURE.txt

# %% [markdown]
# ## Evaluate
#
# From text files to three numbers. What is odd about the files is said, not swallowed.

# %%
evaluations = {}
if GROUND_TRUTH.is_dir() and PREDICTIONS:
    for path in PREDICTIONS[:2]:
        evaluations[path.name.split(".")[0]] = evaluate_files(path, GROUND_TRUTH)
else:
    print(f"No ground truth and predictions in {DATA} (FEATHERFACE_SHARED); on record are:")
    on_record = breakdown.read(history.HISTORY.with_name(breakdown.FILE))[-1]
    title = history.title(on_record["protocol"], on_record["images"])
    for figure in plots.figures(on_record, title).values():
        display(SVG(render(figure, "svg")))

records = {name: evaluation.as_dict() for name, evaluation in evaluations.items()}
if records:
    display(pd.DataFrame(records, index=["easy", "medium", "hard", "mean", "images", "boxes"]).T)

# %%
if evaluations:
    curves = {
        name: {**evaluation.curves_as_dict(), "ap": records[name]}
        for name, evaluation in evaluations.items()
    }
    display(SVG(render(plots.precision_recall(curves, "WIDER FACE val, 3,226 pictures"), "svg")))

# %% [markdown]
# ## Take it apart
#
# Hard is mostly *small*: most of its faces are less than 30 pixels high.

# %%
if evaluations:
    heights = {name: by_height(evaluation.matches) for name, evaluation in evaluations.items()}
    display(SVG(render(plots.by_height(heights, "AP on Hard by height of the face"), "svg")))

# %%
if evaluations:
    events = {name: by_event(evaluation.matches) for name, evaluation in evaluations.items()}
    display(SVG(render(plots.by_event(events, "AP on Hard by event"), "svg")))

# %% [markdown]
# ## Compare two detectors
#
# A difference in AP does not say *which* faces. This does: faces that both found, one found, or
# neither found, at a score where both raise as many false alarms.

# %%
if len(evaluations) == 2:
    a, b = evaluations
    changed = compare(evaluations[a], evaluations[b], equal_false_alarms=True)
    print(f"A: {a}, B: {b}, read at scores {changed['scores']}")
    display(pd.DataFrame(changed["subsets"]).T)

# %% [markdown]
# ## The history
#
# Every evaluation is a row of one file, and so is every figure that somebody published. Rows of
# different protocols or pictures are never put side by side: a detector that looks at each picture
# at ten sizes is not better than one that looks once, it is slower.

# %%
rows = pd.DataFrame([row.model_dump() for row in history.latest(history.read())])
rows["protocol"] = [protocol["name"] for protocol in rows["protocol"]]
for (protocol, images), group in rows.groupby(["protocol", "images"]):
    print(f"\nprotocol: {protocol}, {images:,} pictures")
    columns = ["detector", "source", "easy", "medium", "hard", "mean", "params", "by"]
    display(group[columns].style.format(precision=4, thousands=",", na_rep="–").hide())

# %% [markdown]
# **Your own detector**: write EVENT/PICTURE.txt as the benchmark asks, and run
# `featherface widerface evaluate --predictions DIR --ground-truth DIR`. In CI,
# `--expect official --tolerance 0.001` fails the day the AP falls.
