"""The report step: from summary.json to a page, a Markdown table and a picture. Neither torch nor logits are needed."""

from consort.report.write import copy_report, write_report

__all__ = ["copy_report", "write_report"]
