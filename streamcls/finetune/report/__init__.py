"""What a training came to, as one HTML page that needs nothing beside itself.

figures   confusion, scores by class, the worst clips: numbers
plots     curves, confusion and calibration: inline SVG
strips    a clip's frames side by side: inline JPEG
page      all of it in page.html
"""

from streamcls.finetune.report.page import write_report

__all__ = ["write_report"]
