"""What is wrong with a dataset: copies, near copies, outliers, doubtful labels."""

from bloodcell.audit.features import Features, image_statistics, model_features
from bloodcell.audit.finding import KINDS, Audit, Finding
from bloodcell.audit.run import audit
from bloodcell.audit.stored import (
    audit_path,
    exclude_findings,
    known_findings,
    load_audit,
    open_findings,
    save_audit,
)

__all__ = [
    "KINDS",
    "Audit",
    "Features",
    "Finding",
    "audit",
    "audit_path",
    "exclude_findings",
    "image_statistics",
    "known_findings",
    "load_audit",
    "model_features",
    "open_findings",
    "save_audit",
]
