"""Fail if a browser test was skipped: ``python scripts/no_skipped_browser_tests.py JUNIT.XML``."""

import sys
import xml.etree.ElementTree as ET

cases = [
    case
    for case in ET.parse(sys.argv[1]).getroot().iter("testcase")
    if case.get("classname", "").startswith("tests.browser")
]
# A Slurm may not be had everywhere; .ci/run says so then.
skipped = [
    case.get("name")
    for case in cases
    if (why := case.find("skipped")) is not None and "Slurm" not in why.get("message", "")
]
if not cases or skipped:
    sys.exit(f"error: of {len(cases)} browser tests these were skipped: {', '.join(skipped)}")
print(f"{len(cases)} browser tests ran")
