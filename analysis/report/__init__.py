"""Report: tables, plots, the diagram and the pages; the only place that draws or writes."""
