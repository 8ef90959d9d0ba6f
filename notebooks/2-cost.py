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
# # What FeatherFace costs: parameters, MACs, milliseconds
#
# Parameters, MACs and milliseconds are three costs, and none follows from another. This notebook
# measures all three on the machine it runs on, and whether memory or arithmetic limits each block.

# %%
import pandas as pd
from IPython.display import HTML, SVG, Markdown

from analysis.cost.blocks import count_macs
from analysis.cost.counters import out_of_the_box
from analysis.report.plots import latency as plots
from analysis.report.plots.style import render
from analysis.report.tables.networks import counters as counters_table
from analysis.speed.latency import measure_latency
from analysis.speed.operators import measure_operators
from analysis.speed.roofline import measure_roofline
from analysis.speed.setting import Setting
from analysis.speed.timing import Rule
from featherface import CONFIGS, FeatherFace

QUICK = Rule(seconds=2.5, within=0.05)  # how long each measurement may take, how sure it should be

# %% [markdown]
# ## Multiply and accumulate
#
# A MAC is one multiplication and one addition. Some papers count these as one "FLOP", some as two;
# here they are MACs, always. Counted are convolutions, linear layers and the kernels of deformable
# convolutions.

# %%
counts = {variant: count_macs(FeatherFace(variant), 640, 640) for variant in CONFIGS}
pd.DataFrame(
    {variant: {"MACs at 640×640": count.macs} for variant, count in counts.items()}
).T.sort_values("MACs at 640×640").style.format(thousands=",")

# %% [markdown]
# `official` takes the most MACs of the five, more than its baseline `retinaface`.
#
# ## What counters miss
#
# Four popular counters, used as their documentation says, on the same network. The table says what
# each of them leaves out, and what it counts in addition.

# %%
counters = [record.as_dict() for record in out_of_the_box("official", 640, 640)]
HTML(counters_table("official", {"input": [640, 640], "counters": counters}).html())

# %% [markdown]
# A deformable convolution is a custom operator. A counter that knows operators by name does not
# know this one, and counts it as nothing; fvcore lists it as unsupported, the others are silent.
# By each of the four, `official` is cheaper than `retinaface`.
#
# ## Milliseconds
#
# Each block is timed inside the real forward pass, again and again until the median has settled or
# the time is spent. The whole is timed separately, without timers between the blocks, so that the
# cost of measuring is known.

# %%
times = {
    variant: measure_latency(Setting(variant=variant), QUICK)
    for variant in ("official", "v1", "retinaface")
}
pd.DataFrame(
    [
        {
            "variant": variant,
            "ms p50": record["whole"]["ms_p50"],
            "± %": 100 * (record["whole"]["p50_within"] or float("nan")),
            "runs": record["whole"]["n"],
            "GMACs": counts[variant].macs / 1e9,
        }
        for variant, record in times.items()
    ]
).set_index("variant").style.format(precision=2)

# %%
# Figure: Milliseconds of each network as a bar of its seven blocks; the whole is in the table
# above.
SVG(render(plots.by_block(list(times.values())), "svg"))

# %%
machine = times["official"]["environment"]
Markdown(
    f"Measured on **{machine['device_name']}**, {machine['threads']} threads, "
    f"PyTorch {machine['torch']}. On another machine the bars are others; the counts are not."
)

# %% [markdown]
# ## Where the time goes inside a block
#
# The profiler says which operators the blocks spend their time in.

# %%
# Figure: The operators of official by their share of the time, each coloured by its block.
operators = measure_operators(Setting(variant="official"), QUICK)
SVG(render(plots.operators(operators), "svg"))

# %% [markdown]
# ## Memory or arithmetic
#
# A block is limited by arithmetic, or by the memory that feeds it. The roofline places each block
# by its MACs for each byte it moves and by its MACs in a second. The two ceilings are measured
# here, too: the fastest matrix product, and the fastest copy of memory.

# %%
# Figure: MACs in a second of each block against its MACs for each byte, below the two ceilings.
roofline = measure_roofline(Setting(variant="official"), QUICK)
SVG(render(plots.roofline(roofline), "svg"))

# %% [markdown]
# **On the command line**: `featherface latency --variant official` prints the same tables.
# `featherface bench` times the detector against the authors' code, taking turns, and reports
# ratios.
