"""The report step: from summary.json to a page, a Markdown table and a picture. Neither torch nor logits are needed."""

from consort.report.search_write import copy_search_report, write_search_report
from consort.report.write import copy_report, write_report

__all__ = ["copy_report", "copy_search_report", "write_report", "write_search_report"]
