"""Records as tables: takes records, returns `analysis.report.table.Table`."""
