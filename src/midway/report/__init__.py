"""One HTML file, Markdown and JSON from a run directory: `build_report(run_dir)`. Tables, charts and words take typed results.

Promises: no torch; what failed or is missing is said on the page and never counted as wrong.
"""

from midway.report.build import ReportPaths, build_comparison, build_report, build_run_report, compared, redraw_report

__all__ = ["ReportPaths", "build_comparison", "build_report", "build_run_report", "compared", "redraw_report"]
