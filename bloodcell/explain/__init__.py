"""Why an answer is as it is: the positions of a photograph that speak for it."""

from bloodcell.explain.evidence import Evidence, find_evidence, occlusion_maps
from bloodcell.explain.faithfulness import deletion, random_map

__all__ = ["Evidence", "deletion", "find_evidence", "occlusion_maps", "random_map"]
