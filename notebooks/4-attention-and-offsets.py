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
# # What attention and offsets do to an image
#
# This notebook shows the gates and offsets of a network on an image. As such maps alone do not say
# what a part is for, it then shows how scores and boxes change when each part is ablated.
#
# Put the path of an image of your own into `IMAGE` and run all cells. Where the weights of
# `official` cannot be downloaded, those of `v1`, which come with the package, are used; that
# network has gates and no offsets.

# %%
from pathlib import Path

import pandas as pd
from IPython.display import SVG, Markdown, display
from matplotlib.cbook import get_sample_data

from analysis.maps import load_for_maps, measure_maps
from analysis.report.plots.maps import figures
from analysis.report.plots.style import render
from featherface.weights.published import CheckpointError

IMAGE = Path(str(get_sample_data("grace_hopper.jpg", asfileobj=False)))
WEIGHTS = "official"  # or "no-attention", "v1", or a checkpoint of yours

# %%
try:
    model = load_for_maps(WEIGHTS)
except CheckpointError as error:
    print(f"v1 instead of {WEIGHTS}: {error}")
    WEIGHTS = "v1"
    model = load_for_maps(WEIGHTS)
maps = measure_maps(model, IMAGE, weights=WEIGHTS)
drawn = dict(figures(maps))


# %%
def figure(name: str) -> None:
    """Show one of the figures, if the network has it."""
    display(SVG(render(drawn[name])) if name in drawn else Markdown(f"*{WEIGHTS} has no {name}.*"))


# %% [markdown]
# ## The gates
#
# CBAM multiplies every channel by one number and every position by another, both between 0 and 1.
# The maps below show the second kind. Each cell is drawn where its receptive field is centred, and
# all maps share one colour scale.

# %%
# Figure: The spatial gates of both attentions on three levels, over the image.
figure("gates")

# %%
# Figure: The channel gates of both attentions on three levels, as bars by falling value.
figure("channels")

# %% [markdown]
# What remains of the activation behind the gates, inside the faces and outside:

# %%
pd.json_normalize(maps.record["attention"]).iloc[:, :12]

# %% [markdown]
# ## The offsets
#
# An ordinary 3×3 convolution samples nine cells in a square. A deformable one adds to each an
# offset that it computes from the input, and weights it by a mask. Dots are the sampling points,
# sized by their masks; crosses are the regular grid.

# %%
# Figure: The nine sampling points of each branch and level at the centre of the face, beside the
# regular grid.
figure("points-1")

# %%
# Figure: Distance of the sampling points from their cell, inside faces and outside, as boxes.
figure("reach")

# %% [markdown]
# ## Ablations
#
# The same image with offsets set to zero, masks to one, or a gate left out. If a part matters to
# this image, the score and the box move.

# %%
pd.json_normalize(maps.record["effects"]).iloc[:, :10]

# %%
# Figure: Score and overlap of the faces with one part ablated at a time; the table above has the
# numbers.
figure("effects")

# %% [markdown]
# A network trained with a part relies on it: what changes without the part is not what the part
# adds to accuracy. For that, compare networks trained without it, as `no-attention` was; the next
# notebook has average precision.
#
# **As files**: `featherface maps image.jpg --out maps --npz` writes all figures and arrays.
